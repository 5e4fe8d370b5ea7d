//! Tasks that other members of a key's committee sign, as plugins count them. A task counts as long
//! as one signer that told of it has not said that nothing came of it, so that a single liar cannot
//! free what an honest signer holds.

use std::mem;

use countersign_protocol::{Hash, KeyId, NodeId, TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::audit::AuditKind;
use super::codec::{self, Stored};
use super::error::WriteJournalError;
pub(super) use super::memory::Taken;
use super::memory::{Memory, StateWrite};
use super::read::read;
use super::register::Register;
use super::written::{Done, Written};

/// Hash of a task that others sign to [`Counted`].
pub(super) const COUNTED: TableDefinition<&'static [u8; 32], &'static [u8]> =
    TableDefinition::new("counted");

/// A task that others sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The task's id, which the requester chose.
    pub task: TaskId,
    /// The key that it uses.
    pub key: KeyId,
    /// The time after which no word about it is expected. Counts that stand then are final.
    pub until: UnixMillis,
    /// The signers that told of it, the first one first.
    pub tellers: Vec<Teller>,
    /// Plugins that have not counted it yet.
    pub owed: Vec<String>,
    /// The writes by which plugins counted it.
    pub(super) taken: Vec<Taken>,
}

impl Stored for Counted {}

/// A signer that approved the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Teller {
    /// The signer's node id.
    pub node: NodeId,
    /// True once it said that nothing came of the task.
    pub released: bool,
}

/// A signer's word about a task, and the plugins' writes in response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Hash of the bytes that the requester signed.
    pub hash: Hash,
    /// The task's id, which the requester chose.
    pub task: TaskId,
    /// The key that it uses.
    pub key: KeyId,
    /// The same as [`Counted::until`].
    pub until: UnixMillis,
    /// The signer that told of it.
    pub teller: NodeId,
    /// The plugins' writes; empty if they counted it before.
    pub state: Vec<StateWrite>,
    /// Plugins that have not counted it yet.
    pub owed: Vec<String>,
    /// The plugins' remarks, appended to the audit entry.
    pub text: String,
}

impl Counted {
    /// True while a signer that told of it has not taken that back.
    pub fn counts(&self) -> bool {
        self.tellers.iter().any(|teller| !teller.released)
    }

    /// The word of this signer, if it told of the task.
    pub fn teller(&self, node: &NodeId) -> Option<&Teller> {
        self.tellers.iter().find(|teller| teller.node == *node)
    }
}

pub(super) struct Uses<'t>(Table<'t, &'static [u8; 32], &'static [u8]>);

impl<'t> Uses<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self(transaction.open_table(COUNTED)?))
    }

    fn get(&self, hash: &Hash) -> Result<Option<Counted>, WriteJournalError> {
        let row = self.0.get(hash.as_bytes())?;
        Ok(row.map(|row| read("counted", row.value())).transpose()?)
    }

    fn put(&mut self, hash: &Hash, row: &Counted) -> Result<(), WriteJournalError> {
        self.0
            .insert(hash.as_bytes(), codec::encode(row).as_slice())?;
        Ok(())
    }

    /// Counts a task on the word of a signer.
    pub(super) fn count(
        &mut self,
        memory: &mut Memory<'_>,
        register: &mut Register<'_>,
        now: UnixMillis,
        new: Count,
    ) -> Done {
        new.state.iter().try_for_each(StateWrite::check)?;
        let task = new.task;
        let text = format!("{} approved a use of {}{}", new.teller, new.key, new.text);
        if !self.add(memory, new)? {
            return Ok(Written::Already);
        }
        register.log_task(now, AuditKind::Counted, task, &text)
    }

    /// Returns false if this signer has said so before, or has taken it back for good.
    fn add(&mut self, memory: &mut Memory<'_>, new: Count) -> Result<bool, WriteJournalError> {
        let Count {
            hash,
            task,
            key,
            until,
            teller,
            state,
            owed,
            text: _,
        } = new;
        let none = || Counted {
            task,
            key,
            until,
            tellers: Vec::new(),
            owed: Vec::new(),
            taken: Vec::new(),
        };
        let mut row = self.get(&hash)?.unwrap_or_else(none);
        match row.teller(&teller) {
            Some(known) if known.released || (state.is_empty() && owed == row.owed) => {
                return Ok(false);
            }
            Some(_) => {}
            None => row.tellers.push(Teller {
                node: teller,
                released: false,
            }),
        }
        row.taken.extend(memory.count(state)?);
        row.owed = owed;
        self.put(&hash, &row)?;
        Ok(true)
    }

    /// Notes that a signer took its word back, and uncounts the task if it was the last to do so.
    pub(super) fn uncount(
        &mut self,
        memory: &mut Memory<'_>,
        register: &mut Register<'_>,
        now: UnixMillis,
        hash: &Hash,
        teller: &NodeId,
    ) -> Done {
        let Some(row) = self.take_back(memory, hash, teller)? else {
            return Ok(Written::Already);
        };
        let text = format!("no longer counts: the use of {} was withdrawn", row.key);
        register.log_task(now, AuditKind::Counted, row.task, &text)
    }

    /// Returns the row if the task no longer counts because of this.
    fn take_back(
        &mut self,
        memory: &mut Memory<'_>,
        hash: &Hash,
        node: &NodeId,
    ) -> Result<Option<Counted>, WriteJournalError> {
        let Some(mut row) = self.get(hash)? else {
            return Ok(None);
        };
        let counted = row.counts();
        let told = row.tellers.iter_mut().find(|teller| teller.node == *node);
        let Some(teller) = told else { return Ok(None) };
        teller.released = true;
        let freed = counted && !row.counts();
        if freed {
            memory.uncount(mem::take(&mut row.taken))?;
            row.owed.clear();
        }
        self.put(hash, &row)?;
        Ok(freed.then_some(row))
    }

    /// Removes rows whose time is over, but not damaged ones: reading those reports the damage.
    pub(super) fn forget(&mut self, now: UnixMillis) -> Result<(), WriteJournalError> {
        let open =
            |bytes: &[u8]| codec::decode::<Counted>(bytes).map_or(true, |row| now < row.until);
        Ok(self.0.retain(|_, row| open(row))?)
    }
}

#[cfg(test)]
#[path = "counted_tests.rs"]
mod tests;
