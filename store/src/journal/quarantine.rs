//! Peers that cheated with a key, and keys that no longer sign. Neither is used again until the
//! operator has looked into it.

use countersign_protocol::{
    Evidence, FailureCode, Hash, Hasher, KeyId, NodeId, TaskId, UnixMillis,
};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::audit::AuditKind;
use super::codec::{self, Stored};
use super::error::{ReadJournalError, WriteJournalError};
use super::pair::RunsEnd;
use super::read::read;
use super::register::Register;
use super::written::{Done, Written};

/// Key id and node id to [`Quarantine`].
pub(super) const QUARANTINE: TableDefinition<Place, &'static [u8]> =
    TableDefinition::new("quarantine");
/// Key id and hash of signers to [`Stop`].
pub(super) const STOPS: TableDefinition<Place, &'static [u8]> = TableDefinition::new("stops");
/// Key id and hash of signers to the number of their attempts that failed since the last signature.
pub(super) const ATTEMPTS: TableDefinition<Place, u64> = TableDefinition::new("attempts");

/// The reason to keep a peer away from a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The key that the peer must not use.
    pub key: KeyId,
    /// The peer that is kept away.
    pub peer: NodeId,
    /// The task in which it cheated.
    pub task: TaskId,
    /// The time at which the quarantine began.
    pub since: UnixMillis,
    /// The code of the failure.
    pub code: FailureCode,
    /// An account of the failure for people.
    pub text: String,
    /// Proof that convinces anybody. Absent if this node saw it and cannot show it to others.
    #[serde(default)]
    pub evidence: Option<Evidence>,
}

impl Stored for Quarantine {
    /// `evidence: None`.
    const SINCE: &'static [&'static [u8]] = &[&[0]];
}

/// The reason why a key no longer signs, with certain signers or at all. It accuses nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The key that no longer signs.
    pub key: KeyId,
    /// Exactly the signers concerned, in the order of their ids; empty: any signers.
    pub signers: Vec<NodeId>,
    /// The task that failed, the last one if there were several.
    pub task: TaskId,
    /// The time at which the stop took effect.
    pub since: UnixMillis,
    /// The code of the failure.
    pub code: FailureCode,
    /// An account of the failure for people.
    pub text: String,
}

impl Stored for Stop {}

/// Effects of the end of a task on the tasks to come, written in one commit with that end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consequences {
    /// Peers to keep away from a key.
    pub quarantines: Vec<Quarantine>,
    /// Keys to stop at once.
    pub stops: Vec<Stop>,
    /// The result of a signature for which shares were in use.
    pub attempt: Option<Attempt>,
    /// What is known of the task's runs with set-ups of pairs. Those that it does not name count as
    /// ends without a record. [`TaskChange::Judge`](super::TaskChange::Judge) ends no runs, and
    /// only burns. A burn is written even if the outcome is refused.
    pub runs: RunsEnd,
}

/// The result of a signature for which shares were in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// Made: earlier failures of the same signers no longer count.
    Signed {
        /// The key that signed.
        key: KeyId,
        /// The signers in the order of their ids.
        signers: Vec<NodeId>,
    },
    /// Failed. `stop` is written after `limit` failures in a row with the same signers.
    Lost {
        /// The number of failures that stops the key.
        limit: u64,
        /// The stop, which names the key and the signers.
        stop: Box<Stop>,
    },
}

/// Key id and node id.
pub(super) type Place = (&'static [u8; 16], &'static [u8; 32]);

pub(super) struct Quarantines<'t> {
    peers: Table<'t, Place, &'static [u8]>,
    stops: Table<'t, Place, &'static [u8]>,
    attempts: Table<'t, Place, u64>,
}

