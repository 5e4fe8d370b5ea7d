//! Small values that several rules write alike.

use countersign_sdk::{Amount, AmountError};
use serde::{Deserialize, Deserializer};

/// The operator's choice, written `allow` or `refuse`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Lets it through.
    Allow,
    /// Also the default if nothing is written.
    #[default]
    Refuse,
}

/// Deserialises optional members: `key:` without a value is an error instead of an absence.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// An amount as people write it: a whole number, or decimal digits in quotes.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected an amount: a whole number or, in quotes, decimal digits such as \"1.5\""
)]
pub enum Quantity {
    /// A whole number.
    Number(u64),
    /// Decimal digits.
    Text(String),
}

impl Quantity {
    /// Converts to the smallest units of an asset with this many decimals.
    pub fn amount(&self, decimals: u8) -> Result<Amount, AmountError> {
        match self {
            Self::Number(number) => Amount::from_units(&number.to_string(), decimals),
            Self::Text(text) => Amount::from_units(text, decimals),
        }
    }
}
