//! What an auditor is given: the part of the log that is about a time, the records that it vouches
//! for, and what was stated about deletions.

use std::collections::BTreeSet;

use countersign_audit::{Checkpoint, Extent};
use countersign_protocol::{Hash, OrderProof, TaskId, UnixMillis};
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableError};

use super::Journal;
use crate::journal::audit::{AUDIT, AuditEntry, AuditHead, AuditKind};
use crate::journal::checkpoints::CHECKPOINTS;
use crate::journal::error::{ReadJournalError, WriteJournalError};
use crate::journal::meta::{META, PRUNED_BEFORE};
use crate::journal::operation::Operation;
use crate::journal::pruned::{SPENT, Spent};
use crate::journal::read::read;
use crate::journal::recordings::{ASSERTIONS, ORDERS, RECORDINGS};
use crate::journal::register::TASKS;
use crate::journal::row::Row;

/// Bytes of records and recordings after which no more are read.
const PAGE: usize = 4 << 20;

/// A record as it is kept, or what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// All of it.
    Whole(Box<KeptRecord>),
    /// It was deleted for its age.
    Deleted {
        /// The task's id.
        task: TaskId,
        /// Hash of the bytes that the requester had signed.
        hash: Hash,
        /// Hash of the record.
        record: Hash,
    },
    /// The id is not known.
    Unknown(TaskId),
}

/// A record with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRecord {
    /// The task's id.
    pub task: TaskId,
    /// The bytes for whose hash the audit log vouches.
    pub row: Vec<u8>,
    /// The requester's signature. Absent if an earlier program wrote the record.
    pub order: Option<OrderProof>,
    /// The recording that the row vouches for, if it is still kept.
    pub recording: Option<Vec<u8>>,
}

/// What was deleted so far, and the entry that tells of the last deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletions {
    /// The log up to that entry.
    pub head: AuditHead,
    /// The number of records that were deleted, ever.
    pub records: u64,
    /// The time before which all of them had been received.
    pub before: UnixMillis,
}

impl Journal {
    /// Finds the entries of a time: the one before it, if there is one; all of the time; those that
    /// come later about its tasks; and one more, if there is one. Times in the log need not ascend,
    /// so all of it is read.
    pub fn audit_extent(
        &self,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Extent, ReadJournalError> {
        self.look(|| {
            let audit = self.database.begin_read()?.open_table(AUDIT)?;
            let entries = |first: u64| -> Result<_, ReadJournalError> {
                let range = audit.range(first..)?;
                Ok(range.map(|entry| read::<AuditEntry>("audit", entry?.1.value())))
            };
            let mut of_time: Option<(u64, u64)> = None;
            let mut tasks = BTreeSet::new();
            let mut log = 0;
            let extent = |first: u64, entries: u64, log: u64| -> Result<_, ReadJournalError> {
                let last = entries.checked_sub(1);
                let last = last.map(|last| audit.get(last)).transpose()?.flatten();
                let end = match last {
                    None => AuditHead::EMPTY,
                    Some(last) => read::<AuditEntry>("audit", last.value())?.head(),
                };
                Ok(Extent {
                    from,
                    to,
                    first,
                    end,
                    log,
                })
            };
            // Where the time lies if no entry is of it.
            let mut behind = None;
            for entry in entries(0)? {
                let entry = entry?;
                log = entry.seq + 1;
                if entry.time >= to {
                    behind = behind.or(Some(entry.seq));
                } else if entry.time >= from {
                    of_time = Some((of_time.map_or(entry.seq, |(first, _)| first), entry.seq));
                    tasks.extend(entry.record.and(entry.task));
                }
            }
            let Some((first, mut last)) = of_time else {
                let behind = behind.unwrap_or(log);
                return extent(behind.saturating_sub(1), log.min(behind + 1), log);
            };
            for entry in entries(last + 1)? {
                let entry = entry?;
                if entry
                    .record
                    .and(entry.task)
                    .is_some_and(|task| tasks.contains(&task))
                {
                    last = entry.seq;
                }
            }
            extent(first.saturating_sub(1), log.min(last + 2), log)
        })
    }

    /// The records of these tasks, in their order. Ends early after a few megabytes: ask again for
    /// the rest. At least one is there if any was asked for.
    pub fn kept_records(&self, tasks: &[TaskId]) -> Result<Vec<Kept>, ReadJournalError> {
        self.look(|| {
            let transaction = self.database.begin_read()?;
            let mut kept = Vec::new();
            let mut bytes = 0;
            for task in tasks {
                if bytes >= PAGE {
                    break;
                }
                let one = kept_record(&transaction, *task)?;
                bytes += one.len();
                kept.push(one);
            }
            Ok(kept)
        })
    }

    /// What this node has signed about its deletions, the oldest first.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(CHECKPOINTS)? else {
                return Ok(Vec::new());
            };
            table
                .iter()?
                .map(|entry| read("checkpoints", entry?.1.value()))
                .collect()
        })
    }

    /// Keeps what this node has signed about its deletions.
    pub fn keep_checkpoint(&self, checkpoint: Checkpoint) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Checkpoint(Box::new(checkpoint)))
            .map(drop)
    }

    /// What was deleted since the last checkpoint, if anything was.
    pub fn unsigned_deletions(&self) -> Result<Option<Deletions>, ReadJournalError> {
        self.look(|| {
            let transaction = self.database.begin_read()?;
            let before = transaction.open_table(META)?.get(PRUNED_BEFORE)?;
            let Some(before) = before.map(|before| UnixMillis(before.value())) else {
                return Ok(None);
            };
            let records = transaction.open_table(SPENT)?.len()?;
            let signed = self.checkpoints()?.pop();
            if signed.is_some_and(|signed| (signed.records, signed.before) == (records, before)) {
                return Ok(None);
            }
            let head = newest_deletion(&transaction)?;
            Ok(head.map(|head| Deletions {
                head,
                records,
                before,
            }))
        })
    }
}

