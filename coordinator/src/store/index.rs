//! The index of tasks: what lists are filtered by, beside the rows, so that a list reads no row
//! that it does not show.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use countersign_api::State;
use countersign_protocol::{
    ApproverKey, IdError, KeyId, OperationKind, RequesterId, TaskId, UnixMillis,
};
use redb::{
    ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
};

use super::{ORDER, Store, StoreError, TASKS, from_row};
use crate::task::record::{Subject, TaskRecord};

/// Entries that one request looks at. A page may therefore be short, or empty, and yet not the
/// last.
const SCAN: usize = 20_000;
/// Sequence number to id, wallet, requester, operation, state, time of submission and time limit.
/// A requester is the 32 bytes of an Ed25519 key, or the x-coordinate of a passkey; then the first
/// byte of its point, 2 or 3, is in the upper bits of the operation.
pub(super) const INDEX: TableDefinition<u64, Row> = TableDefinition::new("index");
/// The bits of the operation's code. Those above have the first byte of a passkey's point.
const OPERATION: u8 = 0b0011_1111;
/// In the order of their codes.
const STATES: [State; 9] = [
    State::Waiting,
    State::Approving,
    State::Running,
    State::Completed,
    State::Rejected,
    State::Failed,
    State::Expired,
    State::Cancelled,
    State::Pending,
];

pub(super) type Row = ([u8; 16], [u8; 16], [u8; 32], u8, u8, u64, u64);

/// The number of tasks by the codes of their operation and state.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<BTreeMap<(u8, u8), u64>>);

impl Tally {
    /// Counts the tasks of a database.
    pub(super) fn of(db: &redb::Database) -> Result<Self, StoreError> {
        let tally = Self::default();
        let index = db.begin_read()?.open_table(INDEX)?;
        for item in index.iter()? {
            let (_, row) = item?;
            tally.moved(&[(None, row.value())]);
        }
        Ok(tally)
    }

    /// Takes in rows that were replaced, each with the one before.
    pub(super) fn moved(&self, rows: &[(Option<Row>, Row)]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (before, after) in rows {
            if let Some(count) = before.and_then(|row| counts.get_mut(&codes(&row))) {
                *count -= 1;
            }
            *counts.entry(codes(after)).or_default() += 1;
        }
    }
}

/// What is known of a task without reading its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Position in the order of all tasks.
    pub sequence: u64,
    /// The task's id.
    pub id: TaskId,
    /// The state at the last commit.
    pub state: State,
    /// Time of acceptance.
    pub submitted: UnixMillis,
    /// What the task is about.
    pub subject: Subject,
}

/// Selects tasks. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// One of these wallets.
    pub wallets: Option<Vec<KeyId>>,
    /// One of these states.
    pub states: Option<Vec<State>>,
    /// One of these kinds.
    pub operations: Option<Vec<OperationKind>>,
    /// Ordered by one of these.
    pub requesters: Option<Vec<RequesterId>>,
    /// Accepted at this time or later.
    pub since: Option<UnixMillis>,
    /// Accepted before this time.
    pub until: Option<UnixMillis>,
}

/// A page of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub tasks: Vec<(Entry, TaskRecord)>,
    /// `before` of the next page; absent if there is none.
    pub next: Option<u64>,
}

impl TaskFilter {
    fn admits(&self, entry: &Entry) -> bool {
        fn one_of<T: PartialEq>(listed: Option<&Vec<T>>, value: &T) -> bool {
            listed.is_none_or(|listed| listed.contains(value))
        }
        let Subject {
            wallet,
            requester,
            operation,
            not_after: _,
        } = &entry.subject;
        one_of(self.wallets.as_ref(), wallet)
            && one_of(self.states.as_ref(), &entry.state)
            && one_of(self.operations.as_ref(), operation)
            && one_of(self.requesters.as_ref(), requester)
            && self.since.is_none_or(|since| entry.submitted >= since)
            && self.until.is_none_or(|until| entry.submitted < until)
    }
}

impl Store {
    /// Returns the number of durable tasks by kind and state, zeros included.
    pub fn tally(&self) -> Vec<((OperationKind, State), u64)> {
        let counts = self.shared.tally.0.lock();
        let counts = counts.unwrap_or_else(PoisonError::into_inner);
        let count = |(kind, state)| {
            let codes = (operation_code(kind), state_code(state));
            ((kind, state), counts.get(&codes).map_or(0, |count| *count))
        };
        let all = OperationKind::ALL.into_iter();
        all.flat_map(|kind| STATES.map(|state| (kind, state)))
            .map(count)
            .collect()
    }

    /// The place of the newest durable task, or 0.
    pub fn last_task(&self) -> Result<u64, StoreError> {
        let index = self.shared.db.begin_read()?.open_table(INDEX)?;
        Ok(index.last()?.map_or(0, |(sequence, _)| sequence.value()))
    }

