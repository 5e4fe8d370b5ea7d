//! Changes without events, for tests. A program never writes them.

use countersign_protocol::{Failure, Outcome, Refusal, TaskId, UnixMillis};

use super::change::{Decided, TaskChange};
use super::error::WriteJournalError;
use super::handle::Journal;
use super::memory::StateWrite;
use super::prepared::ReshareStage;
use super::quarantine::Consequences;
use super::written::Written;

/// [`Journal::commit`] without events, one function for each change.
pub trait Silent {
    /// Commits [`TaskChange::Approve`] without events.
    fn approve(
        &self,
        now: UnixMillis,
        task: Decided,
        state: Vec<StateWrite>,
    ) -> Result<(), WriteJournalError>;

    /// Commits [`TaskChange::Refuse`] without events.
    fn refuse(
        &self,
        now: UnixMillis,
        task: Decided,
        refusal: Refusal,
    ) -> Result<(), WriteJournalError>;

    /// Commits [`TaskChange::End`] with its consequences.
    fn conclude(
        &self,
        now: UnixMillis,
        task: TaskId,
        outcome: Outcome,
        used: bool,
        consequences: Consequences,
    ) -> Result<Written, WriteJournalError>;

    /// [`TaskChange::End`] after a share was used.
    fn end(
        &self,
        now: UnixMillis,
        task: TaskId,
        outcome: Outcome,
    ) -> Result<Written, WriteJournalError> {
        self.conclude(now, task, outcome, true, Consequences::default())
    }

    /// [`TaskChange::End`] where no share was used.
    fn end_unused(
        &self,
        now: UnixMillis,
        task: TaskId,
        outcome: Outcome,
    ) -> Result<Written, WriteJournalError> {
        self.conclude(now, task, outcome, false, Consequences::default())
    }

    /// Commits [`TaskChange::AbortUnfinished`]. Returns the tasks that it ended.
    fn abort_unfinished(
        &self,
        now: UnixMillis,
        in_doubt: &[TaskId],
    ) -> Result<Vec<TaskId>, WriteJournalError>;

    /// Commits [`TaskChange::CloseReshare`] without events.
    fn finish_reshare(
        &self,
        now: UnixMillis,
        task: TaskId,
        stage: ReshareStage,
        failure: Failure,
    ) -> Result<(), WriteJournalError>;
}

impl Silent for Journal {
    fn approve(
        &self,
        now: UnixMillis,
        task: Decided,
        state: Vec<StateWrite>,
    ) -> Result<(), WriteJournalError> {
        let row = Box::new(task);
        self.commit(now, TaskChange::Approve { row, state }, Vec::new())
            .map(drop)
    }

    fn refuse(
        &self,
        now: UnixMillis,
        task: Decided,
        refusal: Refusal,
    ) -> Result<(), WriteJournalError> {
        let row = Box::new(task);
        self.commit(now, TaskChange::Refuse { row, refusal }, Vec::new())
            .map(drop)
    }

    fn conclude(
        &self,
        now: UnixMillis,
        task: TaskId,
        outcome: Outcome,
        used: bool,
        consequences: Consequences,
    ) -> Result<Written, WriteJournalError> {
        let change = TaskChange::End {
            task,
            outcome: Box::new(outcome),
            used,
            consequences: Box::new(consequences),
        };
        self.commit(now, change, Vec::new())
    }

    fn abort_unfinished(
        &self,
        now: UnixMillis,
        in_doubt: &[TaskId],
    ) -> Result<Vec<TaskId>, WriteJournalError> {
        let in_doubt = in_doubt.to_vec();
        match self.commit(now, TaskChange::AbortUnfinished { in_doubt }, Vec::new())? {
            Written::Aborted(tasks) => Ok(tasks),
            Written::Now | Written::Already | Written::Pruned(_) => Ok(Vec::new()),
        }
    }

    fn finish_reshare(
        &self,
        now: UnixMillis,
        task: TaskId,
        stage: ReshareStage,
        failure: Failure,
    ) -> Result<(), WriteJournalError> {
        let change = TaskChange::CloseReshare {
            task,
            stage,
            failure,
        };
        self.commit(now, change, Vec::new()).map(drop)
    }
}
