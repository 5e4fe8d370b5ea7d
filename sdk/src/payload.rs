//! The kinds of payloads: the values of [`Signing::payload`](crate::Signing::payload).

/// Bytes, signed as they are or by their digest, as the key's scheme does.
pub const MESSAGE: &str = "message";
/// A bare digest, signed blindly.
pub const DIGEST: &str = "digest";
/// An unsigned EVM transaction.
pub const EVM_TRANSACTION: &str = "evm-transaction";
/// A personal message of an EVM wallet (EIP-191).
pub const EIP191: &str = "eip191";
/// Typed data (EIP-712).
pub const EIP712: &str = "eip712";
/// A Bitcoin transaction (BIP-174, BIP-370).
pub const PSBT: &str = "psbt";
/// The message of a Solana transaction.
pub const SOLANA_MESSAGE: &str = "solana-message";
/// Several bare digests, each with the path of the child key that signs it.
pub const DIGESTS: &str = "digests";
/// A message signed for a Bitcoin address (BIP-322).
pub const BITCOIN_MESSAGE: &str = "bitcoin-message";
/// The authorization of a delegation (EIP-7702).
pub const EIP7702: &str = "eip7702";

/// All kinds.
pub const ALL: [&str; 10] = [
    MESSAGE,
    DIGEST,
    EVM_TRANSACTION,
    EIP191,
    EIP712,
    PSBT,
    SOLANA_MESSAGE,
    DIGESTS,
    BITCOIN_MESSAGE,
    EIP7702,
];
