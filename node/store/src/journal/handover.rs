//! Reshares for which this node has stored what it will hold. From that moment on the others may
//! have the next generation, whatever this node sees: such a task has no end here until it is known
//! what became of it.

use countersign_protocol::{Announcement, Failure, Outcome, TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::audit::AuditKind;
use super::codec::{self, Stored};
use super::error::{ReadJournalError, Refused, WriteJournalError};
use super::index::Change;
use super::operation::{Done, Reservations, Tables};
use super::row::{KeyRecord, KeyStatus, State};

/// Task id to [`Handover`].
pub(super) const HANDOVERS: TableDefinition<&'static [u8; 16], &'static [u8]> =
    TableDefinition::new("handovers");

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
    /// When its requester made the order; 0 where a program wrote this that did not record it.
    pub created: UnixMillis,
}

impl Stored for Handover {
    /// `created: 0`.
    const SINCE: &'static [&'static [u8]] = &[&[0]];
}

/// Where a reshare stands at a node that has stored for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HandoverStage {
    /// Not everybody's mark is here: the others may have switched or not.
    Open,
    /// Everybody's mark is on record: the next generation is in force.
    Switched,
    /// A party said that it never stored: the present generation stays in force. What was stored is
    /// kept asleep: should that party have lied, and everybody's mark appear after all, the next
    /// generation is in force.
    Void,
    /// The operator said that nobody switched. What was stored sleeps likewise.
    Abandoned,
}

/// The open table.
pub(super) struct Handovers<'t>(Table<'t, &'static [u8; 16], &'static [u8]>);

impl<'t> Handovers<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Handovers(transaction.open_table(HANDOVERS)?))
    }

    pub(super) fn get(&self, task: &TaskId) -> Result<Option<Handover>, WriteJournalError> {
        let read = |bytes: &[u8]| {
            codec::decode(bytes).map_err(|e| ReadJournalError::record("handovers", e))
        };
        Ok(self
            .0
            .get(&task.0)?
            .map(|bytes| read(bytes.value()))
            .transpose()?)
    }

    /// One that is open, or why there is none to be ended.
    pub(super) fn unsettled(&self, task: TaskId) -> Result<Handover, WriteJournalError> {
        let open = self
            .get(&task)?
            .filter(|known| known.stage == HandoverStage::Open);
        open.ok_or_else(|| Refused::NoHandover(task).into())
    }

    /// One that came to nothing.
    pub(super) fn asleep(&self, task: TaskId) -> Result<Handover, WriteJournalError> {
        let asleep = |known: &Handover| {
            matches!(known.stage, HandoverStage::Void | HandoverStage::Abandoned)
        };
        self.get(&task)?
            .filter(asleep)
            .ok_or_else(|| Refused::NoHandover(task).into())
    }

    pub(super) fn is_open(&self, task: &TaskId) -> Result<bool, WriteJournalError> {
        Ok(self
            .get(task)?
            .is_some_and(|known| known.stage == HandoverStage::Open))
    }

    fn put(&mut self, handover: &Handover) -> Result<(), WriteJournalError> {
        self.0
            .insert(&handover.task.0, codec::encode(handover).as_slice())?;
        Ok(())
    }
}

impl Handover {
    /// What becomes of the key once everybody's mark is there. Who leaves keeps its share until
    /// others have the next one in force.
    pub(super) fn record(&self, announcement: Announcement, created: UnixMillis) -> KeyRecord {
        let status = if self.joins {
            KeyStatus::Active
        } else {
            KeyStatus::Leaving
        };
        KeyRecord {
            announcement,
            status,
            created,
        }
    }
}

