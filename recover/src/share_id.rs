//! The x-coordinate of a share on its polynomial: a number below the order of the
//! curve, as decimal text.

use std::cmp::Ordering;

const MAX_DIGITS: usize = 78;

/// The x-coordinate of a share: decimal digits without leading zeros, above 0 and below 2^256.
/// [`crate::Group`] checks that it is below the order of the curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareId {
    text: String,
    bytes: [u8; 32],
}

/// A text that is not a share id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a share id: it has to be a decimal number above 0 and below 2^256, without leading zeros"
)]
pub struct ShareIdError(String);

impl ShareId {
    /// The id of a share of this product: its index in the committee, counted from 1.
    pub fn from_keygen_index(index: u16) -> Self {
        let number = u32::from(index) + 1;
        let mut bytes = [0; 32];
        bytes[28..].copy_from_slice(&number.to_be_bytes());
        Self {
            text: number.to_string(),
            bytes,
        }
    }

    /// The text form, in decimal digits.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number as 32 big-endian bytes.
    pub fn to_be_bytes(&self) -> [u8; 32] {
        self.bytes
    }
}

impl std::str::FromStr for ShareId {
    type Err = ShareIdError;

    fn from_str(text: &str) -> Result<Self, ShareIdError> {
        let error = || ShareIdError(text.chars().take(80).collect());
        if text.is_empty() || text.starts_with('0') || text.len() > MAX_DIGITS {
            return Err(error());
        }
        let mut bytes = [0; 32];
        for digit in text.bytes() {
            let digit = digit
                .is_ascii_digit()
                .then(|| digit - b'0')
                .ok_or_else(error)?;
            push_digit(&mut bytes, digit).ok_or_else(error)?;
        }
        Ok(Self {
            text: text.to_owned(),
            bytes,
        })
    }
}

impl std::fmt::Display for ShareId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.text)
    }
}

impl Ord for ShareId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl PartialOrd for ShareId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// number · 10 + digit. `None` if that has more than 256 bits.
fn push_digit(number: &mut [u8; 32], digit: u8) -> Option<()> {
    let mut carry = u16::from(digit);
    for byte in number.iter_mut().rev() {
        let value = u16::from(*byte) * 10 + carry;
        *byte = (value & 0xff) as u8;
        carry = value >> 8;
    }
    (carry == 0).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: &str =
        "115792089237316195423570985008687907853269984665640564039457584007913129639935";

    #[test]
    fn decimal_text_is_a_number() {
        for (text, bytes) in [
            ("1", "01"),
            ("256", "0100"),
            (
                "340282366920938463463374607431768211455",
                "ffffffffffffffffffffffffffffffff",
            ),
            (
                LAST,
                "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            ),
        ] {
            let id: ShareId = text.parse().unwrap();
            assert_eq!(hex::encode(id.to_be_bytes()), format!("{bytes:0>64}"));
            assert_eq!(id.to_string(), text);
        }
        assert_eq!(
            ShareId::from_keygen_index(u16::MAX),
            "65536".parse().unwrap()
        );
        assert!(ShareId::from_keygen_index(8) < "10".parse().unwrap());
    }

    #[test]
    fn everything_else_is_refused() {
        let too_big = LAST.replace("9935", "9936");
        for wrong in [
            "",
            "0",
            "01",
            "-1",
            "+1",
            "1.0",
            "0x1",
            " 1",
            "1e3",
            "١",
            &too_big,
            &"9".repeat(79),
        ] {
            assert!(wrong.parse::<ShareId>().is_err(), "{wrong}");
        }
    }
}
