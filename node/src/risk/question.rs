//! The description of a task for plugins and receivers: every fact is this node's own, and the
//! requester's claims are marked as such.

use std::collections::BTreeMap;

use countersign_host::{Operation, Origin, Principal, Statement};
use countersign_protocol::{Authenticated, NodeId, RequesterId, UnixMillis};

use crate::config::Coordinator;

/// The asking node: the part that all of its questions have in common.
pub struct Asker {
    node: NodeId,
    coordinator: Principal,
    /// The requesters that may order tasks, with their names.
    requesters: BTreeMap<RequesterId, String>,
}

impl Asker {
    /// Creates the questions of this node.
    pub fn new(
        node: NodeId,
        coordinator: &Coordinator,
        requesters: BTreeMap<RequesterId, String>,
    ) -> Self {
        Self {
            node,
            coordinator: Principal {
                id: coordinator.id.to_string(),
                name: coordinator.address.clone(),
            },
            requesters,
        }
    }

    /// Builds the question about a task; the node itself established `operation` and `facts`.
    pub fn question(
        &self,
        now: UnixMillis,
        task: &Authenticated,
        operation: Operation,
        facts: Vec<Statement>,
    ) -> countersign_host::Task {
        let name = self.requesters.get(&task.requester).cloned();
        let note = task.note.iter().map(|note| claim("note", note));
        let claims = task.claims.iter().map(|(name, value)| claim(name, value));
        countersign_host::Task {
            id: task.id.to_string(),
            attempt: 1,
            received_at: now.0,
            requester: Principal {
                id: task.requester.to_string(),
                name: name.unwrap_or_default(),
            },
            coordinator: self.coordinator.clone(),
            node: self.node.to_string(),
            operation,
            extra: facts.into_iter().chain(note).chain(claims).collect(),
            raw: task.signed().bytes.clone(),
        }
    }
}

/// A statement for which only the requester vouches.
fn claim(name: &str, value: &str) -> Statement {
    Statement {
        name: name.into(),
        value: value.into(),
        origin: Origin::Claim,
    }
}
