//! The coordinator's HTTP API as the client sees it: requests out, bounded answers in.
//! Nothing here is believed.

mod api_keys;
mod drain;
mod feed;
mod tasks;
mod votes;
mod walk;
mod webhooks;

use std::path::Path;
use std::time::Duration;

pub use countersign_api::{
    Answer, ApiKeySpec, ApiKeyView, Attempt, AuditEntry, AuditPage, Collecting, Decision, Delivery,
    DeliveryPage, DeliveryState, DrainView, Event, EventData, EventKind, Explanation, HistoryEntry,
    KeyOrigin, NodeForecast, NodeView, Open, OutcomeView, PartyView, Preflight, PreviousCredential,
    Progress, Reason, Reported, Resend, Resent, RotateApiKey, Scope, State, TaskPage, TaskResult,
    TaskSummary, TaskView, Verdict, WebhookFormat, WebhookKey, WebhookKeys, WebhookSpec,
    WebhookView,
};
use countersign_api::{NodeList, Problem, Submission, WalletGenerations, WalletImport};
use countersign_protocol::{KeyDescriptor, KeyId, SignedTask, TaskId};
use reqwest::{Method, RequestBuilder, Response, redirect::Policy};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::access::{self, Credentials};
use crate::belief::Order;
use crate::error::ClientError;
pub use feed::{EventStream, FeedEvent, FeedFilter, FeedPage};
pub use tasks::{DryRun, TaskFilter};
pub use votes::ToldVotes;
pub(crate) use walk::Walk;

/// Limit for one request; longer than any long poll.
const REQUEST: Duration = Duration::from_secs(50);
/// Seconds for which a coordinator that has just started is waited for.
const STARTING: usize = 10;
/// The most wallets that are believed to be at one coordinator.
const MAX_WALLETS: usize = 100_000;
/// Pages that they take at most, and the time for all of them.
const MAX_PAGES: usize = 2_000;
const LISTING: Duration = Duration::from_secs(600);
/// Size limit of answers in bytes. The longest is a task with what it signs.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// Size limit of answers with wallets in bytes. The longest is a page of them.
const MAX_WALLETS_ANSWER: usize = 64 * 1024 * 1024;

/// All that is read of a wallet: the descriptor proves itself, the rest would only repeat it.
#[derive(Serialize, Deserialize)]
struct Told {
    #[serde(rename = "announcement")]
    descriptor: KeyDescriptor,
}

#[derive(Deserialize)]
struct ToldPage {
    wallets: Vec<Open<Told>>,
    next: Option<String>,
}

/// Requests to one coordinator.
pub struct Api {
    http: reqwest::Client,
    base: String,
    credentials: Credentials,
    /// For one whole answer.
    limit: Duration,
}

impl Api {
    /// Connects to the coordinator at this URL with this API key.
    pub fn new(base: &str, key: Zeroizing<String>) -> Result<Self, ClientError> {
        Self::with(base, Credentials::ApiKey(key), None)
    }

