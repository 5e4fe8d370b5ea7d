//! The coordinator's HTTP API as the client sees it: requests out, bounded answers in.
//! Nothing here is believed.

use std::path::Path;
use std::time::Duration;

use countersign_protocol::control::{Pace, Stage};
use countersign_protocol::{
    Intact, KeyDescriptor, KeyId, NodeId, Outcome, PluginVerdict, Refusal, RequesterId, Signed,
    SignedTask, TaskId, UnixMillis,
};
use reqwest::{Method, RequestBuilder, redirect::Policy};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::access::{self, Credentials};
use crate::belief::Order;
use crate::error::ClientError;

/// Limit for one request; longer than any long poll.
const REQUEST: Duration = Duration::from_secs(50);
/// Seconds for which a coordinator that has just started is waited for.
const STARTING: usize = 10;
/// Size limit of answers in bytes; the longest is a list of wallets.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Waiting for nodes that are not online.
    Waiting,
    /// Waiting for the parties' decisions.
    Approving,
    /// All approved; the protocol runs.
    Running,
    /// Ended with a result.
    Completed,
    /// Ended because a party refused.
    Rejected,
    /// Ended without a result after it was offered.
    Failed,
    /// Ended because nodes did not come online in time.
    Expired,
}

impl State {
    /// True if nothing more is expected.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Rejected | Self::Failed | Self::Expired => true,
            Self::Waiting | Self::Approving | Self::Running => false,
        }
    }
}

/// A task in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of the coordinator's API, which documents them"
)]
pub struct TaskSummary {
    pub id: TaskId,
    pub sequence: u64,
    pub revision: u64,
    pub state: State,
    pub operation: String,
    pub requester: RequesterId,
    pub wallet: KeyId,
    pub submitted: UnixMillis,
    pub offered: Option<UnixMillis>,
    pub started: Option<UnixMillis>,
    pub ended: Option<UnixMillis>,
    pub not_after: UnixMillis,
    pub reason: Option<Reason>,
}

/// A task in full.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskView {
    /// The entry shown in lists.
    #[serde(flatten)]
    pub summary: TaskSummary,
    /// The exact text that the requester signed.
    pub task: String,
    /// Ed25519 signature of the requester.
    #[serde(with = "hex::serde")]
    pub signature: [u8; 64],
    /// The parties; empty until they are chosen.
    pub nodes: Vec<PartyView>,
    /// The result, as claimed by the coordinator.
    pub result: Option<ResultView>,
    /// The history, oldest first.
    pub events: Vec<EventView>,
}

impl TaskView {
    /// The order behind the task.
    pub fn order(&self) -> SignedTask {
        SignedTask {
            bytes: self.task.clone().into_bytes(),
            signature: self.signature,
        }
    }
}

/// One party of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of the coordinator's API, which documents them"
)]
pub struct PartyView {
    pub node: NodeId,
    pub name: Option<String>,
    pub online: bool,
    pub decision: Option<DecisionView>,
    pub progress: Option<ProgressView>,
    #[serde(default)]
    pub stored: bool,
    #[serde(rename = "void", default)]
    pub abort_vote: bool,
    pub outcome: Option<OutcomeView>,
}

/// A node's decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of the coordinator's API, which documents them"
)]
pub struct DecisionView {
    pub at: UnixMillis,
    pub refusal: Option<Refusal>,
    pub verdicts: Vec<PluginVerdict>,
}

/// The progress of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of the coordinator's API, which documents them"
)]
pub struct ProgressView {
    pub at: UnixMillis,
    pub stage: Stage,
    pub waiting_for: Vec<NodeId>,
    #[serde(default)]
    pub pace: Option<Pace>,
}

/// The outcome reported by a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of the coordinator's API, which documents them"
)]
pub struct OutcomeView {
    pub at: UnixMillis,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Why a task ended without a result.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of the coordinator's API, which documents them"
)]
pub struct Reason {
    pub code: String,
    pub message: String,
    pub nodes: Vec<NodeId>,
    pub plugin: Option<String>,
}

/// A result, as claimed by the coordinator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResultView {
    /// A new key (KeyGen).
    Created(Box<KeyDescriptor>),
    /// Signatures, one for each input.
    Signed(Signed),
    /// The next generation of a key.
    Reshared(Box<KeyDescriptor>),
    /// A check-up: one proof of each node.
    Intact(Vec<Intact>),
}

/// An entry of a task's history.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of the coordinator's API, which documents them"
)]
pub struct EventView {
    pub at: UnixMillis,
    pub text: String,
}

/// A page of tasks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskPage {
    /// One page, newest first.
    pub tasks: Vec<TaskSummary>,
    /// `before` of the next page; absent on the last one.
    pub next: Option<u64>,
}

