//! What a node signs of its audit log: how far it goes, and what was deleted of the records.

use countersign_protocol::evidence::Signature;
use countersign_protocol::{Hash, Hasher, IdentitySigner, NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::entry::AuditHead;
use crate::stored::Stored;

/// A node's statement that its log has these entries, the last of which has this hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// The node whose log it is.
    pub node: NodeId,
    /// The number of entries up to the one that is meant.
    pub entries: u64,
    /// Hash of that entry; zeros if there is none.
    pub hash: Hash,
    /// The number of entries in the whole log when this was signed.
    pub log: u64,
    /// The time of signing by the node's clock.
    pub at: UnixMillis,
    /// Ed25519 by the node's identity, over the hash of all fields above.
    pub signature: Signature,
}

/// A node's statement that it has deleted the records of old tasks. Their ids and hashes stay in
/// its log, so the log verifies across it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The node whose log it is.
    pub node: NodeId,
    /// The number of log entries up to the one that tells of the deletion.
    pub entries: u64,
    /// Hash of that entry.
    pub hash: Hash,
    /// The number of records that were deleted, in all deletions so far.
    pub records: u64,
    /// Everything that was deleted had been received before this time.
    pub before: UnixMillis,
    /// The time of signing by the node's clock.
    pub at: UnixMillis,
    /// Ed25519 by the node's identity, over the hash of all fields above.
    pub signature: Signature,
}

impl Stored for Checkpoint {}

impl SignedHead {
    /// States that a log of `log` entries continues `head`.
    pub fn sign(
        node: NodeId,
        head: AuditHead,
        log: u64,
        at: UnixMillis,
        signer: &dyn IdentitySigner,
    ) -> Self {
        let mut signed = Self {
            node,
            entries: head.entries,
            hash: head.hash,
            log,
            at,
            signature: Signature([0; 64]),
        };
        signed.signature = Signature(signer.sign(signed.digest().as_bytes()));
        signed
    }

    /// True if the node that it names has signed it.
    pub fn verifies(&self) -> bool {
        let digest = self.digest();
        self.node.verify(digest.as_bytes(), &self.signature.0)
    }

    /// The bytes that are signed.
    fn digest(&self) -> Hash {
        Hasher::new("countersign/1 audit head")
            .field(self.node.as_bytes())
            .number(self.entries)
            .field(self.hash.as_bytes())
            .number(self.log)
            .number(self.at.0)
            .finish()
    }
}

impl Checkpoint {
    /// States what was deleted up to `head`, whose last entry tells of it.
    pub fn sign(
        node: NodeId,
        head: AuditHead,
        (records, before): (u64, UnixMillis),
        at: UnixMillis,
        signer: &dyn IdentitySigner,
    ) -> Self {
        let mut signed = Self {
            node,
            entries: head.entries,
            hash: head.hash,
            records,
            before,
            at,
            signature: Signature([0; 64]),
        };
        signed.signature = Signature(signer.sign(signed.digest().as_bytes()));
        signed
    }

    /// True if the node that it names has signed it.
    pub fn verifies(&self) -> bool {
        let digest = self.digest();
        self.node.verify(digest.as_bytes(), &self.signature.0)
    }

    /// The bytes that are signed.
    fn digest(&self) -> Hash {
        Hasher::new("countersign/1 audit checkpoint")
            .field(self.node.as_bytes())
            .number(self.entries)
            .field(self.hash.as_bytes())
            .number(self.records)
            .number(self.before.0)
            .number(self.at.0)
            .finish()
    }
}
