//! Webhooks and their deliveries.

use std::ops::RangeInclusive;

use countersign_api::{Delivery, DeliveryState, Event, WebhookSpec};
use countersign_protocol::UnixMillis;
use redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::events::EVENTS;
use super::{Store, StoreError, from_row, to_row};

/// Name to row.
const WEBHOOKS: TableDefinition<&str, &[u8]> = TableDefinition::new("webhooks");
/// Name and place in the feed to row. Tests of a webhook have places behind those of the feed.
const DELIVERIES: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("deliveries");
/// Deliveries that wait for an attempt.
const PENDING: TableDefinition<(&str, u64), ()> = TableDefinition::new("pending");
/// Deliveries that are kept for each webhook, beside those that wait.
const KEPT: u64 = 100_000;
/// Rows that one request looks at.
const SCAN: usize = 10_000;

/// A webhook as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRow {
    /// What the operator asked for.
    pub spec: WebhookSpec,
    /// Time of creation.
    pub created: UnixMillis,
    /// Place in the feed up to which there are deliveries.
    pub cursor: u64,
    /// Time since which every attempt has failed.
    pub failing_since: Option<UnixMillis>,
}

/// Changes of webhooks that wait to be committed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    dropped: Vec<String>,
    webhooks: Vec<(String, Vec<u8>)>,
    deliveries: Vec<(String, u64, bool, Vec<u8>)>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.dropped.is_empty() && self.webhooks.is_empty() && self.deliveries.is_empty()
    }
}

impl Store {
    /// Stores a webhook.
    pub fn put_webhook(&self, name: &str, row: &WebhookRow) -> Result<(), StoreError> {
        self.change(|pending| {
            let row = to_row(row);
            pending.batch.hooks.webhooks.push((name.into(), row));
        })
    }

    /// Deletes a webhook with all its deliveries.
    pub fn drop_webhook(&self, name: &str) -> Result<(), StoreError> {
        self.change(|pending| {
            pending
                .batch
                .hooks
                .webhooks
                .retain(|(other, _)| other != name);
            pending
                .batch
                .hooks
                .deliveries
                .retain(|(other, ..)| other != name);
            pending.batch.hooks.dropped.push(name.into());
        })
    }

    /// Stores a delivery.
    pub fn put_delivery(
        &self,
        name: &str,
        place: u64,
        delivery: &Delivery,
    ) -> Result<(), StoreError> {
        let waits = delivery.state == DeliveryState::Pending;
        self.change(|pending| {
            let row = to_row(delivery);
            pending
                .batch
                .hooks
                .deliveries
                .push((name.into(), place, waits, row));
        })
    }

    /// Returns all durable webhooks, by name.
    pub fn webhooks(&self) -> Result<Vec<(String, WebhookRow)>, StoreError> {
        let table = self.shared.db.begin_read()?.open_table(WEBHOOKS)?;
        table
            .iter()?
            .map(|entry| {
                let (name, row) = entry?;
                Ok((name.value().to_owned(), from_row("webhooks", row.value())?))
            })
            .collect()
    }

    /// Returns the durable deliveries of a webhook that wait for an attempt, oldest first.
    pub fn pending_deliveries(&self, name: &str) -> Result<Vec<(u64, Delivery)>, StoreError> {
        let read = self.shared.db.begin_read()?;
        let pending = read.open_table(PENDING)?;
        let deliveries = read.open_table(DELIVERIES)?;
        let mut found = Vec::new();
        for entry in pending.range(all_of(name))? {
            let (key, _) = entry?;
            let (_, place) = key.value();
            if let Some(row) = deliveries.get((name, place))? {
                found.push((place, from_row("deliveries", row.value())?));
            }
        }
        Ok(found)
    }

    /// Returns durable deliveries of a webhook, newest first; with `before` only those of earlier
    /// places. The second value is where to go on, if there is more.
    #[allow(clippy::type_complexity, reason = "a page and its cursor")]
    pub fn deliveries(
        &self,
        name: &str,
        admits: impl Fn(&Delivery) -> bool,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<(u64, Delivery)>, Option<u64>), StoreError> {
        let table = self.shared.db.begin_read()?.open_table(DELIVERIES)?;
        let end = before.unwrap_or(u64::MAX);
        let mut rows = table.range((name, 0)..(name, end))?.rev();
        let mut found = Vec::new();
        for seen in 1.. {
            let Some(entry) = rows.next() else {
                return Ok((found, None));
            };
            let (key, row) = entry?;
            let (_, place) = key.value();
            let delivery: Delivery = from_row("deliveries", row.value())?;
            if admits(&delivery) {
                found.push((place, delivery));
            }
            if found.len() == limit || seen == SCAN {
                let more = rows.next().transpose()?.is_some();
                return Ok((found, more.then_some(place)));
            }
        }
        Ok((found, None))
    }

    /// The place of a webhook's newest durable delivery, or 0.
    pub fn last_delivery(&self, name: &str) -> Result<u64, StoreError> {
        let table = self.shared.db.begin_read()?.open_table(DELIVERIES)?;
        let newest = table.range(all_of(name))?.next_back().transpose()?;
        Ok(newest.map_or(0, |(key, _)| key.value().1))
    }

    /// Returns one durable delivery.
    pub fn delivery(&self, name: &str, place: u64) -> Result<Option<Delivery>, StoreError> {
        let table = self.shared.db.begin_read()?.open_table(DELIVERIES)?;
        let row = table.get((name, place))?;
        row.map(|row| from_row("deliveries", row.value()))
            .transpose()
    }

    /// Returns a durable event, if it is still kept.
    pub fn event(&self, place: u64) -> Result<Option<Event>, StoreError> {
        let table = self.shared.db.begin_read()?.open_table(EVENTS)?;
        let row = table.get(place)?;
        row.map(|row| from_row("events", row.value())).transpose()
    }
}

fn all_of(name: &str) -> RangeInclusive<(&str, u64)> {
    (name, 0)..=(name, u64::MAX)
}

/// Creates the tables.
pub(super) fn create(write: &WriteTransaction) -> Result<(), StoreError> {
    write.open_table(WEBHOOKS)?;
    write.open_table(DELIVERIES)?;
    write.open_table(PENDING)?;
    Ok(())
}

/// Writes a batch's changes, and drops the oldest deliveries that do not wait.
pub(super) fn commit(write: &WriteTransaction, changes: &Changes) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut webhooks = write.open_table(WEBHOOKS)?;
    let mut deliveries = write.open_table(DELIVERIES)?;
    let mut pending = write.open_table(PENDING)?;
    for name in &changes.dropped {
        webhooks.remove(name.as_str())?;
        deliveries.retain_in(all_of(name), |_, _| false)?;
        pending.retain_in(all_of(name), |_, ()| false)?;
    }
    for (name, row) in &changes.webhooks {
        webhooks.insert(name.as_str(), row.as_slice())?;
        let WebhookRow { cursor, .. } = from_row("webhooks", row)?;
        let old = (name.as_str(), 0)..(name.as_str(), cursor.saturating_sub(KEPT));
        deliveries.retain_in(old, |_, row| {
            from_row::<Delivery>("deliveries", row)
                .is_ok_and(|delivery| delivery.state == DeliveryState::Pending)
        })?;
    }
    for (name, place, waits, row) in &changes.deliveries {
        deliveries.insert((name.as_str(), *place), row.as_slice())?;
        if *waits {
            pending.insert((name.as_str(), *place), ())?;
        } else {
            pending.remove((name.as_str(), *place))?;
        }
    }
    Ok(())
}