    /// Returns at most `limit` durable tasks, newest first; with `before` only those with a
    /// sequence number below it.
    pub fn tasks(
        &self,
        filter: &TaskFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let read = self.shared.db.begin_read()?;
        let (entries, next) = select(&read, filter, before, limit)?;
        let rows = read.open_table(TASKS)?;
        let mut tasks = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(row) = rows.get(entry.id.0)? {
                let record: TaskRecord = from_row("tasks", row.value())?;
                tasks.push((entry, record));
            }
        }
        Ok(Page { tasks, next })
    }
}

fn select(
    read: &ReadTransaction,
    filter: &TaskFilter,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<Entry>, Option<u64>), StoreError> {
    let index = read.open_table(INDEX)?;
    let end = before.map_or(Bound::Unbounded, Bound::Excluded);
    let mut found = Vec::new();
    let mut range = index.range::<u64>((Bound::Unbounded, end))?.rev();
    for seen in 1.. {
        let Some(item) = range.next() else {
            return Ok((found, None));
        };
        let (sequence, row) = item?;
        let entry = decode(sequence.value(), row.value())?;
        let sequence = entry.sequence;
        if filter.admits(&entry) {
            found.push(entry);
        }
        if found.len() == limit || seen == SCAN {
            let more = range.next().transpose()?.is_some();
            return Ok((found, more.then_some(sequence)));
        }
    }
    Ok((found, None))
}

/// Indexes the tasks of earlier versions, which had no index.
pub(super) fn complete(db: &redb::Database) -> Result<(), StoreError> {
    let write = db.begin_write()?;
    {
        let order = write.open_table(ORDER)?;
        let mut index = write.open_table(INDEX)?;
        if order.len()? == index.len()? {
            return Ok(());
        }
        tracing::info!(tasks = order.len()?, "the list of tasks is being indexed");
        let tasks = write.open_table(TASKS)?;
        for item in order.iter()? {
            let (sequence, id) = item?;
            let Some(row) = tasks.get(id.value())? else {
                continue;
            };
            let record: TaskRecord = from_row("tasks", row.value())?;
            let subject = record.subject().map_err(|error| StoreError::Row {
                table: "tasks",
                reason: error.to_string(),
            })?;
            let entry = encode(TaskId(id.value()), &record, &subject);
            index.insert(sequence.value(), entry)?;
        }
    }
    Ok(write.commit()?)
}

pub(super) fn encode(id: TaskId, record: &TaskRecord, subject: &Subject) -> Row {
    let (requester, point) = match *subject.requester.key() {
        ApproverKey::Ed25519(key) => (key, 0),
        ApproverKey::Passkey([point, x @ ..]) => (x, point),
    };
    (
        id.0,
        *subject.wallet.as_bytes(),
        requester,
        operation_code(subject.operation) | point << OPERATION.count_ones(),
        state_code(record.state),
        record.submitted.0,
        subject.not_after.0,
    )
}

fn state_code(state: State) -> u8 {
    match state {
        State::Waiting => 0,
        State::Approving => 1,
        State::Running => 2,
        State::Completed => 3,
        State::Rejected => 4,
        State::Failed => 5,
        State::Expired => 6,
        State::Cancelled => 7,
        State::Pending => 8,
    }
}

fn operation_code(operation: OperationKind) -> u8 {
    match operation {
        OperationKind::KeyGen => 0,
        OperationKind::KeySign => 1,
        OperationKind::KeyReshare => 2,
        OperationKind::KeyShareSign => 3,
    }
}

/// The codes of a row's operation and state.
fn codes(row: &Row) -> (u8, u8) {
    (row.3 & OPERATION, row.4)
}

fn requester_of(row: &Row) -> Result<RequesterId, IdError> {
    match row.3 >> OPERATION.count_ones() {
        0 => RequesterId::from_bytes(row.2),
        point => {
            let mut key = [point; 33];
            key[1..].copy_from_slice(&row.2);
            RequesterId::new(ApproverKey::Passkey(key))
        }
    }
}

fn decode(sequence: u64, row: Row) -> Result<Entry, StoreError> {
    let (id, wallet, _, _, _, submitted, not_after) = row;
    let (operation, state) = codes(&row);
    let unreadable = |reason: String| StoreError::Row {
        table: "index",
        reason,
    };
    let unknown = || unreadable("it has a word that this program does not know".into());
    Ok(Entry {
        sequence,
        id: TaskId(id),
        state: STATES
            .into_iter()
            .find(|known| state_code(*known) == state)
            .ok_or_else(unknown)?,
        submitted: UnixMillis(submitted),
        subject: Subject {
            wallet: KeyId::from_bytes(wallet).map_err(|error| unreadable(error.to_string()))?,
            requester: requester_of(&row).map_err(|error| unreadable(error.to_string()))?,
            operation: OperationKind::ALL
                .into_iter()
                .find(|known| operation_code(*known) == operation)
                .ok_or_else(unknown)?,
            not_after: UnixMillis(not_after),
        },
    })
}
