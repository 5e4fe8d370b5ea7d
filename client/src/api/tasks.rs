//! Lists, preflights, explanations and cancellations of tasks.

use countersign_api::{Explanation, Preflight, State, Submission, TaskPage, TaskView};
use countersign_protocol::{KeyId, OperationKind, RequesterId, SignedTask, TaskId, UnixMillis};
use reqwest::Method;
use serde_json::Value;

use super::{Api, listed};
use crate::error::ClientError;

/// Selects tasks. Everything that is set must hold; an empty list sets nothing.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    pub wallets: Vec<KeyId>,
    pub states: Vec<State>,
    pub operations: Vec<OperationKind>,
    pub requesters: Vec<RequesterId>,
    /// Accepted at this time or later.
    pub since: Option<UnixMillis>,
    /// Accepted before this time.
    pub until: Option<UnixMillis>,
}

/// The answer to a preflight.
#[derive(Debug)]
pub enum DryRun {
    /// The forecast; nothing was ordered.
    Forecast(Preflight),
    /// The coordinator does not know preflights, and took the task for an order.
    Ordered(Box<TaskView>),
}

impl Api {
    /// Fetches a page of tasks, newest first. `cursor` is `next` of the page before.
    pub async fn tasks(
        &self,
        filter: &TaskFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<TaskPage, ClientError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        query.extend(listed("wallet", &filter.wallets)?);
        query.extend(listed("state", &filter.states)?);
        query.extend(listed("operation", &filter.operations)?);
        query.extend(listed("requester", &filter.requesters)?);
        query.extend(filter.since.map(|at| ("since", at.0.to_string())));
        query.extend(filter.until.map(|at| ("until", at.0.to_string())));
        self.answer(self.request(Method::GET, "/v1/tasks").query(&query))
            .await
    }

    /// Asks for what would come of a task if it were submitted.
    pub async fn preflight(&self, task: &SignedTask) -> Result<DryRun, ClientError> {
        let path = "/v1/tasks?dry_run=true";
        let answer: Value = self.post(path, &Submission::from(task)).await?;
        let unreadable = |error: serde_json::Error| ClientError::Answer(error.to_string());
        if answer.get("verdict").is_some() {
            serde_json::from_value(answer)
                .map(DryRun::Forecast)
                .map_err(unreadable)
        } else {
            serde_json::from_value(answer)
                .map(DryRun::Ordered)
                .map_err(unreadable)
        }
    }

    /// Fetches what happened to a task, in plain words.
    pub async fn explain(&self, id: TaskId) -> Result<Explanation, ClientError> {
        let path = format!("/v1/tasks/{id}/explain");
        self.answer(self.request(Method::GET, &path)).await
    }

    /// Cancels a task that does not run yet. Cancelling again changes nothing.
    pub async fn cancel(&self, id: TaskId) -> Result<TaskView, ClientError> {
        let path = format!("/v1/tasks/{id}/cancel");
        self.answer(self.request(Method::POST, &path)).await
    }
}
