//! Wallets and their generations.

use std::collections::BTreeMap;

use countersign_protocol::{DerivationPath, KeyDescriptor, KeyId, TaskId};
use serde::{Deserialize, Serialize};

use crate::Submission;

/// A wallet, in its newest generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WalletView {
    /// The wallet's id.
    pub id: KeyId,
    /// The name given by its creator.
    pub name: String,
    /// 0 for a new wallet; incremented by each reshare.
    pub generation: u32,
    /// The task that made this generation.
    pub task: TaskId,
    /// The root: `xpub…` (secp256k1) or `cpub…` (ed25519).
    pub extended_public_key: String,
    /// The descriptor with the acknowledgements of all parties, for the caller to verify.
    // The name that it always had in JSON.
    #[serde(rename = "announcement")]
    pub descriptor: KeyDescriptor,
}

/// A page of wallets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WalletPage {
    /// In the order of their ids.
    pub wallets: Vec<WalletView>,
    /// `cursor` of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// All known generations of a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WalletGenerations {
    /// Oldest first. Each carries the acknowledgements of its parties, and proves that it succeeds
    /// the one before.
    pub generations: Vec<KeyDescriptor>,
}

/// A wallet that was created through another coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WalletImport {
    /// All known generations, oldest first.
    pub generations: Vec<KeyDescriptor>,
    /// The KeyGen that created the first, if available.
    #[serde(default)]
    pub order: Option<Submission>,
}

/// Children of a wallet with their addresses, as the coordinator derives them. Its word alone:
/// nothing in here proves itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WalletAddresses {
    /// The wallet's id.
    pub wallet: KeyId,
    /// In the order of the request.
    pub children: Vec<ChildView>,
}

/// A child key with its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChildView {
    /// The path below the root key.
    pub path: DerivationPath,
    /// 33 bytes compressed, 32 bytes on Ed25519, in hexadecimal.
    pub public_key: String,
    /// Each kind of address with the address. `ecdsa-secp256k1`: `evm`, `bitcoin-p2wpkh`,
    /// `bitcoin-p2sh`, `bitcoin-p2pkh`; `taproot`: `bitcoin-p2tr`; `ed25519`: `solana`;
    /// `schnorr-secp256k1`: `public-key`. Kinds may be added.
    pub addresses: BTreeMap<String, String>,
}
