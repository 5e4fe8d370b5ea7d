//! Moves the webhooks' cursors along the feed, and sends what is due.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_api::{
    Attempt, Delivery, DeliveryState, Event, EventData, EventKind, Resend, Resent, WebhookKeys,
    WebhookSpec, WebhookView,
};
use countersign_protocol::UnixMillis;
use rand::{Rng, RngCore};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::reach::Guarded;
use super::{
    MAX_WEBHOOKS, SigningKeys, WebhookError, WebhookKeyError, check_name, check_url, schedule, sign,
};
use crate::clock;
use crate::registry::TaskRegistry;
use crate::run::stopped;
use crate::store::{EventFilter, FeedError, Store, StoreError, WebhookRow};

/// Deliveries of one webhook that wait in memory. While there are so many, further events wait in
/// the feed.
const WAITING: usize = 10_000;
/// Events that are read from the feed at a time.
const CHUNK: usize = 500;
/// Attempts under way for one webhook, and for all: beyond that, each has one.
const IN_FLIGHT: usize = 8;
const IN_FLIGHT_OF_ALL: usize = 64;
/// Time limit of an attempt.
const ATTEMPT: Duration = Duration::from_secs(15);
/// The longest sleep, after which the clock is looked at again.
const NAP: Duration = Duration::from_secs(30);
/// Deliveries that one request may send again.
const RESEND: usize = 1_000;
/// The first place of tests, which are not in the feed.
const TESTS: u64 = 1 << 63;

/// All webhooks, and what each of them waits for.
#[derive(Debug)]
pub struct Webhooks {
    registry: Arc<TaskRegistry>,
    keys: SigningKeys,
    http: reqwest::Client,
    hooks: Mutex<BTreeMap<String, Hook>>,
    wake: Notify,
}

#[derive(Debug)]
struct Hook {
    row: WebhookRow,
    /// By place.
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    delivery: Delivery,
    /// Attempts that failed since it began to wait.
    failed: usize,
    under_way: bool,
}

/// An attempt to be made.
struct Job {
    name: String,
    place: u64,
    url: String,
    event: Event,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// What is due.
#[derive(Default)]
struct Due {
    jobs: Vec<Job>,
    /// Deliveries of events that are not kept any more.
    lost: Vec<(String, u64)>,
    /// Time of the next attempt.
    next: Option<UnixMillis>,
}

/// What became of an attempt.
struct Done {
    name: String,
    place: u64,
    attempt: Attempt,
    /// The pause that the receiver asked for.
    retry_after: Option<Duration>,
}

impl Webhooks {
    /// Loads the webhooks from the store.
    pub fn open(registry: Arc<TaskRegistry>, keys: SigningKeys) -> Result<Self, StoreError> {
        let store = registry.store();
        let mut hooks = BTreeMap::new();
        for (name, row) in store.webhooks()? {
            let waiting = store.pending_deliveries(&name)?.into_iter();
            let waiting = waiting.map(|(place, delivery)| (place, Waiting::new(delivery)));
            let waiting = waiting.collect();
            hooks.insert(name, Hook { row, waiting });
        }
        let http = http(ATTEMPT, &registry)
            .map_err(|error| StoreError::Database(format!("no HTTP client: {error}")))?;
        Ok(Self {
            registry,
            keys,
            http,
            hooks: Mutex::new(hooks),
            wake: Notify::new(),
        })
    }

    /// Creates or replaces a webhook. A new one gets the events from now on. True if it is new.
    pub fn put(
        &self,
        name: &str,
        spec: WebhookSpec,
        now: UnixMillis,
    ) -> Result<(WebhookView, bool), PutError> {
        check_name(name)?;
        self.check_reach(&spec.url)?;
        check_lists(&spec)?;
        let store = self.store();
        let mut hooks = self.lock();
        let new = !hooks.contains_key(name);
        if new && hooks.len() >= MAX_WEBHOOKS {
            return Err(WebhookError::TooMany.into());
        }
        let row = match hooks.get(name) {
            Some(hook) => WebhookRow {
                spec,
                ..hook.row.clone()
            },
            None => WebhookRow {
                spec,
                created: now,
                cursor: store.last_event()?,
                failing_since: None,
            },
        };
        store.put_webhook(name, &row)?;
        let hook = hooks.entry(name.into()).or_insert_with(|| Hook {
            row: row.clone(),
            waiting: BTreeMap::new(),
        });
        hook.row = row;
        info!(
            webhook = name,
            url = hook.row.spec.url,
            "webhook configured"
        );
        self.wake.notify_one();
        Ok((view(name, hook), new))
    }

