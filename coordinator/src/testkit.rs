//! A small world for tests: nodes, a requester and a wallet with fixed keys, and what they would say.

use countersign_protocol::{
    Announcement, Committee, Failure, Hash, InputSignature, KeyGen, KeyId, KeySign, NodeId, Operation,
    Outcome, Payload, PayloadKind, Refusal, RequesterId, Scheme, SessionId, Signed, SignedTask, StoredMark,
    Task, TaskId, Threshold, UnixMillis,
};
use ed25519_dalek::{Signer, SigningKey};

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn node_id(key: &SigningKey) -> NodeId {
    NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

/// Three nodes, in the order of their ids.
pub fn node_keys() -> Vec<SigningKey> {
    let mut keys: Vec<_> = (1..=3).map(key).collect();
    keys.sort_by_key(node_id);
    keys
}

pub fn nodes() -> Vec<NodeId> {
    node_keys().iter().map(node_id).collect()
}

pub fn requester() -> SigningKey {
    key(9)
}

/// A task that begins at `now` and lives for ten minutes.
pub fn task(id: u8, now: UnixMillis, operation: Operation) -> Task {
    Task {
        version: 1,
        id: TaskId([id; 16]),
        created: now,
        not_after: UnixMillis(now.0 + 600_000),
        requester: RequesterId::from_bytes(requester().verifying_key().to_bytes()).unwrap(),
        note: None,
        claims: Default::default(),
        operation,
    }
}

pub fn keygen() -> Operation {
    Operation::KeyGen(KeyGen {
        name: "hot".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(nodes()).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
    })
}

pub fn keysign(key: KeyId, signers: Option<Vec<NodeId>>) -> Operation {
    let payload = Payload::new(PayloadKind::Message, b"pay".to_vec());
    Operation::KeySign(KeySign { key, path: "m".parse().unwrap(), payload, signers })
}

pub fn sign_task(task: &Task) -> SignedTask {
    let bytes = task.to_bytes();
    let signature = requester().sign(&SignedTask::signed_message(&bytes)).to_bytes();
    SignedTask { bytes, signature }
}

/// The key whose public half is the root of every wallet here.
pub fn root() -> SigningKey {
    key(77)
}

/// What the members announce after the KeyGen of these bytes.
pub fn announcement(task: TaskId, hash: Hash) -> Announcement {
    let mut made = Announcement {
        key: KeyId::of_task(&hash),
        task,
        session: SessionId([5; 32]),
        name: "hot".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(nodes()).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        generation: 0,
        root_public_key: root().verifying_key().to_bytes().to_vec(),
        chain_code: Hash([6; 32]),
        public_shares: Hash([7; 32]),
        aux: None,
        stored: Vec::new(),
    };
    mark(&mut made);
    made
}

/// Signs the marks anew, after a change.
pub fn mark(made: &mut Announcement) {
    let digest = made.digest();
    let mark = |key: &SigningKey| StoredMark {
        node: node_id(key),
        signature: key.sign(digest.as_bytes()).to_bytes().to_vec(),
    };
    made.stored = node_keys().iter().map(mark).collect();
}

/// A right signature over the payload of [`keysign`].
pub fn signature() -> Signed {
    Signed {
        session: SessionId([8; 32]),
        signatures: vec![InputSignature {
            path: "m".parse().unwrap(),
            public_key: root().verifying_key().to_bytes().to_vec(),
            signed_bytes: b"pay".to_vec(),
            signature: root().sign(b"pay").to_bytes().to_vec(),
            recovery_id: None,
        }],
    }
}

pub fn wrong_signature() -> Outcome {
    let mut signed = signature();
    signed.signatures[0].signature[3] ^= 1;
    Outcome::Signed(signed)
}

pub fn refusal() -> Refusal {
    Refusal { code: "limit".into(), reason: "over the limit".into(), plugin: Some("rules".into()) }
}

pub fn failed(code: &str) -> Outcome {
    Outcome::Failed(Failure {
        cause: countersign_protocol::Cause::Environment,
        code: code.into(),
        text: format!("{code}; try again"),
        culprits: vec![nodes()[2]],
    })
}
