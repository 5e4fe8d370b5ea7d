//! Requests that are passed on to the coordinator: a few, each with the API key of the session.
//!
//! The page uses these alone, so a request that is forged in spite of everything else can do no
//! more. Of an answer only status, kind and body go back.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_protocol::SignedTask;
use futures_util::stream;
use reqwest::redirect::Policy;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use zeroize::Zeroizing;

use super::problem::Problem;
use super::session::{Key, Session};
use crate::access;
use crate::error::ClientError;
use crate::profile::Profile;

/// The most requests at once, of all sessions.
const AT_ONCE: usize = 256;
/// Time limit for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Time limit for the next bytes of an answer: longer than a long poll and the pauses of a stream.
const SILENCE: Duration = Duration::from_secs(60);
/// Size limit of an answer in bytes, but for streams: that of a page of wallets.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;
/// Size limit of an order in bytes: the largest task, with the quotation marks of a smaller one
/// written as two characters each.
const MAX_ORDER: usize = SignedTask::MAX_PSBT_BYTES + SignedTask::MAX_BYTES;
/// Size limit of any other body in bytes: more than a vote has.
const MAX_BODY: usize = 16 * 1024;
/// Size limit of a query in bytes.
const MAX_QUERY: usize = 2048;
/// The longest part of a path, such as an id.
const MAX_PART: usize = 128;
/// The longest name of an API key or a webhook.
const MAX_NAME: usize = 40;
/// The kinds of answers that are passed back. None of them is a page or a script.
const KINDS: [&str; 3] = ["application/json", "application/problem+json", STREAM];
const STREAM: &str = "text/event-stream";
/// The cursor of a stream that goes on.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The coordinator.
pub(super) struct Upstream {
    http: reqwest::Client,
    base: String,
    requests: Arc<Semaphore>,
}

/// A request of the page.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// Behind the prefix, beginning with a slash.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Upstream {
    /// The coordinator of a profile. Follows no redirect and asks no proxy.
    pub(super) fn new(profile: &Profile) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .user_agent(concat!("countersign-console/", env!("CARGO_PKG_VERSION")));
        let ca = profile.coordinator_ca.as_deref();
        let http = access::http(&profile.coordinator, ca, http)?;
        Ok(Self {
            http,
            base: profile.coordinator.trim_end_matches('/').into(),
            requests: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Whether the coordinator knows an API key, and lets it read.
    pub(super) async fn check(&self, key: &Key) -> Result<(), Problem> {
        let _place = self.place()?;
        let request = self.http.get(format!("{}/v1/nodes", self.base));
        let request = request.header(header::AUTHORIZATION, bearer(key)?);
        let answer = request.send().await.map_err(|_| away())?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "console-key",
                "the coordinator does not know this API key, or it may not read; ask the coordinator's operator",
            )),
            _ => Err(away()),
        }
    }

    /// Passes a request on, and its answer back.
    pub(super) async fn pass(
        &self,
        asked: Asked<'_>,
        session: &Session,
    ) -> Result<Response, Problem> {
        if !is_passed(asked.method, asked.path) || !asked.query.is_none_or(is_query) {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "console-path",
                "the console passes no such request on; use the command line",
            ));
        }
        let places = Places {
            _own: session
                .places
                .clone()
                .try_acquire_owned()
                .map_err(|_| busy())?,
            _all: self.place()?,
        };
        let query = asked.query.map(|query| format!("?{query}"));
        let url = format!("{}{}{}", self.base, asked.path, query.unwrap_or_default());
        let mut request = self.http.request(asked.method.clone(), url);
        request = request.header(header::AUTHORIZATION, bearer(&session.key)?);
        for name in [header::ACCEPT, header::CONTENT_TYPE, LAST_EVENT_ID] {
            if let Some(value) = asked.headers.get(&name) {
                request = request.header(name, value.clone());
            }
        }
        if !asked.body.is_empty() {
            request = request.body(asked.body);
        }
        let answer = request.send().await.map_err(|_| away())?;
        passed_back(answer, places, session.ended.clone())
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = self.requests.clone().try_acquire_owned();
        place.map_err(|_| busy())
    }
}

