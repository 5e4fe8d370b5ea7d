//! What a payload means: from the bytes that a requester shows to the bytes that are signed, and to
//! what they do.
//!
//! [`decode`] computes both from the same bytes, so that whoever judges the meaning judges what is
//! signed. Nodes decode before they ask their plugins; coordinator and client decode again before
//! they believe a signature. [`finish`] puts signatures where a chain wants them. Nothing here
//! signs, reads a clock or performs I/O.

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

pub use finish::{BitcoinForm, FinishError, Finished, finish};
pub use forms::{FormError, read_hex, read_psbt, read_solana};
pub use intent::{Call, Destination, Grant, Intent, Rights, Transaction, TypedData, facts};
pub use network::UnknownNetwork;

/// Most signatures of one task.
pub const MAX_INPUTS: usize = 64;

/// Kinds of payload of Ethereum need an ECDSA key.
fn must_be_ecdsa(key: &Key<'_>, kind: &'static str) -> Result<(), DecodeError> {
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
    /// Bitcoin's: `bip122:` and 32 hex digits of the genesis block.
    pub bitcoin: String,
    /// Solana's: `solana:` and 32 characters of the genesis hash.
    pub solana: String,
}

impl Default for Networks {
    /// The main networks.
    fn default() -> Self {
        Self {
            bitcoin: "bip122:000000000019d6689c085ae165831e93".into(),
            solana: "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp".into(),
        }
    }
}

/// What is signed, and what that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// One entry for each signature, in the order of the results. At least one, at most
    /// [`MAX_INPUTS`].
    pub inputs: Vec<Input>,
    /// What the signatures are for.
    pub intent: Intent,
}

/// Why a payload is not what it is said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not of the kind.
    #[error(
        "the payload is no {kind}: {reason}; expected {} (docs/payloads.md)",
        expected(kind)
    )]
    Malformed {
        /// The kind, as tasks name it.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Bytes that are called a message, and are a transaction of some chain or what is signed for
    /// one.
    #[error("the message is {what}, and its signature would count there; {instead}")]
    Disguised {
        /// What it is.
        what: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// The scheme makes no signatures of this kind.
    #[error(
        "a payload of the kind {kind} is not signed by a wallet of the scheme {scheme}; choose a wallet of the right scheme"
    )]
    Scheme {
        /// The kind.
        kind: &'static str,
        /// The key's scheme.
        scheme: Scheme,
    },
    /// The path leads to no key.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// A CAIP-2 id that is configured and not known.
    #[error(
        "the network {0} is not known; configure one of the `bip122:` ids that the manual lists"
    )]
    Network(String),
    /// The requester's digests are not those of the payload.
    #[error(
        "the task says that {claimed} is signed, the payload gives {computed}; find out which of the two is meant"
    )]
    DigestMismatch {
        /// What the task says, hex.
        claimed: String,
        /// What the payload gives, hex.
        computed: String,
    },
}

/// The form that a kind has, by the names that this crate gives kinds in errors.
fn expected(kind: &str) -> &'static str {
    match kind {
        "message" => "the bytes of a message that is no transaction",
        "digests" => r#"a JSON list [{"path": "m/0/7", "digest": "64 hexadecimal digits"}]"#,
        "evm-transaction" => {
            "an unsigned transaction as it is hashed: RLP with the chain id, or type byte and RLP"
        }
        "eip191" => "the message without prefix and length",
        "eip7702" => "05 and the RLP of chain id, address and nonce, without signature",
        "eip712" => "the JSON document that eth_signTypedData_v4 takes",
        "psbt" => {
            "the bytes of a PSBT, version 0 or 2, with the previous transactions and the origins of its keys"
        }
        "bitcoin-message" => {
            r#"JSON, {"message": "...", "address": "..."} or {"message": "...", "psbt": "Base64"}"#
        }
        "solana-message" => {
            "the bytes of the message of a transaction, legacy or version 0, without signatures"
        }
        _ => "the form that the manual gives for this kind",
    }
}

impl DecodeError {
    fn malformed(kind: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed {
            kind,
            reason: reason.into(),
        }
    }

    /// The stable code in refusals.
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

/// Reads `payload` for `key`. `path` is the child that signs; kinds that name their paths
/// themselves (PSBT, digests) want `m`.
pub fn decode(
    key: &Key,
    path: &DerivationPath,
    payload: &Payload,
    networks: &Networks,
) -> Result<Decoded, DecodeError> {
    let bytes = &payload.bytes;
    let decoded = match payload.kind {
        PayloadKind::Message | PayloadKind::Digest => message::decode(key, path, payload),
        PayloadKind::Digests => digests::decode(key.scheme, path, bytes),
        PayloadKind::EvmTransaction => evm::decode(key, path, bytes),
        PayloadKind::Eip191 => eip191::decode(key, path, bytes),
        PayloadKind::Eip712 => eip712::decode(key, path, bytes),
        PayloadKind::Psbt => psbt::decode(key, path, bytes, networks),
        PayloadKind::BitcoinMessage => bitcoin_message::decode(key, path, bytes, networks),
        PayloadKind::SolanaMessage => solana::decode(key, path, bytes, networks),
        PayloadKind::Eip7702 => eip7702::decode(key, path, bytes),
    }?;
    compare(&payload.digests, &decoded.inputs)?;
    Ok(decoded)
}

/// What the requester expects to be signed must be what is signed, if it says so at all.
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
