//! Proof of decisions: the newest recordings, within bounds, and the configurations that decided,
//! each once and for ever. Also the dissenting verdicts of shadows. All of it is opaque here.
//!
//! The task's row vouches for a recording, and the audit log for the row. A configuration is
//! identified by its digest, which the row's verdicts name.

use std::sync::Arc;

use countersign_audit::recording_hash;
use countersign_protocol::{Hash, OrderProof, TaskId, UnixMillis};
use redb::{
    ReadableTable, ReadableTableMetadata, Table, TableDefinition, TableError, WriteTransaction,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::codec::{self, Stored};
use super::error::WriteJournalError;
use super::meta::{FORMAT, META, PRUNED_BEFORE, PRUNED_FORMAT, RECORDING_BYTES};
use super::row::Row;
use super::written::{Done, Written};

/// Task id to the recording of its decision.
pub(super) const RECORDINGS: TableDefinition<Id, Bytes> = TableDefinition::new("recordings");
/// Position in time to task id, of those that have a recording.
pub(super) const RECORDED: TableDefinition<u64, Id> = TableDefinition::new("recorded");
/// Task id to the requester's Ed25519 signature over the bytes in the row. It proves itself.
pub(super) const ORDERS: TableDefinition<Id, &'static [u8; 64]> = TableDefinition::new("orders");
/// Task id to the assertion of a requester's passkey for the bytes in the row, as
/// [`OrderProof::to_bytes`] writes it.
pub(super) const ASSERTIONS: TableDefinition<Id, Bytes> = TableDefinition::new("assertions");
/// SHA-256 to the configuration document of a plugin.
pub(super) const CONFIGURATIONS: TableDefinition<&'static [u8; 32], Bytes> =
    TableDefinition::new("configurations");
/// Position in time to [`Difference`].
pub(super) const DIFFERENCES: TableDefinition<u64, Bytes> = TableDefinition::new("differences");

/// The most recordings that are kept.
const MAX_RECORDINGS: u64 = 20_000;
/// Their total size, in bytes.
const MAX_BYTES: u64 = 256 << 20;
/// The most differences that are kept.
const MAX_DIFFERENCES: u64 = 10_000;

type Bytes = &'static [u8];
type Id = &'static [u8; 16];

/// Proof of a decision, to be kept with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The plugins' input and host answers, for a later replay. Empty: nothing is kept.
    pub recording: Vec<u8>,
    /// The configurations under which they judged, and the description of all components in force.
    pub configurations: Vec<Configuration>,
    /// SHA-256 of that description.
    pub chain: Option<Hash>,
    /// The requester's signature over the bytes of the task, for auditors.
    pub order: Option<OrderProof>,
}

/// The configuration document of a plugin, as the plugin saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// SHA-256 of the document.
    pub digest: Hash,
    /// The document's text. Its maker bounds its size.
    pub document: Arc<str>,
}

/// The journal's proof of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The row of the decided task.
    pub row: Row,
    /// Number of the last audit entry about the task, which vouches for the row.
    pub entry: u64,
    /// The recording. The row vouches for it, unless it was written by a program that did not.
    pub recording: Vec<u8>,
    /// The configurations that the row and its verdicts name, if they are kept.
    pub configurations: Vec<Configuration>,
}

/// The dissenting verdict of a shadow, a plugin whose verdicts do not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The time of the decision.
    pub at: UnixMillis,
    /// The task that was decided on.
    pub task: TaskId,
    /// The configuration's entry for the shadow.
    pub shadow: String,
    /// The entry that it is compared with; absent: all that decide together.
    pub against: Option<String>,
    /// Code of the refusal that counted; absent: approved.
    pub decided: Option<String>,
    /// Code of the refusal that did not count; absent: it would have approved.
    pub would_have: Option<String>,
    /// The shadow's reason to refuse.
    pub reason: String,
}

impl Stored for Difference {}

/// The open tables of recordings.
pub(super) struct Recordings<'t> {
    recordings: Table<'t, Id, Bytes>,
    recorded: Table<'t, u64, Id>,
    orders: Table<'t, Id, &'static [u8; 64]>,
    assertions: Table<'t, Id, Bytes>,
    configurations: Table<'t, &'static [u8; 32], Bytes>,
    differences: Table<'t, u64, Bytes>,
    meta: Table<'t, &'static str, u64>,
}

