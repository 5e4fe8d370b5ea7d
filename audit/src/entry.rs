//! The audit log of a node. Each entry carries the hash of the entry before it and of the row it
//! concerns.
//!
//! An edit is visible to anybody who kept a later [`AuditHead`]. Somebody who can write the file
//! can still make a whole new log, so keep the head elsewhere (event receiver, backup, peer).

use countersign_protocol::{Hash, Hasher, TaskId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::stored::Stored;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Counts from 0 without a gap.
    pub seq: u64,
    /// The time by the node's clock.
    pub time: UnixMillis,
    /// The kind of event.
    pub kind: AuditKind,
    /// The task that the entry is about; absent for alarms without one.
    pub task: Option<TaskId>,
    /// One sentence for people.
    pub text: String,
    /// Hash of the task's row as it was written with this entry.
    pub record: Option<Hash>,
    /// Hash of the entry before; zeros for the first.
    pub previous: Hash,
    /// Hash of all fields above.
    pub hash: Hash,
}

impl Stored for AuditEntry {}

/// The kind of an audit entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AuditKind {
    /// The node agreed to take part.
    Approved,
    /// The node did not take part.
    Refused,
    /// A task that the node had approved is over.
    Ended,
    /// Something that an operator must look at.
    Alarm,
    /// The node prepared for a reshare.
    Stored,
    /// Shares that are no longer needed were destroyed.
    Destroyed,
    /// The components that decide, or their configuration, took effect or changed.
    Policy,
    /// Plugins counted a task that other members of a key's committee sign, or stopped counting it.
    Counted,
    /// Records of old tasks were deleted.
    Pruned,
}

/// The end of a verified log: its length, and the hash that stands for all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The number of entries.
    pub entries: u64,
    /// Hash of the last one; zeros for an empty log.
    pub hash: Hash,
}

impl AuditHead {
    /// The head of an empty log.
    pub const EMPTY: Self = Self {
        entries: 0,
        hash: Hash([0; 32]),
    };

    /// The next entry of the log. `record`: hash of what the entry vouches for.
    pub fn append(
        self,
        time: UnixMillis,
        kind: AuditKind,
        task: Option<TaskId>,
        text: String,
        record: Option<Hash>,
    ) -> AuditEntry {
        let zero = Hash([0; 32]);
        let mut entry = AuditEntry {
            seq: self.entries,
            time,
            kind,
            task,
            text,
            record,
            previous: self.hash,
            hash: zero,
        };
        entry.hash = entry.digest();
        entry
    }
}

impl AuditEntry {
    /// The head of a log that ends here.
    pub fn head(&self) -> AuditHead {
        AuditHead {
            // A log from elsewhere may have any number.
            entries: self.seq.saturating_add(1),
            hash: self.hash,
        }
    }

    /// True if this is the entry that follows `head`.
    pub fn follows(&self, head: AuditHead) -> bool {
        self.seq == head.entries && self.previous == head.hash && self.hash == self.digest()
    }

    fn digest(&self) -> Hash {
        Hasher::new("countersign/1 audit entry")
            .number(self.seq)
            .number(self.time.0)
            .field(self.kind.name().as_bytes())
            .field(self.task.as_ref().map_or(&[][..], |task| &task.0))
            .field(self.text.as_bytes())
            .field(self.record.as_ref().map_or(&[][..], |hash| &hash.0))
            .field(&self.previous.0)
            .finish()
    }
}

impl AuditKind {
    /// The name in texts, logs and hashes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Ended => "ended",
            Self::Alarm => "alarm",
            Self::Stored => "stored",
            Self::Destroyed => "destroyed",
            Self::Policy => "policy",
            Self::Counted => "counted",
            Self::Pruned => "pruned",
        }
    }
}