    /// Checks the address of a receiver, as far as it can be known before it is resolved.
    fn check_reach(&self, url: &str) -> Result<(), WebhookError> {
        let url = check_url(url)?;
        let reachable = self.registry.rules().webhook_networks;
        Ok(reachable.check_url(&url)?)
    }

    /// Deletes a webhook with its log. False if there was none.
    pub fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let mut hooks = self.lock();
        let was = hooks.remove(name).is_some();
        if was {
            let counters = self.registry.counters();
            counters.attempt_times.retain(|other| other != name);
            self.store().drop_webhook(name)?;
            info!(webhook = name, "webhook deleted");
        }
        Ok(was)
    }

    /// Returns all webhooks, by name.
    pub fn list(&self) -> Vec<WebhookView> {
        self.lock()
            .iter()
            .map(|(name, hook)| view(name, hook))
            .collect()
    }

    /// Returns one webhook.
    pub fn show(&self, name: &str) -> Option<WebhookView> {
        self.lock().get(name).map(|hook| view(name, hook))
    }

    /// The public keys of deliveries.
    pub fn keys(&self) -> WebhookKeys {
        self.keys.public(clock::now())
    }

    /// Replaces the current key if it is this one.
    pub fn rotate_key(&self, kid: &str) -> Result<WebhookKeys, WebhookKeyError> {
        self.keys.rotate(kid, clock::now())?;
        Ok(self.keys())
    }

    /// Sends a test to a webhook, even if it is disabled.
    pub fn test(&self, name: &str, now: UnixMillis) -> Result<Delivery, PutError> {
        let mut hooks = self.lock();
        let hook = hooks.get_mut(name).ok_or(WebhookError::Unknown)?;
        let mut random = [0; 16];
        rand::rngs::OsRng.fill_bytes(&mut random);
        let place = TESTS + now.0 * 1000 + u64::from(random[0]);
        let delivery = Delivery {
            event: format!("evt_{}", hex::encode(random)),
            kind: EventKind::WebhookTest.into(),
            data: Some(EventData::Webhook(name.into()).into()),
            at: now,
            state: DeliveryState::Pending.into(),
            attempts: Vec::new(),
            next_attempt: Some(now),
        };
        self.store().put_delivery(name, place, &delivery)?;
        hook.waiting.insert(place, Waiting::new(delivery.clone()));
        self.wake.notify_one();
        Ok(delivery)
    }

    /// Sends events again, with the ids that they had. Reads the whole feed in the worst case, so
    /// it belongs on a thread that may block.
    pub fn resend(&self, name: &str, what: &Resend, now: UnixMillis) -> Result<Resent, PutError> {
        let no_events = what.events.as_ref().is_some_and(Vec::is_empty);
        if no_events || *what == Resend::default() {
            return Err(WebhookError::NothingSelected.into());
        }
        let cursor = self
            .lock()
            .get(name)
            .map(|hook| hook.row.cursor)
            .ok_or(WebhookError::Unknown)?;
        let (selected, more) = self.select(name, what, cursor, now)?;
        let mut hooks = self.lock();
        let hook = hooks.get_mut(name).ok_or(WebhookError::Unknown)?;
        let deliveries = selected.len() as u64;
        for (place, delivery) in selected {
            self.store().put_delivery(name, place, &delivery)?;
            hook.waiting.insert(place, Waiting::again(delivery));
        }
        self.wake.notify_one();
        Ok(Resent { deliveries, more })
    }

