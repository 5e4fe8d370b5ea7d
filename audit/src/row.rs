//! The record of a task at a node, for whose bytes an audit entry vouches.

use countersign_protocol::{
    Hash, NodeId, OperationKind, Outcome, PluginVerdict, TaskId, UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::stored::{self, Stored, Unreadable};

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

impl Stored for Row {
    /// `recording: None`, then `chain: None`.
    const SINCE: &'static [&'static [u8]] = &[&[0], &[0]];
}

impl Row {
    /// Reads a row from its bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        stored::decode(bytes)
    }

    /// True if this row and the recording belong together. Rows of the first programs do not tell.
    pub fn vouches_for(&self, recording: &[u8]) -> bool {
        self.recording
            .is_none_or(|hash| hash == recording_hash(recording))
    }

    /// SHA-256 of every configuration that decided, the description of the chain among them. Each
    /// once, in the order of their bytes.
    pub fn policies(&self) -> Vec<Hash> {
        let configured = self.verdicts.iter().map(|verdict| verdict.config);
        let mut digests: Vec<Hash> = configured.chain(self.chain).collect();
        digests.sort_unstable();
        digests.dedup();
        digests
    }
}

impl State {
    /// The outcome, once the task has ended.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Approved => None,
            Self::Ended { outcome, .. } => Some(outcome),
        }
    }
}

/// The hash by which an audit entry vouches for a row, over the bytes as they are stored.
pub fn record_hash(row: &[u8]) -> Hash {
    Hash::of("countersign/1 journal row", row)
}

/// The hash by which a row vouches for the recording of its decision.
pub fn recording_hash(recording: &[u8]) -> Hash {
    Hash::of("countersign/1 recording", recording)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_has_not_ended_has_no_outcome() {
        assert_eq!(State::Approved.outcome(), None);
    }
}
