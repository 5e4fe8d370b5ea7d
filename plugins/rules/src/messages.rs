//! `messages:` and `typed_data:` of a policy. Without its section no such payload may be signed.

use countersign_conditions::{Choice, present};
use countersign_sdk::{AddressSet, Rights, Task, TypedData};
use regex_lite::Regex;
use serde::Deserialize;

use crate::trail::{Objection, Ruling, refuse};

/// Lengths of the common digests, in bytes.
const DIGESTS: [usize; 5] = [20, 28, 32, 48, 64];

/// Rules for plain messages and those of EIP-191.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// The whole message must match one of these patterns, if present.
    #[serde(default, deserialize_with = "present")]
    pub patterns: Option<Vec<Pattern>>,
    /// Decision on messages that could be digests.
    #[serde(default)]
    pub digests: Choice,
}

/// A regular expression for a whole message.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Regex);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let error =
            |error: regex_lite::Error| format!("`{text}` is not a regular expression: {error}");
        Regex::new(&text).map_err(error)?; // On its own, so that no bracket closes the group below.
        Regex::new(&format!("^(?:{text})$"))
            .map(Pattern)
            .map_err(error)
    }
}

impl Messages {
    /// Checks a message against the patterns.
    pub fn judge(&self, message: &[u8]) -> Ruling {
        if self.digests == Choice::Refuse {
            refuse_digest(message)?;
        }
        let Some(patterns) = &self.patterns else {
            return Ok("any message may be signed".into());
        };
        let is_match = |text| {
            patterns
                .iter()
                .any(|Pattern(pattern)| pattern.is_match(text))
        };
        match str::from_utf8(message) {
            Ok(text) if is_match(text) => Ok("the message matches a pattern".into()),
            Ok(_) => refuse(
                "keysign-message-not-allowed",
                "the message matches no pattern",
            ),
            Err(_) => refuse(
                "keysign-message-not-text",
                "the message is not UTF-8, and there are patterns",
            ),
        }
    }
}

/// Refuses a message that could be the digest of data that the node does not see. Contracts accept
/// signatures over such messages as consent to the hashed data: a Safe executes a transaction whose
/// hash was signed as an EIP-191 message.
pub fn refuse_digest(message: &[u8]) -> Result<(), Objection> {
    if !could_be_digest(message) {
        return Ok(());
    }
    let reason = "the message could be the digest of something that the node does not see; a policy with \
                  `messages: {digests: allow}` lets it pass";
    refuse("keysign-message-digest", reason)
}

/// True for anything of 32 bytes, since with enough work a digest can be made to look like
/// anything, and every contract that accepts digests accepts 32 bytes; for anything but text that
/// is as long as another digest; and for the hexadecimal digits of a digest.
fn could_be_digest(message: &[u8]) -> bool {
    let is_text = || str::from_utf8(message).is_ok_and(|text| !text.contains(char::is_control));
    let digits = message
        .strip_prefix(b"0x")
        .or_else(|| message.strip_prefix(b"0X"))
        .unwrap_or(message);
    let spells_one = digits.len().is_multiple_of(2)
        && DIGESTS.contains(&(digits.len() / 2))
        && digits.iter().all(u8::is_ascii_hexdigit);
    message.len() == 32 || (DIGESTS.contains(&message.len()) && !is_text()) || spells_one
}

/// Rules for typed data (EIP-712).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypedDataRules {
    /// The domain must name one of these contracts, if present.
    #[serde(default, deserialize_with = "present")]
    pub contracts: Option<AddressSet>,
    /// The primary type must be one of these, if present. A type that may convey more than its
    /// grants, as far as the node knows, only passes if it is listed.
    #[serde(default, deserialize_with = "present")]
    pub primary_types: Option<Vec<String>>,
}

impl TypedDataRules {
    /// True if `primary_types` lists the type.
    pub fn list(&self, primary_type: &str) -> bool {
        self.primary_types
            .as_ref()
            .is_some_and(|types| types.iter().any(|listed| listed == primary_type))
    }

    /// Checks everything but the rights that the message grants.
    pub fn judge(&self, task: &Task, data: &TypedData) -> Ruling {
        let chain = data.chain.as_deref().unwrap_or_default();
        let contract = data.verifying_contract.as_deref();
        let is_listed =
            |list: &AddressSet| contract.is_some_and(|contract| list.contains(chain, contract));
        if !self.contracts.as_ref().is_none_or(is_listed) {
            return refuse(
                "keysign-typed-data-contract",
                format!(
                    "typed_data.contracts does not list {}",
                    contract.unwrap_or("a domain without contract")
                ),
            );
        }
        if self.primary_types.is_some() && !self.list(&data.primary_type) {
            return refuse(
                "keysign-typed-data-type",
                format!(
                    "typed_data.primary_types does not list {}",
                    data.primary_type
                ),
            );
        }
        let primary_type = &data.primary_type;
        match task.typed_data_rights() {
            _ if self.list(primary_type) => Ok("contract and type are listed".into()),
            Rights::None => Ok("the type hands out nothing".into()),
            Rights::Shown => Ok("the type hands out no more than its grants".into()),
            Rights::Hidden | Rights::Unknown => {
                let what = match task.fact("typed-data-meaning") {
                    Some(meaning) => format!("a `{primary_type}` is {meaning}"),
                    None => format!("the node does not know what a `{primary_type}` hands out"),
                };
                let advice = "list it under typed_data.primary_types, beside its contract, if it may be signed";
                refuse("keysign-typed-data-unknown", format!("{what}; {advice}"))
            }
        }
    }
}
