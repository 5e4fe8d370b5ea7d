//! Those whom a requester knows: what wallets are compared with.

use std::collections::BTreeMap;

use countersign_protocol::{NodeId, RequesterId};
use serde::Deserialize;

use crate::names::{name_in, names};

/// The names that a requester has for nodes and other requesters, and its own id.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Nodes by name.
    pub nodes: &'a BTreeMap<String, NodeId>,
    /// Other requesters whose wallets are used, by name.
    pub trusted_requesters: &'a BTreeMap<String, RequesterId>,
    /// The requester itself, if it has a key.
    pub own: Option<RequesterId>,
}

/// [`Known`] as a document of its own. Each name and each id appears once.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Acquaintances {
    /// Nodes by name.
    #[serde(deserialize_with = "names")]
    pub nodes: BTreeMap<String, NodeId>,
    /// Other requesters whose wallets are used, by name.
    #[serde(deserialize_with = "names")]
    pub trusted_requesters: BTreeMap<String, RequesterId>,
    /// The requester itself, if it has a key.
    pub own: Option<RequesterId>,
}

impl Acquaintances {
    /// All of it.
    pub fn known(&self) -> Known<'_> {
        Known {
            nodes: &self.nodes,
            trusted_requesters: &self.trusted_requesters,
            own: self.own,
        }
    }
}

impl Known<'_> {
    /// True if the node has a name.
    pub fn names_node(&self, node: &NodeId) -> bool {
        name_in(self.nodes, node).is_some()
    }

    /// True if the requester is this one, or has a name.
    pub fn trusts(&self, requester: &RequesterId) -> bool {
        Some(*requester) == self.own || name_in(self.trusted_requesters, requester).is_some()
    }

    /// A node with its whole id, and whether it is known.
    pub fn describe_node(&self, node: &NodeId) -> String {
        match name_in(self.nodes, node) {
            Some(name) => format!("{name} ({node})"),
            None => format!("{node} (NOT under `nodes`)"),
        }
    }

    /// A requester with its whole id, whether it is a passkey, and whether it is trusted.
    pub fn describe_requester(&self, requester: &RequesterId) -> String {
        let kind = if requester.is_passkey() {
            "passkey "
        } else {
            ""
        };
        match name_in(self.trusted_requesters, requester) {
            _ if Some(*requester) == self.own => format!("you ({kind}{requester})"),
            Some(name) => format!("{name} ({kind}{requester})"),
            None => format!("{kind}{requester} (NOT under `trusted_requesters`)"),
        }
    }
}
