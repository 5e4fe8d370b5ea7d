//! The coordinator's HTTP API as the client sees it: requests out, bounded answers in.
//! Nothing here is believed.

use std::path::Path;
use std::time::Duration;

pub use countersign_api::{
    Decision, HistoryEntry, NodeView, OutcomeView, PartyView, Progress, Reason, State, TaskPage,
    TaskResult, TaskSummary, TaskView,
};
use countersign_api::{
    NodeList, Problem, Submission, WalletGenerations, WalletImport, WalletPage, WalletView,
};
use countersign_protocol::{KeyDescriptor, KeyId, SignedTask, TaskId};
use reqwest::{Method, RequestBuilder, redirect::Policy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::access::{self, Credentials};
use crate::belief::Order;
use crate::error::ClientError;

/// Limit for one request; longer than any long poll.
const REQUEST: Duration = Duration::from_secs(50);
/// Seconds for which a coordinator that has just started is waited for.
const STARTING: usize = 10;
/// The most wallets that are believed to be at one coordinator.
const MAX_WALLETS: usize = 100_000;
/// Size limit of answers in bytes; the longest is a page of wallets.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

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

    /// Fetches a page of tasks, newest first. `cursor` is `next` of the page before.
    pub async fn tasks(&self, limit: usize, cursor: Option<&str>) -> Result<TaskPage, ClientError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        self.answer(self.request(Method::GET, "/v1/tasks").query(&query))
            .await
    }

    /// Fetches all wallets, unverified.
    pub async fn wallets(&self) -> Result<Vec<KeyDescriptor>, ClientError> {
        let mut wallets = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("limit", "200".to_owned())];
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let request = self.request(Method::GET, "/v1/wallets").query(&query);
            let page: WalletPage = self.answer(request).await?;
            let found = page.wallets.into_iter().map(|wallet| wallet.descriptor);
            wallets.extend(found);
            if wallets.len() > MAX_WALLETS {
                return Err(ClientError::Answer(format!(
                    "it has more than {MAX_WALLETS} wallets"
                )));
            }
            let Some(next) = page.next else {
                return Ok(wallets);
            };
            cursor = Some(next);
        }
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
        let _: serde_json::Value = self.post("/v1/wallets", &import).await?;
        Ok(())
    }

    /// Fetches the nodes and their connection state.
    pub async fn nodes(&self) -> Result<Vec<NodeView>, ClientError> {
        let listing: NodeList = self.answer(self.request(Method::GET, "/v1/nodes")).await?;
        Ok(listing.nodes)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| ClientError::Usage(format!("{error}; report this")))?;
        let request = self.request(Method::POST, path).body(body);
        self.answer(request.header("content-type", "application/json"))
            .await
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
        let problem: Problem = serde_json::from_slice(&body)
            .map_err(|_| ClientError::Answer(format!("HTTP status {status}")))?;
        Err(ClientError::Api {
            status: status.as_u16(),
            code: problem.code,
            message: problem.detail,
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
