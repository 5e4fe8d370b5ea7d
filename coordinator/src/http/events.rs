//! `/v1/events`: the feed of changes, as pages and as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use countersign_api::{EventKind, EventPage};
use countersign_protocol::KeyId;
use futures_util::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::App;
use super::error::ApiError;
use super::query::{Params, Places, page_size, words};
use super::streams::Stay;
use crate::api_key::Caller;
use crate::clock;
use crate::run::stopped;
use crate::store::{EventFilter, Feed, FeedError};

/// Longest wait for a page, in seconds.
const MAX_WAIT: u64 = 30;
/// Events read at a time for a stream.
const CHUNK: usize = 100;
/// A comment is sent after this time of silence, so that both ends notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Selects a part of the feed.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// `cursor` of the last event that the caller has, or `next` of its last page; `now` for events
    /// from now on. Absent: from the oldest event that is kept; for a stream, from now on.
    after: Option<String>,
    /// Events of a page, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Only events of these wallets.
    #[serde(deserialize_with = "words")]
    #[param(style = Form, explode = false)]
    wallet: Option<Vec<KeyId>>,
    /// Only events of these kinds.
    #[serde(rename = "type", deserialize_with = "words")]
    #[param(style = Form, explode = false)]
    kinds: Option<Vec<EventKind>>,
    /// If there are no events, wait for some, at most so many seconds and at most 30.
    wait: Option<u64>,
}

/// Read the feed of events
///
/// Every change of a task's state and of a wallet, in the order in which it became durable, at
/// least a million of them back. With `Accept: text/event-stream` the answer is a stream of
/// server-sent events that does not end: `id` is the cursor, `event` the type, `data` the event as
/// JSON. A client that reconnects sends `Last-Event-ID` and misses nothing.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "readEvents",
    tag = "events",
    params(
        EventQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "For a stream, instead of `after`.")
    ),
    responses(
        (
            status = 200,
            description = "Events, oldest first.",
            content((EventPage = "application/json"), (String = "text/event-stream"))
        ),
        (status = 410, response = super::document::Gone),
    )
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Params(query): Params<EventQuery>,
) -> Result<Response, ApiError> {
    let filter = EventFilter {
        wallets: caller.narrow(query.wallet),
        kinds: query.kinds,
    };
    let after = match query.after.as_deref() {
        Some("now") => Some(app.registry.store().last_event()?),
        after => Places::EVENTS.read(after)?,
    };
    if wants_stream(&headers) {
        let last = headers.get("last-event-id").map(|id| id.to_str());
        let last = last.transpose().unwrap_or(Some("?"));
        let after = Places::EVENTS.read(last)?.or(after);
        return stream(app, caller, filter, after).await;
    }
    let until = Instant::now() + Duration::from_secs(query.wait.unwrap_or(0).min(MAX_WAIT));
    let feed = page(
        &app,
        &caller,
        &filter,
        after,
        page_size(query.limit)?,
        until,
    )
    .await?;
    Ok(Json(EventPage {
        events: feed.events.into_iter().map(|(_, event)| event).collect(),
        next: Places::EVENTS.cursor(feed.next),
    })
    .into_response())
}

/// True if a stream is accepted, and not less than a page (RFC 9110 12.5.1).
fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    let ranges = accepted.flat_map(|text| text.split(',')).map(range);
    let mut stream = 0.0_f32;
    let mut page = 0.0_f32;
    for (kind, quality) in ranges {
        match kind.as_str() {
            "text/event-stream" => stream = quality,
            "application/json" => page = quality,
            _ => {}
        }
    }
    stream > 0.0 && stream >= page
}

/// A media type in small letters, and how welcome it is.
fn range(text: &str) -> (String, f32) {
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let quality = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let quality = quality.map_or(Some(1.0), |value| value.parse().ok());
    (kind, quality.unwrap_or_default())
}

