//! `/v1/webhooks`: receivers of events, their deliveries, and the keys that sign them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::{Extension, Json};
use countersign_api::{
    Delivery, DeliveryPage, DeliveryState, Resend, Resent, RotateWebhookKey, WebhookKeys,
    WebhookList, WebhookSpec, WebhookView,
};
use serde::Deserialize;

use super::App;
use super::body::Body;
use super::error::ApiError;
use super::path::Part;
use super::query::{Params, Places, page_size, words};
use crate::api_key::Caller;
use crate::clock;
use crate::webhook::{WebhookError, WebhookKeyError};

/// List webhooks
///
/// In the order of their names.
#[utoipa::path(
    get,
    path = "/webhooks",
    operation_id = "listWebhooks",
    tag = "webhooks",
    responses((status = 200, description = "The webhooks.", body = WebhookList))
)]
pub async fn list(State(app): State<Arc<App>>) -> Json<WebhookList> {
    Json(WebhookList {
        webhooks: app.webhooks.list(),
    })
}

/// Create or replace a webhook
///
/// A new webhook gets the events from now on. Earlier events can be sent with `resend`.
#[utoipa::path(
    put,
    path = "/webhooks/{name}",
    operation_id = "putWebhook",
    tag = "webhooks",
    params(("name" = String, Path, description = "1 to 40 of a-z, 0-9 and `-`, beginning with a letter.")),
    request_body = WebhookSpec,
    responses(
        (
            status = 201,
            description = "The webhook is new.",
            body = WebhookView,
            headers(("Location" = String, description = "The webhook's path."))
        ),
        (status = 200, description = "The webhook was there, and is as asked for now.", body = WebhookView),
        (status = 409, response = super::document::Conflict),
    )
)]
pub async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(name): Part,
    Body(spec): Body<WebhookSpec>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<WebhookView>), ApiError> {
    let (view, new) = app.webhooks.put(&name, spec, clock::now())?;
    app.audited(&caller, "webhook.put", &name).await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let location = format!("/v1/webhooks/{name}");
    Ok((status, [(header::LOCATION, location)], Json(view)))
}

/// Show a webhook
///
/// Its configuration, and how its deliveries fare.
#[utoipa::path(
    get,
    path = "/webhooks/{name}",
    operation_id = "showWebhook",
    tag = "webhooks",
    params(("name" = String, Path, description = "The webhook's name.")),
    responses(
        (status = 200, description = "The webhook.", body = WebhookView),
        (status = 404, response = super::document::Missing),
    )
)]
pub async fn show(
    State(app): State<Arc<App>>,
    Part(name): Part,
) -> Result<Json<WebhookView>, ApiError> {
    let view = app.webhooks.show(&name).ok_or(WebhookError::Unknown)?;
    Ok(Json(view))
}

/// Delete a webhook
///
/// With the log of its deliveries. Deleting it again, or one that never was, changes nothing and is
/// not in the audit log.
#[utoipa::path(
    delete,
    path = "/webhooks/{name}",
    operation_id = "deleteWebhook",
    tag = "webhooks",
    params(("name" = String, Path, description = "The webhook's name.")),
    responses((status = 204, description = "There is no such webhook any more."))
)]
pub async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(name): Part,
) -> Result<StatusCode, ApiError> {
    if app.webhooks.remove(&name)? {
        app.audited(&caller, "webhook.delete", &name).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Test a webhook
///
/// Sends an event of type `webhook.test` to this webhook alone, even if it is disabled. Look at the
/// deliveries for what became of it.
#[utoipa::path(
    post,
    path = "/webhooks/{name}/test",
    operation_id = "testWebhook",
    tag = "webhooks",
    params(("name" = String, Path, description = "The webhook's name.")),
    responses(
        (status = 202, description = "The delivery that was begun.", body = Delivery),
        (status = 404, response = super::document::Missing),
    )
)]
pub async fn test(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(name): Part,
) -> Result<(StatusCode, Json<Delivery>), ApiError> {
    let delivery = app.webhooks.test(&name, clock::now())?;
    app.audited(&caller, "webhook.test", &name).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery)))
}

