//! Successive generations of a key: required acknowledgements, and valid sets of dealers.

use ed25519_dalek::{Signer, SigningKey};

use crate::outcome::{GenerationProof, KeyDescriptor, SignedAck};
use crate::reshare::KeyReshare;
use crate::{Committee, Hash, KeyId, NodeId, Scheme, SessionId, TaskId, Threshold};

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn node(seed: u8) -> NodeId {
    NodeId::from_bytes(secret(seed).verifying_key().to_bytes()).unwrap()
}

fn ack(seed: u8, digest: Hash) -> SignedAck {
    SignedAck {
        node: node(seed),
        signature: secret(seed).sign(digest.as_bytes()).to_bytes().to_vec(),
    }
}

fn threshold(value: u16) -> Threshold {
    Threshold::try_from(value).unwrap()
}

/// Builds the generation with these members, acknowledged by all its parties.
fn generation(number: u32, members: &[u8], parties: &[u8]) -> KeyDescriptor {
    acked(number, members, parties, parties)
}

/// Builds the same with the acknowledgements of these nodes alone.
fn acked(number: u32, members: &[u8], parties: &[u8], acked_by: &[u8]) -> KeyDescriptor {
    let mut listed: Vec<NodeId> = parties.iter().map(|seed| node(*seed)).collect();
    listed.sort_unstable();
    let mut descriptor = KeyDescriptor {
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
        parties: if number == 0 { Vec::new() } else { listed },
        acks: Vec::new(),
    };
    sign(&mut descriptor, acked_by);
    descriptor
}

/// Builds it as written by a program that did not list parties.
fn unlisted(number: u32, members: &[u8], acked_by: &[u8]) -> KeyDescriptor {
    let mut descriptor = KeyDescriptor {
        parties: Vec::new(),
        ..generation(number, members, acked_by)
    };
    sign(&mut descriptor, acked_by);
    descriptor
}

fn sign(descriptor: &mut KeyDescriptor, acked_by: &[u8]) {
    let digest = descriptor.digest();
    descriptor.acks = acked_by.iter().map(|seed| ack(*seed, digest)).collect();
    descriptor.acks.sort_by_key(|ack| ack.node);
}

#[test]
fn a_generation_needs_the_acks_of_all_its_parties_and_a_quorum_of_the_one_before_among_them() {
    let old = generation(0, &[1, 2, 3], &[1, 2, 3]);
    assert!(old.has_all_acks());
    assert!(generation(1, &[4, 5], &[1, 2, 4, 5]).succeeds(&old));
    assert!(
        generation(1, &[1, 2], &[1, 2]).succeeds(&old),
        "a member that stays has consented by its acknowledgement"
    );
    assert!(
        generation(1, &[1, 2, 3], &[1, 2, 3]).succeeds(&old),
        "who stays need not deal"
    );
    assert!(
        !generation(1, &[4, 5], &[1, 4, 5]).succeeds(&old),
        "one old member is not a quorum"
    );
    assert!(
        !generation(1, &[4, 5], &[1, 2, 3, 4, 5]).succeeds(&old),
        "no more than a quorum deals and leaves"
    );
    assert!(
        !generation(1, &[4, 5], &[1, 2, 4, 5, 6]).succeeds(&old),
        "a stranger is a party"
    );
    assert!(
        !generation(2, &[4, 5], &[1, 2, 4, 5]).succeeds(&old),
        "a generation was left out"
    );
    assert!(
        !generation(0, &[1, 2, 3], &[1, 2, 3]).succeeds(&old),
        "the same generation"
    );
    assert!(
        !generation(0, &[1, 2], &[1, 2, 3]).has_all_acks(),
        "a stranger's acknowledgement of a new key"
    );
    let mut twice = generation(1, &[4, 5], &[1, 4, 5]);
    twice.acks.insert(1, twice.acks[0].clone());
    assert!(!twice.succeeds(&old), "one member twice is not a quorum");
    let mut forged = generation(1, &[4, 5], &[1, 2, 4, 5]);
    forged.acks[0].signature[0] ^= 1;
    assert!(!forged.succeeds(&old));
    let mut other = generation(1, &[4, 5], &[1, 2, 4, 5]);
    other.key = KeyId::from_bytes([9; 16]).unwrap();
    assert!(!other.succeeds(&old));
}

/// All of these have exactly the acknowledgements that their list asks for.
#[test]
fn a_list_of_parties_is_in_order_and_has_all_members_and_a_new_key_has_none() {
    assert!(generation(1, &[4, 5], &[1, 2, 4, 5]).has_all_acks());
    assert!(!generation(1, &[4, 5], &[1, 2, 4]).has_all_acks());
    let mut unordered = generation(1, &[4, 5], &[1, 2, 4, 5]);
    unordered.parties.reverse();
    sign(&mut unordered, &[1, 2, 4, 5]);
    unordered.acks.reverse();
    assert!(!unordered.has_all_acks());
    let mut twice = generation(1, &[4, 5], &[1, 2, 4, 5]);
    twice.parties.insert(1, twice.parties[0]);
    sign(&mut twice, &[1, 2, 4, 5]);
    twice.acks.insert(1, twice.acks[0].clone());
    assert!(!twice.has_all_acks());
    let mut new = generation(0, &[1, 2], &[1, 2]);
    new.parties = new.committee.members().to_vec();
    sign(&mut new, &[1, 2]);
    assert!(!new.has_all_acks());
}

