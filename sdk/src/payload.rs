//! The kinds of payloads: the values of [`Signing::payload`](crate::Signing::payload).

/// Generates a constant and a variant for each kind, so that none is missing from either.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident $constant:ident = $name:literal;)*) => {
        $($(#[$doc])*
        pub const $constant: &str = $name;)*

        /// All kinds.
        pub const ALL: [&str; [$($name),*].len()] = [$($constant),*];

        /// A kind to `match` without `_`, so that the compiler asks about a kind that a later
        /// version adds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])*
            $variant,)*
            /// A kind that this version does not know, of a node that is newer.
            Other,
        }

        impl Kind {
            /// Reads the kind in [`Signing::payload`](crate::Signing::payload).
            pub fn of(payload: &str) -> Self {
                match payload {
                    $($constant => Self::$variant,)*
                    _ => Self::Other,
                }
            }
        }
    };
}

kinds! {
    /// Bytes, signed as they are or by their digest, as the key's scheme does.
    Message MESSAGE = "message";
    /// A bare digest, signed blindly.
    Digest DIGEST = "digest";
    /// An unsigned EVM transaction.
    EvmTransaction EVM_TRANSACTION = "evm-transaction";
    /// A personal message of an EVM wallet (EIP-191).
    Eip191 EIP191 = "eip191";
    /// Typed data (EIP-712).
    Eip712 EIP712 = "eip712";
    /// A Bitcoin transaction (BIP-174, BIP-370).
    Psbt PSBT = "psbt";
    /// The message of a Solana transaction.
    SolanaMessage SOLANA_MESSAGE = "solana-message";
    /// Several bare digests, each with the path of the child key that signs it.
    Digests DIGESTS = "digests";
    /// A message signed for a Bitcoin address (BIP-322).
    BitcoinMessage BITCOIN_MESSAGE = "bitcoin-message";
    /// The authorization of a delegation (EIP-7702).
    Eip7702 EIP7702 = "eip7702";
}
