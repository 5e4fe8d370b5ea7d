//! Changes that tell nobody, for tests: a program writes none.

use countersign_protocol::{Failure, Outcome, Refusal, TaskId, UnixMillis};

use super::{
    Consequences, Decided, HandoverStage, Journal, StateWrite, TaskChange, WriteJournalError,
    Written,
};

/// [`Journal::commit`] without events, one function for each change.
pub trait Silent {
    /// [`TaskChange::Approve`].
    fn approve(
        &self,
        now: UnixMillis,
        task: Decided,
        state: Vec<StateWrite>,
    ) -> Result<(), WriteJournalError>;

    /// [`TaskChange::Refuse`].
    fn refuse(
        &self,
        now: UnixMillis,
        task: Decided,
        refusal: Refusal,
    ) -> Result<(), WriteJournalError>;

    /// [`TaskChange::End`], with what follows from it.
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

    /// [`TaskChange::AbortUnfinished`]. Tells which were ended.
    fn abort_unfinished(
        &self,
        now: UnixMillis,
        settling: &[TaskId],
    ) -> Result<Vec<TaskId>, WriteJournalError>;

    /// [`TaskChange::CloseReshare`].
    fn close_handover(
        &self,
        now: UnixMillis,
        task: TaskId,
        stage: HandoverStage,
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
        settling: &[TaskId],
    ) -> Result<Vec<TaskId>, WriteJournalError> {
        let settling = settling.to_vec();
        match self.commit(now, TaskChange::AbortUnfinished { settling }, Vec::new())? {
            Written::Aborted(tasks) => Ok(tasks),
            Written::Now | Written::Already => Ok(Vec::new()),
        }
    }

    fn close_handover(
        &self,
        now: UnixMillis,
        task: TaskId,
        stage: HandoverStage,
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
