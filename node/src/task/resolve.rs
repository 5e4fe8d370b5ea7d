//! How a task ends for which this node has stored a new share, and waits for the others.
//!
//! It is in doubt until a word settles it: everybody's mark, a party's word that it never stored,
//! or this node's operator. Pure: [`InDoubt::resolve`] takes what the journal says and the word,
//! and gives what is to be written, or why the word settles nothing.

use countersign_protocol::outcome::void_digest;
use countersign_protocol::{
    Announcement, Failure, FailureCode, KeyId, NodeId, Outcome, StoredMark, TaskId,
};
use countersign_store::{
    Consequences, Handover, HandoverStage, Journal, KeyRecord, KeyStatus, OperationKind,
    ReadJournalError, Row, State, TaskChange,
};

use super::commit::{Commit, Told};
use super::handover::{self, standing, step};
use super::succession::{self, OnComplete, Standing, Step};
use crate::metrics::Ended;

const NOTHING_STORED: Unfit =
    Unfit::Unfit("this node has stored nothing for such a task; see `countersign-node task list`");
const NOTHING_WAITS: Unfit = Unfit::Unfit(
    "no reshare of this task waits to be settled here; see `countersign-node task list`",
);

/// What the journal says of such a task.
#[derive(Debug)]
pub struct InDoubt {
    /// Of the task; absent if it was decided before this journal.
    row: Option<Row>,
    /// Of its key.
    record: Option<KeyRecord>,
    /// For a reshare: what is stored.
    stored: Option<Handover>,
    /// The reshares of the key that this node has stored for.
    steps: Vec<(Step, Standing)>,
}

/// What settles a task.
#[derive(Debug, Clone)]
pub enum Word {
    /// Every party has stored, as the marks show. They were verified if the announcement is
    /// complete.
    AllStored(Box<Announcement>),
    /// A party never stored, and never will.
    NeverStored(StoredMark),
    /// The operator of this node gives it up.
    GivenUp,
}

/// What is to be written.
#[derive(Debug, PartialEq)]
pub struct Resolved {
    /// The change.
    pub commit: Commit,
    /// Of which kind of task.
    pub kind: OperationKind,
    /// Which key.
    pub key: KeyId,
    /// What the coordinator is told.
    pub outcome: Outcome,
}

/// Why a word settles nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It does not fit what the journal says.
    #[error("{0}")]
    Unfit(&'static str),
    /// It is no proof at all, which no honest node hands on.
    #[error("not every party's mark is there and verifies; get the missing ones first")]
    Unproven,
}

impl InDoubt {
    /// Reads what the journal says of the task and of its key.
    pub fn read(journal: &Journal, task: TaskId, key: KeyId) -> Result<Self, ReadJournalError> {
        Ok(Self {
            row: journal.row(&task)?,
            record: journal.key(&key)?,
            stored: journal.handover(&task)?,
            steps: handover::steps(journal, key)?,
        })
    }

    /// What follows from a word about the task, at the node `me`.
    pub fn resolve(&self, me: NodeId, task: TaskId, word: Word) -> Result<Resolved, Unfit> {
        match word {
            Word::AllStored(made) if made.generation == 0 => self.created(task, *made),
            Word::AllStored(next) => self.reshared(task, *next),
            Word::NeverStored(mark) => self.void(me, task, &mark),
            Word::GivenUp => self.abandoned(task),
        }
    }

    /// A key becomes active with every member's mark over exactly what is stored here.
    fn created(&self, task: TaskId, made: Announcement) -> Result<Resolved, Unfit> {
        let unfit = Err(Unfit::Unfit("no such key waits to be confirmed here"));
        let Some(record) = &self.record else {
            return unfit;
        };
        let same = record.announcement.digest() == made.digest() && made.task == task;
        if record.status != KeyStatus::Pending || !same {
            return unfit;
        }
        if !made.is_complete() {
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
            // The task is over, and keeps its end; the key is active all the same: the others have
            // it.
            Commit {
                change: TaskChange::Activate(Box::new(KeyRecord {
                    announcement: made,
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

    /// The next generation comes into force with everybody's mark over exactly what is stored here.
    /// That outweighs whatever was believed of the reshare before, for the others have switched.
    fn reshared(&self, task: TaskId, next: Announcement) -> Result<Resolved, Unfit> {
        let (row, stored) = self.known()?;
        if stored.announcement.digest() != next.digest() {
            return Err(Unfit::Unfit(
                "it is another generation than the one stored here; compare both",
            ));
        }
        let marked = |node: &NodeId| next.stored.iter().any(|mark| mark.node == *node);
        if !next.is_complete() || !row.parties.iter().all(marked) {
            return Err(Unfit::Unproven);
        }
        let present = self.record.as_ref();
        let present = present.map(|record| record.announcement.generation);
        let key = next.key;
        let outcome = Outcome::Reshared(next.clone());
        let commit = match succession::on_complete(&step(stored), &self.steps, present) {
            OnComplete::Take => Commit::end(task, outcome.clone(), true, Consequences::default()),
            OnComplete::Wake => Commit {
                change: TaskChange::Revive {
                    task,
                    announcement: next.into(),
                },
                events: vec![Told::Outcome(outcome.clone().into())],
                count: Some(Ended::Succeeded),
            },
            OnComplete::Already => return Err(Unfit::Unfit("it is in force already")),
            OnComplete::Passed => {
                return Err(Unfit::Unfit(
                    "the key has come further here; compare all members' generations",
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

    /// A party's mark can never be there: the present generation stays.
    fn void(&self, me: NodeId, task: TaskId, mark: &StoredMark) -> Result<Resolved, Unfit> {
        let (row, stored) = self.waiting()?;
        if !succession::heeds_void(standing(stored.stage))
            || mark.node == me
            || !row.parties.contains(&mark.node)
            || !mark.verifies(&void_digest(row.hash))
        {
            return Err(Unfit::Unfit("it is not the word of another party"));
        }
        let text = format!(
            "{} never stored its part; see why in its log, then try again with a new task",
            mark.node
        );
        let failure = Failure::new(FailureCode::ReshareVoid, text).naming(vec![mark.node]);
        Ok(closed(task, stored, HandoverStage::Void, failure))
    }

    /// The operator says that nobody switched and nobody will: the present generation stays.
    fn abandoned(&self, task: TaskId) -> Result<Resolved, Unfit> {
        let (_, stored) = self.waiting()?;
        let text = "this node's operator abandoned the reshare; try again with a new task";
        let failure = Failure::new(FailureCode::ReshareAbandoned, text);
        Ok(closed(task, stored, HandoverStage::Abandoned, failure))
    }

    /// A reshare for which this node has stored.
    fn known(&self) -> Result<(&Row, &Handover), Unfit> {
        let known = self.row.as_ref().zip(self.stored.as_ref());
        known.ok_or(NOTHING_STORED)
    }

    /// One that waits.
    fn waiting(&self) -> Result<(&Row, &Handover), Unfit> {
        let (row, stored) = self.known()?;
        match stored.stage {
            HandoverStage::Open => Ok((row, stored)),
            HandoverStage::Switched | HandoverStage::Void | HandoverStage::Abandoned => {
                Err(NOTHING_WAITS)
            }
        }
    }
}

fn closed(task: TaskId, stored: &Handover, stage: HandoverStage, failure: Failure) -> Resolved {
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
        key: stored.announcement.key,
        outcome,
    }
}
