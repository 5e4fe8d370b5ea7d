//! What becomes of a task, and the one way to write it: row and events in one commit of the
//! journal, and the counter with it.

use std::sync::Arc;

use countersign_host::What;
use countersign_protocol::{Outcome, Refusal, TaskId, UnixMillis};
use countersign_store::{
    Consequences, Decided, Journal, OperationKind, TaskChange, WriteJournalError, Written,
};

use super::telling::ended;
use crate::events::{self, Events};
use crate::metrics::{Ended, Tally};

/// A change of a task, and all that belongs to it.
#[derive(Debug, PartialEq)]
pub struct Commit {
    /// What is written.
    pub change: TaskChange,
    /// What receivers are told.
    pub events: Vec<Told>,
    /// How the task ended, if it did.
    pub count: Option<Ended>,
}

/// What receivers are told of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// This.
    What(What),
    /// How it ended.
    Outcome(Box<Outcome>),
}

impl Commit {
    /// This node does not take part.
    pub fn refuse(row: Decided, refusal: Refusal) -> Self {
        let what = What::Declined {
            code: refusal.code.to_string(),
            reason: refusal.reason.clone(),
        };
        Self::refusal(row, refusal, what)
    }

    /// The coordinator gave the task up before this node had decided: were it offered again,
    /// approvers would be asked again.
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

    /// An approved task ends.
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

/// Where tasks are written.
#[derive(Clone)]
pub struct Register {
    /// Rows and events.
    pub journal: Journal,
    /// Who is told what.
    pub events: Arc<Events>,
    /// Counters.
    pub tally: Arc<Tally>,
}

impl Register {
    /// Writes a change of a task. It is counted if it was written now. Waits for the disk.
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
        let written = self.journal.commit(now, commit.change, told.collect())?;
        if let (Some(ended), Written::Now) = (commit.count, &written) {
            self.tally.task(kind, ended);
        }
        Ok(written)
    }

    /// At start: every approved task without an end failed, but for those in `settling`, whose new
    /// share is stored and waits for the other members. Tells which.
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
        let change = TaskChange::AbortUnfinished { settling };
        let written = self.journal.commit(now, change, told.collect())?;
        let Written::Aborted(tasks) = written else {
            return Ok(Vec::new());
        };
        for task in &tasks {
            if let Some(row) = self.journal.row(task)? {
                self.tally.task(row.kind, Ended::Failed);
            }
        }
        Ok(tasks)
    }
}
