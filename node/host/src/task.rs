//! The question that plugins judge, as the node puts it. Plain data: ids are text, nothing is
//! checked here, and filling a field that the contract calls a fact is the node's promise that it
//! is one.

use serde::{Deserialize, Serialize};

use crate::bindings::countersign::policy::types;
pub use crate::bindings::countersign::policy::types::{
    Call, Destination, Grant, Input, Intent, Key, KeyShareCheck, KeyShareSigning, Keygen,
    Operation, Origin, Principal, Resharing, Signing, Statement, Transaction, TypedData,
};

/// May the node take part in this? The fields are those of `task` in `wit/policy.wit`; the deadline
/// is an argument of the evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Unique id of the task; the requester's claim.
    pub id: String,
    /// Which attempt is judged, from 1.
    pub attempt: u32,
    /// When the node received the task, in milliseconds since 1970.
    pub received_at: u64,
    /// Who ordered it, after the signature was checked.
    pub requester: Principal,
    /// Who delivered it, by its authenticated link.
    pub coordinator: Principal,
    /// Id of this node.
    pub node: String,
    /// What is to be done.
    pub operation: Operation,
    /// Statements without a field of their own.
    pub extra: Vec<Statement>,
    /// The bytes the requester signed. Not part of a recording: the journal has them in the task's
    /// row.
    #[serde(skip)]
    pub raw: Vec<u8>,
}

impl Task {
    /// The task as the guest sees it. `deadline` is in milliseconds since 1970.
    pub(crate) fn to_wit(&self, deadline: u64) -> types::Task {
        types::Task {
            id: self.id.clone(),
            attempt: self.attempt,
            received_at: self.received_at,
            deadline,
            requester: self.requester.clone(),
            coordinator: self.coordinator.clone(),
            node: self.node.clone(),
            operation: self.operation.clone(),
            extra: self.extra.clone(),
            raw: self.raw.clone(),
        }
    }
}