async fn page(
    app: &App,
    caller: &Caller,
    filter: &EventFilter,
    after: Option<u64>,
    limit: usize,
    until: Instant,
) -> Result<Feed, FeedError> {
    let store = app.registry.store();
    let mut news = store.follow();
    let mut keys = app.keys.changes();
    let mut stop = app.stop.clone();
    loop {
        news.mark_unchanged();
        let over = *stop.borrow() || !app.keys.may_still_read(caller, clock::now());
        let feed = store.events(after, filter, limit)?;
        if !feed.events.is_empty() || Instant::now() >= until || over {
            return Ok(feed);
        }
        tokio::select! {
            changed = timeout_at(until, news.changed()) => drop(changed),
            changed = keys.changed() => drop(changed),
            () = stopped(&mut stop) => {}
        }
    }
}

/// What a stream needs to go on.
struct Follower {
    app: Arc<App>,
    caller: Caller,
    filter: EventFilter,
    after: u64,
    news: watch::Receiver<u64>,
    keys: watch::Receiver<()>,
    stop: watch::Receiver<bool>,
    _stay: Stay,
}

async fn stream(
    app: Arc<App>,
    caller: Caller,
    filter: EventFilter,
    after: Option<u64>,
) -> Result<Response, ApiError> {
    let stay = app.streams.enter(caller.key)?;
    let store = app.registry.store();
    let after = match after {
        Some(after) => after,
        None => store.last_event()?,
    };
    // Nothing is sent before a cursor that is gone is refused.
    store.events(Some(after), &filter, 1)?;
    let follower = Follower {
        news: store.follow(),
        keys: app.keys.changes(),
        stop: app.stop.clone(),
        app,
        caller,
        filter,
        after,
        _stay: stay,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let events = Sse::new(follower.events()).keep_alive(keep_alive);
    let no_buffer = [("x-accel-buffering", "no")];
    Ok((no_buffer, events).into_response())
}

impl Follower {
    /// Begins with the cursor, so that a reader that loses the connection at once knows where it
    /// was. Ends when the coordinator stops, when the key is revoked, or when the reader fell
    /// behind what is kept. Nothing is read ahead of the caller.
    fn events(self) -> impl Stream<Item = Result<sse::Event, Infallible>> {
        let begin = sse::Event::default().id(self.after.to_string());
        let begin = stream::iter([Ok(begin)]);
        let chunks = stream::unfold(self, |mut follower| async {
            let events = follower.chunk().await?;
            Some((stream::iter(events), follower))
        });
        begin.chain(chunks.flatten())
    }

    async fn chunk(&mut self) -> Option<Vec<Result<sse::Event, Infallible>>> {
        loop {
            self.news.mark_unchanged();
            let admitted = self.app.keys.may_still_read(&self.caller, clock::now());
            if *self.stop.borrow() || !admitted {
                return None;
            }
            let store = self.app.registry.store();
            let feed = store
                .events(Some(self.after), &self.filter, CHUNK)
                .inspect_err(|error| tracing::warn!(%error, "a stream of events ends"))
                .ok()?;
            self.after = feed.next;
            if !feed.events.is_empty() {
                return Some(feed.events.iter().map(|(_, event)| frame(event)).collect());
            }
            if feed.ended {
                tokio::select! {
                    changed = self.news.changed() => changed.ok()?,
                    changed = self.keys.changed() => changed.ok()?,
                    () = tokio::time::sleep(KEEP_ALIVE) => {}
                    () = stopped(&mut self.stop) => return None,
                }
            }
        }
    }
}

fn frame(event: &countersign_api::Event) -> Result<sse::Event, Infallible> {
    let data = serde_json::to_string(event)
        .unwrap_or_else(|error| unreachable!("events are plain data in memory: {error}"));
    let kind = serde_json::to_value(event.kind);
    let kind = kind.ok().and_then(|kind| kind.as_str().map(str::to_owned));
    Ok(sse::Event::default()
        .id(&event.cursor)
        .event(kind.unwrap_or_default())
        .data(data))
}
