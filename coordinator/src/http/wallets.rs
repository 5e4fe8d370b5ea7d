//! `/v1/wallets`: keys created through this coordinator or imported into it,
//! with all their generations.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use countersign_protocol::{KeyDescriptor, KeyId, TaskId};
use serde::{Deserialize, Serialize};

use super::App;
use super::error::ApiError;
use super::tasks::Submission;
use crate::clock;

/// A wallet.
#[derive(Debug, Serialize)]
pub struct WalletView {
    id: KeyId,
    name: String,
    /// 0 for a new wallet; incremented by each reshare.
    generation: u32,
    /// The task that made this generation.
    task: TaskId,
    /// `xpub…` of the root (secp256k1), `cpub…` (ed25519).
    extended_public_key: String,
    /// The whole descriptor, with the acknowledgements of all holders, for the caller to verify.
    #[serde(rename = "announcement")]
    descriptor: KeyDescriptor,
}

#[derive(Debug, Serialize)]
pub struct Listing {
    wallets: Vec<WalletView>,
}

/// `GET`: all wallets, by id.
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<Listing>, ApiError> {
    let store = app.registry.store();
    store.durable(store.now()).await?;
    let wallets = store
        .wallets()?
        .into_iter()
        .map(view)
        .collect::<Result<_, _>>()?;
    Ok(Json(Listing { wallets }))
}

/// A wallet to import.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Brought {
    /// All known generations, oldest first.
    generations: Vec<KeyDescriptor>,
    /// The KeyGen that created the first, if available.
    #[serde(default)]
    order: Option<Submission>,
}

/// `POST`: imports a wallet created through another coordinator. 409 if a different one is
/// known under its id.
pub async fn take_in(
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<Json<WalletView>, ApiError> {
    let brought: Brought = serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad(
            "wallet-malformed",
            format!("{error}; send generations and order"),
        )
    })?;
    let order = brought.order.map(Submission::signed).transpose()?;
    let taken = app
        .registry
        .take_in(&brought.generations, order.as_ref(), clock::now())?;
    app.registry.store().durable(taken.ticket).await?;
    view(taken.wallet).map(Json)
}

/// `GET /{id}`: one wallet, in its newest generation.
pub async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<WalletView>, ApiError> {
    let wallet = app
        .registry
        .store()
        .wallet(wallet_id(&id)?)?
        .ok_or_else(unknown)?;
    view(wallet).map(Json)
}

/// A wallet's history.
#[derive(Debug, Serialize)]
pub struct History {
    /// Each with the acknowledgements of its parties; each proves that it succeeds the one before.
    generations: Vec<KeyDescriptor>,
}

/// `GET /{id}/generations`: all generations of one wallet, oldest first.
pub async fn generations(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<History>, ApiError> {
    let generations = app
        .registry
        .store()
        .generations(wallet_id(&id)?, 0, usize::MAX)?;
    if generations.is_empty() {
        Err(unknown())
    } else {
        Ok(Json(History { generations }))
    }
}

fn wallet_id(text: &str) -> Result<KeyId, ApiError> {
    text.parse()
        .map_err(|error| ApiError::bad("wallet-id", format!("{error}")))
}

fn unknown() -> ApiError {
    ApiError::missing(
        "wallet-unknown",
        "there is no such wallet; list the wallets for their ids",
    )
}

fn view(descriptor: KeyDescriptor) -> Result<WalletView, ApiError> {
    let extended_public_key =
        countersign_verify::result::root_key(&descriptor).map_err(|wrong| {
            crate::store::StoreError::Row {
                table: "wallets",
                reason: wrong.to_string(),
            }
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
