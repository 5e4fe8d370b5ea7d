//! The end of a task for which this node has stored a new share and waits for the others.
//!
//! The task is in doubt until it is settled by the acknowledgements of all parties, by the abort
//! vote of one of them, or by this node's operator. Pure: [`InDoubt::resolve`] takes the journal's
//! state and the settlement, and returns what to write, or why the settlement does not apply.

use countersign_protocol::outcome::abort_vote_digest;
use countersign_protocol::{
    Failure, FailureCode, KeyDescriptor, KeyId, NodeId, Outcome, SignedAck, TaskId,
};
use countersign_store::{
    Consequences, Journal, KeyRecord, KeyStatus, OperationKind, PreparedReshare, ReadJournalError,
    ReshareStage, Row, State, TaskChange,
};

use super::commit::{Commit, Told};
use super::history;
use super::succession::{self, OnComplete, Standing, Step};
use crate::metrics::Ended;

const NOTHING_STORED: Unfit =
    Unfit::Unfit("this node has stored nothing for such a task; see `countersign-node task list`");
const NOTHING_WAITS: Unfit = Unfit::Unfit(
    "no reshare of this task waits to be settled here; see `countersign-node task list`",
);

/// The journal's state of such a task.
#[derive(Debug)]
pub struct InDoubt {
    /// The task's row; absent if it was decided before this journal.
    row: Option<Row>,
    record: Option<KeyRecord>,
    /// Present if it is a prepared reshare.
    stored: Option<PreparedReshare>,
    /// The reshares of the key that this node has prepared.
    steps: Vec<(Step, Standing)>,
}

/// The evidence or decision that settles a task in doubt.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// The key descriptor with the acknowledgements of all parties, which were verified
    /// if it is complete.
    AllStored(Box<KeyDescriptor>),
    /// The abort vote of a party, which never stored and never will.
    NeverStored(SignedAck),
    /// The operator of this node gives the task up.
    Abandoned,
}

/// The change to write, and the outcome to report to the coordinator.
#[derive(Debug, PartialEq)]
pub struct Resolved {
    pub commit: Commit,
    pub kind: OperationKind,
    pub key: KeyId,
    pub outcome: Outcome,
}

/// Why a settlement does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It does not fit the journal's state; the text says why.
    #[error("{0}")]
    Unfit(&'static str),
    /// It proves nothing, and no honest node would pass it on.
    #[error("not every party's acknowledgement is present and valid; get the missing ones first")]
    Unproven,
}

impl InDoubt {
    /// Reads the journal's state of the task and of its key.
    pub fn read(journal: &Journal, task: TaskId, key: KeyId) -> Result<Self, ReadJournalError> {
        Ok(Self {
            row: journal.row(&task)?,
            record: journal.key(&key)?,
            stored: journal.prepared(&task)?,
            steps: history::steps(journal, key)?,
        })
    }

    /// Applies a settlement of the task at the node `me`.
    pub fn resolve(
        &self,
        me: NodeId,
        task: TaskId,
        settlement: Settlement,
    ) -> Result<Resolved, Unfit> {
        match settlement {
            Settlement::AllStored(made) if made.generation == 0 => self.created(task, *made),
            Settlement::AllStored(next) => self.reshared(task, *next),
            Settlement::NeverStored(ack) => self.abort_vote(me, task, &ack),
            Settlement::Abandoned => self.abandoned(task),
        }
    }

    /// A key becomes active with every member's acknowledgement of exactly what is stored here.
    fn created(&self, task: TaskId, made: KeyDescriptor) -> Result<Resolved, Unfit> {
        let unfit = Err(Unfit::Unfit("no such key waits to be confirmed here"));
        let Some(record) = &self.record else {
            return unfit;
        };
        let same = record.descriptor.digest() == made.digest() && made.task == task;
        if record.status != KeyStatus::Pending || !same {
            return unfit;
        }
        if !made.has_all_acks() {
            return Err(Unfit::Unproven);
        }
        let key = made.key;
        let outcome = Outcome::Created(made.clone());
        let waits = self
            .row
            .as_ref()
            .is_some_and(|row| row.state == State::Approved);
        let commit = if waits {
            Commit::end(task, outcome.clone(), true, Consequences::default())
        } else {
            // The task is over and keeps its end, but the key becomes active: the others have it.
            Commit {
                change: TaskChange::Activate(Box::new(KeyRecord {
                    descriptor: made,
                    status: KeyStatus::Active,
                    created: record.created,
                })),
                events: Vec::new(),
                count: None,
            }
        };
        Ok(Resolved {
            commit,
            kind: OperationKind::KeyGen,
            key,
            outcome,
        })
    }

