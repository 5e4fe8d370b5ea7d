//! Set-ups of pairs: entered, used, and burnt.

use countersign_protocol::{Hash, NodeId, TaskId};
use redb::ReadableTableMetadata;

use super::Journal;
use crate::journal::error::{ReadJournalError, WriteJournalError};
use crate::journal::operation::Operation;
use crate::journal::pair::{Burn, Pair, RunsEnd, Unfit};
use crate::journal::pairs::{PAIR_RUNS, PAIRS, read_all};
use crate::journal::read::read;
use crate::journal::written::Written;

impl Journal {
    /// Enters a new set-up of a committee with its peers. Must be done before its secrets are
    /// stored: a set-up that is not in the journal is never used. [`Written::Already`] if all are
    /// known; they stay as they are.
    pub fn enter_setup(
        &self,
        setup: Hash,
        peers: Vec<NodeId>,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::EnterSetup { setup, peers })
    }

    /// Counts runs of an approved task with these peers, those of a batch one by one, and notes
    /// that they are under way. No message of a peer may reach an engine before this has returned.
    /// Refused with [`Unfit`](crate::Refused::Unfit) if one of the set-ups must not be used.
    pub fn begin_runs(
        &self,
        task: TaskId,
        setup: Hash,
        peers: Vec<NodeId>,
        runs: u64,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::BeginRuns {
            task,
            setup,
            peers,
            runs,
        })
    }

    /// Ends all runs of a task that itself goes on. The end of a task ends its runs in the same
    /// commit, see [`Consequences`](crate::Consequences).
    pub fn end_runs(&self, task: TaskId, end: RunsEnd) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::EndRuns { task, end })
    }

    /// Burns set-ups for good. Nothing that tells the peer of the failure may leave the node before
    /// this has returned. [`Written::Already`] if all are burnt already.
    pub fn burn(&self, burns: Vec<Burn>) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Burn(burns))
    }

    /// Checks that this many more runs may begin with a peer. The answer is for people and for
    /// early refusals; [`begin_runs`](Self::begin_runs) checks again.
    pub fn check_pair(
        &self,
        setup: &Hash,
        peer: &NodeId,
        runs: u64,
    ) -> Result<Result<(), Unfit>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(PAIRS)? else {
                return Ok(Err(Unfit::Unknown));
            };
            let row = table.get((setup.as_bytes(), peer.as_bytes()))?;
            let pair = row.map(|row| read::<Pair>("pairs", row.value()));
            Ok(match pair.transpose()? {
                Some(pair) => pair.check(runs),
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
