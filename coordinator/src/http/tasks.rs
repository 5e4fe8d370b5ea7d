//! `/v1/tasks`: submit, list, show, wait.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use countersign_protocol::{SignedTask, TaskId};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::error::ApiError;
use super::view::{Summary, TaskView};
use super::{App, Through};
use crate::clock;
use crate::run::stopped;
use crate::task::record::{Proof, TaskRecord};

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 200;
const MAX_WAIT: u64 = 30;

/// A signed task, as submitted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Submission {
    /// The exact JSON text of the task.
    task: String,
    /// Ed25519 signature of the requester: 128 hexadecimal digits.
    signature: String,
}

/// `POST`: 201 for a new task, 200 for the same one again, 409 for another task with the same id.
pub async fn submit(
    State(app): State<Arc<App>>,
    Extension(Through(key)): Extension<Through>,
    body: Bytes,
) -> Result<(StatusCode, Json<TaskView>), ApiError> {
    let submitted = app
        .registry
        .submit(signed_task(&body)?, Some(key), clock::now())?;
    app.registry.store().durable(submitted.ticket).await?;
    let status = if submitted.new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((
        status,
        Json(TaskView::new(&app.registry, submitted.record)?),
    ))
}

/// Selects a page of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    limit: Option<usize>,
    before: Option<u64>,
}

/// A page of tasks, newest first.
#[derive(Debug, Serialize)]
pub struct Listing {
    tasks: Vec<Summary>,
    /// `before` of the next page; absent on the last one.
    next: Option<u64>,
}

/// `GET`: newest first.
pub async fn list(
    State(app): State<Arc<App>>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Listing>, ApiError> {
    let Query(page) = page.map_err(|error| bad_query(&error))?;
    let limit = page.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let store = app.registry.store();
    store.durable(store.now()).await?;
    let records = store.tasks(page.before, limit)?;
    let next = records
        .last()
        .filter(|last| records.len() == limit && last.sequence > 1)
        .map(|last| last.sequence);
    let tasks = records
        .into_iter()
        .map(Summary::new)
        .collect::<Result<_, _>>()?;
    Ok(Json(Listing { tasks, next }))
}

/// Parameters of a long poll.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Seconds, at most 30. Absent: answer at once.
    wait: Option<u64>,
    /// The caller's revision; answered as soon as there is a later one, or the task has ended.
    revision: Option<u64>,
}

/// `GET /{id}`: with `wait` and `revision`, a long poll.
pub async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<Json<TaskView>, ApiError> {
    let Query(wait) = wait.map_err(|error| bad_query(&error))?;
    let id: TaskId = id
        .parse()
        .map_err(|error| ApiError::bad("task-id", format!("{error}")))?;
    let seconds = wait.wait.unwrap_or(0).min(MAX_WAIT);
    let until = Instant::now() + Duration::from_secs(seconds);
    let record = news(&app, id, wait.revision.unwrap_or(0), until).await?;
    // A caller never sees an end that a crash could take back. Only a caller that waits for a
    // signature gets it at once: it proves itself, and its signers keep it in their journals.
    let proves_itself = seconds > 0 && matches!(record.result, Some(Proof::Signed(_)));
    if record.state.is_final() && !proves_itself {
        app.registry.store().task_durable(id).await?;
    }
    Ok(Json(TaskView::new(&app.registry, record)?))
}

async fn news(app: &App, id: TaskId, known: u64, until: Instant) -> Result<TaskRecord, ApiError> {
    let unknown = || {
        ApiError::missing(
            "task-unknown",
            "there is no such task; list the tasks, or send it again",
        )
    };
    let watch = app.registry.watch(id);
    let record = app.registry.record(id)?.ok_or_else(unknown)?;
    let Some(mut watch) = watch.filter(|_| record.revision <= known && !record.state.is_final())
    else {
        return Ok(record);
    };
    let mut stop = app.stop.clone();
    // The record is read again however the wait ends: a timeout, the end of the task, or a stop of
    // the coordinator is not an error.
    tokio::select! {
        waited = timeout_at(until, watch.wait_for(|revision| *revision > known)) => drop(waited),
        () = stopped(&mut stop) => {}
    }
    app.registry.record(id)?.ok_or_else(unknown)
}

fn signed_task(body: &[u8]) -> Result<SignedTask, ApiError> {
    let submission: Submission = serde_json::from_slice(body).map_err(|error| {
        let message = format!(
            "the body cannot be read ({error}); send {{\"task\": text, \"signature\": hex}}"
        );
        ApiError::bad("body-malformed", message)
    })?;
    submission.signed()
}

impl Submission {
    /// Returns the exact bytes with their signature.
    pub(super) fn signed(self) -> Result<SignedTask, ApiError> {
        let mut signature = [0; 64];
        hex::decode_to_slice(&self.signature, &mut signature).map_err(|_| {
            ApiError::bad(
                "signature-malformed",
                "`signature` does not have 128 hexadecimal digits; send the Ed25519 signature in hex",
            )
        })?;
        Ok(SignedTask {
            bytes: self.task.into_bytes(),
            signature,
        })
    }
}

fn bad_query(error: &QueryRejection) -> ApiError {
    ApiError::bad("query-malformed", format!("{error}; correct the query"))
}