    /// The deliveries to begin again, and whether there are more.
    #[allow(clippy::type_complexity, reason = "a page and whether it is the last")]
    fn select(
        &self,
        name: &str,
        what: &Resend,
        cursor: u64,
        now: UnixMillis,
    ) -> Result<(Vec<(u64, Delivery)>, bool), StoreError> {
        let store = self.store();
        let mut selected = Vec::new();
        let mut after = None;
        loop {
            let feed = match store.events(after, &EventFilter::default(), CHUNK) {
                Ok(feed) => feed,
                Err(FeedError::Gone | FeedError::Ahead) => return Ok((selected, false)),
                Err(FeedError::Store(error)) => return Err(error),
            };
            for (place, event) in feed.events.iter().filter(|(_, event)| selects(what, event)) {
                let place = *place;
                let known = store.delivery(name, place)?;
                let state = known.as_ref().map(|delivery| &delivery.state);
                if place > cursor
                    || what
                        .state
                        .is_some_and(|wanted| state.is_none_or(|state| *state != wanted))
                {
                    continue;
                }
                if selected.len() == RESEND {
                    return Ok((selected, true));
                }
                let attempts = known.map_or_else(Vec::new, |delivery| delivery.attempts);
                let delivery = Delivery {
                    attempts,
                    ..pending(event, now)
                };
                selected.push((place, delivery));
            }
            after = Some(feed.next);
            if feed.ended || feed.next >= cursor {
                return Ok((selected, false));
            }
        }
    }

