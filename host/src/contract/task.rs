//! The task that plugins judge, as the node states it. Plain data: ids are text and nothing is
//! checked here. By filling a field that the contract calls a fact, the node vouches for it.

use serde::{Deserialize, Serialize};

use crate::contract::bindings::countersign::policy::types;
pub use crate::contract::bindings::countersign::policy::types::{
    Call, Destination, Grant, Input, Intent, Key, KeyShareCheck, KeyShareSigning, Keygen,
    Operation, Origin, Principal, Resharing, Signing, Statement, Transaction, TypedData,
};

/// The task to judge. The fields are those of `task` in `wit/policy.wit`; the deadline is an
/// argument of the evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Unique id of the task; the requester's claim.
    pub id: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// When the node received the task, in milliseconds since 1970.
    pub received_at: u64,
    /// The requester, after its signature was verified.
    pub requester: Principal,
    /// The coordinator that delivered it, by its authenticated link.
    pub coordinator: Principal,
    /// Id of this node.
    pub node: String,
    /// The operation to judge.
    pub operation: Operation,
    /// Statements without a field of their own.
    pub extra: Vec<Statement>,
    /// The bytes the requester signed. Not part of a recording: the journal has them
    /// in the task's row.
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
