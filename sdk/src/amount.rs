//! Amounts of money: unsigned whole numbers of any size, counted in an asset's smallest unit.
//! Nothing here uses floating point, rounds or overflows.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// An unsigned whole number of any size, stored as its decimal digits, as tasks show it. It has
/// what policies need: comparison, addition and multiplication ([example](crate#values-in-tasks)).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Amount(String);

/// Reasons why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AmountError {
    /// The text is empty, or has characters other than decimal digits.
    NotDecimal(String),
    /// The text has more decimals than the asset.
    TooPrecise {
        /// The text as given.
        text: String,
        /// The number of decimals of the asset.
        decimals: u8,
    },
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDecimal(text) => {
                write!(
                    f,
                    "`{text}` is not an amount; write decimal digits, in quotes"
                )
            }
            Self::TooPrecise { text, decimals } => {
                write!(
                    f,
                    "`{text}` has more than {decimals} digits behind the point; leave the others out"
                )
            }
        }
    }
}

impl std::error::Error for AmountError {}

impl Amount {
    /// Maximum number of digits of a product; a number of 256 bits has 78.
    pub const DIGITS: usize = 200;

    /// Returns the amount 0.
    pub fn zero() -> Self {
        Self("0".into())
    }

    /// True for the amount 0.
    pub fn is_zero(&self) -> bool {
        self.0 == "0"
    }

