//! What can become of a task: every way in which its row changes, with all that follows from it.

use countersign_protocol::{Announcement, Failure, Outcome, Refusal, TaskId};

use super::handover::HandoverStage;
use super::operation::{Decided, StateWrite};
use super::quarantine::Consequences;
use super::row::KeyRecord;

/// A change of what the journal says of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskChange {
    /// This node takes part. What the plugins wrote into their state is written with it.
    Approve {
        /// The task.
        row: Box<Decided>,
        /// Of the plugins.
        state: Vec<StateWrite>,
    },
    /// The task ends with this node's refusal. What plugins wrote is forgotten.
    Refuse {
        /// The task.
        row: Box<Decided>,
        /// By whom, and why.
        refusal: Refusal,
    },
    /// An approved task ends. The same outcome again is [`Written::Already`](super::Written);
    /// another is refused. [`Outcome::Created`] makes the key active, [`Outcome::Reshared`] puts
    /// the next generation in force; no other outcome ends a task whose reshare is open.
    End {
        /// The task.
        task: TaskId,
        /// Its one outcome.
        outcome: Box<Outcome>,
        /// A share was used. If none was, what plugins wrote for the task is taken back, but for
        /// entries that a later task wrote too.
        used: bool,
        /// For the tasks to come.
        consequences: Box<Consequences>,
    },
    /// For the tasks to come, of a task that has no end yet.
    Judge(Box<Consequences>),
    /// At start: every approved task without an outcome failed with code `aborted-by-restart`, but
    /// for those whose new share is stored and waits for the other members. Of the events those are
    /// written whose task is ended by it.
    AbortUnfinished {
        /// The exceptions.
        settling: Vec<TaskId>,
    },
    /// A reshare came to nothing, for the reason in `stage`.
    CloseReshare {
        /// The task.
        task: TaskId,
        /// Why.
        stage: HandoverStage,
        /// The task's outcome.
        failure: Failure,
    },
    /// Puts a generation in force whose reshare had come to nothing here, with an alarm in the
    /// audit log. The task's outcome stays what it was.
    Revive {
        /// The task.
        task: TaskId,
        /// With the marks of all parties.
        announcement: Box<Announcement>,
    },
    /// All members confirmed a key whose task is recorded as over here. The task's outcome stays
    /// what it was.
    Activate(Box<KeyRecord>),
}