/// Held until the answer is taken in.
struct Places {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// Size limit of the body of a request, in bytes.
pub(super) fn limit(method: &Method, path: &str) -> usize {
    match (method, path) {
        (&Method::POST, "/v1/tasks") => MAX_ORDER,
        _ => MAX_BODY,
    }
}

/// True for a request that the page makes.
fn is_passed(method: &Method, path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let is_id = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        (1..=MAX_PART).contains(&part.len()) && part.bytes().all(plain)
    };
    match (method, &*parts) {
        (&Method::GET, ["", "v1", "tasks" | "wallets" | "nodes" | "events"]) => true,
        (&Method::POST, ["", "v1", "tasks"]) => true,
        (&Method::GET, ["", "v1", "tasks" | "wallets", id]) => is_id(id),
        (&Method::GET, ["", "v1", "wallets", id, "generations"]) => is_id(id),
        (&Method::GET | &Method::POST, ["", "v1", "tasks", id, "votes"]) => is_id(id),
        (&Method::GET, ["", "v1", "requesters" | "api-keys" | "webhooks" | "audit"]) => true,
        (&Method::PUT | &Method::DELETE, ["", "v1", "api-keys" | "webhooks", name]) => {
            is_name(name)
        }
        (&Method::POST, ["", "v1", "api-keys", name, "expire"])
        | (&Method::GET, ["", "v1", "webhooks", name, "deliveries"])
        | (&Method::POST, ["", "v1", "webhooks", name, "test"]) => is_name(name),
        _ => false,
    }
}

/// True for a name of an API key or a webhook.
fn is_name(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    part.len() <= MAX_NAME
        && part.starts_with(|first: char| first.is_ascii_lowercase())
        && part.bytes().all(plain)
}

