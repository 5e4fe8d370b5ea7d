//! `/v1/wallets`: keys created through this coordinator or imported into it,
//! with all their generations.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::{Extension, Json};
use countersign_api::{WalletGenerations, WalletImport, WalletPage, WalletView};
use countersign_protocol::{KeyDescriptor, KeyId, SignedTask};
use serde::Deserialize;

use super::App;
use super::body::Body;
use super::error::ApiError;
use super::path::Part;
use super::query::{Params, entry, page_size};
use crate::api_key::Caller;
use crate::clock;
use crate::store::{Store, StoreError};

/// Selects a page of wallets.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WalletQuery {
    /// Entries of a page, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// List wallets
///
/// In the order of their ids, each in its newest generation.
#[utoipa::path(
    get,
    path = "/wallets",
    operation_id = "listWallets",
    tag = "wallets",
    params(WalletQuery),
    responses((status = 200, description = "A page of wallets.", body = WalletPage))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<WalletQuery>,
) -> Result<Json<WalletPage>, ApiError> {
    let limit = page_size(query.limit)?;
    let after: Option<KeyId> = entry(query.cursor.as_deref())?;
    let store = app.registry.store();
    store.durable(store.now()).await?;
    let mut found = match &caller.wallets {
        None => store.wallets(after, limit + 1)?,
        Some(own) => some(store, own, after)?,
    };
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| more)
        .map(|last| last.key.to_string());
    let wallets = found.into_iter().map(view).collect::<Result<_, _>>()?;
    Ok(Json(WalletPage { wallets, next }))
}

/// Import a wallet
///
/// Takes in a wallet that was created through another coordinator: all its generations, oldest
/// first, which prove themselves. Importing the same wallet again changes nothing.
#[utoipa::path(
    post,
    path = "/wallets",
    operation_id = "importWallet",
    tag = "wallets",
    request_body = WalletImport,
    responses(
        (
            status = 201,
            description = "The wallet was unknown here, and is imported.",
            body = WalletView,
            headers(("Location" = String, description = "The wallet's path."))
        ),
        (
            status = 200,
            description = "The wallet was known; generations that were missing are imported.",
            body = WalletView
        ),
        (status = 409, response = super::document::Conflict),
    )
)]
pub async fn import(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(import): Body<WalletImport>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<WalletView>), ApiError> {
    if caller.wallets.is_some() {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "wallet-scope",
            "the API key is limited to some wallets; use one that is not",
        ));
    }
    let order = import.order.map(SignedTask::from);
    let taken = app
        .registry
        .take_in(&import.generations, order.as_ref(), clock::now())?;
    let wallet = taken.wallet.key.to_string();
    app.audited(&caller, "wallet.import", &wallet).await?;
    let location = format!("/v1/wallets/{}", taken.wallet.key);
    let status = if taken.new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let wallet = view(taken.wallet)?;
    Ok((status, [(header::LOCATION, location)], Json(wallet)))
}

/// Show a wallet
///
/// The wallet in its newest generation.
#[utoipa::path(
    get,
    path = "/wallets/{id}",
    operation_id = "showWallet",
    tag = "wallets",
    params(("id" = KeyId, Path, description = "The wallet's id.")),
    responses(
        (status = 200, description = "The wallet.", body = WalletView),
        (status = 404, response = super::document::Missing),
    )
)]
pub async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(id): Part,
) -> Result<Json<WalletView>, ApiError> {
    let wallet = app
        .registry
        .store()
        .wallet(wallet_id(&caller, &id)?)?
        .ok_or_else(unknown)?;
    Ok(Json(view(wallet)?))
}

/// List a wallet's generations
///
/// All generations of a wallet, oldest first.
#[utoipa::path(
    get,
    path = "/wallets/{id}/generations",
    operation_id = "listGenerations",
    tag = "wallets",
    params(("id" = KeyId, Path, description = "The wallet's id.")),
    responses(
        (status = 200, description = "The generations.", body = WalletGenerations),
        (status = 404, response = super::document::Missing),
    )
)]
pub async fn generations(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(id): Part,
) -> Result<Json<WalletGenerations>, ApiError> {
    let generations = app
        .registry
        .store()
        .generations(wallet_id(&caller, &id)?, 0, usize::MAX)?;
    if generations.is_empty() {
        Err(unknown())
    } else {
        Ok(Json(WalletGenerations { generations }))
    }
}

/// The id, if the caller may know of the wallet.
pub(super) fn wallet_id(caller: &Caller, text: &str) -> Result<KeyId, ApiError> {
    let id = text
        .parse()
        .map_err(|error| ApiError::bad("wallet-id", format!("{error}")))?;
    if caller.sees(&id) {
        Ok(id)
    } else {
        Err(unknown())
    }
}

/// Those of a limited key's wallets that are behind this one, in the order of their ids.
fn some(
    store: &Store,
    own: &[KeyId],
    after: Option<KeyId>,
) -> Result<Vec<KeyDescriptor>, StoreError> {
    let mut own: Vec<KeyId> = own.to_vec();
    own.sort_by_key(|id| *id.as_bytes());
    own.dedup();
    own.into_iter()
        .filter(|id| after.is_none_or(|after| id.as_bytes() > after.as_bytes()))
        .filter_map(|id| store.wallet(id).transpose())
        .collect()
}

pub(super) fn unknown() -> ApiError {
    ApiError::missing(
        "wallet-unknown",
        "there is no such wallet; list the wallets for their ids",
    )
}

fn view(descriptor: KeyDescriptor) -> Result<WalletView, StoreError> {
    let extended_public_key =
        countersign_verify::result::root_key(&descriptor).map_err(|wrong| StoreError::Row {
            table: "wallets",
            reason: wrong.to_string(),
        })?;
    Ok(WalletView {
        id: descriptor.key,
        name: descriptor.name.clone(),
        generation: descriptor.generation,
        task: descriptor.task,
        extended_public_key,
        descriptor,
    })
}
