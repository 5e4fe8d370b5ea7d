//! The open journal. One file for each topic that it can be asked about or told of.

mod audit;
pub(super) mod export;
mod key;
mod moment;
pub(super) mod open;
mod outbox;
mod pair;
pub(super) mod past;
mod peer;
mod recording;
mod reshare;
mod state;
pub(super) mod task;

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};

use countersign_protocol::Hash;
use redb::{Database, Key, ReadOnlyTable, ReadableDatabase, TableDefinition, TableError, Value};

use super::error::ReadJournalError;
use super::index::Index;
use super::read::guarded;
use super::writer::{Writer, WriterThread};
use crate::place::Place;
use crate::trouble::{StoreEnded, Trouble};

/// The open journal of one node. Clones share it; it closes with the last of them.
#[derive(Clone)]
pub struct Journal {
    writer: Arc<Writer>,
    database: Arc<Database>,
    index: Index,
    trouble: Arc<Trouble>,
    /// Hashes of the alarms that were logged once since the journal was opened.
    alarmed: Arc<Mutex<HashSet<Hash>>>,
}

impl Journal {
    fn start(database: Database, file: Option<(File, Place)>) -> io::Result<Self> {
        let database = Arc::new(database);
        let trouble = Arc::new(Trouble::default());
        let index = Index::default();
        let (file, place) = file.unzip();
        let writer = Writer::start(WriterThread {
            database: database.clone(),
            index: index.clone(),
            file,
            place,
            trouble: trouble.clone(),
        })?;
        let journal = Self {
            writer: Arc::new(writer),
            database,
            index,
            trouble,
            alarmed: Arc::default(),
        };
        journal.count_unrecorded().map_err(io::Error::other)?;
        Ok(journal)
    }

    /// The trouble that ended this journal, if any did. It is no longer written then.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Checks that the journal can be read, and that its file is still at its place. An error ends
    /// the journal: it is its [`Trouble`] from here on.
    pub fn check(&self) -> Result<(), StoreEnded> {
        if let Err(error) = self.audit_entries() {
            self.trouble.raise(error.to_string());
        }
        if let Err(moved) = self.writer.check_place() {
            self.trouble.raise(moved.to_string());
        }
        self.trouble.check()
    }

    /// The number of commits since the journal was opened. Several writes can share one.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// The number of rows that this thread has decoded so far, of any journal, plus those that this
    /// journal's writer has. For tests that measure the cost of an event.
    pub fn rows_read(&self) -> u64 {
        super::codec::decoded() + self.writer.rows_read()
    }

    /// Reads. A damaged page is an error, and ends this journal.
    fn look<T, E: From<ReadJournalError>>(
        &self,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        guarded(&self.trouble, read)
    }

    /// Opens a table that journals of the first programs lack until it is written.
    fn later_table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<K, V>,
    ) -> Result<Option<ReadOnlyTable<K, V>>, ReadJournalError> {
        match self.database.begin_read()?.open_table(table) {
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            table => Ok(Some(table?)),
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("commits", &self.commits())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod cost;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod testing;