    /// The next generation comes into force with every party's acknowledgement of exactly
    /// what is stored here. That outweighs whatever was believed of the reshare before,
    /// because the others have committed.
    fn reshared(&self, task: TaskId, next: KeyDescriptor) -> Result<Resolved, Unfit> {
        let (row, stored) = self.known()?;
        if stored.descriptor.digest() != next.digest() {
            return Err(Unfit::Unfit(
                "it is not the generation stored here; compare both",
            ));
        }
        let acked = |node: &NodeId| next.acks.iter().any(|ack| ack.node == *node);
        if !next.has_all_acks() || !row.parties.iter().all(acked) {
            return Err(Unfit::Unproven);
        }
        let present = self.record.as_ref();
        let present = present.map(|record| record.descriptor.generation);
        let key = next.key;
        let outcome = Outcome::Reshared(next.clone());
        let commit = match succession::on_complete(&Step::of(stored), &self.steps, present) {
            OnComplete::Commit => Commit::end(task, outcome.clone(), true, Consequences::default()),
            OnComplete::CommitLate => Commit {
                change: TaskChange::CommitLate {
                    task,
                    descriptor: next.into(),
                },
                events: vec![Told::Outcome(outcome.clone().into())],
                count: Some(Ended::Succeeded),
            },
            OnComplete::Already => return Err(Unfit::Unfit("it is in force already")),
            OnComplete::Passed => {
                return Err(Unfit::Unfit(
                    "the key has moved on further here; compare all members' generations",
                ));
            }
        };
        Ok(Resolved {
            commit,
            kind: OperationKind::KeyReshare,
            key,
            outcome,
        })
    }

    /// A party will never acknowledge: the present generation stays.
    fn abort_vote(&self, me: NodeId, task: TaskId, ack: &SignedAck) -> Result<Resolved, Unfit> {
        let (row, stored) = self.waiting()?;
        if !succession::heeds_abort_vote(Standing::of(stored.stage))
            || ack.node == me
            || !row.parties.contains(&ack.node)
            || !ack.verifies(&abort_vote_digest(row.hash))
        {
            return Err(Unfit::Unfit(
                "it is not a valid abort vote of another party",
            ));
        }
        let text = format!(
            "{} never stored its part; see why in its log, then try again with a new task",
            ack.node
        );
        let failure = Failure::new(FailureCode::ReshareAborted, text).naming(vec![ack.node]);
        Ok(closed(task, stored, ReshareStage::Aborted, failure))
    }

    /// The operator asserts that no party has committed or will: the present generation stays.
    fn abandoned(&self, task: TaskId) -> Result<Resolved, Unfit> {
        let (_, stored) = self.waiting()?;
        let text = "this node's operator abandoned the reshare; try again with a new task";
        let failure = Failure::new(FailureCode::ReshareAbandoned, text);
        Ok(closed(task, stored, ReshareStage::Abandoned, failure))
    }

    /// The reshare, if this node has prepared it.
    fn known(&self) -> Result<(&Row, &PreparedReshare), Unfit> {
        let known = self.row.as_ref().zip(self.stored.as_ref());
        known.ok_or(NOTHING_STORED)
    }

    /// The reshare, if it is in doubt.
    fn waiting(&self) -> Result<(&Row, &PreparedReshare), Unfit> {
        let (row, stored) = self.known()?;
        match stored.stage {
            ReshareStage::InDoubt => Ok((row, stored)),
            ReshareStage::Committed | ReshareStage::Aborted | ReshareStage::Abandoned => {
                Err(NOTHING_WAITS)
            }
        }
    }
}

fn closed(
    task: TaskId,
    stored: &PreparedReshare,
    stage: ReshareStage,
    failure: Failure,
) -> Resolved {
    let outcome = Outcome::Failed(failure.clone());
    Resolved {
        commit: Commit {
            change: TaskChange::CloseReshare {
                task,
                stage,
                failure,
            },
            events: vec![Told::Outcome(outcome.clone().into())],
            count: Some(Ended::Failed),
        },
        kind: OperationKind::KeyReshare,
        key: stored.descriptor.key,
        outcome,
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
