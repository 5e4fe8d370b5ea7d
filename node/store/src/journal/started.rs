//! Reshares that this node has started, by key: also those that came to nothing, which cost as much
//! as others.

use std::ops::RangeInclusive;

use countersign_protocol::{KeyId, TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::error::ReadJournalError;
use super::operation::{Done, Written};

/// Key id and task id to when this node started the reshare.
pub(super) const STARTED: TableDefinition<Place, u64> = TableDefinition::new("started");

/// Key id and task id.
pub(super) type Place = &'static [u8; 32];

/// The open table.
pub(super) struct Started<'t>(Table<'t, Place, u64>);

impl<'t> Started<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Started(transaction.open_table(STARTED)?))
    }

    /// Records one, and forgets those of the key from before `since`.
    pub(super) fn start(
        &mut self,
        key: &KeyId,
        task: &TaskId,
        at: UnixMillis,
        since: UnixMillis,
    ) -> Done {
        let (first, last) = of(key).into_inner();
        self.0
            .retain_in::<&[u8; 32], _>(&first..=&last, |_, at| at >= since.0)?;
        if self.0.get(&place(key, task))?.is_some() {
            return Ok(Written::Already);
        }
        self.0.insert(&place(key, task), at.0)?;
        Ok(Written::Now)
    }
}

/// All of a key.
pub(super) fn read(
    table: &impl ReadableTable<Place, u64>,
    key: &KeyId,
) -> Result<Vec<(TaskId, UnixMillis)>, ReadJournalError> {
    let (first, last) = of(key).into_inner();
    let entry = |entry: Result<(redb::AccessGuard<'_, Place>, redb::AccessGuard<'_, u64>), _>| {
        let (place, at) = entry?;
        let (_, task) = place
            .value()
            .split_last_chunk::<16>()
            .ok_or(ReadJournalError::Damaged { table: "started" })?;
        Ok((TaskId(*task), UnixMillis(at.value())))
    };
    table
        .range::<&[u8; 32]>(&first..=&last)?
        .map(entry)
        .collect()
}

fn place(key: &KeyId, task: &TaskId) -> [u8; 32] {
    let mut place = [0; 32];
    place[..16].copy_from_slice(key.as_bytes());
    place[16..].copy_from_slice(&task.0);
    place
}

fn of(key: &KeyId) -> RangeInclusive<[u8; 32]> {
    place(key, &TaskId([0; 16]))..=place(key, &TaskId([0xff; 16]))
}
