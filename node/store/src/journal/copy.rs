//! A copy of the whole journal as it is at one moment, while it is written.

use std::path::Path;

use redb::{
    Builder, Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    Value, WriteTransaction,
};

use super::audit::AUDIT;
use super::counted::COUNTED;
use super::generation::{GENERATIONS, UNHEARD};
use super::handover::HANDOVERS;
use super::memory::{RESERVED, RESERVERS, STATE};
use super::operation::*;
use super::outbox::OUTBOX;
use super::peer::PEERS;
use super::quarantine::{ATTEMPTS, QUARANTINE, STOPS};
use super::recordings::{CONFIGURATIONS, DIFFERENCES, RECORDED, RECORDINGS};
use super::started::STARTED;
use super::{JournalOpenError, unopened};
use crate::files;

/// Writes what the last commit left into a new file at `path`, down to the disk.
pub(super) fn copy(from: &Database, path: &Path) -> Result<(), JournalOpenError> {
    let io = |error| JournalOpenError::Io {
        path: path.into(),
        error,
    };
    let failed = |error| unopened(path, error);
    let file = files::create_private(path).map_err(io)?;
    let synced = file.try_clone().map_err(io)?;
    let to = Builder::new()
        .create_file(file)
        .map_err(|error| failed(error.into()))?;
    copy_all(from, &to).map_err(failed)?;
    drop(to);
    synced.sync_all().map_err(io)
}

/// Does the same with each table that a journal can have. One that is forgotten here is missing in
/// every backup.
macro_rules! every_table {
    ($do:ident($($with:expr),*)) => {
        every_table!(@ $do($($with),*)
            META TASKS ORDER UNFINISHED STATE RESERVED RESERVERS RECORDINGS
            RECORDED CONFIGURATIONS DIFFERENCES AUDIT KEYS HANDOVERS GENERATIONS UNHEARD
            QUARANTINE STOPS ATTEMPTS MOMENTS PEERS STARTED OUTBOX COUNTED
        )
    };
    (@ $do:ident($from:expr, $to:expr) $($table:ident)*) => { $($do($from, $to, $table)?;)* };
}

/// True if both hold the same, in every table.
pub(super) fn same(one: &Database, other: &Database) -> Result<bool, redb::Error> {
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
) -> Result<(), redb::Error> {
    let open = |transaction: &ReadTransaction| match transaction.open_table(table) {
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        table => table.map(Some),
    };
    let (Some(one), Some(other)) = (open(compare.one)?, open(compare.other)?) else {
        *compare.differ |= open(compare.one)?.is_some() != open(compare.other)?.is_some();
        return Ok(());
    };
    let mut others = other.iter()?;
    for entry in one.iter()? {
        let (key, value) = entry?;
        let other = others.next().transpose()?;
        let same = other.is_some_and(|(k, v)| {
            K::as_bytes(&key.value()).as_ref() == K::as_bytes(&k.value()).as_ref()
                && V::as_bytes(&value.value()).as_ref() == V::as_bytes(&v.value()).as_ref()
        });
        if !same {
            *compare.differ = true;
            return Ok(());
        }
    }
    *compare.differ |= others.next().is_some();
    Ok(())
}

fn copy_all(from: &Database, to: &Database) -> Result<(), redb::Error> {
    let from = from.begin_read()?;
    let to = to.begin_write()?;
    every_table!(copy_table(&from, &to));
    Ok(to.commit()?)
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<K, V>,
) -> Result<(), redb::Error> {
    let from = match from.open_table(table) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
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

    /// A table that is forgotten above would be missing in every backup.
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
