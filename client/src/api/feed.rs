//! The feed of events, as pages and as a stream of server-sent events.

use std::time::Duration;

use countersign_api::{Event, EventKind};
use countersign_protocol::KeyId;
use reqwest::{Method, Response, header};
use serde::Deserialize;
use serde_json::Value;

use super::{Api, listed};
use crate::error::ClientError;

/// The longest life of a stream, after which another one is opened.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// A stream that is silent for so long is dead: the coordinator sends a comment every 15 s.
const SILENCE: Duration = Duration::from_secs(45);
/// Size limit of one event of a stream, in bytes.
const MAX_FRAME: usize = 1 << 20;

/// Selects events. Everything that is set must hold; an empty list sets nothing.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[derive(Debug, Clone, Default)]
pub struct FeedFilter {
    pub wallets: Vec<KeyId>,
    pub kinds: Vec<EventKind>,
}

/// An event as the coordinator tells of it. One of a later version may be of an unknown kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// Its id, `evt_…`.
    pub id: String,
    /// The cursor just behind it.
    pub cursor: String,
    /// The kind, such as `task.completed`.
    pub kind: String,
    /// The event, if this version knows its kind.
    pub known: Option<Event>,
    /// The JSON text: the body of a webhook delivery.
    pub text: String,
}

/// A part of the feed.
#[derive(Debug)]
pub struct FeedPage {
    /// Oldest first.
    pub events: Vec<FeedEvent>,
    /// `after` of the next request.
    pub next: String,
}

/// The page as it is sent, with events of any kind.
#[derive(Deserialize)]
struct RawPage {
    events: Vec<Value>,
    next: String,
}

/// What is read of every event.
#[derive(Deserialize)]
struct Head {
    id: String,
    cursor: String,
    #[serde(rename = "type")]
    kind: String,
}

impl FeedEvent {
    /// Reads the JSON text of an event.
    pub fn read(text: String) -> Result<Self, ClientError> {
        let unreadable = |error: serde_json::Error| ClientError::Answer(error.to_string());
        let head: Head = serde_json::from_str(&text).map_err(unreadable)?;
        Ok(Self {
            id: head.id,
            cursor: head.cursor,
            kind: head.kind,
            known: serde_json::from_str(&text).ok(),
            text,
        })
    }

    /// The event as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// Writes an event of a page as a stream has it: the order of its members is part of the text.
fn text_of(event: &Value) -> Result<String, serde_json::Error> {
    match serde_json::from_value::<Event>(event.clone()) {
        Ok(event) => serde_json::to_string(&event),
        Err(_) => Ok(event.to_string()),
    }
}

impl Api {
    /// Fetches events behind `after`, or from the oldest one that is kept. With `wait`, waits so
    /// many seconds for one if there is none.
    pub async fn events(
        &self,
        filter: &FeedFilter,
        after: Option<&str>,
        limit: usize,
        wait: Option<u64>,
    ) -> Result<FeedPage, ClientError> {
        let mut query = selection(filter, after)?;
        query.push(("limit", limit.to_string()));
        query.extend(wait.map(|seconds| ("wait", seconds.to_string())));
        let request = self.request(Method::GET, "/v1/events").query(&query);
        let page: RawPage = self.answer(request).await?;
        let unreadable = |error: serde_json::Error| ClientError::Answer(error.to_string());
        let read = |event| FeedEvent::read(text_of(event).map_err(unreadable)?);
        Ok(FeedPage {
            events: page.events.iter().map(read).collect::<Result<_, _>>()?,
            next: page.next,
        })
    }

