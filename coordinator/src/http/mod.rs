//! The HTTP API `/v1`.
//!
//! Handlers translate; the [registry](crate::registry) decides. Every error is a problem (RFC 9457)
//! with a stable code and a sentence that ends with what to do.

mod addresses;
mod admission;
mod api_keys;
mod bodies;
mod body;
mod codes;
mod docs;
mod document;
mod drain;
mod error;
mod events;
mod nodes;
mod path;
mod query;
mod reference;
mod streams;
mod tasks;
#[cfg(test)]
mod tests;
mod view;
mod votes;
mod wallets;
mod webhooks;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use countersign_door::Limits;
use countersign_link::Identity;
use countersign_protocol::CoordinatorId;
use serde_json::json;
use tokio::sync::watch;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api_key::{ApiKeys, REQUESTS};
use crate::registry::TaskRegistry;
use crate::webhook::Webhooks;
pub use bodies::Bodies;
pub use codes::CODES;
use error::ApiError;
pub use streams::Streams;

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
#[derive(Debug, Clone)]
pub struct App {
    /// Signed requests name it.
    pub id: CoordinatorId,
    /// Signs the end of the audit log.
    pub identity: Arc<Identity>,
    pub registry: Arc<TaskRegistry>,
    pub keys: Arc<ApiKeys>,
    /// Turns true when the coordinator stops, which ends all waiting.
    pub stop: watch::Receiver<bool>,
    pub patience: Patience,
    pub bodies: Bodies,
    pub streams: Streams,
    pub webhooks: Arc<Webhooks>,
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

/// Builds the routes of the API.
pub fn router(app: Arc<App>) -> Router {
    let (v1, _) = routes();
    let v1 = v1
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        // Around everything under /v1, unknown paths included: nothing is answered without a key.
        .layer(from_fn_with_state(app.clone(), admission::authorise));
    Router::new()
        .nest("/v1", v1)
        .route("/v1/openapi.json", get(openapi))
        .route("/v1/docs", get(docs::page))
        .route("/.well-known/jwks.json", get(webhooks::keys))
        .route("/live", get(async || Json(json!({"live": true}))))
        .route("/ready", get(ready))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(app.clone(), limit_time))
        .layer(from_fn_with_state(app.clone(), count))
        .with_state(app)
}

/// The routes below `/v1` that need an API key, and their description.
fn routes() -> (Router<Arc<App>>, OpenApi) {
    let routes = OpenApiRouter::new()
        .routes(routes!(tasks::list, tasks::submit))
        .routes(routes!(tasks::show))
        .routes(routes!(tasks::explain))
        .routes(routes!(tasks::cancel))
        .routes(routes!(votes::list, votes::vote))
        .routes(routes!(events::read))
        .routes(routes!(wallets::list, wallets::import))
        .routes(routes!(wallets::show))
        .routes(routes!(wallets::generations))
        .routes(routes!(addresses::derive))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::requesters))
        .routes(routes!(api_keys::list))
        .routes(routes!(api_keys::put, api_keys::revoke))
        .routes(routes!(api_keys::rotate))
        .routes(routes!(api_keys::expire))
        .routes(routes!(api_keys::audit))
        .routes(routes!(drain::show, drain::set))
        .routes(routes!(webhooks::list))
        .routes(routes!(webhooks::show, webhooks::put, webhooks::remove))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::resend))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::keys))
        .routes(routes!(webhooks::rotate));
    let (router, described) = routes.split_for_parts();
    let document = document::skeleton().nest("/v1", described);
    (router, document::complete(document))
}

/// True if there is something at this path below `/v1`.
fn exists(path: &str) -> bool {
    static TEMPLATES: LazyLock<Vec<String>> =
        LazyLock::new(|| routes().1.paths.paths.into_keys().collect());
    let fits = |template: &String| {
        let below = template.strip_prefix("/v1").unwrap_or(template);
        let same = |(part, given): (&str, &str)| {
            part == given || part.starts_with('{') && !given.is_empty()
        };
        below.split('/').count() == path.split('/').count()
            && below.split('/').zip(path.split('/')).all(same)
    };
    TEMPLATES.iter().any(fits)
}

/// The OpenAPI document of `/v1`, as JSON text.
pub fn openapi_document() -> String {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let document = serde_json::to_value(routes().1);
        let text = document.and_then(|mut document| {
            document::without_widths(&mut document);
            serde_json::to_string_pretty(&document)
        });
        text.unwrap_or_else(|error| unreachable!("a document is plain data in memory: {error}"))
    });
    TEXT.clone()
}

/// The reference of `/v1` for people, as Markdown.
pub fn reference_page() -> String {
    let document = serde_json::from_str(&openapi_document());
    let document =
        document.unwrap_or_else(|error| unreachable!("the document is JSON of ours: {error}"));
    reference::markdown(&document)
}

/// Needs no API key: it is the same everywhere.
async fn openapi() -> Response {
    let media_type = [(header::CONTENT_TYPE, "application/json")];
    (media_type, openapi_document()).into_response()
}

async fn limit_time(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let late = || ApiError::away("timeout", "no answer in time; try again");
    tokio::time::timeout(app.patience.request, next.run(request))
        .await
        .unwrap_or_else(|_| late().into_response())
}

/// Counts and times each answer.
async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let began = Instant::now();
    let response = next.run(request).await;
    let route = route.as_ref().map(MatchedPath::as_str);
    let counters = app.registry.counters();
    counters.answer(route, response.status(), began.elapsed());
    response
}

async fn ready(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    app.registry.store().check()?;
    Ok(Json(json!({"ready": true})).into_response())
}
