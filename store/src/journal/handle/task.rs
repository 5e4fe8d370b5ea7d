//! Tasks: their rows, and every change of them.

use countersign_protocol::{Hash, TaskId, UnixMillis};
use redb::{ReadableDatabase, ReadableTable};

use super::Journal;
use crate::journal::change::TaskChange;
use crate::journal::error::{ReadJournalError, WriteJournalError};
use crate::journal::operation::Operation;
use crate::journal::outbox::NewEvent;
use crate::journal::pruned::{Pruned, SPENT, Spent};
use crate::journal::read::read;
use crate::journal::register::{ORDER, TASKS, UNFINISHED};
use crate::journal::row::Row;
use crate::journal::written::Written;

/// The answer of the register about a task id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookUp {
    /// The id is not known.
    New,
    /// The id is known with these very bytes.
    Same(Box<Row>),
    /// The id is known with other bytes: refuse, and raise an alarm.
    Different,
    /// The task is over with these very bytes, and its record was deleted.
    Spent,
}

impl Journal {
    /// Looks up a task. Must be asked before anything is decided.
    pub fn look_up(&self, task: &TaskId, hash: &Hash) -> Result<LookUp, ReadJournalError> {
        Ok(match self.row(task)? {
            None => match self.spent(task)? {
                None => LookUp::New,
                Some(known) if known == *hash => LookUp::Spent,
                Some(_) => LookUp::Different,
            },
            Some(row) if row.hash == *hash => LookUp::Same(Box::new(row)),
            Some(_) => LookUp::Different,
        })
    }

    /// The hash of a task whose record was deleted.
    fn spent(&self, task: &TaskId) -> Result<Option<Hash>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(SPENT)? else {
                return Ok(None);
            };
            let rest = table.get(&task.0)?;
            let rest = rest.map(|rest| read::<Spent>("spent", rest.value()));
            Ok(rest.transpose()?.map(|rest| rest.hash))
        })
    }

    /// Deletes recordings of tasks from before a time, and records of those of them that are over
    /// and made no key. Looks at a bounded number of tasks, from position `from` on; call it again
    /// with [`Pruned::next`]. The audit log stays whole.
    pub fn prune(
        &self,
        now: UnixMillis,
        before: UnixMillis,
        from: u64,
    ) -> Result<Pruned, WriteJournalError> {
        match self.writer.run(Operation::Prune { now, before, from })? {
            Written::Pruned(pruned) => Ok(pruned),
            Written::Now | Written::Already | Written::Aborted(_) => Err(WriteJournalError::Closed),
        }
    }

    /// Writes a change of a task, and the events that tell of it, in one commit. No event is
    /// written if the change is refused or changes nothing. Nothing of it may leave the node until
    /// this has returned.
    pub fn commit(
        &self,
        now: UnixMillis,
        change: TaskChange,
        events: Vec<NewEvent>,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Change {
            now,
            change: Box::new(change),
            events,
        })
    }

    /// The row of a task.
    pub fn row(&self, task: &TaskId) -> Result<Option<Row>, ReadJournalError> {
        self.look(|| {
            let table = self.database.begin_read()?.open_table(TASKS)?;
            table
                .get(&task.0)?
                .map(|row| read("tasks", row.value()))
                .transpose()
        })
    }

    /// The tasks recorded last, newest first.
    pub fn recent(&self, limit: usize) -> Result<Vec<Row>, ReadJournalError> {
        self.look(|| {
            let transaction = self.database.begin_read()?;
            let order = transaction.open_table(ORDER)?;
            let tasks = transaction.open_table(TASKS)?;
            let mut rows = Vec::new();
            for entry in order.iter()?.rev().take(limit) {
                let task = entry?.1;
                let row = tasks
                    .get(task.value())?
                    .ok_or(ReadJournalError::Damaged { table: "tasks" })?;
                rows.push(read("tasks", row.value())?);
            }
            Ok(rows)
        })
    }

    /// The approved tasks that have no outcome yet.
    pub fn unfinished(&self) -> Result<Vec<TaskId>, ReadJournalError> {
        self.look(|| {
            let table = self.database.begin_read()?.open_table(UNFINISHED)?;
            table
                .iter()?
                .map(|entry| Ok(TaskId(*entry?.0.value())))
                .collect()
        })
    }
}
