//! What a decision can be proven by: recordings, the newest, within bounds; and the configurations
//! that decided, for ever, each once. Also what shadows would have decided. Opaque here.
//!
//! A recording is vouched for by its task's row, which the audit log vouches for; a configuration
//! by its own digest, which the row's verdicts name.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_protocol::{Hash, TaskId, UnixMillis};
use redb::{
    ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table,
    TableDefinition, TableError, WriteTransaction,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::audit::AUDIT;
use super::codec::{self, Stored};
use super::error::{AuditError, ReadJournalError, WriteJournalError};
use super::operation::{META, ORDER, TASKS, Written, record_hash};
use super::row::Row;
use super::{Journal, read};

/// Task id to the recording of its decision.
pub(super) const RECORDINGS: TableDefinition<Id, Bytes> = TableDefinition::new("recordings");
/// Position in time to task id, of those that have a recording.
pub(super) const RECORDED: TableDefinition<u64, Id> = TableDefinition::new("recorded");
/// SHA-256 to the configuration document of a plugin.
pub(super) const CONFIGURATIONS: TableDefinition<&'static [u8; 32], Bytes> =
    TableDefinition::new("configurations");
/// Position in time to what a shadow would have said.
pub(super) const DIFFERENCES: TableDefinition<u64, Bytes> = TableDefinition::new("differences");

/// The most recordings that are kept.
const MAX_RECORDINGS: u64 = 20_000;
/// Their size together.
const MAX_BYTES: u64 = 256 << 20;
/// The most differences that are kept.
const MAX_DIFFERENCES: u64 = 10_000;
/// Where the size is counted.
const BYTES: &str = "recording-bytes";

type Bytes = &'static [u8];
type Id = &'static [u8; 16];

/// What proves a decision, to be kept with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What the plugins saw and heard, for a later replay. Empty: nothing is kept.
    pub recording: Vec<u8>,
    /// The configurations under which they judged, and the description of everything that was in
    /// force.
    pub configurations: Vec<Configuration>,
    /// SHA-256 of that description.
    pub chain: Option<Hash>,
}

/// The configuration document of a plugin, as the plugin saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// SHA-256 of the document.
    pub digest: Hash,
    /// The document. Whoever makes it bounds its size.
    pub document: Arc<str>,
}

/// What the journal can prove of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The task's row.
    pub row: Row,
    /// Number of the last audit entry about the task, which vouches for the row.
    pub entry: u64,
    /// The recording, for which the row vouches, unless the row is of a program that did not.
    pub recording: Vec<u8>,
    /// The configurations that the row and its verdicts name, as far as they are kept.
    pub configurations: Vec<Configuration>,
}

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

impl Stored for Difference {}

/// The open tables of recordings.
pub(super) struct Recordings<'t> {
    recordings: Table<'t, Id, Bytes>,
    recorded: Table<'t, u64, Id>,
    configurations: Table<'t, &'static [u8; 32], Bytes>,
    differences: Table<'t, u64, Bytes>,
    meta: Table<'t, &'static str, u64>,
}

