//! The rows of tasks and keys, and of the state that plugins write with them.

use countersign_protocol::{
    Hash, KeyDescriptor, KeyId, NodeId, OperationKind, Outcome, PluginVerdict, TaskId, UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::codec::Stored;

/// One task at this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The task's id, which the requester chose.
    pub task: TaskId,
    /// Hash of the exact bytes that the requester signed.
    pub hash: Hash,
    /// The operation that it orders.
    pub kind: OperationKind,
    /// The time at which the node first saw it.
    pub received_at: UnixMillis,
    /// The task's progress at this node.
    pub state: State,
    /// The verdict of each plugin that was asked.
    pub verdicts: Vec<PluginVerdict>,
    /// The nodes that are to take part, in the order of their ids.
    pub parties: Vec<NodeId>,
    /// The bytes that the requester signed.
    pub bytes: Vec<u8>,
    /// Hash of the recording of the decision. Absent if nothing was recorded, or if the program did
    /// not vouch for it yet.
    pub recording: Option<Hash>,
    /// SHA-256 of the document that describes everything that was in force when the plugins
    /// decided: components, configurations, grants, keys and authorities. It is kept among the
    /// configurations. Absent if no plugin was asked, or if the program did not note it yet.
    pub chain: Option<Hash>,
}

/// The progress of a task at this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Approved, and not ended yet.
    Approved,
    /// Over. A task never leaves this state.
    Ended {
        /// The one outcome that the task has for ever.
        outcome: Box<Outcome>,
        /// The time at which it was recorded.
        at: UnixMillis,
    },
}

/// The public side of a key that this node holds a share of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key descriptor. Its acknowledgements may still be incomplete while the key is pending.
    pub descriptor: KeyDescriptor,
    /// The use that may be made of the key.
    pub status: KeyStatus,
    /// The time at which the node stored it.
    pub created: UnixMillis,
}

/// The use that may be made of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyStatus {
    /// Stored here, not yet confirmed by all members.
    Pending,
    /// Confirmed by all members.
    Active,
    /// Held by others: this node has no share of it any more. The record tells the last generation
    /// that this node knows of.
    Released,
    /// Held by others, but not yet known to be in force at a quorum of them. This node's share is
    /// no longer used, and kept until then.
    Leaving,
}

/// A plugin's state under one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StateValue {
    pub(super) value: Vec<u8>,
    pub(super) expires: Option<UnixMillis>,
}

/// An entry of plugin state that a task changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reservation {
    pub(super) plugin: String,
    pub(super) key: String,
    pub(super) before: Option<StateValue>,
}

impl Stored for Row {
    /// `recording: None`, then `chain: None`.
    const SINCE: &'static [&'static [u8]] = &[&[0], &[0]];
}

impl Stored for KeyRecord {}

impl Stored for StateValue {}

impl Stored for Vec<Reservation> {}

impl KeyRecord {
    /// The id of the key, as in its descriptor.
    pub fn key(&self) -> KeyId {
        self.descriptor.key
    }
}

impl StateValue {
    pub(super) fn is_alive(&self, now: UnixMillis) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}
