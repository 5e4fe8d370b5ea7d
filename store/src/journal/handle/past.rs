//! The past decisions of one plugin, page by page, the oldest first.

use std::collections::HashMap;

use countersign_protocol::{Hash, PluginVerdict, TaskId, UnixMillis};
use redb::{
    ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableError,
};

use super::Journal;
use crate::journal::audit::{AUDIT, AuditEntry};
use crate::journal::error::AuditError;
use crate::journal::meta::{META, PRUNED_BEFORE};
use crate::journal::pruned::SPENT;
use crate::journal::read::read;
use crate::journal::recordings::{RECORDED, RECORDINGS};
use crate::journal::register::{ORDER, TASKS, record_hash};
use crate::journal::row::{Row, State};

/// The most recordings that one page looks at.
const LOOKED_AT: usize = 2048;
/// Bytes of recordings and tasks after which a page ends.
const PAGE: usize = 4 << 20;
/// The most rows before the oldest recording that are read to find those without one.
const LOOKED_BACK: usize = 4096;

type Recorded = ReadOnlyTable<u64, &'static [u8; 16]>;

/// A page of past decisions. The audit log vouches for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PastDecisions {
    /// The decisions in which the plugin was asked, the oldest first.
    pub decisions: Vec<PastDecision>,
    /// The number of decisions in which it was not asked.
    pub not_asked: u64,
    /// True if earlier decisions of the time may have lost their recordings.
    pub gap: bool,
    /// The position at which to go on; absent at the end.
    pub next: Option<u64>,
    /// The number of all recordings in the journal.
    pub recordings: u64,
}

/// One past decision of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastDecision {
    /// The id of the task.
    pub task: TaskId,
    /// The time at which the node first saw the task.
    pub received_at: UnixMillis,
    /// The plugin's verdict.
    pub verdict: PluginVerdict,
    /// The bytes that the requester signed.
    pub bytes: Vec<u8>,
    /// The recording of the decision.
    pub recording: PastRecording,
}

/// The recording of a past decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PastRecording {
    /// The one that the task's row vouches for.
    Kept(Vec<u8>),
    /// One of the first programs wrote it, whose rows vouch for no recording.
    Unvouched,
    /// It is not the one that the task's row vouches for.
    Changed,
    /// It is no longer kept.
    Dropped,
}

impl Journal {
    /// The decisions of the entry `plugin` about tasks that were received at `since` or later, from
    /// a position on, the first of which is 0. Looks at a bounded number of recordings; call it
    /// again with [`PastDecisions::next`].
    pub fn past_decisions(
        &self,
        plugin: &str,
        since: UnixMillis,
        from: u64,
    ) -> Result<PastDecisions, AuditError> {
        self.look(|| {
            let transaction = self.database.begin_read()?;
            let recorded = match transaction.open_table(RECORDED) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(PastDecisions::default()),
                table => table?,
            };
            let mut reader = Reader {
                page: PastDecisions {
                    gap: has_gap(&transaction, &recorded, since, from)?,
                    recordings: recorded.len()?,
                    ..PastDecisions::default()
                },
                unvouched: HashMap::new(),
                bytes: 0,
            };
            for (looked_at, entry) in recorded.range(from..)?.enumerate() {
                let (position, task) = entry?;
                if looked_at == LOOKED_AT || reader.bytes >= PAGE {
                    reader.page.next = Some(position.value());
                    break;
                }
                reader.look_at(&transaction, TaskId(*task.value()), plugin, since)?;
            }
            check_vouched(&transaction, reader.unvouched)?;
            Ok(reader.page)
        })
    }
}

/// A page that is being read.
struct Reader {
    page: PastDecisions,
    /// Hashes of rows that the audit log has to vouch for.
    unvouched: HashMap<TaskId, Hash>,
    bytes: usize,
}

