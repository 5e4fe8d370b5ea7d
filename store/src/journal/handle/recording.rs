//! Proof of decisions, and the dissenting verdicts of shadows.

use std::collections::BTreeSet;

use countersign_protocol::{Hash, TaskId};
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, TableError};

use super::Journal;
use crate::journal::audit::{AUDIT, AuditEntry};
use crate::journal::error::{AuditError, ReadJournalError, WriteJournalError};
use crate::journal::operation::Operation;
use crate::journal::read::read;
use crate::journal::recordings::{
    CONFIGURATIONS, Configuration, DIFFERENCES, Difference, Proof, RECORDED, RECORDINGS, sha256,
};
use crate::journal::register::{ORDER, TASKS, record_hash};
use crate::journal::row::Row;

impl Journal {
    /// Keeps a shadow's dissenting verdict. It is not in the audit log, since it decided nothing.
    pub fn differ(&self, difference: Difference) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Differ(Box::new(difference)))
            .map(drop)
    }

    /// The dissenting verdicts of shadows, newest first.
    pub fn differences(&self, limit: usize) -> Result<Vec<Difference>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(DIFFERENCES)? else {
                return Ok(Vec::new());
            };
            table
                .iter()?
                .rev()
                .take(limit)
                .map(|entry| read("differences", entry?.1.value()))
                .collect()
        })
    }

    /// SHA-256 of every component whose decisions have a recording here.
    pub fn recorded_components(&self) -> Result<BTreeSet<Hash>, ReadJournalError> {
        self.look(|| {
            let Some(recorded) = self.later_table(RECORDED)? else {
                return Ok(BTreeSet::new());
            };
            let tasks = self.database.begin_read()?.open_table(TASKS)?;
            let mut components = BTreeSet::new();
            for entry in recorded.iter()? {
                let Some(row) = tasks.get(entry?.1.value())? else {
                    continue;
                };
                let row: Row = read("tasks", row.value())?;
                components.extend(row.verdicts.iter().map(|verdict| verdict.digest));
            }
            Ok(components)
        })
    }

    /// The recording of a task's decision, if it is still kept. A changed one is an error.
    pub fn recording(&self, task: &TaskId) -> Result<Option<Vec<u8>>, ReadJournalError> {
        self.look(|| {
            let Some(row) = self.row(task)? else {
                return Ok(None);
            };
            let Some(table) = self.later_table(RECORDINGS)? else {
                return Ok(None);
            };
            let Some(recording) = table
                .get(&task.0)?
                .map(|recording| recording.value().to_vec())
            else {
                return Ok(None);
            };
            if row.vouches_for(&recording) {
                Ok(Some(recording))
            } else {
                Err(ReadJournalError::Recording { task: *task })
            }
        })
    }

    /// The proof of the decision about a task, if its recording is still kept. An error if its
    /// parts contradict each other. The audit log itself is for
    /// [`verify_audit`](Journal::verify_audit).
    pub fn proof(&self, task: &TaskId) -> Result<Option<Proof>, AuditError> {
        self.look(|| {
            let Some((row, recording)) = self.row(task)?.zip(self.recording(task)?) else {
                return Ok(None);
            };
            let entry = self.vouched(task)?;
            let kept = row
                .policies()
                .into_iter()
                .map(|digest| self.configuration(&digest));
            let configurations = kept
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?;
            Ok(Some(Proof {
                row,
                entry,
                recording,
                configurations,
            }))
        })
    }

    /// The number of the last audit entry about `task`, if it vouches for the present row.
    fn vouched(&self, task: &TaskId) -> Result<u64, AuditError> {
        let transaction = self.database.begin_read()?;
        let row = transaction
            .open_table(TASKS)?
            .get(&task.0)?
            .map(|row| record_hash(row.value()));
        for entry in transaction.open_table(AUDIT)?.iter()?.rev() {
            let entry: AuditEntry = read("audit", entry?.1.value())?;
            if entry.task == Some(*task) && entry.record.is_some() {
                let broken = AuditError::Record {
                    at: entry.seq,
                    task: *task,
                };
                return if entry.record == row {
                    Ok(entry.seq)
                } else {
                    Err(broken)
                };
            }
        }
        Err(AuditError::Unlogged { task: *task })
    }

    /// The configuration with this SHA-256, if it is kept. A changed one is an error.
    pub fn configuration(&self, digest: &Hash) -> Result<Option<Configuration>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(CONFIGURATIONS)? else {
                return Ok(None);
            };
            let Some(bytes) = table.get(&digest.0)? else {
                return Ok(None);
            };
            let damaged = ReadJournalError::Configuration { digest: *digest };
            match str::from_utf8(bytes.value()) {
                Ok(document) if sha256(bytes.value()) == *digest => Ok(Some(Configuration {
                    digest: *digest,
                    document: document.into(),
                })),
                _ => Err(damaged),
            }
        })
    }
}

/// Checks that every recording is the one that its row vouches for, that only the oldest are
/// missing, and that every configuration has the digest under which it is kept.
pub(super) fn verify(transaction: &ReadTransaction) -> Result<(), AuditError> {
    let recordings = match transaction.open_table(RECORDINGS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        table => table?,
    };
    let tasks = transaction.open_table(TASKS)?;
    let mut missing = None;
    for entry in transaction.open_table(ORDER)?.iter()?.rev() {
        let id = *entry?.1.value();
        let task = TaskId(id);
        let Some(row) = tasks.get(&id)? else {
            return Err(AuditError::Unlogged { task });
        };
        let row: Row = read("tasks", row.value())?;
        match (recordings.get(&id)?, missing) {
            (Some(recording), _) if !row.vouches_for(recording.value()) => {
                return Err(ReadJournalError::Recording { task }.into());
            }
            (Some(_), Some(task)) => return Err(AuditError::Gone { task }),
            (None, None) if row.recording.is_some() => missing = Some(task),
            // Recordings are deleted from the oldest on, and tasks without one have none to lose.
            (Some(_), None) | (None, None | Some(_)) => {}
        }
    }
    verify_configurations(transaction)
}

fn verify_configurations(transaction: &ReadTransaction) -> Result<(), AuditError> {
    let table = match transaction.open_table(CONFIGURATIONS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        table => table?,
    };
    for entry in table.iter()? {
        let (digest, document) = entry?;
        let digest = Hash(*digest.value());
        if sha256(document.value()) != digest {
            return Err(ReadJournalError::Configuration { digest }.into());
        }
    }
    Ok(())
}
