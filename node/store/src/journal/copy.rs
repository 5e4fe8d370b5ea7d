//! A copy of the whole journal as it is at one moment, while it is written.

use super::operation::*;
use super::outbox::OUTBOX;
use super::{JournalOpenError, unopened};
use crate::files;
use redb::{
    Builder, Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, Value,
    WriteTransaction,
};
use std::path::Path;

/// Writes what the last commit left into a new file at `path`, down to the disk.
pub(super) fn copy(from: &Database, path: &Path) -> Result<(), JournalOpenError> {
    let io = |error| JournalOpenError::Io { path: path.into(), error };
    let failed = |error| unopened(path, error);
    let file = files::create_private(path).map_err(io)?;
    let synced = file.try_clone().map_err(io)?;
    let to = Builder::new().create_file(file).map_err(|error| failed(error.into()))?;
    copy_all(from, &to).map_err(failed)?;
    drop(to);
    synced.sync_all().map_err(io)
}

fn copy_all(from: &Database, to: &Database) -> Result<(), redb::Error> {
    let (from, to) = (from.begin_read()?, to.begin_write()?);
    copy_table(&from, &to, META)?;
    copy_table(&from, &to, TASKS)?;
    copy_table(&from, &to, ORDER)?;
    copy_table(&from, &to, UNFINISHED)?;
    copy_table(&from, &to, STATE)?;
    copy_table(&from, &to, RESERVED)?;
    copy_table(&from, &to, RESERVERS)?;
    copy_table(&from, &to, RECORDINGS)?;
    copy_table(&from, &to, RECORDED)?;
    copy_table(&from, &to, CONFIGURATIONS)?;
    copy_table(&from, &to, DIFFERENCES)?;
    copy_table(&from, &to, AUDIT)?;
    copy_table(&from, &to, KEYS)?;
    copy_table(&from, &to, HANDOVERS)?;
    copy_table(&from, &to, GENERATIONS)?;
    copy_table(&from, &to, UNHEARD)?;
    copy_table(&from, &to, QUARANTINE)?;
    copy_table(&from, &to, STOPS)?;
    copy_table(&from, &to, ATTEMPTS)?;
    copy_table(&from, &to, MOMENTS)?;
    copy_table(&from, &to, PEERS)?;
    copy_table(&from, &to, OUTBOX)?;
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
    use super::*;
    use redb::TableHandle;

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
        transaction.open_table(META).unwrap().insert("format", 1).unwrap();
        transaction.commit().unwrap();
        copy(&original, &dir.path().join("copy")).unwrap();
        let copied = Builder::new().open(dir.path().join("copy")).unwrap();
        assert_eq!(names(&original), names(&copied));
        assert!(names(&copied).len() > 10);
    }
}
