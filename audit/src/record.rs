//! What a node exports beside its log: the records that the log vouches for, what is left of those
//! that were deleted, and the configurations that decided.

use countersign_protocol::evidence::Signature;
use countersign_protocol::{Hash, Hasher, IdentitySigner, NodeId, OrderProof, TaskId, Vote};
use serde::{Deserialize, Serialize};

use crate::row::record_hash;

/// The record of a task as a node keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The task's id.
    pub task: TaskId,
    /// The bytes of the record. The last audit entry about the task has their hash. Read them with
    /// [`Row::read`](crate::Row::read).
    #[serde(with = "hex::serde")]
    pub row: Vec<u8>,
    /// What the node knows beyond the record.
    #[serde(flatten)]
    pub beside: Vouched,
    /// Ed25519 by the node's identity, over the hash of all fields above. No audit entry vouches
    /// for the votes, so the node does.
    pub signature: Signature,
}

/// What belongs to a record, and is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// The requester's signature over the task's bytes. Absent if an earlier program wrote the
    /// record.
    pub order: Option<OrderProof>,
    /// The votes of people that the plugins were given. Absent if the recording of the decision is
    /// gone, or is none that the node can read.
    pub votes: Option<Vec<Vote>>,
}

/// What is left of a record that was deleted for its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deleted {
    /// The task's id.
    pub task: TaskId,
    /// Hash of the bytes that the requester had signed.
    pub hash: Hash,
    /// Hash of the record, as in the last audit entry about the task.
    pub record: Hash,
    /// Ed25519 by the node's identity, over the hash of all fields above.
    pub signature: Signature,
}

/// A configuration that decided, or the description of all plugins in force. It holds no secrets:
/// those are in files of their own, which it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// SHA-256 of the document.
    pub digest: Hash,
    /// The document; absent if the operator left texts out, or if it is not kept.
    pub document: Option<String>,
}

impl Record {
    /// Vouches for a record in the name of `node`.
    pub fn sign(
        node: &NodeId,
        task: TaskId,
        row: Vec<u8>,
        beside: Vouched,
        signer: &dyn IdentitySigner,
    ) -> Self {
        let mut record = Self {
            task,
            row,
            beside,
            signature: Signature([0; 64]),
        };
        record.signature = Signature(signer.sign(record.digest(node).as_bytes()));
        record
    }

    /// True if `node` has signed it.
    pub fn verifies(&self, node: &NodeId) -> bool {
        node.verify(self.digest(node).as_bytes(), &self.signature.0)
    }

    /// The bytes that are signed. Numbers tell what is absent from what is empty.
    fn digest(&self, node: &NodeId) -> Hash {
        let order = self.beside.order.as_ref().map(OrderProof::to_bytes);
        let mut hasher = Hasher::new("countersign/1 audit record")
            .field(node.as_bytes())
            .field(&self.task.0)
            .field(record_hash(&self.row).as_bytes())
            .field(&order.unwrap_or_default())
            .number(self.beside.votes.is_some().into());
        for vote in self.beside.votes.iter().flatten() {
            hasher = hasher.field(&vote.to_bytes());
        }
        hasher.finish()
    }
}

impl Deleted {
    /// Vouches in the name of `node` for what is left of a record. `hash`: of the bytes that the
    /// requester had signed. `record`: of the record.
    pub fn sign(
        node: &NodeId,
        task: TaskId,
        (hash, record): (Hash, Hash),
        signer: &dyn IdentitySigner,
    ) -> Self {
        let mut rest = Self {
            task,
            hash,
            record,
            signature: Signature([0; 64]),
        };
        rest.signature = Signature(signer.sign(rest.digest(node).as_bytes()));
        rest
    }

    /// True if `node` has signed it.
    pub fn verifies(&self, node: &NodeId) -> bool {
        node.verify(self.digest(node).as_bytes(), &self.signature.0)
    }

    /// The bytes that are signed.
    fn digest(&self, node: &NodeId) -> Hash {
        Hasher::new("countersign/1 audit deleted record")
            .field(node.as_bytes())
            .field(&self.task.0)
            .field(self.hash.as_bytes())
            .field(self.record.as_bytes())
            .finish()
    }
}