    fn store(&self) -> &Store {
        self.registry.store()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Hook>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes deliveries of what is new in the feed. True if there may be more.
    fn take_up(&self, now: UnixMillis) -> Result<bool, StoreError> {
        let store = self.store();
        let mut more = false;
        for (name, hook) in self.lock().iter_mut() {
            if !hook.row.spec.enabled || hook.waiting.len() >= WAITING {
                continue;
            }
            let filter = EventFilter {
                wallets: hook.row.spec.wallets.clone(),
                kinds: hook.row.spec.kinds.clone(),
            };
            let feed = match store.events(Some(hook.row.cursor), &filter, CHUNK) {
                Ok(feed) => feed,
                Err(FeedError::Store(error)) => return Err(error),
                Err(FeedError::Gone | FeedError::Ahead) => {
                    warn!(webhook = %name, "events were dropped before they could be delivered; read the tasks that you follow");
                    store
                        .events(None, &filter, CHUNK)
                        .map_err(|error| match error {
                            FeedError::Store(error) => error,
                            FeedError::Gone | FeedError::Ahead => {
                                StoreError::Database(error.to_string())
                            }
                        })?
                }
            };
            if feed.next == hook.row.cursor {
                continue;
            }
            for (place, event) in &feed.events {
                let place = *place;
                let delivery = pending(event, now);
                store.put_delivery(name, place, &delivery)?;
                hook.waiting.insert(place, Waiting::new(delivery));
            }
            hook.row.cursor = feed.next;
            store.put_webhook(name, &hook.row)?;
            more |= !feed.ended;
        }
        Ok(more)
    }

    /// Takes the attempts that are due.
    fn due(&self, now: UnixMillis, mut free: usize) -> Due {
        let mut due = Due::default();
        for (name, hook) in self.lock().iter_mut() {
            let Hook { row, waiting } = hook;
            let mut under_way = waiting.values().filter(|one| one.under_way).count();
            for (place, one) in waiting.iter_mut().filter(|(_, one)| !one.under_way) {
                let is_test = *place >= TESTS;
                if !row.spec.enabled && !is_test {
                    continue;
                }
                let at = one.delivery.next_attempt.unwrap_or(now);
                if at > now {
                    due.next = Some(due.next.map_or(at, |next| next.min(at)));
                    continue;
                }
                // However many others hang, each has one place.
                if under_way == IN_FLIGHT || free == 0 && under_way > 0 {
                    break;
                }
                one.under_way = true;
                under_way += 1;
                free = free.saturating_sub(1);
                match self.job(name, *place, row, &one.delivery, now) {
                    Some(job) => due.jobs.push(job),
                    None => due.lost.push((name.clone(), *place)),
                }
            }
        }
        due
    }

    /// An event that the feed has dropped meanwhile cannot be sent.
    fn job(
        &self,
        name: &str,
        place: u64,
        row: &WebhookRow,
        delivery: &Delivery,
        now: UnixMillis,
    ) -> Option<Job> {
        // Only a test has its subject with it.
        let event = match &delivery.data {
            Some(data) => Event {
                id: delivery.event.clone(),
                cursor: "0".into(),
                kind: EventKind::WebhookTest,
                at: delivery.at,
                data: data.known()?.clone(),
            },
            None => self
                .store()
                .event(place)
                .inspect_err(|error| warn!(webhook = name, %error, "an event cannot be read"))
                .ok()??,
        };
        let body = serde_json::to_vec(&event).ok()?;
        let headers = self.keys.with(now, |keys| {
            sign::headers(row.spec.format, keys, &event.id, now, &body)
        });
        Some(Job {
            name: name.into(),
            place,
            url: row.spec.url.clone(),
            event,
            headers,
            body,
        })
    }

    async fn attempt(&self, job: Job) -> Done {
        let Job {
            name,
            place,
            url,
            event,
            headers,
            body,
        } = job;
        let began = tokio::time::Instant::now();
        let at = clock::now();
        // The operator may have closed a network since the webhook was made.
        let allowed = self.check_reach(&url);
        let request = headers.into_iter().fold(
            self.http.post(url).header(CONTENT_TYPE, "application/json"),
            |request, (header, value)| request.header(header, value),
        );
        let answer = match allowed {
            Ok(()) => request
                .body(body)
                .send()
                .await
                .map_err(|error| cause(&error)),
            Err(refused) => Err(refused.to_string()),
        };
        let (status, error, retry_after) = match answer {
            Ok(answer) if answer.status().is_success() => (Some(answer.status()), None, None),
            Ok(answer) => {
                let pause = answer.headers().get(RETRY_AFTER);
                let pause = pause.and_then(|pause| pause.to_str().ok()?.parse().ok());
                let error = format!("the receiver answered {}", answer.status());
                (
                    Some(answer.status()),
                    Some(error),
                    pause.map(Duration::from_secs),
                )
            }
            Err(error) => (None, Some(error), None),
        };
        tracing::debug!(
            webhook = name,
            event = event.id,
            ?status,
            "delivery attempted"
        );
        Done {
            name,
            place,
            attempt: Attempt {
                at,
                status: status.map(|status| status.as_u16()),
                error,
                millis: began.elapsed().as_millis() as u64,
            },
            retry_after,
        }
    }

    /// Ends a delivery that cannot be made.
    fn give_up(&self, name: &str, place: u64, now: UnixMillis) -> Result<(), StoreError> {
        let mut hooks = self.lock();
        let waiting = hooks
            .get_mut(name)
            .and_then(|hook| hook.waiting.remove(&place));
        let Some(Waiting { mut delivery, .. }) = waiting else {
            return Ok(());
        };
        delivery.state = DeliveryState::Failed.into();
        delivery.next_attempt = None;
        delivery.attempts.push(Attempt {
            at: now,
            status: None,
            error: Some("the event is not kept any more".into()),
            millis: 0,
        });
        self.store().put_delivery(name, place, &delivery)
    }

    /// Records an attempt, and plans the next.
    fn record(&self, done: Done, now: UnixMillis) -> Result<(), StoreError> {
        let mut hooks = self.lock();
        let Some(hook) = hooks.get_mut(&done.name) else {
            return Ok(());
        };
        let Some(waiting) = hook.waiting.get_mut(&done.place) else {
            return Ok(());
        };
        waiting.under_way = false;
        let success = done.attempt.error.is_none();
        let took = Duration::from_millis(done.attempt.millis);
        let delivery = &mut waiting.delivery;
        delivery.attempts.push(done.attempt);
        waiting.failed = if success { 0 } else { waiting.failed + 1 };
        let jitter = rand::thread_rng().r#gen();
        let pause = schedule::pause(waiting.failed, done.retry_after, jitter);
        delivery.state = match (success, pause) {
            (true, _) => DeliveryState::Delivered,
            (false, Some(_)) => DeliveryState::Pending,
            (false, None) => DeliveryState::Failed,
        }
        .into();
        delivery.next_attempt = pause
            .filter(|_| !success)
            .map(|pause| UnixMillis(now.0 + pause.as_millis() as u64));
        let again = delivery.state == DeliveryState::Pending;
        let counters = self.registry.counters();
        counters.attempt(&done.name, success, again, took);
        self.store()
            .put_delivery(&done.name, done.place, delivery)?;
        if delivery.state == DeliveryState::Failed {
            warn!(
                webhook = done.name,
                event = delivery.event,
                "given up; send it again once the receiver works"
            );
        }
        if delivery.state != DeliveryState::Pending {
            hook.waiting.remove(&done.place);
        }
        let failing = if success {
            None
        } else {
            hook.row.failing_since.or(Some(now))
        };
        if failing != hook.row.failing_since {
            hook.row.failing_since = failing;
            self.store().put_webhook(&done.name, &hook.row)?;
        }
        Ok(())
    }
}

/// Why a webhook was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// What was asked for is not possible.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Waiting {
    /// Counts the attempts since the delivery began to wait.
    fn new(delivery: Delivery) -> Self {
        Self {
            failed: delivery.attempts.len(),
            delivery,
            under_way: false,
        }
    }

