//! Delivers the events that wait in the journal, with one worker per receiver. Failed deliveries
//! are retried at a fixed interval up to the operator's limit, then given up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_host::{Code, Event, What};
use countersign_protocol::UnixMillis;
use countersign_store::{Delivery, Journal};
use tokio_util::sync::CancellationToken;

use super::receivers::ReceiverError;
use super::{Events, Receivers};
use crate::config::ReceiverEntry;
use crate::metrics::Counters;
use crate::off_thread::with_journal;
use crate::parts::Parts;
use crate::world::World;

/// Maximum number of deliveries read from the journal at once.
const BATCH: usize = 1000;
/// Maximum pause between two looks at the journal.
const IDLE: Duration = Duration::from_secs(60);
/// Time limit for a delivery, regardless of the receiver's grants.
const PATIENCE: Duration = Duration::from_secs(300);
/// Retries of a ping, and the pause between them.
const PING_RETRIES: u32 = 2;
const PING_PAUSE: Duration = Duration::from_secs(3);

/// State shared by all deliveries.
pub struct Deliveries {
    /// Signals new events, and creates pings.
    pub events: Arc<Events>,
    /// Holds the outbox of undelivered events.
    pub journal: Journal,
    /// The receivers that events are delivered to.
    pub receivers: Arc<Receivers>,
    /// The receivers' entries, in the same order.
    pub entries: Vec<ReceiverEntry>,
    /// Counts and times deliveries.
    pub counters: Arc<Counters>,
    /// Clock and randomness of the node.
    pub world: World,
    /// Cancelled when the node has to stop.
    pub stopping: CancellationToken,
}

/// Reasons why an event was not delivered.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error(transparent)]
    NotLoaded(#[from] ReceiverError),
    #[error("{code}: {reason}")]
    Receiver { code: Code, reason: String },
}

/// Starts a delivery worker for each receiver.
pub(crate) fn deliver(shared: Deliveries, parts: &mut Parts) {
    let shared = Arc::new(shared);
    for index in 0..shared.entries.len() {
        let worker = Arc::new(DeliveryWorker {
            shared: shared.clone(),
            index,
        });
        if let Some(interval) = worker.entry().plugin.monitor_interval {
            parts.run(
                "the probing of a receiver of events",
                worker.clone().monitor(interval),
            );
        }
        parts.run("the delivery of events", worker.run());
    }
}

struct DeliveryWorker {
    shared: Arc<Deliveries>,
    /// Index of the receiver among the entries.
    index: usize,
}

impl DeliveryWorker {
    async fn run(self: Arc<Self>) {
        let stopping = self.shared.stopping.clone();
        Box::pin(stopping.run_until_cancelled(self.serve())).await;
    }

