//! `/v1/api-keys`, and `/v1/audit`, the log of what keys were used for.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::{Extension, Json};
use countersign_api::{
    ApiKeyList, ApiKeySpec, ApiKeyView, AuditEnd, AuditEntry, AuditPage, ExpireApiKey,
    RotateApiKey, Submitter,
};
use countersign_audit::ActsHead;
use serde::Deserialize;

use super::App;
use super::body::Body;
use super::error::ApiError;
use super::path::Part;
use super::query::{Params, Places, page_size};
use crate::api_key::Caller;
use crate::clock;
use crate::store::Act;

/// List API keys
///
/// With what they may do. Secrets are not kept here; only their hashes are.
#[utoipa::path(
    get,
    path = "/api-keys",
    operation_id = "listApiKeys",
    tag = "operators",
    responses((status = 200, description = "The keys.", body = ApiKeyList))
)]
pub async fn list(State(app): State<Arc<App>>) -> Json<ApiKeyList> {
    Json(ApiKeyList {
        api_keys: app.keys.list(),
    })
}

/// Make an API key, or change what it may do
///
/// The caller makes the secret and sends its hash, so the secret never travels.
/// `countersign-coordinator api-key new` makes both. Takes effect at once; `expires` ends a key at
/// a time.
#[utoipa::path(
    put,
    path = "/api-keys/{name}",
    operation_id = "putApiKey",
    tag = "operators",
    params(("name" = String, Path, description = "1 to 40 of a-z, 0-9 and `-`, beginning with a letter.")),
    request_body = ApiKeySpec,
    responses(
        (
            status = 201,
            description = "The key is new.",
            body = ApiKeyView,
            headers(("Location" = String, description = "The key's path."))
        ),
        (status = 200, description = "The key was there, and is as asked for now.", body = ApiKeyView),
        (status = 409, response = super::document::Conflict),
    )
)]
pub async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(name): Part,
    Body(spec): Body<ApiKeySpec>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<ApiKeyView>), ApiError> {
    let by = caller.submitter();
    let act = act(&by, "api-key.put", &name);
    let put = app.keys.put(app.registry.store(), &name, spec, act);
    let (view, new) = put?;
    app.all_durable().await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let location = format!("/v1/api-keys/{name}");
    Ok((status, [(header::LOCATION, location)], Json(view)))
}

/// Rotate an API key
///
/// Replaces the credential; the one before is accepted for as long as asked.
#[utoipa::path(
    post,
    path = "/api-keys/{name}/rotate",
    operation_id = "rotateApiKey",
    tag = "operators",
    params(("name" = String, Path, description = "The key's name.")),
    request_body = RotateApiKey,
    responses(
        (status = 200, description = "The key.", body = ApiKeyView),
        (status = 404, response = super::document::Missing),
        (status = 409, response = super::document::Conflict),
    )
)]
pub async fn rotate(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(name): Part,
    Body(to): Body<RotateApiKey>,
) -> Result<Json<ApiKeyView>, ApiError> {
    let by = caller.submitter();
    let act = act(&by, "api-key.rotate", &name);
    let view = app.keys.rotate(app.registry.store(), &name, &to, act)?;
    app.all_durable().await?;
    Ok(Json(view))
}

/// Set the end of an API key
///
/// Changes nothing else, and makes no key: one that was revoked meanwhile stays so. A credential
/// that was replaced ends with the key.
#[utoipa::path(
    post,
    path = "/api-keys/{name}/expire",
    operation_id = "expireApiKey",
    tag = "operators",
    params(("name" = String, Path, description = "The key's name.")),
    request_body = ExpireApiKey,
    responses(
        (status = 200, description = "The key.", body = ApiKeyView),
        (status = 404, response = super::document::Missing),
        (status = 409, response = super::document::Conflict),
    )
)]
pub async fn expire(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(name): Part,
    Body(to): Body<ExpireApiKey>,
) -> Result<Json<ApiKeyView>, ApiError> {
    let by = caller.submitter();
    let act = act(&by, "api-key.expire", &name);
    let view = app.keys.expire(app.registry.store(), &name, &to, act)?;
    app.all_durable().await?;
    Ok(Json(view))
}

/// Revoke an API key
///
/// At once: requests that wait and streams that are open end. Revoking it again, or a key that
/// never was, changes nothing and is not in the audit log: list the keys to be sure of a name.
#[utoipa::path(
    delete,
    path = "/api-keys/{name}",
    operation_id = "revokeApiKey",
    tag = "operators",
    params(("name" = String, Path, description = "The key's name.")),
    responses(
        (status = 204, description = "There is no such key any more."),
        (status = 409, response = super::document::Conflict),
    )
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(name): Part,
) -> Result<StatusCode, ApiError> {
    let by = caller.submitter();
    let act = act(&by, "api-key.revoke", &name);
    if app.keys.remove(app.registry.store(), &name, act)? {
        app.all_durable().await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Selects a part of the audit log.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// `next` of the page before. Absent: from the beginning.
    after: Option<String>,
    /// Entries of a page, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// Read the audit log
///
/// Every change that was made with an API key, oldest first, including submitted tasks. Each entry
/// has the hash of the one before, and the coordinator signs the end.
#[utoipa::path(
    get,
    path = "/audit",
    operation_id = "readAudit",
    tag = "operators",
    params(AuditQuery),
    responses(
        (status = 200, description = "Entries, oldest first.", body = AuditPage),
        (status = 410, response = super::document::Gone),
    )
)]
pub async fn audit(
    State(app): State<Arc<App>>,
    Params(query): Params<AuditQuery>,
) -> Result<Json<AuditPage>, ApiError> {
    let after = Places::AUDIT.read(query.after.as_deref())?.unwrap_or(0);
    let store = app.registry.store();
    let limit = page_size(query.limit)?;
    let (entries, next) = store.audit_log(after, limit)?;
    let end = if entries.len() < limit {
        app.signed_end(next)?
    } else {
        None
    };
    let with_cursor = |(place, entry)| AuditEntry {
        cursor: Places::AUDIT.cursor(place),
        ..entry
    };
    Ok(Json(AuditPage {
        entries: entries.into_iter().map(with_cursor).collect(),
        next: Places::AUDIT.cursor(next),
        end,
    }))
}

impl App {
    /// Appends to the audit log, and waits until everything so far is durable.
    pub(super) async fn audited(
        &self,
        caller: &Caller,
        action: &str,
        target: &str,
    ) -> Result<(), ApiError> {
        let by = caller.submitter();
        self.registry.store().audit(act(&by, action, target))?;
        self.all_durable().await
    }

    /// The end of the audit log, signed, unless entries were added behind the page that ends here.
    fn signed_end(&self, page_end: u64) -> Result<Option<AuditEnd>, ApiError> {
        // Nothing later than this is known to be in the log.
        let at = clock::now();
        let (number, hash) = self.registry.store().audit_end()?;
        if number != page_end {
            return Ok(None);
        }
        let sign = |message: &[u8]| self.identity.sign(message);
        let head = ActsHead::sign(self.id, number, hash, at, sign);
        Ok(Some(head.into()))
    }

    /// Waits until everything so far is durable.
    async fn all_durable(&self) -> Result<(), ApiError> {
        let store = self.registry.store();
        Ok(store.durable(store.now()).await?)
    }
}

/// A change at this moment.
fn act<'a>(by: &'a Submitter, action: &'a str, target: &'a str) -> Act<'a> {
    Act {
        at: clock::now(),
        by,
        action,
        target,
    }
}
