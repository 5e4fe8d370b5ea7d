//! Orders: tasks as exact bytes, signed by the requester.

use std::collections::BTreeMap;

use countersign_protocol::{
    DerivationPath, KeyId, KeySign, NodeId, Operation, Payload, SignedTask, Task, TaskError,
    TaskId, UnixMillis,
};

use crate::requester_key::RequesterKey;

/// An order for signatures: one, or as many as the payload has inputs.
#[derive(Debug, Clone)]
pub struct SignOrder {
    /// Id of the wallet that signs.
    pub wallet: KeyId,
    /// The child that signs; `m` for payloads that name their paths themselves (PSBT).
    pub path: DerivationPath,
    /// The transaction, message or digests to sign.
    pub payload: Payload,
    /// The nodes that sign; absent: the coordinator chooses.
    pub signers: Option<Vec<NodeId>>,
    /// A remark for nodes' plugins and people.
    pub note: Option<String>,
    /// Statements for nodes' plugins, by name; see [`Task::claims`].
    pub claims: BTreeMap<String, String>,
}

impl SignOrder {
    /// An order without signers, note or claims.
    pub fn new(wallet: KeyId, path: DerivationPath, payload: Payload) -> Self {
        Self {
            wallet,
            path,
            payload,
            signers: None,
            note: None,
            claims: BTreeMap::new(),
        }
    }

    /// The operation that it asks for.
    pub fn operation(&self) -> Operation {
        Operation::KeySign(KeySign {
            key: self.wallet,
            path: self.path.clone(),
            payload: self.payload.clone(),
            signers: self.signers.clone(),
        })
    }
}

/// The requester's remarks on an order.
#[derive(Debug, Clone, Default)]
pub struct Remarks {
    /// A remark for nodes' plugins and people.
    pub note: Option<String>,
    /// Statements for nodes' plugins, by name; see [`Task::claims`].
    pub claims: BTreeMap<String, String>,
}

/// The time in which an order is carried out.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The time of the requester's clock.
    pub now: UnixMillis,
    /// Milliseconds after which it expires, at least 1 and at most [`Task::MAX_LIFE_MS`]; other
    /// values are taken to the nearest of them.
    pub life_ms: u64,
}

/// Makes a task of these parts and signs its exact bytes. `id`: 16 random bytes, never used before.
/// An error says why no node would accept it.
pub fn sign(
    key: &RequesterKey,
    id: TaskId,
    window: Window,
    Remarks { note, claims }: Remarks,
    operation: Operation,
) -> Result<SignedTask, TaskError> {
    let life = window.life_ms.clamp(1, Task::MAX_LIFE_MS);
    let order = key.sign(&Task {
        version: 1,
        id,
        created: window.now,
        not_after: UnixMillis(window.now.0.saturating_add(life)),
        requester: key.id(),
        note,
        claims,
        collect: None,
        operation,
    });
    order.parse()?;
    Ok(order)
}
