//! The meaning of payloads: from the bytes that a requester submits to the bytes that are signed,
//! and to their effects.
//!
//! [`decode`] computes both from the same bytes, so that a judgement of the meaning is one of the
//! signed bytes. Nodes decode before they ask their plugins; coordinator and client decode again
//! before they trust a signature. [`finish`] inserts signatures into the form that a chain expects.
//! Nothing here signs, reads a clock or performs I/O.

mod bip322;
mod bitcoin_message;
mod digests;
mod eip191;
mod eip712;
mod eip712_rights;
mod eip712_type;
mod eip7702;
mod evm;
mod evm_call;
mod evm_unsigned;
mod finish;
mod foreign;
mod forms;
mod intent;
mod json;
mod malformed;
mod message;
mod network;
mod psbt;
mod psbt_key;
mod psbt_multisig;
mod psbt_v2;
mod solana;
mod solana_message;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;

use countersign_protocol::{DerivationPath, Payload, PayloadKind, RefusalCode, Scheme};
use countersign_verify::DeriveError;
pub use countersign_verify::{Input, Key};

pub use evm_unsigned::{EvmAccess, EvmPrice, EvmUnsigned, evm_hash};
pub use finish::{BitcoinForm, FinishError, Finished, finish};
pub use foreign::is_transaction;
pub use forms::{FormError, read_hex, read_psbt, read_solana};
pub use intent::{Call, Destination, Grant, Intent, Rights, Transaction, TypedData, facts};
pub use network::UnknownNetwork;

/// The maximum number of signatures of one task.
pub const MAX_INPUTS: usize = 64;

/// Payload kinds of Ethereum need an ECDSA key.
fn must_be_ecdsa(key: &Key<'_>, kind: PayloadKind) -> Result<(), DecodeError> {
    match key.scheme {
        Scheme::EcdsaSecp256k1 => Ok(()),
        scheme @ (Scheme::Ed25519 | Scheme::SchnorrSecp256k1 | Scheme::Taproot) => {
            Err(DecodeError::Scheme { kind, scheme })
        }
    }
}

/// The networks of chains whose transactions do not name theirs, as CAIP-2 ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks {
    /// Bitcoin's: `bip122:` and 32 hex digits of the genesis block's hash.
    pub bitcoin: String,
    /// Solana's: `solana:` and 32 characters of the genesis hash.
    pub solana: String,
}

impl Default for Networks {
    /// The main networks of both.
    fn default() -> Self {
        Self {
            bitcoin: "bip122:000000000019d6689c085ae165831e93".into(),
            solana: "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp".into(),
        }
    }
}

/// The bytes to be signed, and their effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// One entry for each signature, in the order of the results. At least
    /// one, at most [`MAX_INPUTS`].
    pub inputs: Vec<Input>,
    /// The effect that the signatures authorise.
    pub intent: Intent,
}

/// The reason a payload is not of its declared kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not of the declared kind.
    #[error(
        "the payload is not a valid {kind}: {reason}; expected {} (docs/payloads.md)",
        expected(*kind)
    )]
    Malformed {
        /// The declared kind.
        kind: PayloadKind,
        /// The error in a clause, for the requester.
        reason: String,
    },
    /// A declared message that is a transaction of some chain or the signed form of one.
    #[error("the message is {what}, and its signature would be valid there; {instead}")]
    Disguised {
        /// The form that was recognised.
        what: &'static str,
        /// The remedy, as a clause.
        instead: &'static str,
    },
    /// The scheme does not sign payloads of this kind.
    #[error(
        "a payload of the kind {kind} is not signed by a wallet of the scheme {scheme}; choose a wallet of the right scheme"
    )]
    Scheme {
        /// The declared kind.
        kind: PayloadKind,
        /// The scheme of the key.
        scheme: Scheme,
    },
    /// No key can be derived on the path.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// A configured CAIP-2 id that is not known.
    #[error(
        "the network {0} is not known; configure one of the `bip122:` ids that the manual lists"
    )]
    Network(String),
    /// The requester's digests are not those of the payload.
    #[error(
        "the task says that {claimed} is signed, the payload gives {computed}; find out which of the two is meant"
    )]
    DigestMismatch {
        /// The task's digests in hexadecimal.
        claimed: String,
        /// The payload's digests in hexadecimal.
        computed: String,
    },
}

