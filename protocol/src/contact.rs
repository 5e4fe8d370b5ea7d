//! Contacts: nodes and requesters by name and id, as one party tells another of them.
//!
//! A contact is a proposal. Whoever receives one compares the id with its owner before it counts.

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::requester::RequesterId;
use crate::text::is_plain;

/// The maximum number of contacts in one frame or file.
pub const MAX_CONTACTS: usize = 1000;
/// The maximum length of a contact's name, in bytes.
pub const MAX_NAME: usize = 64;

/// The part that a contact has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Holds shares.
    Node,
    /// Orders tasks.
    Requester,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Node => "node",
            Self::Requester => "requester",
        })
    }
}

/// A node or requester, as somebody else names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum Contact {
    Node { name: String, id: NodeId },
    Requester { name: String, id: RequesterId },
}

impl Contact {
    /// The part that it has.
    pub fn role(&self) -> Role {
        match self {
            Self::Node { .. } => Role::Node,
            Self::Requester { .. } => Role::Requester,
        }
    }

    /// The name that the sender gives it.
    pub fn name(&self) -> &str {
        match self {
            Self::Node { name, .. } | Self::Requester { name, .. } => name,
        }
    }

    /// The id as text: `csn1…` or `csr1…`.
    pub fn id(&self) -> String {
        match self {
            Self::Node { id, .. } => id.to_string(),
            Self::Requester { id, .. } => id.to_string(),
        }
    }

    /// The bytes of the key behind the id: 32 of Ed25519, 33 of a requester's passkey.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Node { id, .. } => id.as_bytes(),
            Self::Requester { id, .. } => id.as_bytes(),
        }
    }
}

/// True of a text that may name a contact: short, without hidden characters, with nothing around
/// it, and not to be taken for an id.
pub fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && is_plain(text)
        && text.trim() == text
        && !["csn1", "csr1", "csc1", "csv1"]
            .iter()
            .any(|id| text.starts_with(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_shows_what_it_is() {
        for name in [
            "bob",
            "Bank of Ghent, node 2",
            "płock",
            &"x".repeat(MAX_NAME),
        ] {
            assert!(is_name(name), "{name}");
        }
        let long = "x".repeat(MAX_NAME + 1);
        for text in [
            "",
            " bob",
            "bob ",
            "b\nob",
            "b\u{202e}ob",
            "csn1bob",
            "csr1x",
            "csv1x",
            &long,
        ] {
            assert!(!is_name(text), "{text:?}");
        }
    }
}
