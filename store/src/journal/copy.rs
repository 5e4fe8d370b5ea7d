//! A consistent copy of the whole journal while it is being written.

use std::path::Path;

use redb::{
    AccessGuard, Builder, Database, Error, Key, ReadTransaction, ReadableDatabase, ReadableTable,
    TableDefinition, TableError, Value, WriteTransaction,
};

use super::audit::AUDIT;
use super::bundled::BUNDLED;
use super::checkpoints::CHECKPOINTS;
use super::counted::COUNTED;
use super::error::JournalOpenError;
use super::generation::{GENERATIONS, UNHEARD};
use super::keys::KEYS;
use super::memory::{RESERVED, RESERVERS, STATE};
use super::meta::META;
use super::moments::MOMENTS;
use super::outbox::OUTBOX;
use super::pairs::{PAIR_RUNS, PAIRS};
use super::peer::PEERS;
use super::prepared::PREPARED;
use super::pruned::SPENT;
use super::quarantine::{ATTEMPTS, QUARANTINE, STOPS};
use super::recordings::{ASSERTIONS, CONFIGURATIONS, DIFFERENCES, ORDERS, RECORDED, RECORDINGS};
use super::register::{ORDER, TASKS, UNFINISHED};
use super::started::STARTED;
use crate::files;

/// Copies the state after the last commit into a new file at `path`, and syncs it.
pub(super) fn copy(from: &Database, path: &Path) -> Result<(), JournalOpenError> {
    let io = |error| JournalOpenError::Io {
        path: path.into(),
        error,
    };
    let failed = JournalOpenError::database(path);
    let file = files::create_private(path).map_err(io)?;
    let synced = file.try_clone().map_err(io)?;
    let to = Builder::new()
        .create_file(file)
        .map_err(|error| failed(error.into()))?;
    copy_all(from, &to).map_err(&failed)?;
    drop(to);
    synced.sync_all().map_err(io)
}

/// Calls a function with each table that a journal can have. A table that is forgotten here is
/// missing in every backup.
macro_rules! every_table {
    ($do:ident($($with:expr),*)) => {
        every_table!(@ $do($($with),*)
            META TASKS SPENT ORDER UNFINISHED STATE RESERVED RESERVERS RECORDINGS
            RECORDED CONFIGURATIONS DIFFERENCES AUDIT KEYS PREPARED GENERATIONS UNHEARD
            QUARANTINE STOPS ATTEMPTS MOMENTS PEERS STARTED OUTBOX COUNTED
            ORDERS ASSERTIONS CHECKPOINTS BUNDLED PAIRS PAIR_RUNS
        )
    };
    (@ $do:ident($from:expr, $to:expr) $($table:ident)*) => { $($do($from, $to, $table)?;)* };
}

/// True if every table has the same content in both.
pub(super) fn same(one: &Database, other: &Database) -> Result<bool, Error> {
    let one = one.begin_read()?;
    let other = other.begin_read()?;
    let mut differ = false;
    let mut compare = Compare {
        one: &one,
        other: &other,
        differ: &mut differ,
    };
    every_table!(compare_table(&mut compare, ()));
    Ok(!differ)
}

struct Compare<'t> {
    one: &'t ReadTransaction,
    other: &'t ReadTransaction,
    differ: &'t mut bool,
}

fn compare_table<K: Key + 'static, V: Value + 'static>(
    compare: &mut Compare<'_>,
    (): (),
    table: TableDefinition<K, V>,
) -> Result<(), Error> {
    let open = |transaction: &ReadTransaction| match transaction.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        table => table.map(Some),
    };
    let (Some(one), Some(other)) = (open(compare.one)?, open(compare.other)?) else {
        *compare.differ |= open(compare.one)?.is_some() != open(compare.other)?.is_some();
        return Ok(());
    };
    let mut others = other.iter()?;
    for entry in one.iter()? {
        let entry = entry?;
        let other = others.next().transpose()?;
        let same = other.is_some_and(|other| {
            same_bytes::<K>(&entry.0, &other.0) && same_bytes::<V>(&entry.1, &other.1)
        });
        if !same {
            *compare.differ = true;
            return Ok(());
        }
    }
    *compare.differ |= others.next().is_some();
    Ok(())
}

fn same_bytes<T: Value>(one: &AccessGuard<T>, other: &AccessGuard<T>) -> bool {
    let one = one.value();
    let other = other.value();
    T::as_bytes(&one).as_ref() == T::as_bytes(&other).as_ref()
}

fn copy_all(from: &Database, to: &Database) -> Result<(), Error> {
    let from = from.begin_read()?;
    let to = to.begin_write()?;
    every_table!(copy_table(&from, &to));
    Ok(to.commit()?)
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<K, V>,
) -> Result<(), Error> {
    let from = match from.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        from => from?,
    };
    let mut to = to.open_table(table)?;
    for entry in from.iter()? {
        let (key, value) = entry?;
        to.insert(key.value(), value.value())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use redb::TableHandle;

    use super::*;
    use crate::journal::tables::Tables;

    #[test]
    fn every_table_that_a_journal_has_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let names = |database: &Database| {
            let mut names: Vec<String> = database
                .begin_read()
                .unwrap()
                .list_tables()
                .unwrap()
                .map(|table| table.name().to_owned())
                .collect();
            names.sort();
            names
        };
        let original = Builder::new().create(dir.path().join("original")).unwrap();
        let transaction = original.begin_write().unwrap();
        drop(Tables::open(&transaction).unwrap());
        transaction
            .open_table(META)
            .unwrap()
            .insert("format", 1)
            .unwrap();
        transaction.commit().unwrap();
        copy(&original, &dir.path().join("copy")).unwrap();
        let copied = Builder::new().open(dir.path().join("copy")).unwrap();
        assert_eq!(names(&original), names(&copied));
        assert!(names(&copied).len() > 10);
    }
}
