//! What a node signs of its audit log: how far it goes, and what was deleted of the records.

use countersign_protocol::evidence::Signature;
use countersign_protocol::{Hash, Hasher, IdentitySigner, NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::entry::AuditHead;
use crate::stored::Stored;

/// The part of a log that is about a time, as the node finds it in its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The beginning of the time.
    pub from: UnixMillis,
    /// Its end, which is not part of it.
    pub to: UnixMillis,
    /// Number of the first entry.
    pub first: u64,
    /// The log up to the last entry.
    pub end: AuditHead,
    /// The number of entries in the whole log.
    pub log: u64,
}

/// A node's statement that these entries are all that its log has of a time, and that the last of
/// them has this hash. Times in a log need not ascend, so nobody else can tell where a time begins
/// and ends in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// The node whose log it is.
    pub node: NodeId,
    /// The beginning of the time.
    pub from: UnixMillis,
    /// Its end, which is not part of it.
    pub to: UnixMillis,
    /// Number of the first entry: none before it is of the time.
    pub first: u64,
    /// The number of entries up to the last one: none behind it was of the time at the signing.
    pub entries: u64,
    /// Hash of the last entry; zeros if there is none.
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
    /// States what the node's log has of a time.
    pub fn sign(node: NodeId, extent: Extent, at: UnixMillis, signer: &dyn IdentitySigner) -> Self {
        let mut signed = Self {
            node,
            from: extent.from,
            to: extent.to,
            first: extent.first,
            entries: extent.end.entries,
            hash: extent.end.hash,
            log: extent.log,
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
            .number(self.from.0)
            .number(self.to.0)
            .number(self.first)
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

/// The hash by which an audit entry vouches for the time before which records were deleted.
pub fn pruned_hash(before: UnixMillis) -> Hash {
    Hash::of("countersign/1 pruned before", &before.0.to_be_bytes())
}