    /// Connects to the coordinator at this URL, and believes only certificates that are in the file
    /// or issued by one of them, if it is given. Follows no redirect and asks no proxy.
    pub fn with(
        base: &str,
        credentials: Credentials,
        ca: Option<&Path>,
    ) -> Result<Self, ClientError> {
        if !base.starts_with("http://") && !base.starts_with("https://") {
            let message = format!(
                "`{base}` is not an http or https URL; correct `coordinator` in the profile"
            );
            return Err(ClientError::Usage(message));
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none());
        let http = access::http(base, ca, http)?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').into(),
            credentials,
            limit: REQUEST,
        })
    }

    /// Limits the time of each whole answer further than usual.
    pub(crate) fn limit(&mut self, limit: Option<Duration>) {
        self.limit = limit.map_or(REQUEST, |limit| limit.min(REQUEST));
    }

    /// Submits a task. The same bytes may be submitted again.
    pub async fn submit(&self, task: &SignedTask) -> Result<TaskView, ClientError> {
        self.post("/v1/tasks", &Submission::from(task)).await
    }

    /// Fetches a task; with `wait`, once it is past `revision`, has ended, or so
    /// many seconds are over.
    pub async fn task(
        &self,
        id: TaskId,
        wait: Option<(u64, u64)>,
    ) -> Result<TaskView, ClientError> {
        let query = wait.map_or(String::new(), |(seconds, known)| {
            format!("?wait={seconds}&revision={known}")
        });
        self.answer(self.request(Method::GET, &format!("/v1/tasks/{id}{query}")))
            .await
    }

    /// Fetches all wallets, unverified.
    pub async fn wallets(&self) -> Result<Vec<KeyDescriptor>, ClientError> {
        let limit = if self.limit < REQUEST {
            self.limit
        } else {
            LISTING
        };
        let listed = tokio::time::timeout(limit, self.all_wallets()).await;
        listed.unwrap_or_else(|_| Err(self.silent()))
    }

    async fn all_wallets(&self) -> Result<Vec<KeyDescriptor>, ClientError> {
        let mut wallets = Vec::new();
        let mut cursor: Option<String> = None;
        let mut walk = Walk::new("list of wallets", MAX_PAGES);
        loop {
            let mut query = vec![("limit", "200".to_owned())];
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let request = self.request(Method::GET, "/v1/wallets").query(&query);
            let page: ToldPage = self.answer(request).await?;
            // One of a scheme of a later version is of no use here.
            let found = page.wallets.into_iter().filter_map(Open::into_known);
            wallets.extend(found.map(|wallet| wallet.descriptor));
            if wallets.len() > MAX_WALLETS {
                return Err(ClientError::Answer(format!(
                    "it has more than {MAX_WALLETS} wallets"
                )));
            }
            let Some(next) = page.next else {
                return Ok(wallets);
            };
            walk.step(&next)?;
            cursor = Some(next);
        }
    }

    /// Fetches one wallet, unverified.
    pub async fn wallet(&self, id: KeyId) -> Result<KeyDescriptor, ClientError> {
        let wallet: Told = self
            .answer(self.request(Method::GET, &format!("/v1/wallets/{id}")))
            .await?;
        Ok(wallet.descriptor)
    }

    /// Fetches all generations of one wallet, oldest first, unverified.
    pub async fn generations(&self, id: KeyId) -> Result<Vec<KeyDescriptor>, ClientError> {
        let path = format!("/v1/wallets/{id}/generations");
        let history: WalletGenerations = self.answer(self.request(Method::GET, &path)).await?;
        Ok(history.generations)
    }

    /// Submits a wallet with all known generations, oldest first, and the order that created it.
    pub async fn push_wallet(
        &self,
        generations: &[KeyDescriptor],
        order: Option<&Order>,
    ) -> Result<(), ClientError> {
        let import = WalletImport {
            generations: generations.to_vec(),
            order: order.map(Submission::from),
        };
        // The answer would not be believed, so it is ignored.
        let _: Value = self.post("/v1/wallets", &import).await?;
        Ok(())
    }

    /// Fetches the nodes and their connection state.
    pub async fn nodes(&self) -> Result<Vec<NodeView>, ClientError> {
        let listing: NodeList = self.answer(self.request(Method::GET, "/v1/nodes")).await?;
        Ok(listing.nodes)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        request.timeout(self.limit)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.answer(self.with_body(Method::POST, path, body)?).await
    }

    fn with_body(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<RequestBuilder, ClientError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| ClientError::Usage(format!("{error}; report this")))?;
        let request = self.request(method, path).body(body);
        Ok(request.header("content-type", "application/json"))
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let body = self.bytes(request).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Answer(error.to_string()))
    }

    /// The body of the answer to a request that succeeded.
    async fn bytes(&self, request: RequestBuilder) -> Result<Vec<u8>, ClientError> {
        for _ in 0..STARTING {
            let Some(again) = request.try_clone() else {
                break;
            };
            match self.ask(again).await {
                // A coordinator refuses signatures from before its start.
                Err(ClientError::Api { code, .. }) if code == "just-started" => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                answered => return answered,
            }
        }
        self.ask(request).await
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Vec<u8>, ClientError> {
        let mut response = self.send(request).await?;
        self.read(&mut response).await
    }

    /// Sends a request with its proof, and returns the answer to one that succeeded.
    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let unreachable = |error| self.unreachable(&error);
        let mut request = request.build().map_err(unreachable)?;
        self.credentials.apply(&mut request)?;
        let mut response = self.http.execute(request).await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.read(&mut response).await?;
        let problem: Problem = serde_json::from_slice(&body)
            .map_err(|_| ClientError::Answer(format!("HTTP status {status}")))?;
        Err(ClientError::Api {
            status: status.as_u16(),
            code: problem.code,
            message: problem.detail,
        })
    }

    async fn read(&self, response: &mut Response) -> Result<Vec<u8>, ClientError> {
        let wallets = response.url().path().contains("/v1/wallets");
        let limit = if wallets {
            MAX_WALLETS_ANSWER
        } else {
            MAX_ANSWER
        };
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > limit {
                return Err(ClientError::Answer(format!(
                    "it is longer than {limit} bytes"
                )));
            }
        }
        Ok(body)
    }

    /// An answer did not come in time.
    fn silent(&self) -> ClientError {
        ClientError::Unreachable {
            url: self.base.clone(),
            reason: "no whole answer in time".into(),
            sent: true,
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        ClientError::Unreachable {
            url: self.base.clone(),
            reason: root_cause(error),
            sent: !error.is_connect(),
        }
    }
}

/// The path of something that has a name. A name never leads to another path.
fn named(what: &str, of: &str, name: &str, rest: &str) -> Result<String, ClientError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
        return Err(ClientError::Usage(format!(
            "`{name}` cannot be the name of {what}; write 1 to 40 of a-z, 0-9 and -"
        )));
    }
    Ok(format!("{of}/{name}{rest}"))
}

/// A list in a query, its words separated by commas. An empty one is left out.
fn listed<T: Serialize>(
    name: &'static str,
    words: &[T],
) -> Result<Option<(&'static str, String)>, ClientError> {
    let word = |word| match serde_json::to_value(word) {
        Ok(Value::String(word)) => Ok(word),
        Ok(other) => Ok(other.to_string()),
        Err(error) => Err(ClientError::Usage(format!("{error}; report this"))),
    };
    let words: Vec<String> = words.iter().map(word).collect::<Result<_, _>>()?;
    Ok((!words.is_empty()).then(|| (name, words.join(","))))
}

/// Finds the innermost cause, which says what happened; the outer ones repeat the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
