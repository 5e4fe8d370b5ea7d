//! From one generation of a key to the next: who must have signed it, and who deals.

use crate::outcome::{Announcement, StoredMark};
use crate::reshare::KeyReshare;
use crate::{Committee, Hash, KeyId, NodeId, Scheme, SessionId, TaskId, Threshold};
use ed25519_dalek::{Signer, SigningKey};

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn node(seed: u8) -> NodeId {
    NodeId::from_bytes(secret(seed).verifying_key().to_bytes()).unwrap()
}

fn threshold(value: u16) -> Threshold {
    Threshold::try_from(value).unwrap()
}

/// The generation with these members, marked by these nodes.
fn generation(number: u32, members: &[u8], marked_by: &[u8]) -> Announcement {
    let mut announcement = Announcement {
        key: KeyId::from_bytes([2; 16]).unwrap(),
        task: TaskId([number as u8; 16]),
        session: SessionId([3; 32]),
        name: "n".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(members.iter().map(|seed| node(*seed)).collect()).unwrap(),
        threshold: threshold(2),
        generation: number,
        root_public_key: vec![4; 32],
        chain_code: Hash([5; 32]),
        public_shares: Hash([6; 32]),
        aux: None,
        stored: Vec::new(),
    };
    let digest = announcement.digest();
    let mark = |seed: &u8| StoredMark {
        node: node(*seed),
        signature: secret(*seed).sign(digest.as_bytes()).to_bytes().to_vec(),
    };
    announcement.stored = marked_by.iter().map(mark).collect();
    announcement.stored.sort_by_key(|mark| mark.node);
    announcement
}

#[test]
fn a_generation_needs_the_marks_of_its_members_and_of_a_quorum_before() {
    let old = generation(0, &[1, 2, 3], &[1, 2, 3]);
    assert!(old.is_complete());
    assert!(generation(1, &[4, 5], &[1, 2, 4, 5]).succeeds(&old));
    assert!(generation(1, &[1, 2], &[1, 2]).succeeds(&old), "who stays has consented by its mark");
    assert!(!generation(1, &[4, 5], &[1, 4, 5]).succeeds(&old), "one old member is no quorum");
    assert!(!generation(1, &[4, 5], &[1, 2, 4]).succeeds(&old), "a new member's mark is missing");
    assert!(!generation(2, &[4, 5], &[1, 2, 4, 5]).succeeds(&old), "a generation was left out");
    assert!(!generation(0, &[1, 2, 3], &[1, 2, 3]).succeeds(&old), "the same generation");
    assert!(!generation(0, &[1, 2], &[1, 2, 3]).is_complete(), "a stranger's mark on a new key");
    let mut twice = generation(1, &[4, 5], &[1, 4, 5]);
    twice.stored.insert(1, twice.stored[0].clone());
    assert!(!twice.succeeds(&old), "one member twice is no quorum");
    let mut forged = generation(1, &[4, 5], &[1, 2, 4, 5]);
    forged.stored[0].signature[0] ^= 1;
    assert!(!forged.succeeds(&old));
    let mut other = generation(1, &[4, 5], &[1, 2, 4, 5]);
    other.key = KeyId::from_bytes([9; 16]).unwrap();
    assert!(!other.succeeds(&old));
}

pub(crate) fn reshare(members: &[u8], dealers: Option<&[u8]>) -> KeyReshare {
    KeyReshare {
        from: generation(0, &[1, 2, 3], &[1, 2, 3]),
        committee: Committee::new(members.iter().map(|seed| node(*seed)).collect()).unwrap(),
        threshold: threshold(2),
        dealers: dealers.map(|dealers| dealers.iter().map(|seed| node(*seed)).collect()),
    }
}

#[test]
fn dealers_follow_from_the_parties() {
    let sorted = |seeds: &[u8]| {
        let mut nodes: Vec<NodeId> = seeds.iter().map(|seed| node(*seed)).collect();
        nodes.sort_unstable();
        nodes
    };
    let among = |task: &KeyReshare, parties: &[u8]| task.dealers_among(&sorted(parties));
    let disjoint = reshare(&[4, 5], None);
    assert_eq!(among(&disjoint, &[1, 2, 4, 5]), Some(sorted(&[1, 2])));
    assert_eq!(among(&disjoint, &[1, 4, 5]), None, "too few deal");
    assert_eq!(among(&disjoint, &[1, 2, 3, 4, 5]), None, "one too many");
    assert_eq!(among(&disjoint, &[1, 2, 4]), None, "a member is missing");
    assert_eq!(among(&disjoint, &[1, 2, 4, 5, 6]), None, "a stranger");
    let overlapping = reshare(&[1, 4], None);
    assert_eq!(among(&overlapping, &[1, 2, 4]), Some(sorted(&[1, 2])));
    let named = reshare(&[1, 2, 3], Some(&[2, 3]));
    assert_eq!(among(&named, &[1, 2, 3]), Some(sorted(&[2, 3])));
    assert_eq!(among(&reshare(&[4, 5], Some(&[2, 3])), &[1, 2, 4, 5]), None, "others than were named");
}
