//! `/v1/wallets`: the keys that were made through this coordinator, in their newest generation and in all before.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use countersign_protocol::{Announcement, KeyId, TaskId};
use serde::Serialize;

use super::App;
use super::error::ApiError;
use crate::task::proof;

/// A wallet.
#[derive(Debug, Serialize)]
pub struct WalletView {
    id: KeyId,
    name: String,
    /// 0 for a wallet as it was made; one more after each reshare.
    generation: u32,
    /// The task that made this generation.
    task: TaskId,
    /// `xpub…` of the root (secp256k1), `cpub…` (ed25519).
    extended_public_key: String,
    /// Everything, with the marks of all holders; verify it.
    announcement: Announcement,
}

/// All wallets.
#[derive(Debug, Serialize)]
pub struct Listing {
    wallets: Vec<WalletView>,
}

/// `GET`: all wallets, by id.
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<Listing>, ApiError> {
    let store = app.desk.store();
    store.durable(store.now()).await?;
    let wallets = store.wallets()?.into_iter().map(view).collect::<Result<_, _>>()?;
    Ok(Json(Listing { wallets }))
}

/// `GET /{id}`: one wallet, in its newest generation.
pub async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<WalletView>, ApiError> {
    let wallet = app.desk.store().wallet(wallet_id(&id)?)?.ok_or_else(unknown)?;
    view(wallet).map(Json)
}

/// What a wallet was and is.
#[derive(Debug, Serialize)]
pub struct History {
    /// Each with the marks of its parties; each proves that it succeeds the one before.
    generations: Vec<Announcement>,
}

/// `GET /{id}/generations`: all generations of one wallet, oldest first.
pub async fn generations(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<History>, ApiError> {
    let generations = app.desk.store().generations(wallet_id(&id)?, 0, usize::MAX)?;
    if generations.is_empty() { Err(unknown()) } else { Ok(Json(History { generations })) }
}

fn wallet_id(text: &str) -> Result<KeyId, ApiError> {
    text.parse().map_err(|error| ApiError::bad("wallet-id", format!("{error}")))
}

fn unknown() -> ApiError {
    ApiError::missing("wallet-unknown", "there is no such wallet; list the wallets for their ids")
}

fn view(announcement: Announcement) -> Result<WalletView, ApiError> {
    let extended_public_key = proof::extended_public_key(&announcement)
        .map_err(|reason| crate::store::StoreError::Row { table: "wallets", reason })?;
    Ok(WalletView {
        id: announcement.key,
        name: announcement.name.clone(),
        generation: announcement.generation,
        task: announcement.task,
        extended_public_key,
        announcement,
    })
}
