//! Recordings of decisions, and of what shadows would have decided: the newest, within bounds. Opaque here.

use super::error::WriteJournalError;
use super::operation::{DIFFERENCES, META, RECORDED, RECORDINGS, Written};
use super::row;
use countersign_protocol::{TaskId, UnixMillis};
use redb::{ReadableTable, ReadableTableMetadata, Table, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

type Bytes = &'static [u8];
type Id = &'static [u8; 16];

/// The most recordings that are kept.
const MAX_RECORDINGS: u64 = 20_000;
/// Their size together.
const MAX_BYTES: u64 = 256 << 20;
/// The most differences that are kept.
const MAX_DIFFERENCES: u64 = 10_000;
/// Where the size is counted.
const BYTES: &str = "recording-bytes";

/// A plugin that decides nothing would have decided otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// When.
    pub at: UnixMillis,
    /// About which task.
    pub task: TaskId,
    /// The entry that looks on.
    pub shadow: String,
    /// The entry that it is compared with; absent: all that decide together.
    pub against: Option<String>,
    /// Code of the refusal that counted; absent: approved.
    pub decided: Option<String>,
    /// Code of the refusal that did not count; absent: it would have approved.
    pub would_have: Option<String>,
    /// Why it would have refused.
    pub reason: String,
}

/// The open tables of recordings.
pub(super) struct Recordings<'t> {
    recordings: Table<'t, Id, Bytes>,
    recorded: Table<'t, u64, Id>,
    differences: Table<'t, u64, Bytes>,
    meta: Table<'t, &'static str, u64>,
}

impl<'t> Recordings<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Recordings<'t>, TableError> {
        Ok(Recordings {
            recordings: transaction.open_table(RECORDINGS)?,
            recorded: transaction.open_table(RECORDED)?,
            differences: transaction.open_table(DIFFERENCES)?,
            meta: transaction.open_table(META)?,
        })
    }

    /// Keeps a recording, and drops the oldest if there are too many.
    pub(super) fn keep(&mut self, task: TaskId, recording: &[u8]) -> Result<(), WriteJournalError> {
        if recording.is_empty() {
            return Ok(());
        }
        let mut bytes = self.meta.get(BYTES)?.map_or(0, |bytes| bytes.value()) + recording.len() as u64;
        let position = self.recorded.last()?.map_or(0, |(last, _)| last.value() + 1);
        self.recorded.insert(position, &task.0)?;
        self.recordings.insert(&task.0, recording)?;
        while self.recorded.len()? > MAX_RECORDINGS || bytes > MAX_BYTES {
            let Some(oldest) = self.recorded.pop_first()?.map(|(_, task)| *task.value()) else { break };
            let dropped = self.recordings.remove(&oldest)?.map_or(0, |dropped| dropped.value().len());
            bytes = bytes.saturating_sub(dropped as u64);
        }
        self.meta.insert(BYTES, bytes)?;
        Ok(())
    }

    pub(super) fn differ(&mut self, difference: &Difference) -> Result<Written, WriteJournalError> {
        let position = self.differences.last()?.map_or(0, |(last, _)| last.value() + 1);
        self.differences.insert(position, row::encode(difference).as_slice())?;
        while self.differences.len()? > MAX_DIFFERENCES {
            self.differences.pop_first()?;
        }
        Ok(Written::Now)
    }
}