    /// Parses an amount of an asset with `decimals` decimals: `1.5`, `1500`, `0.000001`. Strict:
    /// digits on both sides of a point, no sign, exponent or separators.
    pub fn from_units(text: &str, decimals: u8) -> Result<Self, AmountError> {
        let not_decimal = || AmountError::NotDecimal(text.into());
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(not_decimal()),
            Some(parts) => parts,
            None => (text, ""),
        };
        if !is_digits(whole) || !(fraction.is_empty() || is_digits(fraction)) {
            return Err(not_decimal());
        }
        let Some(missing) = usize::from(decimals).checked_sub(fraction.len()) else {
            return Err(AmountError::TooPrecise {
                text: text.into(),
                decimals,
            });
        };
        Ok(Self::from_digits(&format!(
            "{whole}{fraction}{}",
            "0".repeat(missing)
        )))
    }

    /// Formats the amount of an asset with `decimals` decimals, without trailing zeros.
    pub fn in_units(&self, decimals: u8) -> String {
        let decimals = usize::from(decimals);
        let padded = format!("{:0>width$}", self.0, width = decimals + 1);
        let (whole, fraction) = padded.split_at(padded.len() - decimals);
        match fraction.trim_end_matches('0') {
            "" => whole.into(),
            fraction => format!("{whole}.{fraction}"),
        }
    }

    /// Multiplies exactly, such as a price by a quantity. `None` if the product would have more
    /// than [`DIGITS`](Self::DIGITS) digits: no asset has so many, and the multiplication would
    /// exceed a plugin's time limit.
    pub fn checked_mul(&self, times: &Self) -> Option<Self> {
        if self.0.len() + times.0.len() > Self::DIGITS {
            return None;
        }
        // Least digit first. A place holds at most 9 * 9 * DIGITS and a carry, far below u32::MAX.
        let mut places = vec![0u32; self.0.len() + times.0.len()];
        for (i, a) in self.0.bytes().rev().enumerate() {
            for (j, b) in times.0.bytes().rev().enumerate() {
                places[i + j] += u32::from(a - b'0') * u32::from(b - b'0');
            }
        }
        let mut carry = 0;
        let digit = |place: &u32| {
            let sum = place + carry;
            carry = sum / 10;
            char::from(b'0' + (sum % 10) as u8)
        };
        let digits: Vec<char> = places.iter().map(digit).collect();
        Some(Self::from_digits(
            &digits.into_iter().rev().collect::<String>(),
        ))
    }

    /// Returns the decimal digits, without leading zeros.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Constructs an amount from `digits`, at least one decimal digit.
    fn from_digits(digits: &str) -> Self {
        match digits.trim_start_matches('0') {
            "" => Self::zero(),
            digits => Self(digits.into()),
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Decimal digits and nothing else; leading zeros are allowed.
impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        if !is_digits(text) {
            return Err(AmountError::NotDecimal(text.into()));
        }
        Ok(Self::from_digits(text))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0
            .len()
            .cmp(&other.0.len())
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::ops::AddAssign<&Self> for Amount {
    fn add_assign(&mut self, other: &Self) {
        let (long, short) = if *self < *other {
            (other, &*self)
        } else {
            (&*self, other)
        };
        let mut sum = Vec::with_capacity(long.0.len() + 1);
        let mut carry = 0;
        let mut addends = short.0.bytes().rev();
        for digit in long.0.bytes().rev() {
            let digits = digit - b'0' + addends.next().map_or(0, |digit| digit - b'0') + carry;
            sum.push(char::from(b'0' + digits % 10));
            carry = digits / 10;
        }
        if carry > 0 {
            sum.push('1');
        }
        self.0 = sum.into_iter().rev().collect();
    }
}

impl std::ops::Add<&Self> for Amount {
    type Output = Self;

    fn add(mut self, other: &Self) -> Self {
        self += other;
        self
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<u64> for Amount {
    fn from(value: u64) -> Self {
        Self(value.to_string())
    }
}

/// Accepts a text of digits, or a whole JSON number.
impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected an amount: decimal digits, in quotes")]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(number.into()),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    #[test]
    fn only_decimal_digits_are_an_amount() {
        for text in [
            "", "-1", "+1", "1.0", "1e3", "0x10", " 1", "1 ", "1_000", "1,000", "١",
        ] {
            assert!(text.parse::<Amount>().is_err(), "{text:?}");
        }
        for text in ["", ".", ".5", "1.", "1.2.3", "-1.5", "1.5e3", "1.x"] {
            assert!(
                matches!(
                    Amount::from_units(text, 18),
                    Err(AmountError::NotDecimal(_))
                ),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_digit_too_many_behind_the_point_is_an_error_and_never_rounded() {
        assert_eq!(Amount::from_units("0.000001", 6).unwrap(), amount("1"));
        assert!(matches!(
            Amount::from_units("0.0000001", 6),
            Err(AmountError::TooPrecise { .. })
        ));
        assert!(Amount::from_units("1.0", 0).is_err());
    }

    #[test]
    fn amounts_beyond_256_bits_add_up() {
        let most = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        let sum = amount(most) + &amount("1");
        assert_eq!(
            sum.as_str(),
            "115792089237316195423570985008687907853269984665640564039457584007913129639936"
        );
        assert!(sum > amount(most));
    }

    #[test]
    fn json_numbers_and_texts_are_read_but_fractions_are_not() {
        assert_eq!(serde_json::from_str::<Amount>("7").unwrap(), amount("7"));
        assert_eq!(
            serde_json::from_str::<Amount>("\"007\"").unwrap(),
            amount("7")
        );
        for text in ["1.5", "-1", "1e30", "true", "null"] {
            assert!(serde_json::from_str::<Amount>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_reckons_as_machine_integers_do(a in 0..u128::MAX / 2, b in 0..u128::MAX / 2) {
            let x = amount(&a.to_string());
            let y = amount(&b.to_string());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(x + &y, amount(&(a + b).to_string()));
        }

        #[test]
        fn decimal_notation_survives(a in any::<u128>(), decimals in 0u8..40) {
            let x = amount(&a.to_string());
            prop_assert_eq!(Amount::from_units(&x.in_units(decimals), decimals).unwrap(), x);
        }
    }

    #[test]
    fn products_are_exact_and_bounded() {
        assert_eq!(
            amount("0").checked_mul(&amount("999")),
            Some(Amount::zero())
        );
        let largest = amount(&"9".repeat(100));
        let square = largest.checked_mul(&largest).unwrap();
        assert_eq!(
            square.as_str(),
            format!("{}8{}1", "9".repeat(99), "0".repeat(99))
        );
        assert_eq!(square.checked_mul(&amount("1")), None);
    }

    proptest! {
        #[test]
        fn products_are_those_of_numbers(a in any::<u64>(), b in any::<u64>()) {
            let product = (u128::from(a) * u128::from(b)).to_string();
            prop_assert_eq!(Amount::from(a).checked_mul(&Amount::from(b)), Some(amount(&product)));
        }
    }
}