impl Kept {
    fn len(&self) -> usize {
        match self {
            Self::Whole(record) => {
                record.row.len() + record.recording.iter().map(Vec::len).sum::<usize>()
            }
            Self::Deleted { .. } | Self::Unknown(_) => 0,
        }
    }
}

fn kept_record(transaction: &ReadTransaction, task: TaskId) -> Result<Kept, ReadJournalError> {
    let tasks = transaction.open_table(TASKS)?;
    let Some(row) = tasks.get(&task.0)?.map(|row| row.value().to_vec()) else {
        return rest(transaction, task);
    };
    let decoded: Row = read("tasks", &row)?;
    let recording = match transaction.open_table(RECORDINGS) {
        Err(TableError::TableDoesNotExist(_)) => None,
        table => table?
            .get(&task.0)?
            .map(|recording| recording.value().to_vec()),
    };
    // A recording for which nobody vouches would have the node sign what it does not know.
    let recording = recording.filter(|_| decoded.recording.is_some());
    if recording
        .as_ref()
        .is_some_and(|recording| !decoded.vouches_for(recording))
    {
        return Err(ReadJournalError::Recording { task });
    }
    let order = order(transaction, task)?;
    Ok(Kept::Whole(Box::new(KeptRecord {
        task,
        row,
        order,
        recording,
    })))
}

/// The requester's signature, of whichever kind.
fn order(
    transaction: &ReadTransaction,
    task: TaskId,
) -> Result<Option<OrderProof>, ReadJournalError> {
    let by_key = match transaction.open_table(ORDERS) {
        Err(TableError::TableDoesNotExist(_)) => None,
        table => table?
            .get(&task.0)?
            .map(|order| OrderProof::Ed25519(*order.value())),
    };
    if by_key.is_some() {
        return Ok(by_key);
    }
    match transaction.open_table(ASSERTIONS) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        table => table?
            .get(&task.0)?
            .map(|order| OrderProof::from_bytes(order.value()))
            .transpose()
            .map_err(|_| ReadJournalError::Order { task }),
    }
}

fn rest(transaction: &ReadTransaction, task: TaskId) -> Result<Kept, ReadJournalError> {
    let spent = match transaction.open_table(SPENT) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Kept::Unknown(task)),
        table => table?,
    };
    let Some(rest) = spent.get(&task.0)? else {
        return Ok(Kept::Unknown(task));
    };
    let Spent { hash, record } = read("spent", rest.value())?;
    Ok(Kept::Deleted { task, hash, record })
}

/// The log up to the newest entry that tells of a deletion.
fn newest_deletion(transaction: &ReadTransaction) -> Result<Option<AuditHead>, ReadJournalError> {
    for entry in transaction.open_table(AUDIT)?.iter()?.rev() {
        let entry: AuditEntry = read("audit", entry?.1.value())?;
        if entry.kind == AuditKind::Pruned {
            return Ok(Some(entry.head()));
        }
    }
    Ok(None)
}