impl Reader {
    fn look_at(
        &mut self,
        transaction: &ReadTransaction,
        task: TaskId,
        plugin: &str,
        since: UnixMillis,
    ) -> Result<(), AuditError> {
        let tasks = transaction.open_table(TASKS)?;
        let Some(stored) = tasks.get(&task.0)? else {
            let pruned = transaction.open_table(SPENT)?.get(&task.0)?.is_some();
            return if pruned {
                Ok(())
            } else {
                Err(AuditError::Unlogged { task })
            };
        };
        let row: Row = read("tasks", stored.value())?;
        if row.received_at < since {
            return Ok(());
        }
        self.unvouched.insert(task, record_hash(stored.value()));
        let asked = row.verdicts.iter().find(|verdict| verdict.plugin == plugin);
        let Some(verdict) = asked.cloned() else {
            self.page.not_asked += 1;
            return Ok(());
        };
        let kept = transaction.open_table(RECORDINGS)?.get(&task.0)?;
        let recording = match kept {
            None => PastRecording::Dropped,
            Some(_) if row.recording.is_none() => PastRecording::Unvouched,
            Some(kept) if row.vouches_for(kept.value()) => {
                PastRecording::Kept(kept.value().to_vec())
            }
            Some(_) => PastRecording::Changed,
        };
        self.bytes += row.bytes.len() + recording.len();
        self.page.decisions.push(PastDecision {
            task,
            received_at: row.received_at,
            verdict,
            bytes: row.bytes,
            recording,
        });
        Ok(())
    }
}

impl PastRecording {
    fn len(&self) -> usize {
        match self {
            Self::Kept(recording) => recording.len(),
            Self::Unvouched | Self::Changed | Self::Dropped => 0,
        }
    }
}

/// Checks that the last audit entry about each task vouches for its row.
fn check_vouched(
    transaction: &ReadTransaction,
    mut rows: HashMap<TaskId, Hash>,
) -> Result<(), AuditError> {
    let audit = transaction.open_table(AUDIT)?;
    let mut entries = audit.iter()?.rev();
    while !rows.is_empty()
        && let Some(entry) = entries.next()
    {
        let entry: AuditEntry = read("audit", entry?.1.value())?;
        let Some((task, record)) = entry.task.zip(entry.record) else {
            continue;
        };
        if rows.remove(&task).is_some_and(|row| row != record) {
            return Err(AuditError::Record {
                at: entry.seq,
                task,
            });
        }
    }
    match rows.into_keys().next() {
        Some(task) => Err(AuditError::Unlogged { task }),
        None => Ok(()),
    }
}

/// True if a task that was received at `since` or later may have lost its recording before the
/// position `from`.
fn has_gap(
    transaction: &ReadTransaction,
    recorded: &Recorded,
    since: UnixMillis,
    from: u64,
) -> Result<bool, AuditError> {
    let pruned = transaction.open_table(META)?.get(PRUNED_BEFORE)?;
    if pruned.is_some_and(|before| since.0 < before.value()) {
        return Ok(true);
    }
    let oldest = recorded.first()?;
    let oldest = oldest.map(|(position, task)| (position.value(), TaskId(*task.value())));
    match oldest {
        Some((position, _)) if from > 0 => Ok(position > from),
        Some((_, task)) => is_missed_before(transaction, task, since),
        None => Ok(from > 0),
    }
}

/// True if a task of the time was decided before `oldest`, the first that has a recording, and had
/// one too. Rows are in the order of their decisions, which is not that of their receipt.
fn is_missed_before(
    transaction: &ReadTransaction,
    oldest: TaskId,
    since: UnixMillis,
) -> Result<bool, AuditError> {
    let tasks = transaction.open_table(TASKS)?;
    let order = transaction.open_table(ORDER)?;
    let mut entries = order.iter()?.rev();
    for entry in entries.by_ref() {
        if *entry?.1.value() == oldest.0 {
            break;
        }
    }
    for (looked_at, entry) in entries.enumerate() {
        let Some(row) = tasks.get(entry?.1.value())? else {
            continue;
        };
        let row: Row = read("tasks", row.value())?;
        if row.recording.is_some() && row.received_at >= since || looked_at == LOOKED_BACK {
            return Ok(true);
        }
        match row.state {
            State::Ended { at, .. } if at <= since => return Ok(false),
            State::Ended { .. } | State::Approved => {}
        }
    }
    Ok(false)
}