impl Tables<'_> {
    /// A key is handed over once at a time. The task of a reshare that is open has no end, so it is
    /// among the unfinished ones.
    fn check_free(&self, handover: &Handover) -> Result<(), WriteJournalError> {
        for task in self.unfinished()? {
            let known = self.handovers.get(&task)?;
            let same_key = |known: &Handover| known.announcement.key == handover.announcement.key;
            let open = |known: &Handover| known.stage == HandoverStage::Open;
            if known.is_some_and(|known| same_key(&known) && open(&known)) {
                return Err(Refused::HandoverOpen(task).into());
            }
        }
        Ok(())
    }

    fn put_handover(&mut self, handover: &Handover) -> Result<(), WriteJournalError> {
        self.handovers.put(handover)?;
        self.changes
            .push(Change::Handover(Box::new(handover.clone())));
        Ok(())
    }

    pub(super) fn open_handover(&mut self, handover: &Handover) -> Done {
        let task = handover.task;
        match self.row(&task)? {
            Some(row) if row.state == State::Approved => {}
            Some(_) => return Err(Refused::OtherOutcome(task).into()),
            None => return Err(Refused::Unknown(task).into()),
        }
        self.check_free(handover)?;
        self.put_handover(handover)?;
        let Announcement {
            key, generation, ..
        } = &handover.announcement;
        let what = if handover.joins { "a share" } else { "the end" };
        let text = format!("{what} of {key}, for generation {generation}");
        let record = self.record_of(&task)?;
        self.log(
            handover.opened,
            AuditKind::Stored,
            Some(task),
            &text,
            record,
        )
    }

    pub(super) fn close_handover(
        &mut self,
        now: UnixMillis,
        task: TaskId,
        stage: HandoverStage,
        failure: Failure,
    ) -> Done {
        let handover = self.handovers.unsettled(task)?;
        let row = self.row(&task)?.ok_or(Refused::Unknown(task))?;
        self.put_handover(&Handover { stage, ..handover })?;
        self.put_end(now, row, Outcome::Failed(failure), Reservations::Keep)
    }

    /// The generation that all have stored is in force from the moment that the outcome is on
    /// record.
    pub(super) fn switch(
        &mut self,
        now: UnixMillis,
        task: TaskId,
        announcement: &Announcement,
    ) -> Result<(), WriteJournalError> {
        let handover = self.handovers.unsettled(task)?;
        self.put_in_force(now, handover, announcement)
    }

    /// The task's end stays what it was; the key goes on with the others.
    pub(super) fn revive(
        &mut self,
        now: UnixMillis,
        task: TaskId,
        announcement: Announcement,
    ) -> Done {
        let handover = self.handovers.asleep(task)?;
        self.put_in_force(now, handover, &announcement)?;
        let text = format!(
            "{} is of generation {} after all: a party that said it never stored had stored",
            announcement.key, announcement.generation
        );
        self.log(
            now,
            AuditKind::Alarm,
            Some(task),
            &text,
            self.record_of(&task)?,
        )
    }

    fn put_in_force(
        &mut self,
        now: UnixMillis,
        handover: Handover,
        announcement: &Announcement,
    ) -> Result<(), WriteJournalError> {
        if handover.announcement.digest() != announcement.digest() {
            return Err(Refused::NoHandover(handover.task).into());
        }
        let present = self
            .key(&announcement.key)?
            .map(|record| record.announcement.generation);
        if present.is_some_and(|present| present > announcement.generation) {
            return Err(Refused::Passed(handover.task).into());
        }
        let created = self.created(announcement.key)?.unwrap_or(now);
        let before = self.holders_before(&handover.task, &announcement.key)?;
        self.keep_generation(announcement, &before)?;
        self.put_key(&handover.record(announcement.clone(), created))?;
        self.put_handover(&Handover {
            stage: HandoverStage::Switched,
            ..handover
        })
    }

    /// A key that moved on without this node. A share that it still has is used no more, and kept
    /// for now.
    pub(super) fn replace(&mut self, now: UnixMillis, announcement: Announcement) -> Done {
        let present = self.key(&announcement.key)?;
        let created = present.as_ref().map_or(now, |record| record.created);
        let before = present
            .as_ref()
            .map_or(&[][..], |record| record.announcement.committee.members());
        self.keep_generation(&announcement, before)?;
        let status = match present.map(|record| record.status) {
            Some(KeyStatus::Released) | None => KeyStatus::Released,
            Some(KeyStatus::Pending | KeyStatus::Active | KeyStatus::Leaving) => KeyStatus::Leaving,
        };
        let text = format!(
            "{} moved on to generation {}",
            announcement.key, announcement.generation
        );
        let task = announcement.task;
        let record = self.record_of(&announcement.task)?;
        self.put_key(&KeyRecord {
            announcement,
            status,
            created,
        })?;
        self.log(now, AuditKind::Ended, Some(task), &text, record)
    }
}
