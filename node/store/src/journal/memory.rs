//! What plugins remember. An approval's writes are in force at once, so that the next decision sees
//! them, and stay reserved until the task ends: taken back if nothing was signed, kept if a
//! signature may exist.

use countersign_protocol::{TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::codec;
use super::counted::Taken;
use super::error::{ReadJournalError, WriteJournalError};
use super::operation::{Reservations, StateWrite};
use super::row::{Reservation, StateValue};

/// Plugin and key to [`StateValue`].
pub(super) const STATE: TableDefinition<(&str, &str), Bytes> = TableDefinition::new("state");
/// Approved task without outcome to [`Reservation`]s: what its approval changed in the plugins'
/// state.
pub(super) const RESERVED: TableDefinition<Id, Bytes> = TableDefinition::new("reserved");
/// Plugin and key to the approved task without outcome that wrote it last.
pub(super) const RESERVERS: TableDefinition<(&str, &str), Id> = TableDefinition::new("reservers");

type Bytes = &'static [u8];
type Place = (&'static str, &'static str);
type Id = &'static [u8; 16];

/// The open tables of plugin state.
pub(super) struct Memory<'t> {
    state: Table<'t, Place, Bytes>,
    reserved: Table<'t, Id, Bytes>,
    reservers: Table<'t, Place, Id>,
}

impl<'t> Memory<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Memory {
            state: transaction.open_table(STATE)?,
            reserved: transaction.open_table(RESERVED)?,
            reservers: transaction.open_table(RESERVERS)?,
        })
    }

    /// Writes what `task` writes, and notes what was there before.
    pub(super) fn reserve(
        &mut self,
        task: TaskId,
        writes: Vec<StateWrite>,
    ) -> Result<(), WriteJournalError> {
        if writes.is_empty() {
            return Ok(());
        }
        let mut reservations = Vec::with_capacity(writes.len());
        for StateWrite {
            plugin,
            key,
            value,
            expires,
        } in writes
        {
            let before = self.put(
                &plugin,
                &key,
                value.map(|value| StateValue { value, expires }),
            )?;
            self.reservers
                .insert((plugin.as_str(), key.as_str()), &task.0)?;
            reservations.push(Reservation {
                plugin,
                key,
                before,
            });
        }
        self.reserved
            .insert(&task.0, codec::encode(&reservations).as_slice())?;
        Ok(())
    }

    /// Ends the reservations of `task`. An entry that a later task wrote stays as that one left it.
    pub(super) fn settle(
        &mut self,
        task: TaskId,
        reservations: Reservations,
    ) -> Result<(), WriteJournalError> {
        let Some(reserved) = self
            .reserved
            .remove(&task.0)?
            .map(|bytes| bytes.value().to_vec())
        else {
            return Ok(());
        };
        let reserved: Vec<Reservation> = codec::decode(&reserved)
            .map_err(|error| ReadJournalError::record("reserved", error))?;
        // Backwards: of two writes to one entry the earlier knows what was there before both.
        for Reservation {
            plugin,
            key,
            before,
        } in reserved.iter().rev()
        {
            if reservations == Reservations::Release && self.is_last(task, plugin, key)? {
                self.put(plugin, key, before.clone())?;
            }
        }
        for Reservation { plugin, key, .. } in &reserved {
            if self.is_last(task, plugin, key)? {
                self.reservers.remove((plugin.as_str(), key.as_str()))?;
            }
        }
        Ok(())
    }

    /// Writes what plugins count of a task of others. From here on nobody's reservation can undo
    /// it.
    pub(super) fn count(
        &mut self,
        writes: Vec<StateWrite>,
    ) -> Result<Vec<Taken>, WriteJournalError> {
        let mut taken = Vec::with_capacity(writes.len());
        for StateWrite {
            plugin,
            key,
            value,
            expires,
        } in writes
        {
            let wrote = value.map(|value| StateValue { value, expires });
            let before = self.put(&plugin, &key, wrote.clone())?;
            self.reservers.remove((plugin.as_str(), key.as_str()))?;
            taken.push(Taken {
                plugin,
                key,
                before,
                wrote,
            });
        }
        Ok(taken)
    }

    /// Takes that back. An entry that somebody wrote since stays as it is.
    pub(super) fn uncount(&mut self, taken: Vec<Taken>) -> Result<(), WriteJournalError> {
        for Taken {
            plugin,
            key,
            before,
            wrote,
        } in taken.into_iter().rev()
        {
            let now = self
                .state
                .get((plugin.as_str(), key.as_str()))?
                .map(|now| now.value().to_vec());
            if now == wrote.as_ref().map(codec::encode) {
                self.put(&plugin, &key, before)?;
            }
        }
        Ok(())
    }

    fn is_last(&self, task: TaskId, plugin: &str, key: &str) -> Result<bool, WriteJournalError> {
        Ok(self
            .reservers
            .get((plugin, key))?
            .is_some_and(|last| *last.value() == task.0))
    }

    /// Removes what has expired. What cannot be read is kept; reading it reports the damage.
    pub(super) fn forget_expired(&mut self, now: UnixMillis) -> Result<(), WriteJournalError> {
        let alive = |bytes: &[u8]| {
            codec::decode::<StateValue>(bytes).map_or(true, |value| value.is_alive(now))
        };
        Ok(self.state.retain(|_, value| alive(value))?)
    }

    /// Returns what was there before.
    fn put(
        &mut self,
        plugin: &str,
        key: &str,
        value: Option<StateValue>,
    ) -> Result<Option<StateValue>, WriteJournalError> {
        let before = match value {
            Some(value) => self
                .state
                .insert((plugin, key), codec::encode(&value).as_slice())?,
            None => self.state.remove((plugin, key))?,
        };
        let read = |bytes: &[u8]| {
            codec::decode(bytes).map_err(|error| ReadJournalError::record("state", error))
        };
        Ok(before.map(|bytes| read(bytes.value())).transpose()?)
    }
}
