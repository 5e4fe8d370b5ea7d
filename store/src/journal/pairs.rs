//! The tables of [`Pair`]s and of their runs that have not ended.

use countersign_protocol::{Hash, NodeId, TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::audit::AuditKind;
use super::codec;
use super::error::{ReadJournalError, Refused, WriteJournalError};
use super::meta::PAIRS_FORMAT;
use super::pair::{Burn, Burnt, Pair, RunsEnd, Unfit};
use super::read::read;
use super::register::Register;
use super::row::State;
use super::tables::Tables;
use super::written::{Done, Written};

/// Digest of the set-up and node id to [`Pair`].
pub(super) const PAIRS: TableDefinition<Place, &'static [u8]> = TableDefinition::new("pairs");
/// Task id, digest of the set-up and node id to the number of runs that are under way.
pub(super) const PAIR_RUNS: TableDefinition<RunPlace, u64> = TableDefinition::new("pair-runs");
const LOWEST: [u8; 32] = [0; 32];
const HIGHEST: [u8; 32] = [0xff; 32];

/// Digest of the set-up and node id.
pub(super) type Place = (&'static [u8; 32], &'static [u8; 32]);
/// Task id, digest of the set-up and node id.
pub(super) type RunPlace = (&'static [u8; 16], &'static [u8; 32], &'static [u8; 32]);

pub(super) struct Pairs<'t> {
    pairs: Table<'t, Place, &'static [u8]>,
    under_way: Table<'t, RunPlace, u64>,
}

impl Tables<'_> {
    /// Enters a new set-up with these peers.
    pub(super) fn enter_setup(&mut self, setup: &Hash, peers: &[NodeId]) -> Done {
        self.recordings.raise_format(PAIRS_FORMAT)?;
        self.pairs.enter(setup, peers)
    }

    /// Ends all runs of a task, and burns the set-ups whose checks failed.
    pub(super) fn end_runs(
        &mut self,
        task: &TaskId,
        end: &RunsEnd,
    ) -> Result<(), WriteJournalError> {
        self.judge_runs(end)?;
        self.pairs.end(task, end)
    }

    /// Burns the set-ups whose checks failed. The runs of the task go on.
    pub(super) fn judge_runs(&mut self, end: &RunsEnd) -> Result<(), WriteJournalError> {
        match end {
            RunsEnd::Failed(burns) => self.burn(burns).map(drop),
            RunsEnd::Clean | RunsEnd::Unknown => Ok(()),
        }
    }

    /// Burns these set-ups, whether they were entered or not.
    pub(super) fn burn(&mut self, burns: &[Burn]) -> Done {
        let mut new = false;
        for burn in burns {
            self.recordings.raise_format(PAIRS_FORMAT)?;
            new |= self.pairs.burn(&mut self.register, burn)? == Written::Now;
        }
        Ok(Written::if_new(new))
    }
}

/// Runs of one task with one set-up and one peer that have not ended.
struct UnderWay {
    task: [u8; 16],
    setup: [u8; 32],
    peer: [u8; 32],
    runs: u64,
}

