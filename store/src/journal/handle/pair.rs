//! Set-ups of pairs: entered, used, and burnt.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use countersign_protocol::{Hash, NodeId, TaskId};
use redb::ReadableTableMetadata;

use super::Journal;
use crate::journal::error::{ReadJournalError, WriteJournalError};
use crate::journal::operation::Operation;
use crate::journal::pair::{Burn, Pair, Runs, RunsEnd, Unfit};
use crate::journal::pairs::{PAIR_RUNS, PAIRS, read_all, read_burnt_tasks, read_runs_with};
use crate::journal::read::read;
use crate::journal::written::Written;

impl Journal {
    /// Enters a new set-up of a committee with its peers, made by an approved task that has not
    /// ended. Must be done before its secrets are stored: a set-up that is not in the journal is
    /// never used. [`Written::Already`] if all are known; they stay as they are.
    ///
    /// Only the engine that has just made a set-up may lead here. A set-up that comes from a store
    /// of secrets may have been burnt in a journal that is lost: to enter it again is an attack.
    pub fn enter_setup(
        &self,
        task: TaskId,
        setup: Hash,
        peers: Vec<NodeId>,
    ) -> Result<Written, WriteJournalError> {
        self.writer
            .run(Operation::EnterSetup { task, setup, peers })
    }

    /// Counts runs of an approved task with these peers, those of a batch one by one, and notes
    /// that they are under way. No message of a peer may reach an engine before this has returned.
    /// `most` is the number of runs after which the operator wants a new set-up; above
    /// [`MAX_RUNS`](crate::MAX_RUNS) it changes nothing. Refused with
    /// [`Unfit`](crate::Refused::Unfit) if one of the set-ups must not be used, or has as many runs
    /// under way as it can have.
    pub fn begin_runs(
        &self,
        task: TaskId,
        new: Runs,
        most: u64,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::BeginRuns { task, new, most })
    }

    /// Ends the runs that `end` names, of a task that itself goes on. The end of a task ends all
    /// its runs in the same commit, see [`Consequences`](crate::Consequences).
    pub fn end_runs(&self, task: TaskId, end: RunsEnd) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::EndRuns { task, end })
    }

    /// Burns set-ups for good. Nothing that tells the peer of the failure may leave the node before
    /// this has returned. [`Written::Already`] if all are burnt already. Whoever burns also drops
    /// [`tasks_to_drop`](Self::tasks_to_drop).
    pub fn burn(&self, burns: Vec<Burn>) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Burn(burns))
    }

    /// The tasks that have runs under way with a set-up that is burnt. Their engines must be
    /// dropped at once and answer nothing: each answer could tell the peer one more bit.
    pub fn tasks_to_drop(&self) -> Result<BTreeSet<TaskId>, ReadJournalError> {
        self.look(|| {
            // In this order, so that every run that is found has its pair in the other table.
            let under_way = self.later_table(PAIR_RUNS)?;
            match under_way.zip(self.later_table(PAIRS)?) {
                Some((under_way, pairs)) => read_burnt_tasks(&pairs, &under_way),
                None => Ok(BTreeSet::new()),
            }
        })
    }

    /// Checks that this many more runs may begin with a peer, of whom the operator allows `most`.
    /// The answer is for people and for early refusals; [`begin_runs`](Self::begin_runs) checks
    /// again.
    pub fn check_pair(
        &self,
        setup: &Hash,
        peer: &NodeId,
        runs: NonZeroU64,
        most: u64,
    ) -> Result<Result<(), Unfit>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(PAIRS)? else {
                return Ok(Err(Unfit::Unknown));
            };
            let under_way = match self.later_table(PAIR_RUNS)? {
                Some(table) => read_runs_with(&table, setup, peer)?,
                None => 0,
            };
            let row = table.get((setup.as_bytes(), peer.as_bytes()))?;
            let pair = row.map(|row| read::<Pair>("pairs", row.value()));
            Ok(match pair.transpose()? {
                Some(pair) => pair.check(under_way, runs, most),
                None => Err(Unfit::Unknown),
            })
        })
    }

    /// Every set-up that this journal knows, those that are no longer used included.
    pub fn pairs(&self) -> Result<Vec<Pair>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(PAIRS)? else {
                return Ok(Vec::new());
            };
            read_all(&table)
        })
    }

    /// Counts what was under way when the journal was last closed. A journal without such runs is
    /// not written.
    pub(super) fn count_unrecorded(&self) -> Result<(), WriteJournalError> {
        let left = self.look(|| {
            let Some(table) = self.later_table(PAIR_RUNS)? else {
                return Ok::<_, ReadJournalError>(false);
            };
            Ok(table.len()? > 0)
        })?;
        if left {
            self.writer.run(Operation::CountUnrecorded)?;
        }
        Ok(())
    }
}
