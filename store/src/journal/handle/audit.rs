//! The audit log: alarms for the operator, reading, and verification of all that it vouches for.

use std::collections::{HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};

use countersign_audit::pruned_hash;
use countersign_protocol::{Hash, Outcome, TaskId, UnixMillis};
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, TableError};

use super::{Journal, recording};
use crate::journal::audit::{AUDIT, AuditEntry, AuditHead, AuditKind};
use crate::journal::codec;
use crate::journal::error::{AuditError, ReadJournalError, WriteJournalError};
use crate::journal::keys::KEYS;
use crate::journal::meta::{META, PRUNED_BEFORE};
use crate::journal::operation::Operation;
use crate::journal::pruned::{SPENT, Spent};
use crate::journal::read::read;
use crate::journal::recordings::Configuration;
use crate::journal::register::{TASKS, record_hash};
use crate::journal::row::{KeyRecord, Row, State};

impl Journal {
    /// Adds a line to the audit log that an operator must see.
    pub fn alarm(
        &self,
        now: UnixMillis,
        task: Option<TaskId>,
        text: &str,
    ) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Alarm {
                now,
                task,
                text: text.into(),
            })
            .map(drop)
    }

    /// Raises an alarm unless the very same text was logged since this journal was opened: for
    /// alarms that others can cause as often as they like.
    pub fn alarm_once(&self, now: UnixMillis, text: &str) -> Result<(), WriteJournalError> {
        let alarm = Hash::of("countersign/1 alarm", text.as_bytes());
        if self.alarmed().contains(&alarm) {
            return Ok(());
        }
        self.alarm(now, None, text)?;
        self.alarmed().insert(alarm);
        Ok(())
    }

    fn alarmed(&self) -> MutexGuard<'_, HashSet<Hash>> {
        self.alarmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line to the audit log about the components that decide, and keeps the document that
    /// describes all of them.
    pub fn policy(
        &self,
        now: UnixMillis,
        text: &str,
        chain: Option<Configuration>,
    ) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Policy {
                now,
                text: text.into(),
                chain,
            })
            .map(drop)
    }

    /// The number of entries in the audit log.
    pub fn audit_entries(&self) -> Result<u64, ReadJournalError> {
        self.look(|| {
            let table = self.database.begin_read()?.open_table(AUDIT)?;
            Ok(table.last()?.map_or(0, |(seq, _)| seq.value() + 1))
        })
    }

    /// Entries of the audit log from `from` on, at most `limit`.
    pub fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditEntry>, ReadJournalError> {
        self.look(|| {
            let table = self.database.begin_read()?.open_table(AUDIT)?;
            table
                .range(from..)?
                .take(limit)
                .map(|entry| read("audit", entry?.1.value()))
                .collect()
        })
    }

    /// Verifies every page of the file, then the whole audit log and all that it vouches for: each
    /// entry must follow from the one before, the last entry about a task must vouch for its row,
    /// and the row for its recording and for the key that it made. Writes wait meanwhile.
    pub fn verify_audit(&self) -> Result<AuditHead, AuditError> {
        self.look(|| {
            self.writer.verify_pages()?;
            let transaction = self.database.begin_read()?;
            let mut head = AuditHead::EMPTY;
            let mut vouched: HashMap<TaskId, Vouched> = HashMap::new();
            let mut pruned = None;
            for entry in transaction.open_table(AUDIT)?.iter()? {
                let (seq, entry) = entry?;
                let broken = AuditError::Broken { at: head.entries };
                let Ok(entry) = codec::decode::<AuditEntry>(entry.value()) else {
                    return Err(broken);
                };
                if seq.value() != head.entries || !entry.follows(head) {
                    return Err(broken);
                }
                head = entry.head();
                match (entry.task, entry.record) {
                    (Some(task), Some(record)) => {
                        let first = vouched.get(&task).map_or(entry.time, |known| known.first);
                        let at = entry.seq;
                        vouched.insert(task, Vouched { at, first, record });
                    }
                    (None, Some(time)) if entry.kind == AuditKind::Pruned => pruned = Some(time),
                    (None, Some(_)) | (_, None) => {}
                }
            }
            check_spent(&transaction, &mut vouched, pruned)?;
            check_rows(&transaction, vouched)?;
            check_keys(&transaction)?;
            recording::verify(&transaction)?;
            Ok(head)
        })
    }
}

/// The last entry about a task, and the time of the first.
struct Vouched {
    at: u64,
    first: UnixMillis,
    record: Hash,
}

/// Checks that each deleted row is the one that the last entry about it vouches for, and was as old
/// as the log says of those that were deleted. Removes them from `vouched`.
fn check_spent(
    transaction: &ReadTransaction,
    vouched: &mut HashMap<TaskId, Vouched>,
    pruned: Option<Hash>,
) -> Result<(), AuditError> {
    let table = match transaction.open_table(SPENT) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        table => table?,
    };
    let before = transaction.open_table(META)?.get(PRUNED_BEFORE)?;
    let before = before.map(|before| UnixMillis(before.value()));
    let before = before.filter(|before| pruned == Some(pruned_hash(*before)));
    for entry in table.iter()? {
        let (task, rest) = entry?;
        let task = TaskId(*task.value());
        let rest: Spent = read("spent", rest.value())?;
        let known = vouched.remove(&task);
        let known = known.ok_or(AuditError::Unlogged { task })?;
        if known.record != rest.record {
            return Err(AuditError::Record { at: known.at, task });
        }
        if before.is_none_or(|before| known.first >= before) {
            return Err(AuditError::Spent { task });
        }
    }
    Ok(())
}

/// Checks that each row is the one that the last entry about it vouches for, and that none of the
/// vouched rows is missing.
fn check_rows(
    transaction: &ReadTransaction,
    mut vouched: HashMap<TaskId, Vouched>,
) -> Result<(), AuditError> {
    for entry in transaction.open_table(TASKS)?.iter()? {
        let (task, bytes) = entry?;
        let task = TaskId(*task.value());
        match vouched.remove(&task) {
            None => return Err(AuditError::Unlogged { task }),
            Some(known) if known.record == record_hash(bytes.value()) => {}
            Some(known) => return Err(AuditError::Record { at: known.at, task }),
        }
    }
    match vouched.into_iter().min_by_key(|(_, known)| known.at) {
        Some((task, known)) => Err(AuditError::Record { at: known.at, task }),
        None => Ok(()),
    }
}

/// Checks that every key's record can be decoded, and that its descriptor is the one that its task
/// ended with, if the task's row is here.
fn check_keys(transaction: &ReadTransaction) -> Result<(), AuditError> {
    let tasks = transaction.open_table(TASKS)?;
    for entry in transaction.open_table(KEYS)?.iter()? {
        let (place, record) = entry?;
        let record: KeyRecord = read("keys", record.value())?;
        let key = record.key();
        let descriptor = &record.descriptor;
        if key.as_bytes() != place.value() {
            return Err(AuditError::Key { key });
        }
        let Some(row) = tasks.get(&descriptor.task.0)? else {
            continue;
        };
        let row: Row = read("tasks", row.value())?;
        let State::Ended { outcome, .. } = row.state else {
            continue;
        };
        let (Outcome::Created(made) | Outcome::Reshared(made)) = *outcome else {
            continue;
        };
        if made.digest() != descriptor.digest() {
            return Err(AuditError::Key { key });
        }
    }
    Ok(())
}