impl<'t> Quarantines<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            peers: transaction.open_table(QUARANTINE)?,
            stops: transaction.open_table(STOPS)?,
            attempts: transaction.open_table(ATTEMPTS)?,
        })
    }

    /// Keeps a peer away from a key. An earlier reason stays.
    pub(super) fn put(&mut self, register: &mut Register<'_>, new: &Quarantine) -> Done {
        let place = (new.key.as_bytes(), new.peer.as_bytes());
        if !put_first(&mut self.peers, place, &codec::encode(new))? {
            return Ok(Written::Already);
        }
        let text = format!(
            "quarantined {} for {}: {} ({})",
            new.peer, new.key, new.text, new.code
        );
        register.log_task(new.since, AuditKind::Alarm, new.task, &text)
    }

    pub(super) fn lift(
        &mut self,
        register: &mut Register<'_>,
        now: UnixMillis,
        key: KeyId,
        peer: NodeId,
    ) -> Done {
        if self
            .peers
            .remove((key.as_bytes(), peer.as_bytes()))?
            .is_none()
        {
            return Ok(Written::Already);
        }
        let text = format!("the operator lifted the quarantine of {peer} for {key}");
        register.log(now, AuditKind::Alarm, None, &text)
    }

    /// Stops a key. An earlier reason stays.
    fn stop(&mut self, register: &mut Register<'_>, new: &Stop) -> Done {
        let signers = signers_hash(&new.signers);
        let place = (new.key.as_bytes(), signers.as_bytes());
        if !put_first(&mut self.stops, place, &codec::encode(new))? {
            return Ok(Written::Already);
        }
        let text = format!("stopped {}: {} ({})", new.key, new.text, new.code);
        register.log_task(new.since, AuditKind::Alarm, new.task, &text)
    }

    pub(super) fn start_again(
        &mut self,
        register: &mut Register<'_>,
        now: UnixMillis,
        key: KeyId,
    ) -> Done {
        if !self.lift_stops(&key)? {
            return Ok(Written::Already);
        }
        let text = format!("the operator lifted what stopped {key}");
        register.log(now, AuditKind::Alarm, None, &text)
    }

    /// Lifts every stop of the key, and counts its failures from zero. True if there was a stop.
    fn lift_stops(&mut self, key: &KeyId) -> Result<bool, WriteJournalError> {
        let of_key = (key.as_bytes(), &[0; 32])..=(key.as_bytes(), &[0xff; 32]);
        let mut lifted = false;
        for stop in self.stops.extract_from_if(of_key.clone(), |_, _| true)? {
            lifted |= stop.is_ok();
            stop?;
        }
        for attempt in self.attempts.extract_from_if(of_key, |_, _| true)? {
            attempt?;
        }
        Ok(lifted)
    }

    pub(super) fn judge(
        &mut self,
        register: &mut Register<'_>,
        consequences: &Consequences,
    ) -> Done {
        let Consequences {
            quarantines,
            stops,
            attempt,
            runs: _,
        } = consequences;
        for new in quarantines {
            self.put(register, new)?;
        }
        let spent = attempt.as_ref().map(|attempt| self.count(attempt));
        let spent = spent.transpose()?.flatten();
        for new in spent.iter().chain(stops) {
            self.stop(register, new)?;
        }
        Ok(Written::Now)
    }

    /// Counts an attempt. Returns the stop that it calls for.
    fn count(&mut self, attempt: &Attempt) -> Result<Option<Stop>, WriteJournalError> {
        match attempt {
            Attempt::Signed { key, signers } => {
                self.attempts
                    .remove((key.as_bytes(), signers_hash(signers).as_bytes()))?;
                Ok(None)
            }
            Attempt::Lost { limit, stop } => {
                let signers = signers_hash(&stop.signers);
                let place = (stop.key.as_bytes(), signers.as_bytes());
                let lost = self
                    .attempts
                    .get(place)?
                    .map_or(0, |lost| lost.value())
                    .saturating_add(1);
                self.attempts.insert(place, lost)?;
                Ok((lost >= *limit).then(|| (**stop).clone()))
            }
        }
    }
}

fn put_first(
    table: &mut Table<Place, &'static [u8]>,
    place: (&[u8; 16], &[u8; 32]),
    bytes: &[u8],
) -> Result<bool, WriteJournalError> {
    if table.get(place)?.is_some() {
        return Ok(false);
    }
    table.insert(place, bytes)?;
    Ok(true)
}

fn signers_hash(signers: &[NodeId]) -> Hash {
    let hash = Hasher::new("countersign/1 stopped signers");
    signers
        .iter()
        .fold(hash, |hash, node| hash.field(node.as_bytes()))
        .finish()
}

pub(super) fn read_all<T: Stored>(
    table: &impl ReadableTable<Place, &'static [u8]>,
    name: &'static str,
) -> Result<Vec<T>, ReadJournalError> {
    table
        .iter()?
        .map(|entry| read(name, entry?.1.value()))
        .collect()
}
