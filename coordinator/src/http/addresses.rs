//! `/v1/wallets/{id}/addresses`: what clients derive themselves, for those that only look.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use countersign_api::{ChildView, WalletAddresses};
use countersign_payload::Networks;
use countersign_protocol::{DerivationPath, KeyDescriptor};
use countersign_verify::address::Network;
use countersign_verify::addresses::child;
use serde::Deserialize;

use super::App;
use super::error::ApiError;
use super::path::Part;
use super::query::{Params, words};
use super::wallets::{unknown, wallet_id};
use crate::api_key::Caller;

/// The most children of one request.
const MAX_CHILDREN: usize = 100;

/// Selects children of a wallet.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AddressQuery {
    /// Paths such as `m/44/60/0/0/0`, separated by commas; the root key `m` if absent.
    #[serde(default, deserialize_with = "words")]
    #[param(style = Form, explode = false)]
    path: Option<Vec<DerivationPath>>,
    /// With `count`: instead of each path its children from this index on; 0 if absent.
    #[param(maximum = 2147483647)]
    first: Option<u32>,
    /// Number of children for each path. At most 100 keys are derived in one request.
    #[param(minimum = 1, maximum = 100)]
    count: Option<usize>,
    /// The Bitcoin network of the addresses: `mainnet` (if absent), `testnet`, `testnet4`, `signet`
    /// or `regtest`.
    bitcoin: Option<String>,
}

/// Derive addresses
///
/// The public keys and addresses of a wallet's children, for convenience. **This is the
/// coordinator's word, and proves nothing.** Whoever pays to an address derives it from the
/// wallet's record, as the clients do (`countersign address`), and does not take it from here.
#[utoipa::path(
    get,
    path = "/wallets/{id}/addresses",
    operation_id = "deriveAddresses",
    tag = "wallets",
    params(("id" = countersign_protocol::KeyId, Path, description = "The wallet's id."), AddressQuery),
    responses(
        (status = 200, description = "The children.", body = WalletAddresses),
        (status = 404, response = super::document::Missing),
    )
)]
pub async fn derive(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Part(id): Part,
    Params(query): Params<AddressQuery>,
) -> Result<Json<WalletAddresses>, ApiError> {
    let network = query.network()?;
    let paths = query.paths()?;
    let id = wallet_id(&caller, &id)?;
    let wallet = app.registry.store().wallet(id)?.ok_or_else(unknown)?;
    // A hundred keys keep a processor busy for a while.
    let derived = tokio::task::spawn_blocking(move || {
        let one = |path: &DerivationPath| view(&wallet, path, network);
        paths.iter().map(one).collect::<Result<_, _>>()
    });
    let stopped = |_| ApiError::away("timeout", "no answer in time; try again");
    Ok(Json(WalletAddresses {
        wallet: id,
        children: derived.await.map_err(stopped)??,
    }))
}

impl AddressQuery {
    fn network(&self) -> Result<Network, ApiError> {
        let name = self.bitcoin.as_deref().unwrap_or("mainnet");
        let networks = Networks::named(name, "mainnet").map_err(|error| wrong(&error))?;
        networks
            .bitcoin_addresses()
            .ok_or_else(|| wrong(&"this network has no addresses; choose another"))
    }

    /// The paths of all children.
    fn paths(self) -> Result<Vec<DerivationPath>, ApiError> {
        let paths = match self.path {
            Some(paths) => paths,
            None => vec!["m".parse().map_err(|error| wrong(&error))?],
        };
        let (first, count) = match (self.first, self.count) {
            (None, None) => return Ok(paths),
            (Some(_), None) => return Err(wrong(&"`first` needs `count`; add it")),
            (None, Some(count)) => (0, count),
            (Some(first), Some(count)) => (first, count),
        };
        let total = paths.len().checked_mul(count);
        if total.is_none_or(|total| !(1..=MAX_CHILDREN).contains(&total)) {
            let message = format!(
                "one request derives 1 to {MAX_CHILDREN} keys; choose a `count` that gives as many"
            );
            return Err(wrong(&message));
        }
        let indices = || (0..count as u64).map(move |nth| u64::from(first) + nth);
        let below = |path: &DerivationPath| {
            let path = path.to_string();
            indices().map(move |index| {
                format!("{path}/{index}")
                    .parse()
                    .map_err(|error| wrong(&error))
            })
        };
        paths.iter().flat_map(below).collect()
    }
}

fn view(
    wallet: &KeyDescriptor,
    path: &DerivationPath,
    network: Network,
) -> Result<ChildView, ApiError> {
    let child = child(&wallet.into(), path, network, None)
        .map_err(|error| wrong(&format_args!("{path} has no address: {error}")))?;
    let text = |(kind, address): (&str, String)| (kind.to_owned(), address);
    Ok(ChildView {
        path: path.clone(),
        public_key: hex::encode(&child.public_key),
        addresses: child.addresses.into_iter().map(text).collect(),
    })
}

fn wrong(reason: &dyn std::fmt::Display) -> ApiError {
    ApiError::bad("query-malformed", reason.to_string())
}
