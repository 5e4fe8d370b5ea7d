//! Nodes and a requester with keys that everybody knows.

use countersign_protocol::{
    Announcement, Committee, CoordinatorId, NodeId, RequesterId, Scheme, StoredMark, decode,
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

/// A key of these nodes with all marks, as after a KeyGen.
pub(super) fn announcement() -> Announcement {
    let text = include_str!("../../../protocol/src/fixtures/announcement-unlisted.hex");
    let fixture: Announcement =
        decode(&hex::decode(text.trim()).expect("a fixture")).expect("a fixture");
    let committee = Committee::new(nodes()).expect("three nodes");
    let announcement = Announcement {
        committee,
        scheme: Scheme::Ed25519,
        generation: 0,
        parties: vec![],
        stored: vec![],
        ..fixture
    };
    signed(announcement)
}

/// With the marks of all three.
pub(super) fn signed(announcement: Announcement) -> Announcement {
    let digest = announcement.digest();
    let mark = |key: &SigningKey| StoredMark {
        node: node(key),
        signature: key.sign(digest.as_bytes()).to_bytes().to_vec(),
    };
    Announcement {
        stored: keys().iter().map(mark).collect(),
        ..announcement
    }
}