/// A node as the coordinator sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of the coordinator's API, which documents them"
)]
pub struct NodeView {
    pub id: NodeId,
    pub name: String,
    pub online: bool,
    pub software: Option<String>,
    pub since: Option<UnixMillis>,
}

#[derive(Deserialize)]
struct Nodes {
    nodes: Vec<NodeView>,
}

#[derive(Deserialize)]
struct WalletView {
    #[serde(rename = "announcement")]
    descriptor: KeyDescriptor,
}

#[derive(Deserialize)]
struct History {
    generations: Vec<KeyDescriptor>,
}

#[derive(Deserialize)]
struct Wallets {
    wallets: Vec<WalletView>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorView,
}

#[derive(Deserialize)]
struct ErrorView {
    code: String,
    message: String,
}

/// Requests to one coordinator.
pub struct Api {
    http: reqwest::Client,
    base: String,
    credentials: Credentials,
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
            .redirect(Policy::none())
            .timeout(REQUEST);
        let http = access::http(base, ca, http)?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').into(),
            credentials,
        })
    }

    /// Submits a task. The same bytes may be submitted again.
    pub async fn submit(&self, task: &SignedTask) -> Result<TaskView, ClientError> {
        let text = String::from_utf8_lossy(&task.bytes);
        let body = serde_json::json!({"task": text, "signature": hex::encode(task.signature)});
        let request = self
            .request(Method::POST, "/v1/tasks")
            .body(body.to_string());
        self.answer(request.header("content-type", "application/json"))
            .await
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

    /// Fetches a page of tasks, newest first.
    pub async fn tasks(&self, limit: usize, before: Option<u64>) -> Result<TaskPage, ClientError> {
        let before = before.map_or(String::new(), |before| format!("&before={before}"));
        self.answer(self.request(Method::GET, &format!("/v1/tasks?limit={limit}{before}")))
            .await
    }

    /// Fetches all wallets, unverified.
    pub async fn wallets(&self) -> Result<Vec<KeyDescriptor>, ClientError> {
        let listing: Wallets = self
            .answer(self.request(Method::GET, "/v1/wallets"))
            .await?;
        Ok(listing
            .wallets
            .into_iter()
            .map(|wallet| wallet.descriptor)
            .collect())
    }

    /// Fetches one wallet, unverified.
    pub async fn wallet(&self, id: KeyId) -> Result<KeyDescriptor, ClientError> {
        let wallet: WalletView = self
            .answer(self.request(Method::GET, &format!("/v1/wallets/{id}")))
            .await?;
        Ok(wallet.descriptor)
    }

    /// Fetches all generations of one wallet, oldest first, unverified.
    pub async fn generations(&self, id: KeyId) -> Result<Vec<KeyDescriptor>, ClientError> {
        let path = format!("/v1/wallets/{id}/generations");
        let history: History = self.answer(self.request(Method::GET, &path)).await?;
        Ok(history.generations)
    }

    /// Submits a wallet with all known generations, oldest first, and the order that created it.
    pub async fn push_wallet(
        &self,
        generations: &[KeyDescriptor],
        order: Option<&Order>,
    ) -> Result<(), ClientError> {
        let order = order
            .map(|order| serde_json::json!({"task": order.task, "signature": hex::encode(order.signature)}));
        let body = serde_json::json!({ "generations": generations, "order": order });
        let request = self
            .request(Method::POST, "/v1/wallets")
            .body(body.to_string());
        // The answer would not be believed, so it is ignored.
        let _: serde_json::Value = self
            .answer(request.header("content-type", "application/json"))
            .await?;
        Ok(())
    }

    /// Fetches the nodes and their connection state.
    pub async fn nodes(&self) -> Result<Vec<NodeView>, ClientError> {
        let listing: Nodes = self.answer(self.request(Method::GET, "/v1/nodes")).await?;
        Ok(listing.nodes)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
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

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let unreachable = |error: reqwest::Error| ClientError::Unreachable {
            url: self.base.clone(),
            reason: root_cause(&error),
            sent: !error.is_connect(),
        };
        let mut request = request.build().map_err(unreachable)?;
        self.credentials.apply(&mut request)?;
        let mut response = self.http.execute(request).await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(ClientError::Answer(format!(
                    "it is longer than {MAX_ANSWER} bytes"
                )));
            }
        }
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|error| ClientError::Answer(error.to_string()));
        }
        let error: ErrorBody = serde_json::from_slice(&body)
            .map_err(|_| ClientError::Answer(format!("HTTP status {status}")))?;
        let code = error.error.code;
        let message = error.error.message;
        Err(ClientError::Api {
            status: status.as_u16(),
            code,
            message,
        })
    }
}

/// Finds the innermost cause, which says what happened; the outer ones repeat the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
