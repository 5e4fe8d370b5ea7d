//! The HTTP API `/v1`.
//!
//! Handlers translate; the [registry](crate::registry) decides. Every error is JSON with a stable
//! code and a sentence that ends with what to do.

mod admission;
mod error;
mod nodes;
mod tasks;
mod view;
mod wallets;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use countersign_door::Limits;
use countersign_protocol::Hash;
use serde_json::json;
use tokio::sync::watch;

use crate::api_key::{ApiKeys, REQUESTS};
use crate::registry::TaskRegistry;
use error::ApiError;

/// A task's text, escaped inside JSON, with room for the rest.
const MAX_BODY: usize = 3 * 1024 * 1024;
/// Limits on connections, and on how slow they may be.
pub const LIMITS: Limits = Limits {
    connections: REQUESTS,
    of_one_address: 128,
    streams: 32,
    head: Duration::from_secs(15),
    stall: Duration::from_secs(15),
    // Long polls reuse one connection.
    life: None,
    grace: Duration::from_secs(3),
};

/// State shared by all handlers.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[derive(Debug)]
pub struct App {
    pub registry: Arc<TaskRegistry>,
    pub keys: Arc<ApiKeys>,
    /// Turns true when the coordinator stops, which ends all waiting.
    pub stop: watch::Receiver<bool>,
    pub patience: Patience,
}

/// Time limits for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Limit for receiving a request's body.
    pub body: Duration,
    /// Limit for any request; more than the longest wait of a long poll.
    pub request: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            body: Duration::from_secs(10),
            request: Duration::from_secs(45),
        }
    }
}

/// The API key of a request, as [`ApiKey::id`](crate::api_key::ApiKey::id) has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Through(Hash);

/// Builds the routes of the API.
pub fn router(app: Arc<App>) -> Router {
    let v1 = Router::new()
        .route("/tasks", get(tasks::list).post(tasks::submit))
        .route("/tasks/{id}", get(tasks::show))
        .route("/wallets", get(wallets::list).post(wallets::take_in))
        .route("/wallets/{id}", get(wallets::show))
        .route("/wallets/{id}/generations", get(wallets::generations))
        .route("/nodes", get(nodes::list))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(from_fn_with_state(app.clone(), read_body))
        // Around everything under /v1, unknown paths included: nothing is answered without a key.
        .layer(from_fn_with_state(app.clone(), admission::authorise));
    Router::new()
        .nest("/v1", v1)
        .route("/live", get(async || Json(json!({"live": true}))))
        .route("/ready", get(ready))
        .fallback(error::no_such_path)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(app.clone(), limit_time))
        .with_state(app)
}

/// Reads the whole body before a handler sees the request.
async fn read_body(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let body = admission::receive(&app, body).await?;
    Ok(next.run(Request::from_parts(head, body.into())).await)
}

async fn limit_time(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let late = || {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            "no answer in time; try again",
        )
    };
    tokio::time::timeout(app.patience.request, next.run(request))
        .await
        .unwrap_or_else(|_| late().into_response())
}

async fn ready(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    app.registry.store().check()?;
    Ok(Json(json!({"ready": true})).into_response())
}
