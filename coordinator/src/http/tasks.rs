//! `/v1/tasks`: submission, lists, and long polls.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use countersign_api::{
    Explanation, State as TaskState, Submission, SubmitAnswer, TaskPage, TaskResult, TaskView,
};
use countersign_protocol::{KeyId, OperationKind, RequesterId, SignedTask, TaskId, UnixMillis};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::body::Body;
use super::error::ApiError;
use super::path::Part;
use super::query::{Params, Places, page_size, words};
use super::{App, view};
use crate::api_key::Caller;
use crate::clock;
use crate::run::stopped;
use crate::store::{Entry, Page, TaskFilter};
use crate::task::explain::{self, Seen};
use crate::task::record::{Subject, TaskRecord};

const MAX_WAIT: u64 = 30;

/// How a task is submitted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct SubmitQuery {
    /// True for a preflight.
    dry_run: bool,
}

/// Submit a task
///
/// The same task again is answered with its present state and 200; another task with the same id
/// with 409. So a request that got no answer can be repeated.
///
/// With `dry_run=true`, a preflight: the nodes are asked who would approve and why not, nothing is
/// kept, and nothing is signed. Its answer promises nothing, and the task's id remains unused.
#[utoipa::path(
    post,
    path = "/tasks",
    operation_id = "submitTask",
    tag = "tasks",
    params(SubmitQuery),
    request_body = Submission,
    responses(
        (
            status = 201,
            description = "The task is accepted.",
            body = TaskView,
            headers(("Location" = String, description = "The task's path."))
        ),
        (
            status = 200,
            description = "The task was accepted before; or the answer to a preflight.",
            body = SubmitAnswer
        ),
        (status = 409, response = super::document::Conflict),
    )
)]
pub async fn submit(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<SubmitQuery>,
    Body(submission): Body<Submission>,
) -> Result<Response, ApiError> {
    let task: SignedTask = submission.into();
    may_order(&caller, &task)?;
    if query.dry_run {
        let preflight = app
            .registry
            .preflight(task, Some(caller.key), clock::now())
            .await?;
        return Ok(Json(preflight).into_response());
    }
    let submitted = app.registry.submit(task, Some(&caller), clock::now())?;
    app.registry.store().durable(submitted.ticket).await?;
    let status = if submitted.new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let location = [(header::LOCATION, format!("/v1/tasks/{}", submitted.id))];
    let view = view::task(&app.registry, &caller, submitted.id, submitted.record)?;
    Ok((status, location, Json(view)).into_response())
}

/// Selects a page of tasks. Everything that is set must hold.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct TaskQuery {
    /// Entries of a page, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only tasks of these wallets.
    #[serde(deserialize_with = "words")]
    #[param(style = Form, explode = false)]
    wallet: Option<Vec<KeyId>>,
    /// Only tasks in these states.
    #[serde(deserialize_with = "words")]
    #[param(style = Form, explode = false)]
    state: Option<Vec<TaskState>>,
    /// Only tasks of these kinds.
    #[serde(deserialize_with = "words")]
    #[param(style = Form, explode = false)]
    operation: Option<Vec<OperationKind>>,
    /// Only tasks of these requesters.
    #[serde(deserialize_with = "words")]
    #[param(style = Form, explode = false)]
    requester: Option<Vec<RequesterId>>,
    /// Only tasks accepted at this time or later.
    since: Option<UnixMillis>,
    /// Only tasks accepted before this time.
    until: Option<UnixMillis>,
}

/// List tasks
///
/// Newest first. A page may be shorter than its limit although more follow: look at `next`.
#[utoipa::path(
    get,
    path = "/tasks",
    operation_id = "listTasks",
    tag = "tasks",
    params(TaskQuery),
    responses((status = 200, description = "A page of tasks.", body = TaskPage))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<TaskQuery>,
) -> Result<Json<TaskPage>, ApiError> {
    let limit = page_size(query.limit)?;
    let store = app.registry.store();
    store.durable(store.now()).await?;
    let before = Places::TASKS.before(query.cursor.as_deref(), store.last_task()?)?;
    let Page { tasks, next } = store.tasks(&query.filter(&caller), before, limit)?;
    let summary = |(entry, record): &(Entry, TaskRecord)| record.summary(entry.id, &entry.subject);
    Ok(Json(TaskPage {
        tasks: tasks.iter().map(summary).collect(),
        next: next.map(|before| Places::TASKS.cursor(before)),
    }))
}

impl TaskQuery {
    fn filter(self, caller: &Caller) -> TaskFilter {
        TaskFilter {
            wallets: caller.narrow(self.wallet),
            states: self.state,
            operations: self.operation,
            requesters: self.requester,
            since: self.since,
            until: self.until,
        }
    }
}

/// Parameters of a long poll.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wait {
    /// Seconds to wait for a change, at most 30. Absent: answer at once.
    wait: Option<u64>,
    /// The caller's revision; answered as soon as there is a later one, or the task has ended.
    revision: Option<u64>,
}

