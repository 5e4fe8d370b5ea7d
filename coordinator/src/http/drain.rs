//! `/v1/drain`: finish the tasks under way and begin no others, before the coordinator is stopped.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use countersign_api::{DrainView, SetDrain};

use super::App;
use super::body::Body;
use super::error::ApiError;
use crate::api_key::Caller;

/// Show whether tasks are begun
///
/// And how many are under way.
#[utoipa::path(
    get,
    path = "/drain",
    operation_id = "showDrain",
    tag = "operators",
    responses((status = 200, description = "The state.", body = DrainView))
)]
pub async fn show(State(app): State<Arc<App>>) -> Json<DrainView> {
    Json(app.registry.drain_state())
}

/// Start or stop draining
///
/// While it drains, the coordinator finishes the tasks under way. New tasks are accepted and wait,
/// also over a restart, which ends the draining. Setting the same again changes nothing.
#[utoipa::path(
    put,
    path = "/drain",
    operation_id = "setDrain",
    tag = "operators",
    request_body = SetDrain,
    responses((status = 200, description = "The state.", body = DrainView))
)]
pub async fn set(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(wanted): Body<SetDrain>,
) -> Result<Json<DrainView>, ApiError> {
    let what = if wanted.draining { "begin" } else { "end" };
    // What is not on record does not happen.
    app.audited(&caller, "drain.set", what).await?;
    app.registry.drain(wanted.draining);
    Ok(Json(app.registry.drain_state()))
}
