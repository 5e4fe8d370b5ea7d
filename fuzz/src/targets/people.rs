//! Nodes and a requester with published keys.

use countersign_protocol::{
    Committee, CoordinatorId, KeyDescriptor, NodeId, RequesterId, Scheme, SignedAck, decode,
};
use ed25519_dalek::{Signer, SigningKey};

/// The keys of three nodes, in the order of their ids.
pub(super) fn keys() -> Vec<SigningKey> {
    let mut keys: Vec<_> = (1..=3)
        .map(|byte| SigningKey::from_bytes(&[byte; 32]))
        .collect();
    keys.sort_by_key(node);
    keys
}

pub(super) fn node(key: &SigningKey) -> NodeId {
    NodeId::from_bytes(key.verifying_key().to_bytes()).expect("a key")
}

pub(super) fn nodes() -> Vec<NodeId> {
    keys().iter().map(node).collect()
}

pub(super) fn requester() -> RequesterId {
    RequesterId::from_bytes(SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes())
        .expect("a key")
}

pub(super) fn coordinator() -> CoordinatorId {
    CoordinatorId::from_bytes(SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes())
        .expect("a key")
}

/// A descriptor of a key of these nodes with all acknowledgements, as after a KeyGen.
pub(super) fn descriptor() -> KeyDescriptor {
    let text = include_str!("../../../protocol/src/fixtures/announcement-unlisted.hex");
    let fixture: KeyDescriptor =
        decode(&hex::decode(text.trim()).expect("a fixture")).expect("a fixture");
    let committee = Committee::new(nodes()).expect("three nodes");
    let descriptor = KeyDescriptor {
        committee,
        scheme: Scheme::Ed25519,
        generation: 0,
        parties: vec![],
        acks: vec![],
        ..fixture
    };
    signed(descriptor)
}

/// Adds the acknowledgements of all three.
pub(super) fn signed(descriptor: KeyDescriptor) -> KeyDescriptor {
    let digest = descriptor.digest();
    let ack = |key: &SigningKey| SignedAck {
        node: node(key),
        signature: key.sign(digest.as_bytes()).to_bytes().to_vec(),
    };
    KeyDescriptor {
        acks: keys().iter().map(ack).collect(),
        ..descriptor
    }
}
