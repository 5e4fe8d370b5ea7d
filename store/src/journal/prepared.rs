//! Reshares for which this node has prepared: stored its next share, or its agreement to leave.
//! From that moment on the others may have the next generation, so the task is in doubt here: it
//! has no end until its result is known.

use countersign_protocol::{KeyDescriptor, KeyId, NodeId, Operation, Task, TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::audit::AuditKind;
use super::codec::{self, Stored};
use super::error::{Refused, WriteJournalError};
use super::keys::Keys;
use super::read::read;
use super::register::Register;
use super::row::{KeyRecord, KeyStatus, State};
use super::written::Done;

/// Task id to [`PreparedReshare`].
pub(super) const PREPARED: TableDefinition<Id, Bytes> = TableDefinition::new("handovers");

type Id = &'static [u8; 16];
type Bytes = &'static [u8];

/// One reshare at this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedReshare {
    /// The task that orders the reshare.
    pub task: TaskId,
    /// The next generation, without acknowledgements.
    pub descriptor: KeyDescriptor,
    /// True if this node will hold a share of it; false if it gives its own up.
    pub joins: bool,
    /// The time at which the node prepared.
    pub opened: UnixMillis,
    /// The progress of the reshare at this node.
    pub stage: ReshareStage,
    /// The time at which the requester made the order; 0 if an older program wrote this.
    pub created: UnixMillis,
}

impl Stored for PreparedReshare {
    /// `created: 0`.
    const SINCE: &'static [&'static [u8]] = &[&[0]];
}

/// The progress of a reshare at a node that has prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReshareStage {
    /// Acknowledgements are missing: the others may have committed or not.
    InDoubt,
    /// Every party's acknowledgement is on record: the next generation is in force.
    Committed,
    /// A party said that it never stored: the present generation stays in force. The prepared share
    /// is kept for a late commit, if every acknowledgement appears after all.
    Aborted,
    /// Heuristic abort: the operator said that nobody committed. The share is kept as above.
    Abandoned,
}

pub(super) struct PreparedReshares<'t> {
    table: Table<'t, Id, Bytes>,
    /// Rows that the index takes over once they are committed.
    pub(super) changed: Vec<PreparedReshare>,
}

impl<'t> PreparedReshares<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            table: transaction.open_table(PREPARED)?,
            changed: Vec::new(),
        })
    }

    fn get(&self, task: &TaskId) -> Result<Option<PreparedReshare>, WriteJournalError> {
        let row = self.table.get(&task.0)?;
        Ok(row.map(|row| read("handovers", row.value())).transpose()?)
    }

    pub(super) fn is_in_doubt(&self, task: &TaskId) -> Result<bool, WriteJournalError> {
        let known = self.get(task)?;
        Ok(known.is_some_and(|known| known.stage == ReshareStage::InDoubt))
    }

    /// The reshare of `task`, refused unless it is in doubt.
    pub(super) fn in_doubt(&self, task: TaskId) -> Result<PreparedReshare, WriteJournalError> {
        self.get(&task)?
            .filter(|known| known.stage == ReshareStage::InDoubt)
            .ok_or_else(|| Refused::NoPreparedReshare(task).into())
    }

    /// The reshare of `task`, refused unless it came to nothing.
    pub(super) fn aborted(&self, task: TaskId) -> Result<PreparedReshare, WriteJournalError> {
        let aborted = |known: &PreparedReshare| {
            matches!(known.stage, ReshareStage::Aborted | ReshareStage::Abandoned)
        };
        self.get(&task)?
            .filter(aborted)
            .ok_or_else(|| Refused::NoPreparedReshare(task).into())
    }

    pub(super) fn put(&mut self, prepared: PreparedReshare) -> Result<(), WriteJournalError> {
        self.table
            .insert(&prepared.task.0, codec::encode(&prepared).as_slice())?;
        self.changed.push(prepared);
        Ok(())
    }

    /// Refuses a second reshare of a key. The task of a reshare in doubt has no end yet, so only
    /// unfinished tasks are searched.
    fn check_free(&self, register: &Register<'_>, key: KeyId) -> Result<(), WriteJournalError> {
        for task in register.unfinished()? {
            let blocks = |known: PreparedReshare| {
                known.descriptor.key == key && known.stage == ReshareStage::InDoubt
            };
            if self.get(&task)?.is_some_and(blocks) {
                return Err(Refused::ReshareInDoubt(task).into());
            }
        }
        Ok(())
    }

    /// Records that this node has prepared for a reshare whose task it approved.
    pub(super) fn prepare(
        &mut self,
        register: &mut Register<'_>,
        prepared: PreparedReshare,
    ) -> Done {
        let task = prepared.task;
        match register.row(&task)? {
            Some(row) if row.state == State::Approved => {}
            Some(_) => return Err(Refused::OtherOutcome(task).into()),
            None => return Err(Refused::Unknown(task).into()),
        }
        let KeyDescriptor {
            key, generation, ..
        } = prepared.descriptor;
        self.check_free(register, key)?;
        let what = if prepared.joins { "a share" } else { "the end" };
        let text = format!("{what} of {key}, for generation {generation}");
        let opened = prepared.opened;
        self.put(prepared)?;
        register.log_task(opened, AuditKind::Stored, task, &text)
    }

    /// Puts the next generation in force.
    pub(super) fn commit(
        &mut self,
        register: &Register<'_>,
        keys: &mut Keys<'_>,
        now: UnixMillis,
        prepared: PreparedReshare,
        descriptor: &KeyDescriptor,
    ) -> Result<(), WriteJournalError> {
        if prepared.descriptor.digest() != descriptor.digest() {
            return Err(Refused::NoPreparedReshare(prepared.task).into());
        }
        let present = keys.get(&descriptor.key)?;
        let later = |present: &KeyRecord| present.descriptor.generation > descriptor.generation;
        if present.as_ref().is_some_and(later) {
            return Err(Refused::Passed(prepared.task).into());
        }
        let ordered = register.row(&prepared.task)?.map(|row| row.bytes);
        let holders = holders_before(ordered.as_deref(), present.as_ref());
        let created = present.map_or(now, |present| present.created);
        keys.advance(&prepared.record(descriptor.clone(), created), &holders)?;
        self.put(PreparedReshare {
            stage: ReshareStage::Committed,
            ..prepared
        })
    }
}

impl PreparedReshare {
    /// The key's record once the reshare is committed. A node that leaves keeps its share until
    /// others have the next one in force.
    fn record(&self, descriptor: KeyDescriptor, created: UnixMillis) -> KeyRecord {
        let status = if self.joins {
            KeyStatus::Active
        } else {
            KeyStatus::Leaving
        };
        KeyRecord {
            descriptor,
            status,
            created,
        }
    }
}

/// The nodes that a reshare takes a key from, as its order and the key's present record say.
fn holders_before(order: Option<&[u8]>, present: Option<&KeyRecord>) -> Vec<NodeId> {
    let order = order.and_then(|bytes| serde_json::from_slice::<Task>(bytes).ok());
    let ordered = order.and_then(|task| match task.operation {
        Operation::KeyReshare(reshare) => Some(reshare.from.committee),
        Operation::KeyGen(_) | Operation::KeySign(_) | Operation::KeyShareSign(_) => None,
    });
    let present = present.map(|record| record.descriptor.committee.clone());
    ordered
        .into_iter()
        .chain(present)
        .flat_map(|committee| committee.members().to_vec())
        .collect()
}