impl<'t> Recordings<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            recordings: transaction.open_table(RECORDINGS)?,
            recorded: transaction.open_table(RECORDED)?,
            orders: transaction.open_table(ORDERS)?,
            assertions: transaction.open_table(ASSERTIONS)?,
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
        match &evidence.order {
            Some(OrderProof::Ed25519(signature)) => {
                self.orders.insert(&task.0, signature)?;
            }
            Some(order @ OrderProof::Passkey(_)) => {
                self.assertions
                    .insert(&task.0, order.to_bytes().as_slice())?;
            }
            None => {}
        }
        let recording = evidence.recording.as_slice();
        if recording.is_empty() {
            return Ok(());
        }
        let mut bytes = self
            .meta
            .get(RECORDING_BYTES)?
            .map_or(0, |bytes| bytes.value())
            + recording.len() as u64;
        let position = self
            .recorded
            .last()?
            .map_or(0, |(last, _)| last.value() + 1);
        self.recorded.insert(position, &task.0)?;
        self.recordings.insert(&task.0, recording)?;
        while self.recorded.len()? > MAX_RECORDINGS || bytes > MAX_BYTES {
            let Some(dropped) = self.drop_oldest()? else {
                break;
            };
            bytes = bytes.saturating_sub(dropped);
        }
        self.meta.insert(RECORDING_BYTES, bytes)?;
        Ok(())
    }

    /// Drops the recording of a task, if there is one.
    pub(super) fn drop_of(&mut self, task: TaskId) -> Result<(), WriteJournalError> {
        let dropped = self.recordings.remove(&task.0)?;
        let Some(dropped) = dropped.map(|dropped| dropped.value().len() as u64) else {
            return Ok(());
        };
        // Entries of recordings that were dropped out of turn go with the older ones.
        while let Some(oldest) = self.oldest()?
            && self.recordings.get(&oldest)?.is_none()
        {
            self.recorded.pop_first()?;
        }
        let bytes = self
            .meta
            .get(RECORDING_BYTES)?
            .map_or(0, |bytes| bytes.value());
        self.meta
            .insert(RECORDING_BYTES, bytes.saturating_sub(dropped))?;
        Ok(())
    }

    /// Forgets the requester's signature of a task whose record goes.
    pub(super) fn forget_order(&mut self, task: TaskId) -> Result<(), WriteJournalError> {
        self.orders.remove(&task.0)?;
        self.assertions.remove(&task.0)?;
        Ok(())
    }

    fn oldest(&self) -> Result<Option<[u8; 16]>, WriteJournalError> {
        let oldest = self.recorded.first()?;
        Ok(oldest.map(|(_, task)| *task.value()))
    }

    /// Returns the size of the dropped recording, in bytes.
    fn drop_oldest(&mut self) -> Result<Option<u64>, WriteJournalError> {
        let Some(oldest) = self.recorded.pop_first()?.map(|(_, task)| *task.value()) else {
            return Ok(None);
        };
        let dropped = self.recordings.remove(&oldest)?;
        Ok(Some(
            dropped.map_or(0, |dropped| dropped.value().len() as u64),
        ))
    }

    /// Notes the time up to which records were deleted.
    pub(super) fn note_pruned(&mut self, before: UnixMillis) -> Result<(), WriteJournalError> {
        self.meta.insert(PRUNED_BEFORE, before.0)?;
        self.raise_format(PRUNED_FORMAT)
    }

    /// Raises the version of the file to at least this one.
    pub(super) fn raise_format(&mut self, format: u64) -> Result<(), WriteJournalError> {
        let known = self.meta.get(FORMAT)?.map_or(0, |known| known.value());
        if known < format {
            self.meta.insert(FORMAT, format)?;
        }
        Ok(())
    }

    /// Keeps a configuration once, under the digest of its bytes. Nothing removes it: only
    /// operators make new ones.
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

    /// Keeps a difference, and drops the oldest ones if there are too many.
    pub(super) fn differ(&mut self, difference: &Difference) -> Done {
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
    /// The hash by which the task's row vouches for the recording.
    pub(super) fn vouch(&self) -> Option<Hash> {
        (!self.recording.is_empty()).then(|| recording_hash(&self.recording))
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}
