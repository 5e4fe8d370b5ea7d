//! What plugins are asked, and receivers told: every fact is this node's own, and what the
//! requester claims is marked as such.

use std::collections::BTreeMap;

use countersign_host::{Operation, Origin, Principal, Statement};
use countersign_protocol::{Authenticated, NodeId, RequesterId, UnixMillis};

use crate::config::Coordinator;

/// Who asks: what every question of this node has in common.
pub struct Asker {
    node: NodeId,
    coordinator: Principal,
    /// Names of those who may order tasks.
    requesters: BTreeMap<RequesterId, String>,
}

impl Asker {
    /// For this node.
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

    /// The question about a task; `operation` and `facts` are what the node established.
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

/// What the requester says, and nobody else.
fn claim(name: &str, value: &str) -> Statement {
    Statement {
        name: name.into(),
        value: value.into(),
        origin: Origin::Claim,
    }
}
