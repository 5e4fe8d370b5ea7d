//! What a payload means: from the bytes that a requester shows to the bytes that are signed, and to what they do.
//!
//! [`decode`] computes both from the same bytes, so that whoever judges the meaning judges what is signed. Nodes decode
//! before they ask their plugins; coordinator and client decode again before they believe a signature. Nothing here
//! signs, reads a clock or performs I/O.

mod intent;

pub use intent::{Call, Destination, Grant, Intent, Transaction, TypedData};

use countersign_protocol::{DerivationPath, Payload, PayloadKind, Scheme};

/// The public side of the key that is to sign.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// Which algorithm signs.
    pub scheme: Scheme,
    /// Encoded as `countersign_verify::derive_public` takes it.
    pub root_public_key: &'a [u8],
    /// BIP-32 chain code.
    pub chain_code: &'a [u8; 32],
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
        Networks {
            bitcoin: "bip122:000000000019d6689c085ae165831e93".into(),
            solana: "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp".into(),
        }
    }
}

/// What is signed, and what that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// One entry for each signature, in the order of the results. At least one, at most [`MAX_INPUTS`].
    pub inputs: Vec<Input>,
    /// What the signatures are for.
    pub intent: Intent,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The child that signs.
    pub path: DerivationPath,
    /// The bytes handed to the signature algorithm (ECDSA: the 32-byte digest).
    pub signed_bytes: Vec<u8>,
}

/// Most signatures of one task.
pub const MAX_INPUTS: usize = 64;

/// Why a payload is not what it is said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not of the kind.
    #[error(
        "the payload is not a {kind}: {reason}; send the bytes in the form that the manual gives for this kind"
    )]
    Malformed {
        /// The kind, as tasks name it.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The scheme makes no signatures of this kind.
    #[error("a {kind} is not signed by a {scheme} key; choose a key of the right scheme")]
    Scheme {
        /// The kind.
        kind: &'static str,
        /// The key's scheme.
        scheme: Scheme,
    },
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

impl DecodeError {
    /// The stable code in refusals.
    pub fn code(&self) -> &'static str {
        match self {
            DecodeError::Malformed { .. } => "payload-malformed",
            DecodeError::Scheme { .. } => "payload-scheme",
            DecodeError::DigestMismatch { .. } => "digest-mismatch",
        }
    }
}

/// Reads `payload` for `key`. `path` is the child that signs; kinds that name their paths themselves (PSBT) want `m`.
pub fn decode(
    key: &Key,
    path: &DerivationPath,
    payload: &Payload,
    networks: &Networks,
) -> Result<Decoded, DecodeError> {
    let _ = networks;
    let intent = match payload.kind {
        PayloadKind::Message if !payload.is_blind() => Intent::Message(payload.bytes.clone()),
        _ => Intent::Opaque,
    };
    let signed_bytes = payload.signed_bytes(key.scheme);
    Ok(Decoded { inputs: vec![Input { path: path.clone(), signed_bytes }], intent })
}
