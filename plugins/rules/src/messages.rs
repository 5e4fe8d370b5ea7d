//! `messages:` and `typed_data:` of a policy. Without these sections there may be none.

use countersign_sdk::{AddressSet, TypedData};
use regex_lite::Regex;
use serde::Deserialize;

use crate::choice::present;
use crate::trail::{Ruling, refuse};

/// Rules for messages, plain and EIP-191.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// The whole message must match one of these, if there are any.
    #[serde(default, deserialize_with = "present")]
    pub patterns: Option<Vec<Pattern>>,
}

/// A regular expression for a whole message.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Regex);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let error = |error: regex_lite::Error| format!("`{text}` is not a regular expression: {error}");
        Regex::new(&text).map_err(error)?; // By itself, so that no bracket reaches out of the group.
        Regex::new(&format!("^(?:{text})$")).map(Pattern).map_err(error)
    }
}

impl Messages {
    /// Judges a message.
    pub fn judge(&self, message: &[u8]) -> Ruling {
        let Some(patterns) = &self.patterns else { return Ok("any message may be signed".into()) };
        let is_match = |text| patterns.iter().any(|Pattern(pattern)| pattern.is_match(text));
        match str::from_utf8(message) {
            Ok(text) if is_match(text) => Ok("the message matches a pattern".into()),
            Ok(_) => refuse("keysign-message-not-allowed", "the message matches no pattern"),
            Err(_) => refuse("keysign-message-not-text", "the message is not UTF-8, and there are patterns"),
        }
    }
}

/// Rules for EIP-712.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypedDataRules {
    /// The domain must name one of these contracts, if there are any.
    #[serde(default, deserialize_with = "present")]
    pub contracts: Option<AddressSet>,
    /// The primary type must be one of these, if there are any.
    #[serde(default, deserialize_with = "present")]
    pub primary_types: Option<Vec<String>>,
}

impl TypedDataRules {
    /// Judges everything but the rights that it hands out.
    pub fn judge(&self, data: &TypedData) -> Ruling {
        let chain = data.chain.as_deref().unwrap_or_default();
        let contract = data.verifying_contract.as_deref();
        let is_listed = |list: &AddressSet| contract.is_some_and(|contract| list.contains(chain, contract));
        if !self.contracts.as_ref().is_none_or(is_listed) {
            return refuse(
                "keysign-typed-data-contract",
                format!(
                    "typed_data.contracts does not list {}",
                    contract.unwrap_or("a domain without contract")
                ),
            );
        }
        if self.primary_types.as_ref().is_some_and(|types| !types.contains(&data.primary_type)) {
            return refuse(
                "keysign-typed-data-type",
                format!("typed_data.primary_types does not list {}", data.primary_type),
            );
        }
        Ok("contract and type may be".into())
    }
}
