//! The public records of keys, kept together with the generations that they have come to.

use countersign_protocol::{KeyDescriptor, KeyId, NodeId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::audit::AuditKind;
use super::codec;
use super::error::WriteJournalError;
use super::generation::Generations;
use super::read::read;
use super::register::Register;
use super::row::{KeyRecord, KeyStatus};
use super::written::{Done, Written};

/// Key id to [`KeyRecord`].
pub(super) const KEYS: TableDefinition<Id, Bytes> = TableDefinition::new("keys");

type Id = &'static [u8; 16];
type Bytes = &'static [u8];

pub(super) struct Keys<'t> {
    records: Table<'t, Id, Bytes>,
    pub(super) generations: Generations<'t>,
    /// New records, or none for a deleted key. The index takes them over once they are committed.
    pub(super) changed: Vec<(KeyId, Option<KeyRecord>)>,
}

impl<'t> Keys<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            records: transaction.open_table(KEYS)?,
            generations: Generations::open(transaction)?,
            changed: Vec::new(),
        })
    }

    pub(super) fn get(&self, key: &KeyId) -> Result<Option<KeyRecord>, WriteJournalError> {
        let record = self.records.get(key.as_bytes())?;
        Ok(record
            .map(|record| read("keys", record.value()))
            .transpose()?)
    }

    pub(super) fn put(&mut self, record: &KeyRecord) -> Done {
        if record.status == KeyStatus::Active && record.descriptor.generation == 0 {
            self.generations.keep(&record.descriptor, &[])?;
        }
        self.records
            .insert(record.key().as_bytes(), codec::encode(record).as_slice())?;
        self.changed.push((record.key(), Some(record.clone())));
        Ok(Written::Now)
    }

    pub(super) fn delete(&mut self, key: KeyId) -> Done {
        let removed = self.records.remove(key.as_bytes())?.is_some();
        self.changed.push((key, None));
        Ok(Written::if_new(removed))
    }

    /// Puts a new key in use.
    pub(super) fn activate(
        &mut self,
        now: UnixMillis,
        descriptor: &KeyDescriptor,
    ) -> Result<(), WriteJournalError> {
        let created = self.get(&descriptor.key)?.map(|record| record.created);
        let record = KeyRecord {
            descriptor: descriptor.clone(),
            status: KeyStatus::Active,
            created: created.unwrap_or(now),
        };
        self.put(&record).map(drop)
    }

    /// Puts a later generation in force. `holders`: the nodes that must hear of it although they
    /// are not among its parties.
    pub(super) fn advance(
        &mut self,
        record: &KeyRecord,
        holders: &[NodeId],
    ) -> Result<(), WriteJournalError> {
        self.generations.keep(&record.descriptor, holders)?;
        self.put(record).map(drop)
    }

    /// Records that a key moved on without this node. A share that the node still holds is no
    /// longer used, and kept for now.
    pub(super) fn replace(
        &mut self,
        register: &mut Register<'_>,
        now: UnixMillis,
        descriptor: KeyDescriptor,
    ) -> Done {
        let present = self.get(&descriptor.key)?;
        let text = format!(
            "{} moved on to generation {}",
            descriptor.key, descriptor.generation
        );
        let task = descriptor.task;
        let created = present.as_ref().map_or(now, |record| record.created);
        let status = match present.as_ref().map(|record| record.status) {
            Some(KeyStatus::Released) | None => KeyStatus::Released,
            Some(KeyStatus::Pending | KeyStatus::Active | KeyStatus::Leaving) => KeyStatus::Leaving,
        };
        let holders = present
            .as_ref()
            .map_or(&[][..], |record| record.descriptor.committee.members());
        let record = KeyRecord {
            descriptor,
            status,
            created,
        };
        self.advance(&record, holders)?;
        register.log_task(now, AuditKind::Ended, task, &text)
    }

    /// Records that nobody needs the share any more which this node kept of a key that moved on.
    pub(super) fn release(&mut self, key: KeyId) -> Done {
        match self.get(&key)? {
            Some(record) if record.status == KeyStatus::Leaving => self.put(&KeyRecord {
                status: KeyStatus::Released,
                ..record
            }),
            Some(_) | None => Ok(Written::Already),
        }
    }
}
