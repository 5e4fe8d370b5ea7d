//! The one way to write a change of a task: row and events in one commit of the journal, and the
//! counter with it.

use std::sync::Arc;

use countersign_host::What;
use countersign_protocol::{FailureCode, Outcome, Refusal, TaskId, UnixMillis};
use countersign_store::{
    Consequences, Decided, Journal, OperationKind, TaskChange, WriteJournalError, Written,
};

use super::telling::ended;
use crate::events::{self, Events};
use crate::metrics::{Counters, Ended};

/// A change of a task, with the events for receivers.
#[derive(Debug, PartialEq)]
pub struct Commit {
    pub change: TaskChange,
    pub events: Vec<Told>,
    /// Present if the task ended.
    pub count: Option<Ended>,
}

/// An event of a task for receivers.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    What(What),
    /// The event that tells of this outcome.
    Outcome(Box<Outcome>),
}

impl Commit {
    /// Records that this node does not take part.
    pub fn refuse(row: Decided, refusal: Refusal) -> Self {
        let what = What::Declined {
            code: refusal.code.to_string(),
            reason: refusal.reason.clone(),
        };
        Self::refusal(row, refusal, what)
    }

    /// Records that the coordinator cancelled the task before this node had decided. Without a
    /// record, another offer would ask the approvers again.
    pub fn cancel(row: Decided, refusal: Refusal) -> Self {
        let what = What::Cancelled(format!("{}: {}", refusal.code, refusal.reason));
        Self::refusal(row, refusal, what)
    }

    fn refusal(row: Decided, refusal: Refusal, what: What) -> Self {
        Self {
            change: TaskChange::Refuse {
                row: row.into(),
                refusal,
            },
            events: vec![Told::What(what)],
            count: Some(Ended::Refused),
        }
    }

    /// Records the end of an approved task.
    pub fn end(task: TaskId, outcome: Outcome, used: bool, consequences: Consequences) -> Self {
        Self {
            events: vec![Told::Outcome(outcome.clone().into())],
            count: Some(ended(&outcome)),
            change: TaskChange::End {
                task,
                outcome: outcome.into(),
                used,
                consequences: consequences.into(),
            },
        }
    }
}

/// The journal of tasks, with the events and counters that go with its commits.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[derive(Clone)]
pub struct Register {
    pub journal: Journal,
    pub events: Arc<Events>,
    pub counters: Arc<Counters>,
}

impl Register {
    /// Writes a change of a task, and counts it unless it was written before. Waits for the disk.
    pub fn commit(
        &self,
        now: UnixMillis,
        task: TaskId,
        kind: OperationKind,
        commit: Commit,
    ) -> Result<Written, WriteJournalError> {
        let told = commit.events.into_iter().flat_map(|told| {
            let what = match told {
                Told::What(what) => what,
                Told::Outcome(outcome) => events::what_of(&self.events, task, &outcome, now.0),
            };
            self.events.tell(&self.journal, task, what)
        });
        let code = Code::of(&commit.change);
        let written = self.journal.commit(now, commit.change, told.collect())?;
        if let (Some(ended), Written::Now) = (commit.count, &written) {
            self.counters.task(kind, ended);
            self.count(code);
        }
        Ok(written)
    }

    fn count(&self, code: Option<Code>) {
        match code {
            Some(Code::Refused(refusal)) => self.counters.refusal(&refusal),
            Some(Code::Failed(code)) => self.counters.failure(&code),
            None => {}
        }
    }

    /// At start, fails every approved task without an end, except those in `settling`, whose new
    /// share is stored and waits for the other members. Returns the failed tasks.
    pub fn abort_unfinished(
        &self,
        now: UnixMillis,
        settling: Vec<TaskId>,
    ) -> Result<Vec<TaskId>, WriteJournalError> {
        let text = "aborted-by-restart: the node was restarted before the task ended";
        let unfinished = self.journal.unfinished()?;
        let told = unfinished.iter().flat_map(|task| {
            self.events
                .tell(&self.journal, *task, What::Failed(text.into()))
        });
        let change = TaskChange::AbortUnfinished { in_doubt: settling };
        let written = self.journal.commit(now, change, told.collect())?;
        let Written::Aborted(tasks) = written else {
            return Ok(Vec::new());
        };
        for task in &tasks {
            if let Some(row) = self.journal.row(task)? {
                self.counters.task(row.kind, Ended::Failed);
                self.counters.failure(&FailureCode::AbortedByRestart);
            }
        }
        Ok(tasks)
    }
}

/// Why a task ended without a result.
enum Code {
    Refused(Refusal),
    Failed(FailureCode),
}

impl Code {
    fn of(change: &TaskChange) -> Option<Self> {
        match change {
            TaskChange::Refuse { refusal, .. } => Some(Self::Refused(refusal.clone())),
            TaskChange::End { outcome, .. } => match &**outcome {
                Outcome::Refused(refusal) => Some(Self::Refused(refusal.clone())),
                Outcome::Failed(failure) => Some(Self::Failed(failure.code.clone())),
                Outcome::Created(_)
                | Outcome::Signed(_)
                | Outcome::Reshared(_)
                | Outcome::Intact(_) => None,
            },
            TaskChange::CloseReshare { failure, .. } => Some(Self::Failed(failure.code.clone())),
            TaskChange::Approve { .. }
            | TaskChange::Judge(_)
            | TaskChange::AbortUnfinished { .. }
            | TaskChange::CommitLate { .. }
            | TaskChange::Activate(_) => None,
        }
    }
}

#[cfg(test)]
#[path = "commit_tests.rs"]
mod tests;
