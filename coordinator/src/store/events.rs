//! The feed of events. An event is committed with the change that it tells of, so neither is ever
//! there without the other.

use std::ops::Bound;

use countersign_api::{Event, EventData, EventKind, State};
use countersign_protocol::{Hasher, KeyDescriptor, KeyId, TaskId, UnixMillis};
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition};

use super::{Batch, Pending, Store, StoreError, from_row, to_row};

/// Sequence number to row.
pub(super) const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");
/// Events that are kept.
const KEPT: u64 = 1_000_000;
/// Rows that one request looks at.
const SCAN: usize = 2_000;

/// An event that has no place in the feed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    id: String,
    kind: EventKind,
    at: UnixMillis,
    data: EventData,
}

/// Selects events. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of one of these wallets.
    pub wallets: Option<Vec<KeyId>>,
    /// Of one of these kinds.
    pub kinds: Option<Vec<EventKind>>,
}

/// A part of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// Oldest first, each with its place.
    pub events: Vec<(u64, Event)>,
    /// Where to go on.
    pub next: u64,
    /// True if `next` is the end of the feed.
    pub ended: bool,
}

/// Why a part of the feed cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The events right behind the cursor are not kept any more.
    #[error(
        "the events behind this cursor are gone; read the tasks and wallets that you follow, then begin without `after`"
    )]
    Gone,
    /// The cursor is behind the newest entry: it is from another list, or the store is older.
    #[error(
        "this cursor is ahead of the list, which may have been restored from an older copy; read what you follow anew, then begin without `after`"
    )]
    Ahead,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NewEvent {
    /// A task has entered this state, which the summary shows.
    pub fn of_task(
        id: TaskId,
        state: State,
        summary: countersign_api::TaskSummary,
        at: UnixMillis,
    ) -> Self {
        let kind = EventKind::from(state);
        Self {
            id: name(kind, &id.0, &summary.revision.to_be_bytes()),
            kind,
            at,
            data: EventData::Task(Box::new(summary)),
        }
    }

    /// A person voted on a task; the summary has the count.
    pub fn of_vote(id: TaskId, summary: countersign_api::TaskSummary, at: UnixMillis) -> Self {
        let kind = EventKind::TaskVoted;
        Self {
            id: name(kind, &id.0, &summary.revision.to_be_bytes()),
            kind,
            at,
            data: EventData::Task(Box::new(summary)),
        }
    }

    /// A wallet has this generation now.
    pub fn of_wallet(kind: EventKind, wallet: &KeyDescriptor, at: UnixMillis) -> Self {
        Self {
            id: name(kind, wallet.key.as_bytes(), wallet.digest().as_bytes()),
            kind,
            at,
            data: EventData::Wallet(countersign_api::WalletChange {
                id: wallet.key,
                name: wallet.name.clone(),
                generation: wallet.generation,
                task: wallet.task,
            }),
        }
    }

    fn placed(self, sequence: u64) -> Event {
        Event {
            id: self.id,
            cursor: sequence.to_string(),
            kind: self.kind,
            at: self.at,
            data: self.data,
        }
    }
}

/// The id of an event follows from what it tells of. So a change that a crash took back, and that
/// happens again, has the same id.
fn name(kind: EventKind, thing: &[u8], change: &[u8]) -> String {
    let hash = Hasher::new("countersign/1 event")
        .field(format!("{kind:?}").as_bytes())
        .field(thing)
        .field(change)
        .finish();
    format!("evt_{}", hex::encode(&hash.as_bytes()[..16]))
}

impl EventFilter {
    fn admits(&self, event: &Event) -> bool {
        let kind = self.kinds.as_ref();
        let wallet = |wallets: &Vec<KeyId>| {
            let of = event.data.wallet();
            of.is_some_and(|wallet| wallets.contains(&wallet))
        };
        kind.is_none_or(|kinds| kinds.contains(&event.kind))
            && self.wallets.as_ref().is_none_or(wallet)
    }
}

impl Pending {
    /// Gives events their places in the feed.
    pub(super) fn append(&mut self, events: Vec<NewEvent>) {
        for event in events {
            self.last_event += 1;
            let event = event.placed(self.last_event);
            self.batch.events.insert(self.last_event, to_row(&event));
        }
    }
}

impl Store {
    /// Returns durable events behind this place, or from the oldest on; at most `limit`, and fewer
    /// if the filter passes over many.
    pub fn events(
        &self,
        after: Option<u64>,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<Feed, FeedError> {
        let read = self.shared.db.begin_read().map_err(StoreError::from)?;
        let table = read.open_table(EVENTS).map_err(StoreError::from)?;
        let first = table.first().map_err(StoreError::from)?;
        let last = table.last().map_err(StoreError::from)?;
        let oldest = first.map_or(1, |(sequence, _)| sequence.value());
        let newest = last.map_or(0, |(sequence, _)| sequence.value());
        let after = after.unwrap_or(oldest - 1);
        if after < oldest - 1 {
            return Err(FeedError::Gone);
        }
        if after > newest {
            return Err(FeedError::Ahead);
        }
        let mut feed = Feed {
            events: Vec::new(),
            next: after,
            ended: true,
        };
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let rows = table.range::<u64>(behind).map_err(StoreError::from)?;
        for row in rows.take(SCAN) {
            let (sequence, row) = row.map_err(StoreError::from)?;
            let event: Event = from_row("events", row.value())?;
            feed.next = sequence.value();
            if filter.admits(&event) {
                feed.events.push((feed.next, event));
            }
            if feed.events.len() == limit {
                break;
            }
        }
        feed.ended = feed.next == newest;
        Ok(feed)
    }

    /// The place of the newest durable event.
    pub fn last_event(&self) -> Result<u64, StoreError> {
        last(&self.shared.db)
    }

    /// Changes whenever something has become durable.
    pub fn follow(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.committed.subscribe()
    }
}

/// The place of the newest event in the file, or 0.
pub(super) fn last(db: &Database) -> Result<u64, StoreError> {
    let table = db.begin_read()?.open_table(EVENTS)?;
    Ok(table.last()?.map_or(0, |(sequence, _)| sequence.value()))
}

/// Writes a batch's events, and drops the oldest.
pub(super) fn commit(
    table: &mut Table<'_, u64, &'static [u8]>,
    batch: &Batch,
) -> Result<(), StoreError> {
    for (sequence, row) in &batch.events {
        table.insert(sequence, row.as_slice())?;
    }
    let Some((newest, _)) = batch.events.last_key_value() else {
        return Ok(());
    };
    let kept_from = newest.saturating_sub(KEPT - 1);
    table.retain_in(..kept_from, |_, _| false)?;
    Ok(())
}
