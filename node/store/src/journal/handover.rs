//! Reshares for which this node has stored what it will hold. From that moment on the others may have the next generation,
//! whatever this node sees: such a task has no end here until it is known what became of it.

use super::error::{ReadJournalError, Refused, WriteJournalError};
use super::operation::HANDOVERS;
use super::row::{self, KeyRecord, KeyStatus};
use countersign_protocol::{Announcement, TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

/// One reshare at this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// Which task.
    pub task: TaskId,
    /// The next generation, without marks.
    pub announcement: Announcement,
    /// True if this node will hold a share of it; false if it gives its own up.
    pub joins: bool,
    /// When it was opened.
    pub opened: UnixMillis,
    /// Where it stands.
    pub stage: HandoverStage,
}

/// Where a reshare stands at a node that has stored for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HandoverStage {
    /// Not everybody's mark is here: the others may have switched or not.
    Open,
    /// Everybody's mark is on record: the next generation is in force.
    Switched,
    /// A party said that it never stored: the present generation stays in force. What was stored is kept asleep: should that
    /// party have lied, and everybody's mark appear after all, the next generation is in force.
    Void,
    /// The operator said that nobody switched. What was stored sleeps likewise.
    Abandoned,
}

/// The open table.
pub(super) struct Handovers<'t>(Table<'t, &'static [u8; 16], &'static [u8]>);

impl<'t> Handovers<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Handovers<'t>, TableError> {
        Ok(Handovers(transaction.open_table(HANDOVERS)?))
    }

    pub(super) fn get(&self, task: &TaskId) -> Result<Option<Handover>, WriteJournalError> {
        let read = |bytes: &[u8]| row::decode(bytes).map_err(|e| ReadJournalError::record("handovers", e));
        Ok(self.0.get(&task.0)?.map(|bytes| read(bytes.value())).transpose()?)
    }

    /// One that is open, or why there is none to be ended.
    pub(super) fn unsettled(&self, task: TaskId) -> Result<Handover, WriteJournalError> {
        let open = self.get(&task)?.filter(|known| known.stage == HandoverStage::Open);
        open.ok_or_else(|| Refused::NoHandover(task).into())
    }

    /// One that came to nothing.
    pub(super) fn asleep(&self, task: TaskId) -> Result<Handover, WriteJournalError> {
        let asleep = |known: &Handover| matches!(known.stage, HandoverStage::Void | HandoverStage::Abandoned);
        self.get(&task)?.filter(asleep).ok_or_else(|| Refused::NoHandover(task).into())
    }

    pub(super) fn is_open(&self, task: &TaskId) -> Result<bool, WriteJournalError> {
        Ok(self.get(task)?.is_some_and(|known| known.stage == HandoverStage::Open))
    }

    /// A key is handed over once at a time.
    pub(super) fn check_free(&self, handover: &Handover) -> Result<(), WriteJournalError> {
        for entry in self.0.iter()? {
            let known: Handover = row::decode(entry?.1.value())
                .map_err(|error| ReadJournalError::record("handovers", error))?;
            let same_key = known.announcement.key == handover.announcement.key;
            if same_key && known.stage == HandoverStage::Open {
                return Err(Refused::HandoverOpen(known.task).into());
            }
        }
        Ok(())
    }

    pub(super) fn put(&mut self, handover: &Handover) -> Result<(), WriteJournalError> {
        self.0.insert(&handover.task.0, row::encode(handover).as_slice())?;
        Ok(())
    }
}

impl Handover {
    /// What becomes of the key once everybody's mark is there.
    pub(super) fn record(&self, announcement: Announcement, created: UnixMillis) -> KeyRecord {
        let status = if self.joins { KeyStatus::Active } else { KeyStatus::Released };
        KeyRecord { announcement, status, created }
    }
}
