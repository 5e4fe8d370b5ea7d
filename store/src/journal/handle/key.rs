//! The public records of keys.

use std::collections::BTreeSet;
use std::ops::Bound;

use countersign_protocol::{Committee, Hash, KeyDescriptor, KeyId, NodeId, TaskId, UnixMillis};
use redb::ReadableDatabase;

use super::Journal;
use crate::journal::error::{ReadJournalError, WriteJournalError};
use crate::journal::index::{KeyCounts, Known, KnownKey};
use crate::journal::keys::KEYS;
use crate::journal::operation::Operation;
use crate::journal::read::read;
use crate::journal::row::KeyRecord;
use crate::journal::written::Written;

/// Key records in memory at a time while all of them are gone through.
const AT_A_TIME: usize = 64;

impl Journal {
    /// Writes the public record of a key, over the old one if there is one.
    pub fn put_key(&self, record: KeyRecord) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::PutKey(Box::new(record)))
            .map(drop)
    }

    /// Removes the public record of a key that came to nothing.
    pub fn delete_key(&self, key: KeyId) -> Result<(), WriteJournalError> {
        self.writer.run(Operation::DeleteKey(key)).map(drop)
    }

    /// Records that a key moved on to this generation without this node.
    pub fn replace(
        &self,
        now: UnixMillis,
        descriptor: KeyDescriptor,
    ) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Replace {
                now,
                descriptor: Box::new(descriptor),
            })
            .map(drop)
    }

    /// Records that nobody needs the share any more that this node kept of a key that moved on.
    pub fn release(&self, key: KeyId) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Release(key))
    }

    /// Records that the shares that this generation made useless are gone from the store.
    pub fn destroyed(
        &self,
        now: UnixMillis,
        descriptor: KeyDescriptor,
    ) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Destroyed {
                now,
                descriptor: Box::new(descriptor),
            })
            .map(drop)
    }

    /// The public record of a key.
    pub fn key(&self, key: &KeyId) -> Result<Option<KeyRecord>, ReadJournalError> {
        self.look(|| {
            let table = self.database.begin_read()?.open_table(KEYS)?;
            table
                .get(key.as_bytes())?
                .map(|record| read("keys", record.value()))
                .transpose()
        })
    }

    /// All key records, by id.
    pub fn keys(&self) -> Result<Vec<KeyRecord>, ReadJournalError> {
        self.keys_after(None, usize::MAX)
    }

    /// Key records by id, those after `after`, at most `most`.
    pub fn keys_after(
        &self,
        after: Option<KeyId>,
        most: usize,
    ) -> Result<Vec<KeyRecord>, ReadJournalError> {
        self.look(|| {
            let table = self.database.begin_read()?.open_table(KEYS)?;
            let from = after
                .as_ref()
                .map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_bytes()));
            let rows = table
                .range::<&[u8; 16]>((from, Bound::Unbounded))?
                .take(most);
            rows.map(|entry| read("keys", entry?.1.value())).collect()
        })
    }

    /// Hands out all key records, by id. They are read a few at a time, so neither the memory nor
    /// the life of a read transaction grows with their number. A key that changes meanwhile may be
    /// handed out as before or after.
    pub fn for_each_key<E: From<ReadJournalError>>(
        &self,
        mut take: impl FnMut(KeyRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut after = None;
        loop {
            let some = self.keys_after(after, AT_A_TIME)?;
            let Some(last) = some.last() else {
                return Ok(());
            };
            after = Some(last.key());
            some.into_iter().try_for_each(&mut take)?;
        }
    }

    /// The index entries of all keys, by id. Reads no row.
    pub fn known_keys(&self) -> Result<Vec<(KeyId, KnownKey)>, ReadJournalError> {
        self.ask(|known| {
            known
                .keys()
                .iter()
                .map(|(key, known)| (*key, known.clone()))
                .collect()
        })
    }

    /// The number of keys in each status.
    pub fn key_counts(&self) -> Result<KeyCounts, ReadJournalError> {
        self.ask(Known::counts)
    }

    /// The keys that wait for their members' confirmation, each with the task that makes it.
    pub fn pending_keys(&self) -> Result<Vec<(KeyId, TaskId)>, ReadJournalError> {
        self.ask(Known::pending)
    }

    /// The active keys that all of these nodes hold, each with its generation, by id.
    pub fn shared_keys(&self, nodes: &[NodeId]) -> Result<Vec<(KeyId, u32)>, ReadJournalError> {
        self.ask(|known| known.shared(nodes))
    }

    /// The auxiliary information of a committee's newest active key that has some.
    pub fn newest_aux(&self, committee: &Committee) -> Result<Option<Hash>, ReadJournalError> {
        self.ask(|known| known.newest_aux(committee))
    }

    /// The auxiliary information that active keys use.
    pub fn auxes_in_use(&self) -> Result<BTreeSet<Hash>, ReadJournalError> {
        self.ask(Known::auxes)
    }

    pub(super) fn ask<T>(&self, question: impl FnOnce(&Known) -> T) -> Result<T, ReadJournalError> {
        self.index.ask(|known| self.load(known), question)
    }

    fn load(&self, known: &mut Known) -> Result<(), ReadJournalError> {
        self.for_each_key(|record| {
            known.put_key(&record);
            Ok::<_, ReadJournalError>(())
        })?;
        self.prepared_reshares()?
            .iter()
            .for_each(|prepared| known.put_prepared(prepared));
        Ok(())
    }
}
