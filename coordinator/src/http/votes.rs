//! `/v1/tasks/{id}/votes`: votes on a task, given and listed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use countersign_api::{VoteList, VoteView};
use countersign_protocol::{TaskId, Vote};

use super::App;
use super::body::Body;
use super::error::ApiError;
use super::path::Part;
use super::tasks::{seen_by, task_id};
use crate::api_key::Caller;
use crate::clock;
use crate::task::record::TaskRecord;
use crate::task::votes::{Received, Votes};

/// Vote on a task
///
/// A vote proves itself, so any key with the scope `vote` hands it in. It is kept if it is genuine,
/// of a listed approver, and on a pending task; docs/quorum.md has its format. The same vote again
/// changes nothing. Once enough people have approved, the nodes are asked, and count again.
#[utoipa::path(
    post,
    path = "/tasks/{id}/votes",
    operation_id = "voteOnTask",
    tag = "tasks",
    params(("id" = TaskId, Path, description = "The task's id.")),
    request_body = Vote,
    responses(
        (
            status = 201,
            description = "The vote is kept.",
            body = VoteList,
            headers(("Location" = String, description = "The path of the task's votes."))
        ),
        (status = 200, description = "The vote was known, or a later one is.", body = VoteList),
        (status = 404, response = super::document::Missing),
        (status = 409, response = super::document::Conflict),
    )
)]
pub async fn vote(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(id): Part,
    Body(vote): Body<Vote>,
) -> Result<Response, ApiError> {
    let id = task_id(&id)?;
    seen_by(&app, &caller, id)?;
    let voted = app.registry.vote(id, vote, clock::now())?;
    app.registry.store().durable(voted.ticket).await?;
    let status = if voted.new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let location = [(header::LOCATION, format!("/v1/tasks/{id}/votes"))];
    let list = listed(&app, id, &voted.record);
    Ok((status, location, Json(list)).into_response())
}

/// List the votes on a task
///
/// Each proves itself, for the reader to verify. Names are those of the coordinator's
/// configuration.
#[utoipa::path(
    get,
    path = "/tasks/{id}/votes",
    operation_id = "listVotes",
    tag = "tasks",
    params(("id" = TaskId, Path, description = "The task's id.")),
    responses(
        (status = 200, description = "The votes.", body = VoteList),
        (status = 404, response = super::document::Missing),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(id): Part,
) -> Result<Json<VoteList>, ApiError> {
    let id = task_id(&id)?;
    let record = seen_by(&app, &caller, id)?;
    app.registry.store().task_durable(id).await?;
    Ok(Json(listed(&app, id, &record)))
}

fn view((name, received): (&str, &Received)) -> VoteView {
    VoteView {
        name: name.into(),
        received: received.at,
        vote: received.vote.clone(),
    }
}

fn listed(app: &App, id: TaskId, record: &TaskRecord) -> VoteList {
    let votes = record.votes.as_ref();
    let rules = app.registry.rules();
    VoteList {
        task: id,
        hash: record.signed().hash(),
        collecting: votes.map(Votes::collecting),
        votes: votes.map_or_else(Vec::new, |votes| {
            votes.listed(&rules.approvers).map(view).collect()
        }),
        missing: votes.map_or_else(Vec::new, |votes| votes.missing(&rules.approvers)),
    }
}
