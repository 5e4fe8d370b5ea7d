//! What plugins count of tasks that other members of a key's committee sign. It is counted as long
//! as one of those who told of it has not said that nothing came of it: a single liar cannot free
//! what an honest signer holds.

use countersign_protocol::{Hash, KeyId, NodeId, TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::codec::{self, Stored};
use super::error::{ReadJournalError, WriteJournalError};
use super::memory::Memory;
use super::operation::StateWrite;
use super::row::StateValue;

/// Hash of a task that others sign to [`Counted`].
pub(super) const COUNTED: TableDefinition<&'static [u8; 32], &'static [u8]> =
    TableDefinition::new("counted");

/// A task that others sign, as far as it counts here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Which task.
    pub task: TaskId,
    /// With which key.
    pub key: KeyId,
    /// From when on nothing more is to be heard of it. What was counted then stays so.
    pub until: UnixMillis,
    /// The signers that told of it, the first one first.
    pub tellers: Vec<Teller>,
    /// Plugins that have not counted it yet.
    pub owed: Vec<String>,
    /// What was written for it.
    pub(super) taken: Vec<Taken>,
}

impl Stored for Counted {}

/// A signer that approved the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Teller {
    /// Who.
    pub node: NodeId,
    /// It said that nothing came of it.
    pub released: bool,
}

/// An entry that was written, and how it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) plugin: String,
    pub(super) key: String,
    pub(super) before: Option<StateValue>,
    pub(super) wrote: Option<StateValue>,
}

/// What a signer told, and what plugins made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Hash of the task.
    pub hash: Hash,
    /// Which task.
    pub task: TaskId,
    /// With which key.
    pub key: KeyId,
    /// See [`Counted::until`].
    pub until: UnixMillis,
    /// Who told of it.
    pub teller: NodeId,
    /// What plugins write; nothing if they counted it before.
    pub state: Vec<StateWrite>,
    /// Plugins that have not counted it yet.
    pub owed: Vec<String>,
    /// What plugins say of it, for people.
    pub text: String,
}

impl Counted {
    /// Whether it counts: somebody who told of it has not taken that back.
    pub fn counts(&self) -> bool {
        self.tellers.iter().any(|teller| !teller.released)
    }

    /// What this signer said.
    pub fn teller(&self, node: &NodeId) -> Option<&Teller> {
        self.tellers.iter().find(|teller| teller.node == *node)
    }
}

/// The open table.
pub(super) struct Uses<'t>(Table<'t, &'static [u8; 32], &'static [u8]>);

impl<'t> Uses<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Uses(transaction.open_table(COUNTED)?))
    }

    pub(super) fn get(&self, hash: &Hash) -> Result<Option<Counted>, WriteJournalError> {
        let read = |bytes: &[u8]| {
            codec::decode(bytes).map_err(|error| ReadJournalError::record("counted", error))
        };
        Ok(self
            .0
            .get(hash.as_bytes())?
            .map(|row| read(row.value()))
            .transpose()?)
    }

    fn put(&mut self, hash: &Hash, row: &Counted) -> Result<(), WriteJournalError> {
        self.0
            .insert(hash.as_bytes(), codec::encode(row).as_slice())?;
        Ok(())
    }

    /// False: this signer has said so before, or has taken it back for good.
    pub(super) fn count(
        &mut self,
        memory: &mut Memory<'_>,
        new: Count,
    ) -> Result<bool, WriteJournalError> {
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

    /// The row, if this was the last word that was missing to free what the task took.
    pub(super) fn uncount(
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
            memory.uncount(std::mem::take(&mut row.taken))?;
            row.owed.clear();
        }
        self.put(hash, &row)?;
        Ok(freed.then_some(row))
    }

    /// Removes what nobody will say more of. A row that cannot be read is kept; reading it reports
    /// the damage.
    pub(super) fn forget(&mut self, now: UnixMillis) -> Result<(), WriteJournalError> {
        let open =
            |bytes: &[u8]| codec::decode::<Counted>(bytes).map_or(true, |row| now < row.until);
        Ok(self.0.retain(|_, row| open(row))?)
    }
}

#[cfg(test)]
#[path = "counted_tests.rs"]
mod tests;
