//! The task register and the audit log. They are written together: the newest entry about a task
//! carries the hash of the task's row.

pub(super) use countersign_audit::record_hash;
use countersign_protocol::text::printable;
use countersign_protocol::{Failure, FailureCode, Hash, Outcome, TaskId, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::audit::{AUDIT, AuditEntry, AuditHead, AuditKind, MAX_TEXT};
use super::codec;
use super::error::{ReadJournalError, Refused, WriteJournalError};
use super::pruned::{SPENT, Spent};
use super::read::read;
use super::row::{Row, State};
use super::written::{Done, Written};

/// Task id to [`Row`].
pub(super) const TASKS: TableDefinition<Id, Bytes> = TableDefinition::new("tasks");
/// Position in time to task id.
pub(super) const ORDER: TableDefinition<u64, Id> = TableDefinition::new("order");
/// Approved tasks that have no outcome yet.
pub(super) const UNFINISHED: TableDefinition<Id, ()> = TableDefinition::new("unfinished");

type Bytes = &'static [u8];
type Id = &'static [u8; 16];

pub(super) struct Register<'t> {
    tasks: Table<'t, Id, Bytes>,
    order: Table<'t, u64, Id>,
    unfinished: Table<'t, Id, ()>,
    spent: Table<'t, Id, Bytes>,
    audit: Table<'t, u64, Bytes>,
}

impl<'t> Register<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            tasks: transaction.open_table(TASKS)?,
            order: transaction.open_table(ORDER)?,
            unfinished: transaction.open_table(UNFINISHED)?,
            spent: transaction.open_table(SPENT)?,
            audit: transaction.open_table(AUDIT)?,
        })
    }

    pub(super) fn row(&self, task: &TaskId) -> Result<Option<Row>, WriteJournalError> {
        let row = self.tasks.get(&task.0)?;
        Ok(row.map(|row| read("tasks", row.value())).transpose()?)
    }

    /// The approved tasks that have no outcome yet.
    pub(super) fn unfinished(&self) -> Result<Vec<TaskId>, WriteJournalError> {
        self.unfinished
            .iter()?
            .map(|entry| Ok(TaskId(*entry?.0.value())))
            .collect()
    }

    /// Refuses a task id that is in the register already.
    pub(super) fn check_new(&self, task: TaskId, hash: &Hash) -> Result<(), WriteJournalError> {
        match self.hash_of(&task)? {
            None => Ok(()),
            Some(known) if known == *hash => Err(Refused::Known(task).into()),
            Some(_) => Err(Refused::OtherContent(task).into()),
        }
    }

    fn hash_of(&self, task: &TaskId) -> Result<Option<Hash>, WriteJournalError> {
        if let Some(row) = self.row(task)? {
            return Ok(Some(row.hash));
        }
        let spent = self.spent.get(&task.0)?;
        let spent = spent.map(|rest| read::<Spent>("spent", rest.value()));
        Ok(spent.transpose()?.map(|rest| rest.hash))
    }

    /// The rows of tasks from a position on, oldest first, at most `limit`.
    pub(super) fn rows_from(
        &self,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Row)>, WriteJournalError> {
        let mut rows = Vec::new();
        for entry in self.order.range(from..)?.take(limit) {
            let (position, task) = entry?;
            let row = self.row(&TaskId(*task.value()))?;
            let row = row.ok_or(ReadJournalError::Damaged { table: "tasks" })?;
            rows.push((position.value(), row));
        }
        Ok(rows)
    }

    /// Deletes the row of a task that is over, and keeps its id.
    pub(super) fn spend(&mut self, position: u64, row: &Row) -> Result<(), WriteJournalError> {
        let id = &row.task.0;
        let Some(record) = self.tasks.remove(id)?.map(|row| record_hash(row.value())) else {
            return Ok(());
        };
        let rest = Spent {
            hash: row.hash,
            record,
        };
        self.spent.insert(id, codec::encode(&rest).as_slice())?;
        self.order.remove(position)?;
        Ok(())
    }

    /// Adds the row of a new task.
    pub(super) fn enter(
        &mut self,
        now: UnixMillis,
        kind: AuditKind,
        row: &Row,
        text: &str,
    ) -> Done {
        if row.state == State::Approved {
            self.unfinished.insert(&row.task.0, ())?;
        }
        let position = self.order.last()?.map_or(0, |(last, _)| last.value() + 1);
        self.order.insert(position, &row.task.0)?;
        self.put(now, kind, row, text)
    }

    /// Records the outcome of a task.
    pub(super) fn end(&mut self, now: UnixMillis, mut row: Row, outcome: Outcome) -> Done {
        let text = describe(&outcome);
        row.state = State::Ended {
            outcome: outcome.into(),
            at: now,
        };
        self.unfinished.remove(&row.task.0)?;
        self.put(now, AuditKind::Ended, &row, &text)
    }

    fn put(&mut self, now: UnixMillis, kind: AuditKind, row: &Row, text: &str) -> Done {
        let bytes = codec::encode(row);
        self.tasks.insert(&row.task.0, bytes.as_slice())?;
        self.append(now, kind, Some(row.task), text, Some(record_hash(&bytes)))
    }

    /// Adds an entry that vouches for no row.
    pub(super) fn log(
        &mut self,
        now: UnixMillis,
        kind: AuditKind,
        task: Option<TaskId>,
        text: &str,
    ) -> Done {
        self.append(now, kind, task, text, None)
    }

    /// Adds an entry about a task that vouches for the task's row as it is, if there is one.
    pub(super) fn log_task(
        &mut self,
        now: UnixMillis,
        kind: AuditKind,
        task: TaskId,
        text: &str,
    ) -> Done {
        let record = self.tasks.get(&task.0)?.map(|row| record_hash(row.value()));
        self.append(now, kind, Some(task), text, record)
    }

    /// Adds an entry that vouches for a hash.
    pub(super) fn append(
        &mut self,
        now: UnixMillis,
        kind: AuditKind,
        task: Option<TaskId>,
        text: &str,
        record: Option<Hash>,
    ) -> Done {
        let text = printable(text, MAX_TEXT);
        let entry = self.head()?.append(now, kind, task, text, record);
        self.audit
            .insert(entry.seq, codec::encode(&entry).as_slice())?;
        Ok(Written::Now)
    }

    fn head(&self) -> Result<AuditHead, WriteJournalError> {
        let Some((_, last)) = self.audit.last()? else {
            return Ok(AuditHead::EMPTY);
        };
        let entry: AuditEntry = read("audit", last.value())?;
        Ok(entry.head())
    }
}

/// The failure of a task that was under way when the node stopped.
pub(super) fn aborted_by_restart() -> Failure {
    Failure::new(
        FailureCode::AbortedByRestart,
        "the node was restarted before the task ended; order it again as a new task",
    )
}

/// An outcome as the audit log tells it.
pub(super) fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Created(descriptor) => format!("created {}", descriptor.key),
        Outcome::Signed(signed) => format!("signed in session {}", signed.session),
        Outcome::Reshared(descriptor) => {
            format!(
                "reshared {}, generation {}",
                descriptor.key, descriptor.generation
            )
        }
        Outcome::Intact(intact) => format!("share of {} is intact", intact.key),
        Outcome::Refused(refusal) => {
            let by = refusal.plugin.as_deref().unwrap_or("the node");
            format!("refused by {by} with {}: {}", refusal.code, refusal.reason)
        }
        Outcome::Failed(failure) => format!("failed with {}: {}", failure.code, failure.text),
    }
}
