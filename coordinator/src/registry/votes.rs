//! Votes as they arrive: genuine votes of listed approvers on tasks that collect them are kept, and
//! no others.

use countersign_api::State;
use countersign_protocol::{ApproverId, Hash, TaskId, UnixMillis, Vote};
use countersign_vote::CheckError;

use super::TaskRegistry;
use crate::store::{StoreError, Ticket};
use crate::task::flow::Input;
use crate::task::record::TaskRecord;
use crate::task::votes::Added;

/// Why a vote is not taken. Each has a stable [code](VoteError::code).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoteError {
    /// There is no such task.
    #[error("there is no such task; list the tasks")]
    UnknownTask,
    /// The task collects no votes, or does not any more.
    #[error("the task does not collect votes, or does not any more; look at its state")]
    NotPending,
    /// No listed person has the key.
    #[error(
        "{0} is not a key of a listed approver; add it under `approvers` in the coordinator's configuration if it may vote"
    )]
    UnknownApprover(ApproverId),
    /// The key has changed its vote too often.
    #[error("the key has voted on the task too often; ask the requester for a new task")]
    TooMany,
    /// The vote proves nothing.
    #[error(transparent)]
    NotGenuine(#[from] CheckError),
    /// Made this many seconds in the future.
    #[error(
        "the vote was made {0} s in the future; set the clock of the device right and vote again"
    )]
    FromTheFuture(u64),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VoteError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownTask => "task-unknown",
            Self::NotPending => "task-not-pending",
            Self::TooMany => "too-many-votes",
            Self::UnknownApprover(_) => "vote-unknown-approver",
            Self::NotGenuine(_) => "vote-not-genuine",
            Self::FromTheFuture(_) => "vote-time",
            Self::Store(_) => "store",
        }
    }
}

/// The answer to a vote.
#[derive(Debug)]
pub struct Voted {
    /// The task's current record.
    pub record: TaskRecord,
    /// False if the vote was known, or an equal and later one of its key was.
    pub new: bool,
    /// To be waited for before the vote is confirmed.
    pub ticket: Ticket,
}

impl TaskRegistry {
    /// Takes a vote on a pending task. The same vote again changes nothing, even later.
    pub fn vote(&self, id: TaskId, vote: Vote, now: UnixMillis) -> Result<Voted, VoteError> {
        let record = self.record(id)?.ok_or(VoteError::UnknownTask)?;
        let votes = record.votes.as_ref().ok_or(VoteError::NotPending)?;
        if votes.has(&vote) {
            return Ok(self.voted(record, false));
        }
        // Outside the lock: it takes longer than everything else.
        self.check_vote(&vote, &record.signed().hash(), now)?;
        let mut inner = self.lock();
        self.step(&mut inner, id, Input::Tick, now);
        let record = self.record_of(&inner, id)?.ok_or(VoteError::UnknownTask)?;
        let votes = record.votes.as_ref().ok_or(VoteError::NotPending)?;
        if record.state != State::Pending {
            return Err(VoteError::NotPending);
        }
        match votes.judge(&vote) {
            Added::Kept => {}
            Added::Known => return Ok(self.voted(record, false)),
            Added::TooMany => return Err(VoteError::TooMany),
        }
        self.step(&mut inner, id, Input::Vote(vote.into()), now);
        // If that was the last one, the nodes are asked at once.
        self.step(&mut inner, id, Input::Tick, now);
        let record = self.record_of(&inner, id)?.ok_or(VoteError::UnknownTask)?;
        Ok(self.voted(record, true))
    }

    fn voted(&self, record: TaskRecord, new: bool) -> Voted {
        Voted {
            record,
            new,
            ticket: self.store().now(),
        }
    }

    fn check_vote(&self, vote: &Vote, task: &Hash, now: UnixMillis) -> Result<(), VoteError> {
        let ballot = vote.ballot();
        let rules = self.rules();
        if rules.approvers.name_of(&ballot.approver).is_none() {
            return Err(VoteError::UnknownApprover(ballot.approver));
        }
        let lead = ballot.time.0.saturating_sub(now.0);
        if lead > Vote::MAX_SKEW_MS {
            return Err(VoteError::FromTheFuture(lead / 1000));
        }
        countersign_vote::check(vote, task, rules.approvers.pages())?;
        Ok(())
    }
}
