//! The open tables of one write transaction.

use redb::{TableError, WriteTransaction};

use super::bundled::Bundled;
use super::checkpoints::Checkpoints;
use super::counted::Uses;
use super::index::Change;
use super::keys::Keys;
use super::memory::Memory;
use super::moments::Moments;
use super::outbox::Outbox;
use super::pairs::Pairs;
use super::peer::Peers;
use super::prepared::PreparedReshares;
use super::quarantine::Quarantines;
use super::recordings::Recordings;
use super::register::Register;
use super::started::Started;

/// Every table that an operation may write.
pub(super) struct Tables<'t> {
    pub(super) register: Register<'t>,
    pub(super) keys: Keys<'t>,
    pub(super) prepared: PreparedReshares<'t>,
    pub(super) started: Started<'t>,
    pub(super) memory: Memory<'t>,
    pub(super) uses: Uses<'t>,
    pub(super) recordings: Recordings<'t>,
    pub(super) peers: Peers<'t>,
    pub(super) quarantines: Quarantines<'t>,
    pub(super) pairs: Pairs<'t>,
    pub(super) moments: Moments<'t>,
    pub(super) outbox: Outbox<'t>,
    pub(super) checkpoints: Checkpoints<'t>,
    pub(super) bundled: Bundled<'t>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            register: Register::open(transaction)?,
            keys: Keys::open(transaction)?,
            prepared: PreparedReshares::open(transaction)?,
            started: Started::open(transaction)?,
            memory: Memory::open(transaction)?,
            uses: Uses::open(transaction)?,
            recordings: Recordings::open(transaction)?,
            peers: Peers::open(transaction)?,
            quarantines: Quarantines::open(transaction)?,
            pairs: Pairs::open(transaction)?,
            moments: Moments::open(transaction)?,
            outbox: Outbox::open(transaction)?,
            checkpoints: Checkpoints::open(transaction)?,
            bundled: Bundled::open(transaction)?,
        })
    }

    /// Closes the tables. Returns the changes of keys and reshares, for the index.
    pub(super) fn into_changes(self) -> Vec<Change> {
        let key = |(key, record): (_, Option<_>)| match record {
            Some(record) => Change::Key(Box::new(record)),
            None => Change::NoKey(key),
        };
        let prepared = |row| Change::PreparedReshare(Box::new(row));
        let keys = self.keys.changed.into_iter().map(key);
        keys.chain(self.prepared.changed.into_iter().map(prepared))
            .collect()
    }
}
