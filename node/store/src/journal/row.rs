//! What the journal remembers, and its bytes: a version, then postcard. Fields and variants are appended, never changed.

use countersign_protocol::{
    Announcement, Hash, KeyId, NodeId, Operation, Outcome, PluginVerdict, TaskId, UnixMillis,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// In front of every stored value.
pub(super) const VERSION: u8 = 1;

/// One task at this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Which task.
    pub task: TaskId,
    /// Hash of the exact bytes that the requester signed.
    pub hash: Hash,
    /// What it orders.
    pub kind: TaskKind,
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
}

/// What a task orders, as the journal names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TaskKind {
    /// Make a new key.
    KeyGen,
    /// Use a key.
    KeySign,
}

/// Where a task stands at this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Approved, and not ended yet.
    Approved,
    /// Over. There is no way back.
    Ended {
        /// How.
        outcome: Outcome,
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
}

/// A plugin's state under one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StateValue {
    pub(super) value: Vec<u8>,
    pub(super) expires: Option<UnixMillis>,
}

impl From<&Operation> for TaskKind {
    fn from(operation: &Operation) -> TaskKind {
        match operation {
            Operation::KeyGen(_) => TaskKind::KeyGen,
            Operation::KeySign(_) => TaskKind::KeySign,
        }
    }
}

impl TaskKind {
    /// The name in texts and logs.
    pub fn name(self) -> &'static str {
        match self {
            TaskKind::KeyGen => "KeyGen",
            TaskKind::KeySign => "KeySign",
        }
    }
}

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

/// Bytes that this program cannot read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Newer(u8),
    Malformed,
}

pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(postcard::to_stdvec(value).unwrap_or_else(|error| unreachable!("plain data: {error}")));
    bytes
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            _ => Err(Unreadable::Malformed),
        },
        Some((&version, _)) if version > VERSION => Err(Unreadable::Newer(version)),
        _ => Err(Unreadable::Malformed),
    }
}
