//! The way of a task through the journal: approved or refused, then ended once.

use countersign_protocol::{KeyDescriptor, Outcome, Refusal, TaskId, UnixMillis};

use super::audit::AuditKind;
use super::change::{Decided, TaskChange};
use super::error::{ReadJournalError, Refused, WriteJournalError};
use super::memory::{Reservations, StateWrite};
use super::pair::RunsEnd;
use super::prepared::PreparedReshare;
use super::register::{aborted_by_restart, describe};
use super::row::{Row, State};
use super::tables::Tables;
use super::written::{Done, Written};

impl Tables<'_> {
    pub(super) fn change(&mut self, now: UnixMillis, change: TaskChange) -> Done {
        match change {
            TaskChange::Approve { row, state } => self.approve(now, *row, state),
            TaskChange::Refuse { row, refusal } => self.refuse(now, *row, refusal),
            TaskChange::End {
                task,
                outcome,
                used,
                consequences,
            } => {
                let reservations = if used {
                    Reservations::Keep
                } else {
                    Reservations::Release
                };
                // First: a check that failed burns, also if the outcome is refused.
                self.end_task(&task, &consequences.runs)?;
                let written = self.end(now, task, *outcome, reservations)?;
                if written == Written::Now {
                    self.quarantines.judge(&mut self.register, &consequences)?;
                }
                Ok(written)
            }
            TaskChange::Judge(consequences) => {
                self.burn(&consequences.runs.burns)?;
                self.quarantines.judge(&mut self.register, &consequences)
            }
            TaskChange::AbortUnfinished { in_doubt } => self.abort_unfinished(now, &in_doubt),
            TaskChange::CloseReshare {
                task,
                stage,
                failure,
            } => {
                let prepared = self.prepared.in_doubt(task)?;
                let row = self.register.row(&task)?.ok_or(Refused::Unknown(task))?;
                self.prepared.put(PreparedReshare { stage, ..prepared })?;
                self.end_task(&task, &RunsEnd::default())?;
                self.put_end(now, row, Outcome::Failed(failure), Reservations::Keep)
            }
            TaskChange::CommitLate { task, descriptor } => self.commit_late(now, task, &descriptor),
            TaskChange::Activate(record) => self.keys.put(&record),
        }
    }

    fn approve(&mut self, now: UnixMillis, task: Decided, state: Vec<StateWrite>) -> Done {
        self.register.check_new(task.task, &task.hash)?;
        state.iter().try_for_each(StateWrite::check)?;
        self.memory.reserve(task.task, state)?;
        self.recordings.keep(task.task, &task.evidence)?;
        let text = format!("{} with {} parties", task.kind.title(), task.parties.len());
        let row = task.into_row(State::Approved);
        self.register.enter(now, AuditKind::Approved, &row, &text)
    }

    fn refuse(&mut self, now: UnixMillis, task: Decided, refusal: Refusal) -> Done {
        self.register.check_new(task.task, &task.hash)?;
        self.recordings.keep(task.task, &task.evidence)?;
        let outcome = Outcome::Refused(refusal);
        let text = describe(&outcome);
        let row = task.into_row(State::Ended {
            outcome: outcome.into(),
            at: now,
        });
        self.register.enter(now, AuditKind::Refused, &row, &text)
    }

    fn end(
        &mut self,
        now: UnixMillis,
        task: TaskId,
        outcome: Outcome,
        reservations: Reservations,
    ) -> Done {
        let row = self.register.row(&task)?.ok_or(Refused::Unknown(task))?;
        match &row.state {
            State::Approved => {}
            State::Ended { outcome: old, .. } if **old == outcome => return Ok(Written::Already),
            State::Ended { .. } => return Err(Refused::OtherOutcome(task).into()),
        }
        match &outcome {
            Outcome::Created(descriptor) => self.keys.activate(now, descriptor)?,
            Outcome::Reshared(descriptor) => {
                let prepared = self.prepared.in_doubt(task)?;
                self.commit_reshare(now, prepared, descriptor)?;
            }
            Outcome::Signed(_) | Outcome::Refused(_) | Outcome::Failed(_) | Outcome::Intact(_) => {
                if self.prepared.is_in_doubt(&task)? {
                    return Err(Refused::ReshareInDoubt(task).into());
                }
            }
        }
        self.put_end(now, row, outcome, reservations)
    }

    fn put_end(
        &mut self,
        now: UnixMillis,
        row: Row,
        outcome: Outcome,
        reservations: Reservations,
    ) -> Done {
        self.memory.settle(row.task, reservations)?;
        self.register.end(now, row, outcome)
    }

    fn abort_unfinished(&mut self, now: UnixMillis, in_doubt: &[TaskId]) -> Done {
        let mut tasks = self.register.unfinished()?;
        tasks.retain(|task| !in_doubt.contains(task));
        for task in &tasks {
            let outcome = Outcome::Failed(aborted_by_restart());
            match self.end(now, *task, outcome, Reservations::Keep) {
                // Some tasks may be written already, and a refusal must leave nothing behind.
                Err(WriteJournalError::Refused(_)) => {
                    return Err(ReadJournalError::Damaged {
                        table: "unfinished",
                    }
                    .into());
                }
                done => done?,
            };
        }
        Ok(Written::Aborted(tasks))
    }

    fn commit_late(&mut self, now: UnixMillis, task: TaskId, descriptor: &KeyDescriptor) -> Done {
        let prepared = self.prepared.aborted(task)?;
        self.commit_reshare(now, prepared, descriptor)?;
        let text = format!(
            "{} is of generation {} after all: a party that said it never stored had stored",
            descriptor.key, descriptor.generation
        );
        self.register.log_task(now, AuditKind::Alarm, task, &text)
    }

    fn commit_reshare(
        &mut self,
        now: UnixMillis,
        prepared: PreparedReshare,
        descriptor: &KeyDescriptor,
    ) -> Result<(), WriteJournalError> {
        self.prepared
            .commit(&self.register, &mut self.keys, now, prepared, descriptor)
    }
}
