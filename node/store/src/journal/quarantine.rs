//! Which peer has cheated with which key. Nothing is signed together with it until the operator has looked into it.

use super::error::{ReadJournalError, WriteJournalError};
use super::operation::QUARANTINE;
use super::row;
use countersign_protocol::{KeyId, NodeId, TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

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
    pub code: String,
    /// What happened, for people.
    pub text: String,
}

/// Key id and node id.
pub(super) type Place = (&'static [u8; 16], &'static [u8; 32]);

/// The open table.
pub(super) struct Quarantines<'t>(Table<'t, Place, &'static [u8]>);

impl<'t> Quarantines<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Quarantines<'t>, TableError> {
        Ok(Quarantines(transaction.open_table(QUARANTINE)?))
    }

    /// The first reason stays.
    pub(super) fn put(&mut self, new: &Quarantine) -> Result<bool, WriteJournalError> {
        let place = (new.key.as_bytes(), new.peer.as_bytes());
        if self.0.get(place)?.is_some() {
            return Ok(false);
        }
        self.0.insert(place, row::encode(new).as_slice())?;
        Ok(true)
    }

    pub(super) fn lift(&mut self, key: &KeyId, peer: &NodeId) -> Result<bool, WriteJournalError> {
        Ok(self.0.remove((key.as_bytes(), peer.as_bytes()))?.is_some())
    }
}

pub(super) fn read_all(
    table: &impl ReadableTable<Place, &'static [u8]>,
) -> Result<Vec<Quarantine>, ReadJournalError> {
    let read = |bytes: &[u8]| row::decode(bytes).map_err(|e| ReadJournalError::record("quarantine", e));
    table.iter()?.map(|entry| read(entry?.1.value())).collect()
}