/// Members and a quorum of the old committee are not all: a reader that cannot see a
/// missing acknowledgement could be told that a reshare is done which its own parties
/// would never consider done.
#[test]
fn anybody_sees_that_a_party_s_ack_is_missing() {
    let old = generation(0, &[1, 2, 3], &[1, 2, 3]);
    for (members, parties) in [
        (&[4, 5][..], &[1, 2, 4, 5][..]),
        (&[1, 4], &[1, 2, 4]),
        (&[1, 2, 3], &[1, 2, 3]),
    ] {
        assert!(generation(1, members, parties).succeeds(&old));
        for missing in parties {
            let rest: Vec<u8> = parties
                .iter()
                .copied()
                .filter(|party| party != missing)
                .collect();
            let without = acked(1, members, parties, &rest);
            assert!(
                !without.has_all_acks() && !without.succeeds(&old),
                "{missing} of {parties:?}"
            );
        }
    }
    let mut shorter = acked(1, &[4, 5], &[1, 2, 3, 4, 5], &[1, 2, 4, 5]);
    shorter.parties.retain(|party| *party != node(3));
    assert!(
        !shorter.has_all_acks(),
        "the acknowledgements cover the list"
    );
    let members_missing = generation(1, &[4, 5], &[1, 2, 4]);
    assert!(!members_missing.has_all_acks(), "members are parties");
    let mut unsorted = generation(1, &[4, 5], &[1, 2, 4, 5]);
    unsorted.parties.reverse();
    sign(&mut unsorted, &[1, 2, 4, 5]);
    assert!(!unsorted.has_all_acks());
    let mut listed = KeyDescriptor {
        parties: vec![node(1)],
        ..old
    };
    sign(&mut listed, &[1, 2, 3]);
    assert!(
        !listed.has_all_acks(),
        "a new key's parties are its members"
    );
}

/// Descriptors from programs without lists stay valid by the rules of their time, and nothing can
/// be converted into one.
#[test]
fn a_descriptor_without_a_list_of_parties_is_read_as_it_was() {
    let old = generation(0, &[1, 2, 3], &[1, 2, 3]);
    assert_eq!(old.parties(), Some(old.committee.members()));
    let unlisted_one = unlisted(1, &[4, 5], &[1, 2, 4, 5]);
    assert_eq!(unlisted_one.parties(), None);
    assert!(unlisted_one.succeeds(&old));
    assert!(
        !unlisted(1, &[4, 5], &[1, 2, 4]).has_all_acks()
            && !unlisted(1, &[4, 5], &[1, 4, 5]).succeeds(&old)
    );
    let stripped = KeyDescriptor {
        parties: Vec::new(),
        ..generation(1, &[4, 5], &[1, 2, 4, 5])
    };
    assert!(
        !stripped.has_all_acks(),
        "the acknowledgements cover the list"
    );
}

/// Rows written before lists existed, and by this version.
#[test]
fn both_forms_of_a_descriptor_are_read() {
    let listed = generation(1, &[4, 5], &[1, 2, 4, 5]);
    for descriptor in [
        generation(0, &[1, 2], &[1, 2]),
        unlisted(1, &[4, 5], &[1, 2, 4, 5]),
        listed.clone(),
    ] {
        let frame = crate::encode(&(descriptor.clone(), 7u32));
        assert_eq!(
            crate::decode::<(KeyDescriptor, u32)>(&frame).unwrap(),
            (descriptor.clone(), 7)
        );
        let text = serde_json::to_string(&descriptor).unwrap();
        assert_eq!(
            serde_json::from_str::<KeyDescriptor>(&text).unwrap(),
            descriptor
        );
        assert_eq!(text.contains("parties"), !descriptor.parties.is_empty());
    }
    let before = KeyDescriptor {
        parties: Vec::new(),
        acks: Vec::new(),
        ..listed
    };
    assert_eq!(
        hex::encode(crate::encode(&before)),
        include_str!("fixtures/announcement-unlisted.hex").trim()
    );
    assert!(crate::decode::<KeyDescriptor>(&crate::encode(&before)[..40]).is_err());
    let beyond = KeyDescriptor {
        generation: u32::MAX,
        ..before
    };
    assert!(
        crate::decode::<KeyDescriptor>(&crate::encode(&beyond))
            .is_ok_and(|read| read.parties.is_empty())
    );
    assert!(!beyond.has_all_acks());
}

#[test]
fn in_force_is_said_by_members_under_a_label_of_its_own() {
    let descriptor = generation(1, &[4, 5], &[1, 2, 4, 5]);
    let said = |seeds: &[u8], digest: Hash| {
        let mut in_force: Vec<SignedAck> = seeds.iter().map(|seed| ack(*seed, digest)).collect();
        in_force.sort_by_key(|ack| ack.node);
        GenerationProof {
            descriptor: descriptor.clone(),
            in_force,
        }
    };
    let digest = descriptor.in_force_digest();
    assert!(said(&[], digest).acks_verify() && said(&[4, 5], digest).acks_verify());
    assert!(
        !said(&[4], descriptor.digest()).acks_verify(),
        "what it stored is another word"
    );
    assert!(
        !said(&[1], digest).acks_verify(),
        "who leaves holds nothing"
    );
    assert!(!said(&[4, 4], digest).acks_verify(), "twice");
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
    assert_eq!(
        among(&reshare(&[4, 5], Some(&[2, 3])), &[1, 2, 4, 5]),
        None,
        "others than were named"
    );
}
