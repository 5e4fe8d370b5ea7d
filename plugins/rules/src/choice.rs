//! Small things that several rules write in the same way.

use countersign_sdk::{Amount, AmountError};
use serde::{Deserialize, Deserializer};

/// `allow` or `refuse`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// May be.
    Allow,
    /// May not be; so it is if nothing is written.
    #[default]
    Refuse,
}

/// For optional members: absent is absent, but `key:` without anything behind it is a mistake, not
/// an absence.
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
    /// `250`
    Number(u64),
    /// `"1.5"`
    Text(String),
}

impl Quantity {
    /// In smallest units of an asset with `decimals` digits behind the point.
    pub fn amount(&self, decimals: u8) -> Result<Amount, AmountError> {
        match self {
            Self::Number(number) => Amount::from_units(&number.to_string(), decimals),
            Self::Text(text) => Amount::from_units(text, decimals),
        }
    }
}