    /// Opens a stream of the events behind `after`, or from now on. None if the answer is not a
    /// stream, such as from a server in between.
    pub async fn stream(
        &self,
        filter: &FeedFilter,
        after: Option<&str>,
    ) -> Result<Option<EventStream>, ClientError> {
        let request = self.request(Method::GET, "/v1/events");
        let request = request.query(&selection(filter, after)?).timeout(LIFE);
        let request = request.header(header::ACCEPT, "text/event-stream");
        let answer = tokio::time::timeout(self.limit, self.send(request)).await;
        let response = answer.unwrap_or_else(|_| Err(self.silent()))?;
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        Ok(kind.starts_with("text/event-stream").then(|| EventStream {
            response,
            frames: Frames::default(),
        }))
    }
}

fn selection(
    filter: &FeedFilter,
    after: Option<&str>,
) -> Result<Vec<(&'static str, String)>, ClientError> {
    let mut query = Vec::new();
    query.extend(after.map(|after| ("after", after.to_owned())));
    query.extend(listed("wallet", &filter.wallets)?);
    query.extend(listed("type", &filter.kinds)?);
    Ok(query)
}

/// An open stream of events.
#[derive(Debug)]
pub struct EventStream {
    response: Response,
    frames: Frames,
}

impl EventStream {
    /// Waits for the next event. None: the stream has ended, or broke, and another one may be
    /// opened behind the last event.
    pub async fn next(&mut self) -> Result<Option<FeedEvent>, ClientError> {
        loop {
            if let Some(text) = self.frames.next()? {
                return FeedEvent::read(text).map(Some);
            }
            let chunk = tokio::time::timeout(SILENCE, self.response.chunk()).await;
            match chunk {
                Ok(Ok(Some(chunk))) => self.frames.push(&chunk),
                Ok(Ok(None) | Err(_)) | Err(_) => return Ok(None),
            }
        }
    }
}

/// Server-sent events, put together from the pieces in which they arrive.
#[derive(Debug, Default)]
struct Frames {
    unread: Vec<u8>,
    data: String,
}

impl Frames {
    fn push(&mut self, chunk: &[u8]) {
        self.unread.extend_from_slice(chunk);
    }

    /// The data of the next event that is complete.
    fn next(&mut self) -> Result<Option<String>, ClientError> {
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() && !self.data.is_empty() {
                return Ok(Some(std::mem::take(&mut self.data)));
            }
            if let Some(data) = line.strip_prefix("data:") {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            }
            self.check()?;
        }
        self.check().map(|()| None)
    }

    fn check(&self) -> Result<(), ClientError> {
        if self.unread.len().max(self.data.len()) > MAX_FRAME {
            let long = format!("an event is longer than {MAX_FRAME} bytes");
            return Err(ClientError::Answer(long));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"id":"evt_1","cursor":"7","type":"moon.rose","at":1,"data":{"moon":1}}"#;

    #[test]
    fn events_are_put_together_from_any_pieces() {
        let whole = ": still here\n\nid: 7\r\nevent: a\r\ndata: one\r\ndata:two\r\n\r\nid: 8\ndata: three\n\ndata: unfinished\n";
        for size in 1..whole.len() {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for piece in whole.as_bytes().chunks(size) {
                frames.push(piece);
                while let Some(data) = frames.next().unwrap() {
                    found.push(data);
                }
            }
            assert_eq!(found, ["one\ntwo", "three"], "in pieces of {size}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut endless = Frames::default();
        endless.push(&vec![b'x'; MAX_FRAME + 1]);
        assert_eq!(endless.next().unwrap_err().code(), "answer");
        let mut many_lines = Frames::default();
        many_lines.push("data: xxxxxxxxxxxxxxxx\n".repeat(MAX_FRAME / 16).as_bytes());
        assert_eq!(many_lines.next().unwrap_err().code(), "answer");
    }

    #[test]
    fn an_event_of_a_later_version_is_told_as_it_is() {
        let event = FeedEvent::read(TEXT.into()).unwrap();
        assert_eq!(event.known, None);
        assert_eq!((&*event.kind, &*event.cursor), ("moon.rose", "7"));
        assert_eq!(event.text, TEXT);
        assert!(FeedEvent::read("{}".into()).is_err());
    }

    #[test]
    fn an_event_of_a_page_has_the_text_of_a_stream() {
        let told =
            r#"{"id":"evt_1","cursor":"7","type":"webhook.test","at":1,"data":{"webhook":"ops"}}"#;
        let value: Value = serde_json::from_str(told).unwrap();
        assert_eq!(text_of(&value).unwrap(), told);
    }
}