impl<'t> Recordings<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Recordings {
            recordings: transaction.open_table(RECORDINGS)?,
            recorded: transaction.open_table(RECORDED)?,
            configurations: transaction.open_table(CONFIGURATIONS)?,
            differences: transaction.open_table(DIFFERENCES)?,
            meta: transaction.open_table(META)?,
        })
    }

    /// Keeps the evidence of a decision, and drops the oldest recordings if there are too many.
    pub(super) fn keep(
        &mut self,
        task: TaskId,
        evidence: &Evidence,
    ) -> Result<(), WriteJournalError> {
        evidence
            .configurations
            .iter()
            .try_for_each(|configuration| self.keep_configuration(configuration))?;
        let recording = evidence.recording.as_slice();
        if recording.is_empty() {
            return Ok(());
        }
        let mut bytes =
            self.meta.get(BYTES)?.map_or(0, |bytes| bytes.value()) + recording.len() as u64;
        let position = self
            .recorded
            .last()?
            .map_or(0, |(last, _)| last.value() + 1);
        self.recorded.insert(position, &task.0)?;
        self.recordings.insert(&task.0, recording)?;
        while self.recorded.len()? > MAX_RECORDINGS || bytes > MAX_BYTES {
            let Some(oldest) = self.recorded.pop_first()?.map(|(_, task)| *task.value()) else {
                break;
            };
            let dropped = self
                .recordings
                .remove(&oldest)?
                .map_or(0, |dropped| dropped.value().len());
            bytes = bytes.saturating_sub(dropped as u64);
        }
        self.meta.insert(BYTES, bytes)?;
        Ok(())
    }

    /// Once, under the digest that it really has. Nothing removes it: rows that name it are kept
    /// for ever as well, and only operators make new ones.
    pub(super) fn keep_configuration(
        &mut self,
        configuration: &Configuration,
    ) -> Result<(), WriteJournalError> {
        if self.configurations.get(&configuration.digest.0)?.is_none() {
            let document = configuration.document.as_bytes();
            self.configurations.insert(&sha256(document).0, document)?;
        }
        Ok(())
    }

    pub(super) fn differ(&mut self, difference: &Difference) -> Result<Written, WriteJournalError> {
        let position = self
            .differences
            .last()?
            .map_or(0, |(last, _)| last.value() + 1);
        self.differences
            .insert(position, codec::encode(difference).as_slice())?;
        while self.differences.len()? > MAX_DIFFERENCES {
            self.differences.pop_first()?;
        }
        Ok(Written::Now)
    }
}

impl Evidence {
    /// What the task's row says of the recording.
    pub(super) fn vouch(&self) -> Option<Hash> {
        (!self.recording.is_empty()).then(|| recording_hash(&self.recording))
    }
}

impl Journal {
    /// SHA-256 of the components that made the decisions whose recordings are kept.
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

    /// The recording of a task's decision, if it is still kept. One that was changed is an error.
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

    /// All that proves the decision about a task, if its recording is still kept. What does not fit
    /// together is an error; whether the audit log itself is whole is for
    /// [`verify_audit`](Journal::verify_audit) to say.
    pub fn proof(&self, task: &TaskId) -> Result<Option<Proof>, AuditError> {
        self.look(|| {
            let Some((row, recording)) = self.row(task)?.zip(self.recording(task)?) else {
                return Ok(None);
            };
            let entry = self.vouched(task)?;
            let configured = row.verdicts.iter().map(|verdict| verdict.config);
            let mut digests: Vec<Hash> = configured.chain(row.chain).collect();
            digests.sort_unstable();
            digests.dedup();
            let kept = digests
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

    /// Number of the last audit entry about `task`, if that one vouches for its row as it is.
    fn vouched(&self, task: &TaskId) -> Result<u64, AuditError> {
        let transaction = self.database.begin_read()?;
        let row = transaction
            .open_table(TASKS)?
            .get(&task.0)?
            .map(|row| record_hash(row.value()));
        for entry in transaction.open_table(AUDIT)?.iter()?.rev() {
            let entry: super::AuditEntry = read("audit", entry?.1.value())?;
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

    /// The configuration with this SHA-256, if it is kept. One that was changed is an error.
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

impl Row {
    /// False if `recording` is not the one of this row. A row of the first programs does not say.
    fn vouches_for(&self, recording: &[u8]) -> bool {
        self.recording
            .is_none_or(|hash| hash == recording_hash(recording))
    }
}

/// Every recording must be the one that its row vouches for, none but the oldest may be missing,
/// and every configuration must have the digest under which it is kept.
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
            _ => {}
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

fn recording_hash(recording: &[u8]) -> Hash {
    Hash::of("countersign/1 recording", recording)
}

fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}
