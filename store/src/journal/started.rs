//! Reshares that this node has started, by key. Those that came to nothing are included, since they
//! cost as much as others.

use std::ops::RangeInclusive;

use countersign_protocol::{KeyId, TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::error::ReadJournalError;
use super::written::{Done, Written};

/// Key id and task id to the time at which this node started the reshare.
pub(super) const STARTED: TableDefinition<Place, u64> = TableDefinition::new("started");

/// Key id and task id, 16 bytes each.
pub(super) type Place = &'static [u8; 32];

pub(super) struct Started<'t>(Table<'t, Place, u64>);

impl<'t> Started<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self(transaction.open_table(STARTED)?))
    }

    /// Records the start of a reshare, and forgets those of the key from before `since`.
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

/// All reshares of a key that are on record.
pub(super) fn read(
    table: &impl ReadableTable<Place, u64>,
    key: &KeyId,
) -> Result<Vec<(TaskId, UnixMillis)>, ReadJournalError> {
    let (first, last) = of(key).into_inner();
    let mut reshares = Vec::new();
    for entry in table.range::<&[u8; 32]>(&first..=&last)? {
        let (place, at) = entry?;
        let (_, task) = place
            .value()
            .split_last_chunk()
            .ok_or(ReadJournalError::Damaged { table: "started" })?;
        reshares.push((TaskId(*task), UnixMillis(at.value())));
    }
    Ok(reshares)
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