/// The form of a kind, for errors.
fn expected(kind: PayloadKind) -> &'static str {
    match kind {
        PayloadKind::Message => "the bytes of a message that is not a transaction",
        PayloadKind::Digest => "the 32 bytes of a hash",
        PayloadKind::Digests => {
            r#"a JSON list [{"path": "m/0/7", "digest": "64 hexadecimal digits"}]"#
        }
        PayloadKind::EvmTransaction => {
            "an unsigned transaction as it is hashed: RLP with the chain id, or type byte and RLP"
        }
        PayloadKind::Eip191 => "the message without prefix and length",
        PayloadKind::Eip7702 => "05 and the RLP of chain id, address and nonce, without signature",
        PayloadKind::Eip712 => "the JSON document that eth_signTypedData_v4 takes",
        PayloadKind::Psbt => {
            "the bytes of a PSBT, version 0 or 2, with the previous transactions and the origins of its keys"
        }
        PayloadKind::BitcoinMessage => {
            r#"JSON, {"message": "...", "address": "..."} or {"message": "...", "psbt": "Base64"}"#
        }
        PayloadKind::SolanaMessage => {
            "the bytes of the message of a transaction, legacy or version 0, without signatures"
        }
    }
}

impl DecodeError {
    fn malformed(kind: PayloadKind, reason: impl Into<String>) -> Self {
        Self::Malformed {
            kind,
            reason: reason.into(),
        }
    }

    /// The stable code for a refusal.
    pub fn code(&self) -> &'static RefusalCode {
        match self {
            Self::Malformed { .. } => &RefusalCode::PayloadMalformed,
            Self::Disguised { .. } => &RefusalCode::MessageIsTransaction,
            Self::Scheme { .. } => &RefusalCode::PayloadScheme,
            Self::Derive(_) => &RefusalCode::PayloadPath,
            Self::Network(_) => &RefusalCode::PayloadNetwork,
            Self::DigestMismatch { .. } => &RefusalCode::DigestMismatch,
        }
    }
}

/// Decodes `payload` for `key`. `path` is the child that signs; kinds that name their paths
/// themselves (PSBT, digests) require `m`.
pub fn decode(
    key: &Key,
    path: &DerivationPath,
    payload: &Payload,
    networks: &Networks,
) -> Result<Decoded, DecodeError> {
    let bytes = &payload.bytes;
    let mut decoded = match payload.kind {
        PayloadKind::Message => message::decode(key, path, bytes),
        PayloadKind::Digest => Ok(message::decode_digest(path, bytes)),
        PayloadKind::Digests => digests::decode(key.scheme, path, bytes),
        PayloadKind::EvmTransaction => evm::decode(key, path, bytes),
        PayloadKind::Eip191 => eip191::decode(key, path, bytes),
        PayloadKind::Eip712 => eip712::decode(key, path, bytes),
        PayloadKind::Psbt => psbt::decode(key, path, bytes, networks),
        PayloadKind::BitcoinMessage => bitcoin_message::decode(key, path, bytes, networks),
        PayloadKind::SolanaMessage => solana::decode(key, path, bytes, networks),
        PayloadKind::Eip7702 => eip7702::decode(key, path, bytes),
    }?;
    // The kind decides, not its decoder: a plugin must not be shown a meaning of blind bytes.
    if payload.is_blind() {
        decoded.intent = Intent::Opaque;
    }
    compare(&payload.digests, &decoded.inputs)?;
    Ok(decoded)
}

/// Compares the requester's expected digests, if any, with the computed ones.
fn compare(claimed: &[Vec<u8>], inputs: &[Input]) -> Result<(), DecodeError> {
    let equal = claimed
        .iter()
        .eq(inputs.iter().map(|input| &input.signed_bytes));
    if claimed.is_empty() || equal {
        return Ok(());
    }
    let computed: Vec<_> = inputs
        .iter()
        .map(|input| hex::encode(&input.signed_bytes))
        .collect();
    let claimed: Vec<_> = claimed.iter().map(hex::encode).collect();
    Err(DecodeError::DigestMismatch {
        claimed: claimed.join(" "),
        computed: computed.join(" "),
    })
}
