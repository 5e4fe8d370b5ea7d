//! Changes of a task: every way in which its row changes, with all that follows from it.

use countersign_protocol::{
    Failure, Hash, KeyDescriptor, NodeId, OperationKind, Outcome, PluginVerdict, Refusal, TaskId,
    UnixMillis,
};

use super::memory::StateWrite;
use super::prepared::ReshareStage;
use super::quarantine::Consequences;
use super::recordings::Evidence;
use super::row::{KeyRecord, Row, State};

/// A task on which the node has decided, as it enters the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The task's id, which the requester chose.
    pub task: TaskId,
    /// Hash of the exact bytes that the requester signed.
    pub hash: Hash,
    /// The operation that it orders.
    pub kind: OperationKind,
    /// The time at which the node first saw it.
    pub received_at: UnixMillis,
    /// The verdict of each plugin that was asked.
    pub verdicts: Vec<PluginVerdict>,
    /// The nodes that are to take part, in the order of their ids.
    pub parties: Vec<NodeId>,
    /// The bytes that the requester signed.
    pub bytes: Vec<u8>,
    /// Recording and configurations that prove the decision.
    pub evidence: Evidence,
}

/// A change of a task's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskChange {
    /// This node takes part. The state that the plugins wrote is committed with the approval.
    Approve {
        /// The decided task, which must be new.
        row: Box<Decided>,
        /// The writes that the plugins staged.
        state: Vec<StateWrite>,
    },
    /// The task ends with this node's refusal. The writes that plugins staged are dropped.
    Refuse {
        /// The decided task, which must be new.
        row: Box<Decided>,
        /// The refusal, which becomes the outcome.
        refusal: Refusal,
    },
    /// An approved task ends, and all its runs with a set-up of pairs. The same outcome again is
    /// [`Written::Already`](super::Written); another is refused, but its burns are written.
    /// [`Outcome::Created`] makes the key active, [`Outcome::Reshared`] puts the next generation in
    /// force; no other outcome ends a task whose reshare is in doubt.
    End {
        /// The approved task that ends.
        task: TaskId,
        /// The one outcome of the task.
        outcome: Box<Outcome>,
        /// True if a share was used. If none was, plugin state that was written for the task is
        /// taken back, except entries that a later task wrote too.
        used: bool,
        /// Effects on the tasks to come.
        consequences: Box<Consequences>,
    },
    /// Effects on the tasks to come of a task that has no end yet.
    Judge(Box<Consequences>),
    /// At start: every approved task without an outcome failed with code `aborted-by-restart`,
    /// except those whose new share is stored and waits for the other members. Of the events, those
    /// about a task that ends here are written.
    AbortUnfinished {
        /// Tasks whose reshare is in doubt.
        in_doubt: Vec<TaskId>,
    },
    /// A reshare in doubt came to nothing.
    CloseReshare {
        /// The task of the reshare.
        task: TaskId,
        /// Either [`Aborted`](ReshareStage::Aborted) or [`Abandoned`](ReshareStage::Abandoned).
        stage: ReshareStage,
        /// The failure, which becomes the task's outcome.
        failure: Failure,
    },
    /// Late commit: puts a generation in force whose reshare had come to nothing here, with an
    /// alarm in the audit log. The outcome of the task does not change.
    CommitLate {
        /// The task of the reshare.
        task: TaskId,
        /// The next generation, with the acknowledgements of all parties.
        descriptor: Box<KeyDescriptor>,
    },
    /// All members confirmed a key whose task is recorded as over here. The outcome does not
    /// change.
    Activate(Box<KeyRecord>),
}

impl Decided {
    pub(super) fn into_row(self, state: State) -> Row {
        let recording = self.evidence.vouch();
        Row {
            task: self.task,
            hash: self.hash,
            kind: self.kind,
            received_at: self.received_at,
            state,
            verdicts: self.verdicts,
            parties: self.parties,
            bytes: self.bytes,
            recording,
            chain: self.evidence.chain,
        }
    }
}
