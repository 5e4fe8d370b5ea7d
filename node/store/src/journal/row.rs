//! The rows of tasks and keys, and of the state that plugins write with them.

use countersign_protocol::{
    Announcement, Hash, KeyId, NodeId, OperationKind, Outcome, PluginVerdict, TaskId, UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::codec::Stored;

/// One task at this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Which task.
    pub task: TaskId,
    /// Hash of the exact bytes that the requester signed.
    pub hash: Hash,
    /// What it orders.
    pub kind: OperationKind,
    /// When the node first saw it.
    pub received_at: UnixMillis,
    /// Where it stands.
    pub state: State,
    /// What each plugin that was asked said.
    pub verdicts: Vec<PluginVerdict>,
    /// Who is to take part, in the order of their ids.
    pub parties: Vec<NodeId>,
    /// The bytes that the requester signed.
    pub bytes: Vec<u8>,
    /// Hash of the recording of the decision. Absent: nothing was recorded, or by a program that
    /// did not vouch for it.
    pub recording: Option<Hash>,
    /// SHA-256 of the document that describes everything that was in force when the plugins
    /// decided: components, configurations, grants, keys and authorities. It is kept among the
    /// configurations. Absent: no plugin was asked, or by a program that did not note it.
    pub chain: Option<Hash>,
}

/// Where a task stands at this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Approved, and not ended yet.
    Approved,
    /// Over. There is no way back.
    Ended {
        /// How.
        outcome: Box<Outcome>,
        /// When.
        at: UnixMillis,
    },
}

/// The public side of a key that this node holds a share of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key. Its marks may still be incomplete while the key is pending.
    pub announcement: Announcement,
    /// Whether it may be used.
    pub status: KeyStatus,
    /// When the node stored it.
    pub created: UnixMillis,
}

/// Whether a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyStatus {
    /// Stored here, not yet confirmed by all members.
    Pending,
    /// Confirmed by all members.
    Active,
    /// Handed over to others: this node holds no share of it any more. The record tells how far the
    /// key had come.
    Released,
    /// Handed over to others, and not yet known to be in force at a quorum of them: this node's
    /// share is used no more, and kept until then.
    Leaving,
}

/// A plugin's state under one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StateValue {
    pub(super) value: Vec<u8>,
    pub(super) expires: Option<UnixMillis>,
}

/// An entry that a task changed.
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
    /// Which key it is.
    pub fn key(&self) -> KeyId {
        self.announcement.key
    }
}

impl StateValue {
    pub(super) fn is_alive(&self, now: UnixMillis) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}
