//! Orders: tasks as exact bytes, signed by the requester.

use std::collections::BTreeMap;

use countersign_protocol::task::Collect;
use countersign_protocol::{
    DerivationPath, KeyId, KeySign, NodeId, Operation, Payload, RequesterId, SignedTask, Task,
    TaskError, TaskId, UnixMillis,
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
    /// Milliseconds after which it expires: after `now`, or after the time until which approvals
    /// are collected. At least 1 and at most [`Task::MAX_LIFE_MS`]; other values are taken to the
    /// nearest of them. With the time of the votes, at most [`Task::MAX_COLLECTING_LIFE_MS`].
    pub life_ms: u64,
    /// The approvals by people that are collected first, if any.
    pub collect: Option<Collect>,
}

impl Window {
    /// The end of the order. Nodes that are asked at the last moment still have the usual time.
    fn not_after(&self) -> UnixMillis {
        let now = self.now.0;
        let (asked, longest) = match &self.collect {
            Some(collect) => (collect.until.0.max(now), Task::MAX_COLLECTING_LIFE_MS),
            None => (now, Task::MAX_LIFE_MS),
        };
        let rest = self.life_ms.min(Task::MAX_LIFE_MS);
        let life = asked.saturating_add(rest) - now;
        UnixMillis(now.saturating_add(life.clamp(1, longest)))
    }
}

/// Makes a task of these parts and signs its exact bytes. `id`: 16 random bytes, never used before.
/// An error says why no node would accept it.
pub fn sign(
    key: &RequesterKey,
    id: TaskId,
    window: Window,
    remarks: Remarks,
    operation: Operation,
) -> Result<SignedTask, TaskError> {
    let order = key.sign(&compose(key.id(), id, window, remarks, operation));
    order.parse()?;
    Ok(order)
}

/// Makes a task of these parts for a requester to sign. `id`: 16 random bytes, never used before.
pub fn compose(
    requester: RequesterId,
    id: TaskId,
    window: Window,
    Remarks { note, claims }: Remarks,
    operation: Operation,
) -> Task {
    Task {
        version: 1,
        id,
        created: window.now,
        not_after: window.not_after(),
        requester,
        note,
        claims,
        collect: window.collect,
        operation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_764_500_000_000;
    const HOUR: u64 = 3_600_000;

    fn ordered(life_ms: u64, collect: Option<Collect>) -> Result<Task, TaskError> {
        let key = RequesterKey::from_seed(&[8; 32]).unwrap();
        let payload = Payload::new(countersign_protocol::PayloadKind::Message, b"pay".to_vec());
        let wallet = KeyId::from_bytes([3; 16]).unwrap();
        let order = SignOrder::new(wallet, "m".parse().unwrap(), payload);
        let window = Window {
            now: UnixMillis(NOW),
            life_ms,
            collect,
        };
        let remarks = Remarks::default();
        sign(&key, TaskId([1; 16]), window, remarks, order.operation())?.parse()
    }

    fn until(ms: u64) -> Option<Collect> {
        Some(Collect {
            votes: 2,
            until: UnixMillis(NOW + ms),
        })
    }

    #[test]
    fn an_order_that_collects_votes_lives_for_its_usual_time_after_them() {
        for (life, collect, lives) in [
            (120_000, None, 120_000),
            (0, None, 1),
            (u64::MAX, None, Task::MAX_LIFE_MS),
            (120_000, until(24 * HOUR), 24 * HOUR + 120_000),
            (120_000, until(168 * HOUR), Task::MAX_COLLECTING_LIFE_MS),
            (u64::MAX, until(HOUR), 25 * HOUR),
        ] {
            let task = ordered(life, collect).unwrap();
            assert_eq!((task.life(), task.collect), (lives, collect), "{life}");
        }
    }

    #[test]
    fn votes_are_not_collected_for_longer_than_an_order_can_live_nor_in_the_past() {
        let beyond = until(Task::MAX_COLLECTING_LIFE_MS + 1);
        assert_eq!(ordered(120_000, beyond), Err(TaskError::Collect));
        let past = Some(Collect {
            votes: 2,
            until: UnixMillis(NOW - 1),
        });
        assert_eq!(ordered(120_000, past), Err(TaskError::Collect));
    }
}