/// Send events again
///
/// Events that the webhook should have, selected by id, by task or wallet, or by time and state.
/// They have the ids that they had, so a receiver notices what it knows. At most 1000 at a time.
#[utoipa::path(
    post,
    path = "/webhooks/{name}/resend",
    operation_id = "resendEvents",
    tag = "webhooks",
    params(("name" = String, Path, description = "The webhook's name.")),
    request_body = Resend,
    responses(
        (status = 202, description = "The deliveries that were begun.", body = Resent),
        (status = 404, response = super::document::Missing),
    )
)]
pub async fn resend(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(name): Part,
    Body(what): Body<Resend>,
) -> Result<(StatusCode, Json<Resent>), ApiError> {
    let webhooks = app.webhooks.clone();
    let of = name.clone();
    let resent =
        tokio::task::spawn_blocking(move || webhooks.resend(&of, &what, clock::now())).await;
    let resent = resent.map_err(|error| ApiError::away("timeout", error.to_string()))??;
    app.audited(&caller, "webhook.resend", &name).await?;
    Ok((StatusCode::ACCEPTED, Json(resent)))
}

/// Selects a page of deliveries.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// Entries of a page, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only deliveries in these states.
    #[serde(deserialize_with = "words")]
    #[param(style = Form, explode = false)]
    state: Option<Vec<DeliveryState>>,
}

/// List a webhook's deliveries
///
/// Newest first, with every attempt. The last 100,000 are kept.
#[utoipa::path(
    get,
    path = "/webhooks/{name}/deliveries",
    operation_id = "listDeliveries",
    tag = "webhooks",
    params(("name" = String, Path, description = "The webhook's name."), DeliveryQuery),
    responses(
        (status = 200, description = "A page of deliveries.", body = DeliveryPage),
        (status = 404, response = super::document::Missing),
    )
)]
pub async fn deliveries(
    State(app): State<Arc<App>>,
    Part(name): Part,
    Params(query): Params<DeliveryQuery>,
) -> Result<Json<DeliveryPage>, ApiError> {
    app.webhooks.show(&name).ok_or(WebhookError::Unknown)?;
    let states = query.state;
    let admits = |delivery: &Delivery| {
        let listed =
            |states: &Vec<DeliveryState>| states.iter().any(|state| delivery.state == *state);
        states.as_ref().is_none_or(listed)
    };
    let store = app.registry.store();
    store.durable(store.now()).await?;
    let newest = store.last_delivery(&name)?;
    let before = Places::DELIVERIES.before(query.cursor.as_deref(), newest)?;
    let (found, next) = store.deliveries(&name, admits, before, page_size(query.limit)?)?;
    Ok(Json(DeliveryPage {
        deliveries: found.into_iter().map(|(_, delivery)| delivery).collect(),
        next: next.map(|before| Places::DELIVERIES.cursor(before)),
    }))
}

/// Show the keys of webhooks
///
/// A JSON Web Key Set, also at `/.well-known/jwks.json` without an API key.
#[utoipa::path(
    get,
    path = "/webhook-keys",
    operation_id = "listWebhookKeys",
    tag = "webhooks",
    responses((status = 200, description = "The keys.", body = WebhookKeys))
)]
pub async fn keys(State(app): State<Arc<App>>) -> Json<WebhookKeys> {
    Json(app.webhooks.keys())
}

/// Replace the key of webhooks
///
/// The key before signs beside the new one for a week, so that receivers can change over.
#[utoipa::path(
    post,
    path = "/webhook-keys/rotate",
    operation_id = "rotateWebhookKey",
    tag = "webhooks",
    request_body = RotateWebhookKey,
    responses(
        (status = 200, description = "The keys that sign now.", body = WebhookKeys),
        (status = 404, response = super::document::Missing),
    )
)]
pub async fn rotate(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(RotateWebhookKey { kid }): Body<RotateWebhookKey>,
) -> Result<Json<WebhookKeys>, ApiError> {
    let keys = app.webhooks.rotate_key(&kid).map_err(not_rotated)?;
    app.audited(&caller, "webhook-key.rotate", &kid).await?;
    Ok(Json(keys))
}

fn not_rotated(error: WebhookKeyError) -> ApiError {
    match error {
        WebhookKeyError::Unknown => ApiError::missing("webhook-key-unknown", error.to_string()),
        WebhookKeyError::Io { .. } | WebhookKeyError::Mode(_) | WebhookKeyError::Malformed(_) => {
            ApiError::away("webhook-key", error.to_string())
        }
    }
}
