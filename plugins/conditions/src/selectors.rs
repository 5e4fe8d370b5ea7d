//! Which signatures a rule is for.

use countersign_sdk::{Intent, Signing};
use serde::Deserialize;

/// True if a selector matches `text`; an absent one always does.
pub fn listed(list: &Option<Vec<String>>, text: &str) -> bool {
    list.as_ref()
        .is_none_or(|list| list.iter().any(|listed| listed == text))
}

/// The chain of a transaction, or the one that typed data names.
pub fn chain_of(signing: &Signing) -> Option<&str> {
    match &signing.intent {
        Intent::Transaction(transaction) => Some(&transaction.chain),
        Intent::TypedData(typed_data) => typed_data.chain.as_deref(),
        Intent::Message(_) | Intent::Opaque => None,
    }
}

/// A derivation path in which `*` stands for any index, and `**` at the end for any
/// number of them: `m/44/60/0/0/*`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PathPattern(Vec<String>);

impl PathPattern {
    /// True if `path` matches the pattern.
    pub fn matches(&self, path: &str) -> bool {
        let mut parts = path.split('/');
        for pattern in &self.0 {
            match (pattern.as_str(), parts.next()) {
                ("**", _) => return true,
                ("*", Some(_)) => {}
                (index, Some(part)) if index == part => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }
}

impl TryFrom<String> for PathPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts: Vec<String> = text.split('/').map(Into::into).collect();
        let is_index = |part: &str| {
            part == "0"
                || (!part.starts_with(['0', '+'])
                    && part.parse::<u32>().is_ok_and(|index| index < 1 << 31))
        };
        let last = parts.len() - 1;
        let fits = |(at, part): (usize, &String)| match part.as_str() {
            "m" => at == 0,
            "*" => at > 0,
            "**" => at > 0 && at == last,
            index => at > 0 && is_index(index),
        };
        if !parts.iter().enumerate().all(fits) {
            return Err(format!(
                "`{text}` is not a path; write e.g. m/44/60/0/0/*, with * for any index, ** at the end for any rest, and no hardened index"
            ));
        }
        Ok(Self(parts))
    }
}
