//! Selectors of contract methods.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use sha3::{Digest, Keccak256};

/// The bytes that name a method, as in [`Call::selector`](crate::Call): four on EVM chains,
/// one to eight elsewhere. See the [example](crate#values-in-tasks).
///
/// Written as hex (`0xa9059cbb`) or as the signature of an EVM method, whose selector is the
/// beginning of its Keccak-256 hash,
/// by the [Solidity ABI](https://docs.soliditylang.org/en/latest/abi-spec.html#function-selector).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(Box<[u8]>);

/// Reasons why a text is not a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectorError {
    /// The text is neither hex nor a signature.
    Malformed(String),
    /// The signature uses the short alias of a type; selectors are made from the long name only.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    Alias {
        written: String,
        meant: &'static str,
    },
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => write!(
                f,
                "`{text}` names no method; write `0x` and up to eight bytes in hex, or a signature such as `transfer(address,uint256)`"
            ),
            Self::Alias { written, meant } => {
                write!(
                    f,
                    "the type `{written}` is an abbreviation; write `{meant}`"
                )
            }
        }
    }
}

impl std::error::Error for SelectorError {}

impl Selector {
    /// True if a call with this selector calls the method. The whole selector counts, not a prefix.
    pub fn matches(&self, selector: &[u8]) -> bool {
        *self.0 == *selector
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        match text.strip_prefix("0x") {
            Some(digits) => from_hex(digits).ok_or_else(|| SelectorError::Malformed(text.into())),
            None => from_signature(text),
        }
    }
}

fn from_hex(digits: &str) -> Option<Selector> {
    let bytes = hex::decode(digits).ok()?;
    (1..=8)
        .contains(&bytes.len())
        .then(|| Selector(bytes.into()))
}

fn from_signature(text: &str) -> Result<Selector, SelectorError> {
    let malformed = || SelectorError::Malformed(text.into());
    let (name, arguments) = text.split_once('(').ok_or_else(malformed)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let is_type = |c: char| c.is_ascii_alphanumeric() || "(),[]".contains(c);
    if name.is_empty()
        || !name.chars().all(is_name)
        || !arguments.chars().all(is_type)
        || !is_balanced(text)
    {
        return Err(malformed());
    }
    for word in arguments.split(|c: char| !c.is_ascii_alphanumeric()) {
        for (written, meant) in [("uint", "uint256"), ("int", "int256"), ("byte", "bytes1")] {
            if word == written {
                return Err(SelectorError::Alias {
                    written: written.into(),
                    meant,
                });
            }
        }
    }
    Ok(Selector(Keccak256::digest(text)[..4].into()))
}

/// True if every bracket closes, and the last one closes the first.
fn is_balanced(text: &str) -> bool {
    let mut open = 0u32;
    for (at, c) in text.char_indices() {
        match c {
            '(' => open += 1,
            ')' if open == 0 => return false,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 && c == ')' && at + 1 != text.len() {
            return false;
        }
    }
    open == 0 && text.ends_with(')')
}

/// Formats the selector as hex.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(text: &str) -> Selector {
        text.parse().unwrap()
    }

    /// Values of the ERC-20, ERC-721, ERC-1155 and Uniswap interfaces as published.
    #[test]
    fn signatures_have_their_published_selectors() {
        for (signature, expected) in [
            ("transfer(address,uint256)", "0xa9059cbb"),
            ("approve(address,uint256)", "0x095ea7b3"),
            ("transferFrom(address,address,uint256)", "0x23b872dd"),
            ("setApprovalForAll(address,bool)", "0xa22cb465"),
            (
                "safeTransferFrom(address,address,uint256,uint256,bytes)",
                "0xf242432a",
            ),
            ("deposit()", "0xd0e30db0"),
            (
                "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))",
                "0x414bf389",
            ),
        ] {
            assert_eq!(selector(signature).to_string(), expected, "{signature}");
        }
    }

    #[test]
    fn a_shorter_or_longer_selector_is_another() {
        assert!(selector("0xa9059cbb").matches(&[0xa9, 0x05, 0x9c, 0xbb]));
        for other in [
            &[][..],
            &[0xa9, 0x05, 0x9c],
            &[0xa9, 0x05, 0x9c, 0xbb, 0x00],
            &[0xa9, 0x05, 0x9c, 0xbc],
        ] {
            assert!(!selector("0xa9059cbb").matches(other), "{other:?}");
        }
    }

    #[test]
    fn what_could_be_meant_otherwise_is_refused() {
        for text in [
            "",
            "transfer",
            "transfer(",
            "transfer)",
            "(address)",
            "transfer(address, uint256)",
            "0x",
            "0xa9059cb",
            "0x0011223344556677ff",
            "a9059cbb",
            "f()g()",
            "f((address)",
            "f(address))",
            "f() returns (bool)",
        ] {
            assert!(
                matches!(text.parse::<Selector>(), Err(SelectorError::Malformed(_))),
                "{text:?}"
            );
        }
        let error = "transfer(address,uint)".parse::<Selector>().unwrap_err();
        assert!(error.to_string().contains("write `uint256`"), "{error}");
    }
}
