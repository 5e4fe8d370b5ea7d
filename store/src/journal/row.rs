//! The rows of tasks and keys, and of the state that plugins write with them.

pub use countersign_audit::{Row, State};
use countersign_protocol::{KeyDescriptor, KeyId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::codec::Stored;

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

/// The entries of plugin state that a task changed, in the order of its writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Reserved(pub(super) Vec<Reservation>);

/// An entry of plugin state that a task changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reservation {
    pub(super) plugin: String,
    pub(super) key: String,
    pub(super) before: Option<StateValue>,
}

impl Stored for KeyRecord {}

impl Stored for StateValue {}

impl Stored for Reserved {}

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
