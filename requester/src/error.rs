//! The reasons not to believe a wallet.

use countersign_protocol::KeyId;

/// Why a wallet is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeliefError {
    /// The order or argument makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A wallet that does not verify, or is not the one seen before.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "wallet {wallet} is not trustworthy: {reason}; do not use it, and do not trust this coordinator"
    )]
    Wallet { wallet: KeyId, reason: String },
    /// A wallet whose parts prove each other and nothing else: nobody known to this
    /// client stands behind it.
    #[error(
        "wallet {wallet} is not believed: {reasons}; do not use it or its addresses. If you know from another source that it is right, add the missing ids to the profile, or look at `countersign wallet trust {wallet}`"
    )]
    Distrusted {
        /// Id of the wallet.
        wallet: KeyId,
        /// The unknown nodes and requester.
        reasons: String,
        /// The wallet as the coordinator tells it, for people to compare.
        lines: Vec<String>,
    },
    /// The coordinator knows less than this client.
    #[error(
        "the coordinator reports generation {told} of wallet {wallet}, but this client has verified {known}; have its newest backup restored, and do not trust it until then"
    )]
    Stale {
        /// Id of the wallet.
        wallet: KeyId,
        /// The coordinator's generation.
        told: u32,
        /// The generation in the wallet book.
        known: u32,
    },
}

impl BeliefError {
    /// The stable code, for programs (`docs/codes.md`).
    pub fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Wallet { .. } => "invalid-wallet",
            Self::Distrusted { .. } => "wallet-distrusted",
            Self::Stale { .. } => "stale-coordinator",
        }
    }

    /// Further details for people, line by line. Nothing of it is believed.
    pub fn details(&self) -> &[String] {
        match self {
            Self::Distrusted { lines, .. } => lines,
            Self::Usage(_) | Self::Wallet { .. } | Self::Stale { .. } => &[],
        }
    }

    pub(crate) fn wallet(wallet: KeyId, reason: impl ToString) -> Self {
        Self::Wallet {
            wallet,
            reason: reason.to_string(),
        }
    }
}
