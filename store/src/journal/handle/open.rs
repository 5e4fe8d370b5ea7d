//! The journal's file: created, opened after verification, and copied.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use redb::{Builder, Database, Error, ReadableDatabase, TableError};

use super::Journal;
use crate::contain::contain;
use crate::files;
use crate::journal::copy::copy;
use crate::journal::error::{JournalOpenError, ReadJournalError};
use crate::journal::meta::{self, META};
use crate::journal::pages::Pages;
use crate::journal::tables::Tables;
use crate::place::Place;

/// Name of the journal's file in the node's folder.
pub const JOURNAL_FILE: &str = "journal.redb";
const STAGED_JOURNAL: &str = ".journal.redb.tmp";

/// The newest version of the file that this program reads.
const NEWEST: u64 = meta::PAIRS_FORMAT;
/// The size of the page cache, in bytes. The default of redb is 1 GiB.
pub(super) const CACHE: usize = 16 * 1024 * 1024;

impl Journal {
    /// Creates an empty journal in `dir`, or nothing. Makes the directory, with mode 0700, if there
    /// is none yet.
    pub fn create(dir: &Path) -> Result<Self, JournalOpenError> {
        let path = dir.join(JOURNAL_FILE);
        let staged = dir.join(STAGED_JOURNAL);
        if path.exists() {
            return Err(JournalOpenError::Exists { path });
        }
        files::private_dir(dir).map_err(JournalOpenError::private(dir))?;
        let io = JournalOpenError::io(&path);
        let file = files::create_private(&staged).map_err(&io)?;
        let synced = file.try_clone().map_err(&io)?;
        Builder::new()
            .create_file(file)
            .map_err(Error::from)
            .and_then(initialise)
            .map_err(JournalOpenError::database(&path))?;
        synced
            .sync_all()
            .and_then(|()| files::publish(&staged, &path))
            .map_err(&io)?;
        drop(synced);
        Self::open(dir)
    }

    /// Opens the journal in `dir`, also after a crash.
    pub fn open(dir: &Path) -> Result<Self, JournalOpenError> {
        let path = dir.join(JOURNAL_FILE);
        if !path.exists() {
            return Err(JournalOpenError::Missing { path });
        }
        files::check_private(dir).map_err(JournalOpenError::private(dir))?;
        let io = JournalOpenError::io(&path);
        let file = countersign_files::open_writable(&path).map_err(&io)?;
        files::check_private(&path).map_err(JournalOpenError::private(&path))?;
        let known = file.metadata().map_err(&io)?;
        // redb would create a new database in an empty file.
        if known.len() == 0 {
            return Err(JournalOpenError::damaged(&path, "it is empty"));
        }
        let place = Place::of(&path, &known);
        let kept = file.try_clone().map_err(&io)?;
        let opened = contain(|| open_file(&path, file));
        let opened = opened.map_err(|panic| JournalOpenError::damaged(&path, panic))?;
        Self::start(opened?, Some((kept, place))).map_err(io)
    }

    /// Copies the journal in its present state to a new file that only the owner may open.
    pub fn copy_to(&self, path: &Path) -> Result<(), JournalOpenError> {
        let copied = contain(|| copy(&self.database, path));
        copied.unwrap_or_else(|panic| {
            let error = ReadJournalError::Page(panic.to_string());
            self.trouble.raise(error.to_string());
            Err(JournalOpenError::Io {
                path: path.into(),
                error: io::Error::other(error),
            })
        })
    }
}

/// Opens the database in a file that nobody else has open, if every page is as it was written.
fn open_file(path: &Path, file: File) -> Result<Database, JournalOpenError> {
    let io = JournalOpenError::io(path);
    let failed = JournalOpenError::database(path);
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(JournalOpenError::locked(path)),
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    let pages = Pages::of(&file).map_err(io)?;
    drop(pages.verify().map_err(&failed)?);
    let database = Builder::new()
        .set_cache_size(CACHE)
        .create_file(file)
        .map_err(|error| failed(error.into()))?;
    match format(&database).map_err(failed)? {
        Some(version) if version > NEWEST => Err(JournalOpenError::NewerFormat {
            path: path.into(),
            version,
        }),
        Some(_) => Ok(database),
        None => Err(JournalOpenError::damaged(path, "it is not a journal")),
    }
}

/// Makes all tables, so that no read meets a missing one, and closes the database.
pub(super) fn initialise(database: Database) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    drop(Tables::open(&transaction)?);
    transaction
        .open_table(META)?
        .insert(meta::FORMAT, meta::FIRST_FORMAT)?;
    Ok(transaction.commit()?)
}

fn format(database: &Database) -> Result<Option<u64>, Error> {
    match database.begin_read()?.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        table => Ok(table?.get(meta::FORMAT)?.map(|version| version.value())),
    }
}