    /// The delivery has all its attempts before it again.
    fn again(delivery: Delivery) -> Self {
        Self {
            failed: 0,
            delivery,
            under_way: false,
        }
    }
}

/// A client that waits so long for an answer, and follows it nowhere.
fn http(limit: Duration, registry: &Arc<TaskRegistry>) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .dns_resolver(Arc::new(Guarded(registry.clone())))
        // A connection that is kept would still lead into a network that was closed meanwhile.
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(limit)
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn check_lists(spec: &WebhookSpec) -> Result<(), WebhookError> {
    if spec.kinds.as_ref().is_some_and(Vec::is_empty) {
        Err(WebhookError::EmptyList("types"))
    } else if spec.wallets.as_ref().is_some_and(Vec::is_empty) {
        Err(WebhookError::EmptyList("wallets"))
    } else {
        Ok(())
    }
}

fn pending(event: &Event, now: UnixMillis) -> Delivery {
    Delivery {
        event: event.id.clone(),
        kind: event.kind.into(),
        data: None,
        at: event.at,
        state: DeliveryState::Pending.into(),
        attempts: Vec::new(),
        next_attempt: Some(now),
    }
}

fn selects(what: &Resend, event: &Event) -> bool {
    let of_task = |task| match &event.data {
        EventData::Task(summary) => summary.id == task,
        EventData::Wallet(wallet) => wallet.task == task,
        EventData::Webhook(_) => false,
    };
    what.events
        .as_ref()
        .is_none_or(|ids| ids.contains(&event.id))
        && what.task.is_none_or(of_task)
        && what
            .wallet
            .is_none_or(|wallet| event.data.wallet() == Some(wallet))
        && what.since.is_none_or(|since| event.at >= since)
        && what.until.is_none_or(|until| event.at < until)
}

fn view(name: &str, hook: &Hook) -> WebhookView {
    WebhookView {
        name: name.into(),
        spec: hook.row.spec.clone().into(),
        created: hook.row.created,
        cursor: hook.row.cursor.to_string(),
        pending: hook.waiting.len() as u64,
        failing_since: hook.row.failing_since,
    }
}

/// The innermost cause, which says what happened.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() {
        format!("no answer within {} s", ATTEMPT.as_secs())
    } else {
        cause.to_string()
    }
}

/// Delivers until the coordinator stops, or until nothing can be stored any more. An attempt that
/// is under way then is made again after the start.
pub async fn serve(webhooks: Arc<Webhooks>, mut stop: watch::Receiver<bool>) {
    let mut news = webhooks.store().follow();
    let mut attempts = JoinSet::new();
    loop {
        news.mark_unchanged();
        let round = webhooks.round(&mut attempts);
        let next = match round {
            Ok(next) => next,
            Err(error) => return tracing::error!(%error, "webhooks stop"),
        };
        let nap = next.map_or(NAP, |at| {
            Duration::from_millis(at.0.saturating_sub(clock::now().0)).min(NAP)
        });
        tokio::select! {
            Some(done) = attempts.join_next() => match done {
                Ok(done) => {
                    if let Err(error) = webhooks.record(done, clock::now()) {
                        return tracing::error!(%error, "webhooks stop");
                    }
                }
                Err(error) => tracing::error!(%error, "an attempt to deliver panicked"),
            },
            _ = news.changed() => {}
            () = webhooks.wake.notified() => {}
            () = tokio::time::sleep(nap) => {}
            () = stopped(&mut stop) => return,
        }
    }
}

impl Webhooks {
    /// Begins the attempts that are due. Returns the time of the next one.
    fn round(
        self: &Arc<Self>,
        attempts: &mut JoinSet<Done>,
    ) -> Result<Option<UnixMillis>, StoreError> {
        let now = clock::now();
        let more = self.take_up(now)?;
        let free = IN_FLIGHT_OF_ALL.saturating_sub(attempts.len());
        let Due { jobs, lost, next } = self.due(now, free);
        for job in jobs {
            let webhooks = self.clone();
            attempts.spawn(async move { webhooks.attempt(job).await });
        }
        for (name, place) in lost {
            self.give_up(&name, place, now)?;
        }
        Ok(if more { Some(now) } else { next })
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