    async fn serve(&self) {
        loop {
            // Subscribed before the look, so that an event that comes meanwhile is not missed.
            let fresh = self.shared.events.fresh.notified();
            let pause = self.deliver_due().await.min(IDLE);
            tokio::select! {
                () = fresh => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tries all due deliveries, oldest first. Returns the time until the next one is due.
    async fn deliver_due(&self) -> Duration {
        let name = self.name().to_owned();
        let waiting = match with_journal(&self.shared.journal, move |journal| {
            journal.outbox(&name, BATCH)
        })
        .await
        {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(receiver = self.name(), %error, "events cannot be read from the journal");
                return IDLE;
            }
        };
        let full = waiting.len() == BATCH;
        let mut pause = if full { Duration::ZERO } else { IDLE };
        for (position, delivery) in waiting {
            let now = self.shared.world.now();
            if delivery.next > now {
                pause = pause.min(Duration::from_millis(delivery.next.0 - now.0));
                continue;
            }
            if let Some(again) = self.try_once(position, delivery).await {
                pause = pause.min(again);
            }
        }
        // Avoids a busy loop on a full batch in which nothing is due yet.
        pause.max(Duration::from_millis(50))
    }

    /// Tries a delivery once. Returns the time until its next try, if there is one.
    async fn try_once(&self, position: u64, delivery: Delivery) -> Option<Duration> {
        let tries = delivery.tries.saturating_add(1);
        let problem = match serde_json::from_slice::<Event>(&delivery.body) {
            Ok(event) => self.pass_on(&event, delivery.tries).await.err(),
            Err(error) => {
                return self
                    .give_up(position, tries, &format!("unreadable: {error}"))
                    .await;
            }
        };
        let Some(problem) = problem else {
            self.record(move |journal| journal.delivered(position))
                .await;
            return None;
        };
        if self
            .entry()
            .retry_times
            .is_some_and(|times| u64::from(tries) > times)
        {
            return self.give_up(position, tries, &problem.to_string()).await;
        }
        tracing::warn!(receiver = self.name(), tries, %problem, "an event was not delivered; it will be retried");
        let pause = self.entry().pause;
        let next = UnixMillis(
            self.shared
                .world
                .now()
                .0
                .saturating_add(pause.as_millis() as u64),
        );
        self.record(move |journal| journal.try_again(position, tries, next))
            .await;
        Some(pause)
    }

    async fn give_up(&self, position: u64, tries: u32, problem: &str) -> Option<Duration> {
        tracing::error!(receiver = self.name(), tries, %problem, "an event is given up");
        let why = problem.to_owned();
        self.record(move |journal| journal.give_up(position, tries, &why))
            .await;
        None
    }

    /// Records a delivery's result. If that fails, the event is sent again: at least once is sure.
    async fn record(
        &self,
        write: impl FnOnce(
            &countersign_store::Journal,
        ) -> Result<(), countersign_store::WriteJournalError>
        + Send
        + 'static,
    ) {
        if let Err(error) = with_journal(&self.shared.journal, write).await {
            tracing::error!(receiver = self.name(), %error, "a delivery was not recorded");
        }
    }

    async fn pass_on(&self, event: &Event, tries: u32) -> Result<(), DeliveryError> {
        let receiver = self.receiver().await?;
        let began = Instant::now();
        let delivery = receiver.deliver(event, tries, began + PATIENCE).await;
        let delivered = delivery.result.is_ok();
        let counters = &self.shared.counters;
        counters.delivery(self.name(), delivered, began.elapsed());
        for line in &delivery.logs {
            tracing::debug!(receiver = self.name(), fields = ?line.fields, "{}", line.message);
        }
        delivery
            .result
            .map_err(|(code, reason)| DeliveryError::Receiver { code, reason })
    }

    /// Pings the receiver at this interval. The result is logged and changes nothing else.
    async fn monitor(self: Arc<Self>, interval: Duration) {
        let stopping = self.shared.stopping.clone();
        let watch = async {
            loop {
                tokio::time::sleep(interval).await;
                self.ping().await;
            }
        };
        stopping.run_until_cancelled(watch).await;
    }

    async fn ping(&self) {
        for tries in 0..=PING_RETRIES {
            if tries > 0 {
                tokio::time::sleep(PING_PAUSE).await;
            }
            match self.pass_on(&self.shared.events.ping(), tries).await {
                Ok(()) => {
                    return tracing::debug!(receiver = self.name(), "the event receiver is alive");
                }
                Err(problem) if tries == PING_RETRIES => {
                    tracing::warn!(receiver = self.name(), %problem, "the event receiver does not answer");
                }
                Err(_) => {}
            }
        }
    }

    async fn receiver(&self) -> Result<Arc<countersign_host::Receiver>, ReceiverError> {
        self.shared.receivers.get(self.index).await
    }

    fn entry(&self) -> &ReceiverEntry {
        &self.shared.entries[self.index]
    }

    fn name(&self) -> &str {
        &self.entry().plugin.name
    }
}

impl Events {
    pub(super) fn ping(&self) -> Event {
        Event {
            id: super::uuid(&self.world),
            at: self.world.now().0,
            node: self.me.to_string(),
            task: None,
            raw: Vec::new(),
            what: What::Ping,
        }
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
