//! The tables of [`Pair`]s and of their runs that have not ended.

use std::collections::{BTreeSet, HashSet};

use countersign_protocol::{Hash, NodeId, TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::audit::AuditKind;
use super::codec;
use super::error::{ReadJournalError, Refused, WriteJournalError};
use super::meta::PAIRS_FORMAT;
use super::pair::{Burn, Burnt, Pair, Runs, RunsEnd, Unfit};
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
    /// Enters a new set-up with these peers, which an approved task has made.
    pub(super) fn enter_setup(&mut self, task: TaskId, setup: &Hash, peers: &[NodeId]) -> Done {
        check_under_way(&self.register, task)?;
        self.recordings.raise_format(PAIRS_FORMAT)?;
        self.pairs.enter(setup, peers)
    }

    /// Ends runs of a task, and burns the set-ups whose checks failed.
    pub(super) fn end_runs(
        &mut self,
        task: &TaskId,
        end: &RunsEnd,
    ) -> Result<(), WriteJournalError> {
        let RunsEnd {
            burns,
            clean,
            unknown,
        } = end;
        let are_known = self.pairs.are_of_runs(task, burns)?;
        self.burn(burns)?;
        if !are_known {
            // The check may have failed in another run than the caller says.
            return self.pairs.end_all(task);
        }
        self.pairs.end(task, unknown, Known::Nothing)?;
        self.pairs.end(task, clean, Known::Clean)
    }

    /// Ends all runs of a task that ends. Those that `end` does not name count.
    pub(super) fn end_task(
        &mut self,
        task: &TaskId,
        end: &RunsEnd,
    ) -> Result<(), WriteJournalError> {
        self.end_runs(task, end)?;
        self.pairs.end_all(task)
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

/// What is known of the checks of runs that end.
#[derive(Clone, Copy)]
enum Known {
    Clean,
    Nothing,
}

/// Runs of one task with one set-up and one peer that have not ended.
struct UnderWay {
    task: [u8; 16],
    setup: [u8; 32],
    peer: [u8; 32],
    runs: u64,
}

impl UnderWay {
    fn is_with(&self, setup: &Hash, peer: &NodeId) -> bool {
        self.setup == setup.0 && self.peer == *peer.as_bytes()
    }
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
        new: &Runs,
        most: u64,
    ) -> Done {
        check_under_way(register, task)?;
        let Runs { setup, peers, runs } = new;
        let distinct: HashSet<_> = peers.iter().collect();
        if peers.is_empty() || distinct.len() != peers.len() {
            return Err(Refused::Peers(task).into());
        }
        let under_way = read_under_way(&self.under_way, None)?;
        let mut pairs = Vec::with_capacity(peers.len());
        for peer in peers {
            let known = self.pair(&setup.0, peer.as_bytes())?;
            let checked = match known {
                Some(pair) => pair
                    .check(runs_with(&under_way, setup, peer), *runs, most)
                    .map(|()| pair),
                None => Err(Unfit::Unknown),
            };
            pairs.push(checked.map_err(|why| Refused::Unfit { peer: *peer, why })?);
        }
        for mut pair in pairs {
            pair.runs += runs.get();
            self.put(&pair)?;
            let place = (&task.0, pair.setup.as_bytes(), pair.peer.as_bytes());
            let before = self.under_way.get(place)?.map_or(0, |runs| runs.value());
            self.under_way.insert(place, before + runs.get())?;
        }
        Ok(Written::Now)
    }

    /// Whether every burn names a run of the task that is under way.
    fn are_of_runs(&self, task: &TaskId, burns: &[Burn]) -> Result<bool, WriteJournalError> {
        let under_way = read_under_way(&self.under_way, Some(task))?;
        Ok(burns.iter().all(|burn| {
            let of_burn = |run: &UnderWay| run.is_with(&burn.setup, &burn.peer);
            burn.task == *task && under_way.iter().any(of_burn)
        }))
    }

    /// Ends runs of a task, at most as many as are under way.
    fn end(
        &mut self,
        task: &TaskId,
        ended: &[Runs],
        known: Known,
    ) -> Result<(), WriteJournalError> {
        for Runs { setup, peers, runs } in ended {
            for peer in peers {
                let place = (&task.0, setup.as_bytes(), peer.as_bytes());
                let before = self.under_way.get(place)?.map_or(0, |runs| runs.value());
                let over = UnderWay {
                    task: task.0,
                    setup: setup.0,
                    peer: *peer.as_bytes(),
                    runs: before.min(runs.get()),
                };
                if before == over.runs {
                    self.under_way.remove(place)?;
                } else {
                    self.under_way.insert(place, before - over.runs)?;
                }
                match known {
                    Known::Clean => {}
                    Known::Nothing => self.count_unrecorded(&[over])?,
                }
            }
        }
        Ok(())
    }

    /// Ends all runs of a task that are left, and counts them.
    fn end_all(&mut self, task: &TaskId) -> Result<(), WriteJournalError> {
        let left = read_under_way(&self.under_way, Some(task))?;
        self.count_unrecorded(&left)?;
        self.forget(&left)
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

    /// Burns every set-up, since this journal may not know of every check that failed.
    pub(super) fn burn_all(
        &mut self,
        register: &mut Register<'_>,
        now: UnixMillis,
        why: &str,
    ) -> Result<(), WriteJournalError> {
        let mut burnt = Vec::new();
        for entry in self.pairs.iter()? {
            let pair: Pair = read("pairs", entry?.1.value())?;
            if pair.burnt.is_none() {
                burnt.push(pair);
            }
        }
        for pair in burnt {
            let text = format!("burnt the set-up {} with {}: {why}", pair.setup, pair.peer);
            self.put(&Pair {
                burnt: Some(Burnt {
                    task: None,
                    since: now,
                    text: why.into(),
                }),
                ..pair
            })?;
            register.log(now, AuditKind::Alarm, None, &text)?;
        }
        Ok(())
    }

    /// Counts all runs that are under way as ends without a record: at the opening of the journal
    /// nothing runs.
    pub(super) fn opened(&mut self) -> Done {
        let left = read_under_way(&self.under_way, None)?;
        self.count_unrecorded(&left)?;
        self.forget(&left)?;
        Ok(Written::if_new(!left.is_empty()))
    }

    fn count_unrecorded(&mut self, runs: &[UnderWay]) -> Result<(), WriteJournalError> {
        for run in runs.iter().filter(|run| run.runs > 0) {
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

/// The number of runs that are under way with a peer in all tasks.
pub(super) fn read_runs_with(
    table: &impl ReadableTable<RunPlace, u64>,
    setup: &Hash,
    peer: &NodeId,
) -> Result<u64, ReadJournalError> {
    Ok(runs_with(&read_under_way(table, None)?, setup, peer))
}

/// The tasks that have runs under way with a set-up that is burnt.
pub(super) fn read_burnt_tasks(
    pairs: &impl ReadableTable<Place, &'static [u8]>,
    under_way: &impl ReadableTable<RunPlace, u64>,
) -> Result<BTreeSet<TaskId>, ReadJournalError> {
    let mut tasks = BTreeSet::new();
    for run in read_under_way(under_way, None)? {
        let row = pairs.get((&run.setup, &run.peer))?;
        let pair = row
            .map(|row| read::<Pair>("pairs", row.value()))
            .transpose()?;
        if pair.is_none_or(|pair| pair.burnt.is_some()) {
            tasks.insert(TaskId(run.task));
        }
    }
    Ok(tasks)
}

/// The runs of a task that are under way, or of all tasks. There are few: [`MAX_OPEN`] limits them
/// for each pair.
///
/// [`MAX_OPEN`]: super::pair::MAX_OPEN
fn read_under_way(
    table: &impl ReadableTable<RunPlace, u64>,
    task: Option<&TaskId>,
) -> Result<Vec<UnderWay>, ReadJournalError> {
    let (first, last) = match task {
        Some(task) => (task.0, task.0),
        None => ([0; 16], [0xff; 16]),
    };
    let places = (&first, &LOWEST, &LOWEST)..=(&last, &HIGHEST, &HIGHEST);
    let mut found = Vec::new();
    for entry in table.range(places)? {
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

fn runs_with(under_way: &[UnderWay], setup: &Hash, peer: &NodeId) -> u64 {
    let with = under_way.iter().filter(|run| run.is_with(setup, peer));
    with.fold(0, |sum, run| sum.saturating_add(run.runs))
}

/// Refuses a task that was not approved, or has ended.
fn check_under_way(register: &Register<'_>, task: TaskId) -> Result<(), WriteJournalError> {
    let row = register.row(&task)?;
    if row.is_none_or(|row| row.state != State::Approved) {
        return Err(Refused::Unknown(task).into());
    }
    Ok(())
}