impl<'t> Pairs<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            pairs: transaction.open_table(PAIRS)?,
            under_way: transaction.open_table(PAIR_RUNS)?,
        })
    }

    /// Enters a new set-up. One that is known stays as it is, burnt or not.
    fn enter(&mut self, setup: &Hash, peers: &[NodeId]) -> Done {
        let mut new = false;
        for peer in peers {
            if self.pair(&setup.0, peer.as_bytes())?.is_none() {
                self.put(&Pair::new(*setup, *peer))?;
                new = true;
            }
        }
        Ok(Written::if_new(new))
    }

    /// Counts runs of a task with these peers, and notes that they are under way. All of it or
    /// nothing.
    pub(super) fn begin(
        &mut self,
        register: &Register<'_>,
        task: TaskId,
        setup: &Hash,
        peers: &[NodeId],
        runs: u64,
    ) -> Done {
        let row = register.row(&task)?;
        if row.is_none_or(|row| row.state != State::Approved) {
            return Err(Refused::Unknown(task).into());
        }
        let mut pairs = Vec::with_capacity(peers.len());
        for peer in peers {
            let known = self.pair(&setup.0, peer.as_bytes())?;
            let checked = match known {
                Some(pair) => pair.check(runs).map(|()| pair),
                None => Err(Unfit::Unknown),
            };
            pairs.push(checked.map_err(|why| Refused::Unfit { peer: *peer, why })?);
        }
        for mut pair in pairs {
            pair.runs += runs;
            self.put(&pair)?;
            let place = (&task.0, pair.setup.as_bytes(), pair.peer.as_bytes());
            let before = self.under_way.get(place)?.map_or(0, |runs| runs.value());
            self.under_way.insert(place, before + runs)?;
        }
        Ok(Written::Now)
    }

    /// Ends all runs of a task.
    fn end(&mut self, task: &TaskId, end: &RunsEnd) -> Result<(), WriteJournalError> {
        let ended = self.under_way(Some(task))?;
        match end {
            RunsEnd::Clean | RunsEnd::Failed(_) => {}
            RunsEnd::Unknown => self.count_unrecorded(&ended)?,
        }
        self.forget(&ended)
    }

    /// Burns a set-up, known or not. An earlier reason stays.
    fn burn(&mut self, register: &mut Register<'_>, new: &Burn) -> Done {
        let known = self.pair(&new.setup.0, new.peer.as_bytes())?;
        let pair = known.unwrap_or_else(|| Pair::new(new.setup, new.peer));
        if pair.burnt.is_some() {
            return Ok(Written::Already);
        }
        self.put(&Pair {
            burnt: Some(Burnt {
                task: Some(new.task),
                since: new.since,
                text: new.text.clone(),
            }),
            ..pair
        })?;
        let text = format!(
            "burnt the set-up {} with {}: {}",
            new.setup, new.peer, new.text
        );
        register.log_task(new.since, AuditKind::Alarm, new.task, &text)
    }

    /// Burns every set-up: a copy of the journal does not know what failed since it was made.
    pub(super) fn restored(&mut self, now: UnixMillis) -> Result<(), WriteJournalError> {
        let mut burnt = Vec::new();
        for entry in self.pairs.iter()? {
            let pair: Pair = read("pairs", entry?.1.value())?;
            if pair.burnt.is_none() {
                burnt.push(pair);
            }
        }
        for pair in burnt {
            self.put(&Pair {
                burnt: Some(Burnt {
                    task: None,
                    since: now,
                    text: "the journal was restored from a backup".into(),
                }),
                ..pair
            })?;
        }
        Ok(())
    }

    /// Counts all runs that are under way as ends without a record: at the opening of the journal
    /// nothing runs.
    pub(super) fn opened(&mut self) -> Done {
        let left = self.under_way(None)?;
        self.count_unrecorded(&left)?;
        self.forget(&left)?;
        Ok(Written::if_new(!left.is_empty()))
    }

    /// The runs of a task that are under way, or of all tasks.
    fn under_way(&self, task: Option<&TaskId>) -> Result<Vec<UnderWay>, WriteJournalError> {
        let (first, last) = match task {
            Some(task) => (task.0, task.0),
            None => ([0; 16], [0xff; 16]),
        };
        let places = (&first, &LOWEST, &LOWEST)..=(&last, &HIGHEST, &HIGHEST);
        let mut found = Vec::new();
        for entry in self.under_way.range(places)? {
            let (place, runs) = entry?;
            let (task, setup, peer) = place.value();
            found.push(UnderWay {
                task: *task,
                setup: *setup,
                peer: *peer,
                runs: runs.value(),
            });
        }
        Ok(found)
    }

    fn count_unrecorded(&mut self, runs: &[UnderWay]) -> Result<(), WriteJournalError> {
        for run in runs {
            let known = self.pair(&run.setup, &run.peer)?;
            // Runs begin only with a set-up that is known, and none is ever deleted.
            let pair = known.ok_or(ReadJournalError::Damaged { table: "pairs" })?;
            self.put(&Pair {
                unrecorded: pair.unrecorded.saturating_add(run.runs),
                ..pair
            })?;
        }
        Ok(())
    }

    fn forget(&mut self, runs: &[UnderWay]) -> Result<(), WriteJournalError> {
        for run in runs {
            self.under_way.remove((&run.task, &run.setup, &run.peer))?;
        }
        Ok(())
    }

    fn pair(&self, setup: &[u8; 32], peer: &[u8; 32]) -> Result<Option<Pair>, WriteJournalError> {
        let row = self.pairs.get((setup, peer))?;
        Ok(row.map(|row| read("pairs", row.value())).transpose()?)
    }

    fn put(&mut self, pair: &Pair) -> Result<(), WriteJournalError> {
        let place = (pair.setup.as_bytes(), pair.peer.as_bytes());
        self.pairs.insert(place, codec::encode(pair).as_slice())?;
        Ok(())
    }
}

/// All set-ups that the journal knows.
pub(super) fn read_all(
    table: &impl ReadableTable<Place, &'static [u8]>,
) -> Result<Vec<Pair>, ReadJournalError> {
    table
        .iter()?
        .map(|entry| read("pairs", entry?.1.value()))
        .collect()
}