/// Show a task
///
/// With `wait` and `revision`, a long poll.
#[utoipa::path(
    get,
    path = "/tasks/{id}",
    operation_id = "showTask",
    tag = "tasks",
    params(("id" = TaskId, Path, description = "The task's id."), Wait),
    responses(
        (status = 200, description = "The task.", body = TaskView),
        (status = 404, response = super::document::Missing),
    )
)]
pub async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(id): Part,
    Params(wait): Params<Wait>,
) -> Result<Json<TaskView>, ApiError> {
    let id = task_id(&id)?;
    let seconds = wait.wait.unwrap_or(0).min(MAX_WAIT);
    let until = Instant::now() + Duration::from_secs(seconds);
    seen_by(&app, &caller, id)?;
    let record = news(&app, &caller, id, wait.revision.unwrap_or(0), until).await?;
    // A caller never sees an end that a crash could take back. Only a caller that waits for a
    // signature gets it at once: it proves itself, and its signers keep it in their journals.
    let proves_itself = seconds > 0 && matches!(record.result, Some(TaskResult::Signed(_)));
    if record.state.is_final() && !proves_itself {
        app.registry.store().task_durable(id).await?;
    }
    Ok(Json(view::task(&app.registry, &caller, id, record)?))
}

/// Explain a task
///
/// In plain words: what happened at each node, whom the task waits for, and what to do.
#[utoipa::path(
    get,
    path = "/tasks/{id}/explain",
    operation_id = "explainTask",
    tag = "tasks",
    params(("id" = TaskId, Path, description = "The task's id.")),
    responses(
        (status = 200, description = "The explanation.", body = Explanation),
        (status = 404, response = super::document::Missing),
    )
)]
pub async fn explain(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(id): Part,
) -> Result<Json<Explanation>, ApiError> {
    let id = task_id(&id)?;
    let record = seen_by(&app, &caller, id)?;
    if record.state.is_final() {
        app.registry.store().task_durable(id).await?;
    }
    let subject = view::subject(&record)?;
    let online = app.registry.online();
    let rules = app.registry.rules();
    let seen = Seen {
        names: &rules.nodes,
        online: &|node| online.contains_key(node),
        decision: rules.timings.decision,
    };
    Ok(Json(explain::explain(id, &subject, &record, &seen)))
}

/// Cancel a task
///
/// Only before the protocol begins: no party signs or stores anything then. Cancelling again
/// changes nothing. A task that runs or has ended is answered with 409.
#[utoipa::path(
    post,
    path = "/tasks/{id}/cancel",
    operation_id = "cancelTask",
    tag = "tasks",
    params(("id" = TaskId, Path, description = "The task's id.")),
    responses(
        (status = 200, description = "The task is cancelled.", body = TaskView),
        (status = 404, response = super::document::Missing),
        (status = 409, response = super::document::Conflict),
    )
)]
pub async fn cancel(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(id): Part,
) -> Result<Json<TaskView>, ApiError> {
    let id = task_id(&id)?;
    seen_by(&app, &caller, id)?;
    let record = app.registry.cancel(id, &caller.name, clock::now())?;
    app.audited(&caller, "task.cancel", &id.to_string()).await?;
    Ok(Json(view::task(&app.registry, &caller, id, record)?))
}

pub(super) fn task_id(text: &str) -> Result<TaskId, ApiError> {
    text.parse()
        .map_err(|error| ApiError::bad("task-id", format!("{error}")))
}

fn unknown() -> ApiError {
    ApiError::missing(
        "task-unknown",
        "there is no such task; list the tasks, or send it again",
    )
}

/// The task's record, if the caller may know of it.
pub(super) fn seen_by(app: &App, caller: &Caller, id: TaskId) -> Result<TaskRecord, ApiError> {
    let record = app.registry.record(id)?.ok_or_else(unknown)?;
    if caller.wallets.is_some() && !caller.sees(&view::subject(&record)?.wallet) {
        return Err(unknown());
    }
    Ok(record)
}

/// A key that is limited to wallets orders nothing else, and no new wallet.
fn may_order(caller: &Caller, task: &SignedTask) -> Result<(), ApiError> {
    if caller.wallets.is_none() {
        return Ok(());
    }
    // A task that cannot be read is refused where it is submitted.
    let Ok(read) = task.parse() else {
        return Ok(());
    };
    let subject = Subject::of(&read, &task.hash());
    if caller.sees(&subject.wallet) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "wallet-scope",
        "the API key is limited to other wallets; use one that has this wallet",
    ))
}

async fn news(
    app: &App,
    caller: &Caller,
    id: TaskId,
    known: u64,
    until: Instant,
) -> Result<TaskRecord, ApiError> {
    let watch = app.registry.watch(id);
    let record = app.registry.record(id)?.ok_or_else(unknown)?;
    let Some(mut watch) = watch.filter(|_| record.revision <= known && !record.state.is_final())
    else {
        return Ok(record);
    };
    let mut stop = app.stop.clone();
    let mut keys = app.keys.changes();
    let revoked = async {
        while app.keys.may_still_read(caller, clock::now()) && keys.changed().await.is_ok() {}
    };
    // The record is read again however the wait ends: a timeout, the end of the task, or a stop of
    // the coordinator is not an error.
    tokio::select! {
        waited = timeout_at(until, watch.wait_for(|revision| *revision > known)) => drop(waited),
        () = stopped(&mut stop) => {}
        () = revoked => {}
    }
    app.registry.record(id)?.ok_or_else(unknown)
}