fn is_query(query: &str) -> bool {
    query.len() <= MAX_QUERY
        && query
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

fn bearer(key: &Key) -> Result<HeaderValue, Problem> {
    let text = Zeroizing::new(format!("Bearer {}", key.expose()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "console-key",
            "the API key has characters that no header can hold; copy it again",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn passed_back(
    answer: reqwest::Response,
    places: Places,
    ended: watch::Receiver<()>,
) -> Result<Response, Problem> {
    if answer.status() == StatusCode::NO_CONTENT {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let Some(kind) = KINDS
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(kind))
    else {
        return Err(Problem::new(
            StatusCode::BAD_GATEWAY,
            "console-answer",
            "the coordinator's answer is of no kind that the console knows; check its URL in the profile",
        ));
    };
    let left = (kind != STREAM).then_some(MAX_ANSWER);
    let mut head = HeaderMap::new();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(pause) = answer.headers().get(header::RETRY_AFTER) {
        head.insert(header::RETRY_AFTER, pause.clone());
    }
    let status = answer.status();
    let body = Body::from_stream(stream::unfold(
        Some(Passing {
            answer,
            left,
            ended,
            _places: places,
        }),
        |passing| async move { passing?.next().await },
    ));
    Ok((status, head, body).into_response())
}

/// An answer on its way back.
struct Passing {
    answer: reqwest::Response,
    /// Bytes that may still come; without end for a stream.
    left: Option<u64>,
    ended: watch::Receiver<()>,
    _places: Places,
}

type Step = (io::Result<Vec<u8>>, Option<Passing>);

impl Passing {
    /// The next bytes. Ends with the session; an answer that breaks off breaks off for the page.
    async fn next(mut self) -> Option<Step> {
        let chunk = tokio::select! {
            chunk = self.answer.chunk() => chunk,
            _ = self.ended.changed() => return Some((Err(io::ErrorKind::ConnectionAborted.into()), None)),
        };
        match chunk {
            Ok(None) => None,
            Err(error) => Some((Err(io::Error::other(error.without_url())), None)),
            Ok(Some(bytes)) => {
                let left = self.left.map(|left| left.checked_sub(bytes.len() as u64));
                if left == Some(None) {
                    return Some((Err(io::ErrorKind::FileTooLarge.into()), None));
                }
                self.left = left.flatten();
                Some((Ok(bytes.to_vec()), Some(self)))
            }
        }
    }
}

const fn away() -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "console-coordinator",
        "the coordinator does not answer as it should; try again in a moment, and ask its operator if that does not help",
    )
}

const fn busy() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "console-busy",
        "too many requests are under way; close other windows of the console, and try again in a moment",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_of_the_page_are_passed_on_and_no_others() {
        for (method, path) in [
            (Method::GET, "/v1/tasks"),
            (Method::POST, "/v1/tasks"),
            (Method::GET, "/v1/tasks/0a0a"),
            (Method::GET, "/v1/tasks/0a0a/votes"),
            (Method::POST, "/v1/tasks/0a0a/votes"),
            (Method::GET, "/v1/wallets/csk1q"),
            (Method::GET, "/v1/wallets/csk1q/generations"),
            (Method::GET, "/v1/nodes"),
            (Method::GET, "/v1/events"),
            (Method::GET, "/v1/requesters"),
            (Method::GET, "/v1/api-keys"),
            (Method::PUT, "/v1/api-keys/desk-2"),
            (Method::DELETE, "/v1/api-keys/desk-2"),
            (Method::POST, "/v1/api-keys/desk-2/expire"),
            (Method::GET, "/v1/webhooks"),
            (Method::PUT, "/v1/webhooks/ops"),
            (Method::DELETE, "/v1/webhooks/ops"),
            (Method::GET, "/v1/webhooks/ops/deliveries"),
            (Method::POST, "/v1/webhooks/ops/test"),
            (Method::GET, "/v1/audit"),
        ] {
            assert!(is_passed(&method, path), "{method} {path}");
        }
        let long = format!("/v1/tasks/{}", "a".repeat(MAX_PART + 1));
        let long_name = format!("/v1/webhooks/{}", "a".repeat(MAX_NAME + 1));
        for (method, path) in [
            (Method::PUT, "/v1/tasks"),
            (Method::DELETE, "/v1/tasks"),
            (Method::POST, "/v1/tasks/"),
            (Method::POST, "/v1/tasks/0a0a"),
            (Method::DELETE, "/v1/tasks/0a0a"),
            (Method::POST, "/v1/tasks/0a0a/cancel"),
            (Method::POST, "/v1/wallets"),
            (Method::PUT, "/v1/drain"),
            (Method::POST, "/v1/api-keys"),
            (Method::POST, "/v1/api-keys/desk/rotate"),
            (Method::PUT, "/v1/api-keys/"),
            (Method::PUT, "/v1/api-keys/Desk"),
            (Method::PUT, "/v1/api-keys/-desk"),
            (Method::PUT, "/v1/api-keys/.."),
            (Method::PUT, "/v1/api-keys/desk/expire"),
            (Method::PUT, "/v1/webhooks"),
            (Method::POST, "/v1/webhooks/ops/resend"),
            (Method::DELETE, "/v1/webhooks/ops/deliveries"),
            (Method::POST, "/v1/webhook-keys/rotate"),
            (Method::PUT, &long_name),
            (Method::DELETE, "/v1/audit"),
            (Method::GET, "/v1/tasks/../api-keys"),
            (Method::GET, "/v1/tasks/%2e%2e"),
            (Method::GET, "/v1/tasks//votes"),
            (Method::GET, "/v1/tasks/0A"),
            (Method::GET, "/v1/tasks/0a/"),
            (Method::GET, "v1/tasks"),
            (Method::GET, "@evil.example/v1/tasks"),
            (Method::GET, "/metrics"),
            (Method::GET, ""),
            (Method::GET, &long),
        ] {
            assert!(!is_passed(&method, path), "{method} {path}");
        }
    }

    #[test]
    fn a_query_is_short_and_plain() {
        assert!(is_query("limit=50&state=pending,waiting&cursor=a%20b"));
        for wrong in ["a b", "a#b", "a\r\nb", "é", &"a".repeat(MAX_QUERY + 1)] {
            assert!(!is_query(wrong), "{wrong}");
        }
    }
}
