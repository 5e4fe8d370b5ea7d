//! Plugin state. An approval's writes take effect at once, so that the next decision sees them, and
//! stay reserved until the task ends. They are taken back if nothing was signed, and kept if a
//! signature may exist.

use countersign_protocol::text::printable;
use countersign_protocol::{TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::audit::MAX_TEXT;
use super::codec;
use super::error::{Refused, WriteJournalError};
use super::read::read;
use super::row::{Reservation, Reserved, StateValue};

/// Plugin and key to [`StateValue`].
pub(super) const STATE: TableDefinition<(&str, &str), Bytes> = TableDefinition::new("state");
/// Approved task without outcome to the [`Reservation`]s of its approval.
pub(super) const RESERVED: TableDefinition<Id, Bytes> = TableDefinition::new("reserved");
/// Plugin and key to the approved task without outcome that wrote it last.
pub(super) const RESERVERS: TableDefinition<(&str, &str), Id> = TableDefinition::new("reservers");

/// The longest name of a plugin or of its state, in bytes.
const MAX_STATE_KEY: usize = 1024;
/// The largest value of a plugin's state, in bytes. Hosts allow less.
const MAX_STATE_VALUE: usize = 1024 * 1024;

type Bytes = &'static [u8];
type Place = (&'static str, &'static str);
type Id = &'static [u8; 16];

/// A write that a plugin staged while it judged a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateWrite {
    /// Name of the plugin that owns the state.
    pub plugin: String,
    /// Name of the entry within the plugin's state.
    pub key: String,
    /// The new value; absent: delete.
    pub value: Option<Vec<u8>>,
    /// The time from which on the entry counts as deleted.
    pub expires: Option<UnixMillis>,
}

/// The fate of the state that plugins wrote for a task, now that the task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reservations {
    Keep,
    Release,
}

/// An entry that was counted for a task of others, with its value before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) plugin: String,
    pub(super) key: String,
    pub(super) before: Option<StateValue>,
    pub(super) wrote: Option<StateValue>,
}

/// The open tables of plugin state.
pub(super) struct Memory<'t> {
    state: Table<'t, Place, Bytes>,
    reserved: Table<'t, Id, Bytes>,
    reservers: Table<'t, Place, Id>,
}

impl<'t> Memory<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            state: transaction.open_table(STATE)?,
            reserved: transaction.open_table(RESERVED)?,
            reservers: transaction.open_table(RESERVERS)?,
        })
    }

    /// Performs the writes of `task`, and notes the values before.
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
            .insert(&task.0, codec::encode(&Reserved(reservations)).as_slice())?;
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
        let Reserved(reserved) = read("reserved", &reserved)?;
        // Backwards, since of two writes to one entry the earlier has the value before both.
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

    /// Performs the writes by which plugins count a task of others. No reservation undoes them.
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

    /// Takes counted writes back, except entries that were written since.
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

    /// Removes entries that have expired, but not damaged ones: reading those reports the damage.
    pub(super) fn forget_expired(&mut self, now: UnixMillis) -> Result<(), WriteJournalError> {
        let alive = |bytes: &[u8]| {
            codec::decode::<StateValue>(bytes).map_or(true, |value| value.is_alive(now))
        };
        Ok(self.state.retain(|_, value| alive(value))?)
    }

    /// Sets or removes an entry. Returns the value before.
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
        Ok(before
            .map(|bytes| read("state", bytes.value()))
            .transpose()?)
    }
}

impl StateWrite {
    pub(super) fn check(&self) -> Result<(), Refused> {
        let value = self.value.as_ref().map_or(0, Vec::len);
        if self.plugin.len().max(self.key.len()) > MAX_STATE_KEY || value > MAX_STATE_VALUE {
            return Err(Refused::StateTooLarge {
                plugin: printable(&self.plugin, MAX_TEXT),
            });
        }
        Ok(())
    }
}
