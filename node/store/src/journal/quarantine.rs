//! Which peer has cheated with which key, and which keys sign no more. Nothing is signed in spite
//! of it until the operator has looked into it.

use countersign_protocol::{
    Evidence, FailureCode, Hash, Hasher, KeyId, NodeId, TaskId, UnixMillis,
};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::codec::{self, Stored};
use super::error::{ReadJournalError, WriteJournalError};

/// Key id and node id to [`Quarantine`].
pub(super) const QUARANTINE: TableDefinition<Place, &'static [u8]> =
    TableDefinition::new("quarantine");
/// Key id and hash of signers to [`Stop`].
pub(super) const STOPS: TableDefinition<Place, &'static [u8]> = TableDefinition::new("stops");
/// Key id and hash of signers to how many of their signatures came to nothing since the last that
/// was made.
pub(super) const ATTEMPTS: TableDefinition<Place, u64> = TableDefinition::new("attempts");

/// Why a peer is kept away from a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Which key.
    pub key: KeyId,
    /// Which peer.
    pub peer: NodeId,
    /// The task in which it happened.
    pub task: TaskId,
    /// When.
    pub since: UnixMillis,
    /// Code of the failure.
    pub code: FailureCode,
    /// What happened, for people.
    pub text: String,
    /// What proves it to anybody. Absent: this node saw it and can show it to nobody.
    #[serde(default)]
    pub evidence: Option<Evidence>,
}

impl Stored for Quarantine {
    /// `evidence: None`.
    const SINCE: &'static [&'static [u8]] = &[&[0]];
}

/// Why a key signs no more, with certain signers or at all. Nobody is accused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Which key.
    pub key: KeyId,
    /// With exactly these signers, in the order of their ids; empty: with anybody.
    pub signers: Vec<NodeId>,
    /// The task in which it happened, or the last one.
    pub task: TaskId,
    /// When.
    pub since: UnixMillis,
    /// Code of the failure.
    pub code: FailureCode,
    /// What happened, for people.
    pub text: String,
}

impl Stored for Stop {}

/// What the end of a task means for those to come. It is written in one commit with that end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consequences {
    /// Who is kept away.
    pub quarantines: Vec<Quarantine>,
    /// What is stopped at once.
    pub stops: Vec<Stop>,
    /// What became of a signature for which shares were in use.
    pub attempt: Option<Attempt>,
}

/// What became of a signature for which shares were in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// It was made: earlier failures of the same signers count no more.
    Signed {
        /// By which key.
        key: KeyId,
        /// By whom.
        signers: Vec<NodeId>,
    },
    /// It came to nothing. After `limit` of these with the same signers, and none made in between,
    /// `stop` is written.
    Lost {
        /// How many are too many.
        limit: u64,
        /// Names the key and the signers.
        stop: Box<Stop>,
    },
}

/// Key id and node id.
pub(super) type Place = (&'static [u8; 16], &'static [u8; 32]);

/// The open tables.
pub(super) struct Quarantines<'t> {
    peers: Table<'t, Place, &'static [u8]>,
    stops: Table<'t, Place, &'static [u8]>,
    attempts: Table<'t, Place, u64>,
}

impl<'t> Quarantines<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Quarantines {
            peers: transaction.open_table(QUARANTINE)?,
            stops: transaction.open_table(STOPS)?,
            attempts: transaction.open_table(ATTEMPTS)?,
        })
    }

    /// The first reason stays.
    pub(super) fn put(&mut self, new: &Quarantine) -> Result<bool, WriteJournalError> {
        put_first(
            &mut self.peers,
            (new.key.as_bytes(), new.peer.as_bytes()),
            &codec::encode(new),
        )
    }

    /// The first reason stays.
    pub(super) fn stop(&mut self, new: &Stop) -> Result<bool, WriteJournalError> {
        let signers = signers_hash(&new.signers);
        put_first(
            &mut self.stops,
            (new.key.as_bytes(), signers.as_bytes()),
            &codec::encode(new),
        )
    }

    /// What must be stopped for it.
    pub(super) fn attempt(&mut self, attempt: &Attempt) -> Result<Option<Stop>, WriteJournalError> {
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

    pub(super) fn lift(&mut self, key: &KeyId, peer: &NodeId) -> Result<bool, WriteJournalError> {
        Ok(self
            .peers
            .remove((key.as_bytes(), peer.as_bytes()))?
            .is_some())
    }

    /// Lifts every stop of the key, and counts from nothing.
    pub(super) fn start_again(&mut self, key: &KeyId) -> Result<bool, WriteJournalError> {
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

pub(super) fn read_all<T: codec::Stored>(
    table: &impl ReadableTable<Place, &'static [u8]>,
    name: &'static str,
) -> Result<Vec<T>, ReadJournalError> {
    let read =
        |bytes: &[u8]| codec::decode(bytes).map_err(|error| ReadJournalError::record(name, error));
    table.iter()?.map(|entry| read(entry?.1.value())).collect()
}
