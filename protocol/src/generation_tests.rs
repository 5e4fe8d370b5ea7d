//! From one generation of a key to the next: who must have signed it, and who deals.

use ed25519_dalek::{Signer, SigningKey};

use crate::outcome::{Announcement, GenerationProof, StoredMark};
use crate::reshare::KeyReshare;
use crate::{Committee, Hash, KeyId, NodeId, Scheme, SessionId, TaskId, Threshold};

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn node(seed: u8) -> NodeId {
    NodeId::from_bytes(secret(seed).verifying_key().to_bytes()).unwrap()
}

fn mark(seed: u8, digest: Hash) -> StoredMark {
    StoredMark {
        node: node(seed),
        signature: secret(seed).sign(digest.as_bytes()).to_bytes().to_vec(),
    }
}

fn threshold(value: u16) -> Threshold {
    Threshold::try_from(value).unwrap()
}

/// The generation with these members, by all of whose parties it is marked.
fn generation(number: u32, members: &[u8], parties: &[u8]) -> Announcement {
    marked(number, members, parties, parties)
}

/// The same with the marks of these nodes alone.
fn marked(number: u32, members: &[u8], parties: &[u8], marked_by: &[u8]) -> Announcement {
    let mut listed: Vec<NodeId> = parties.iter().map(|seed| node(*seed)).collect();
    listed.sort_unstable();
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
        parties: if number == 0 { Vec::new() } else { listed },
        stored: Vec::new(),
    };
    sign(&mut announcement, marked_by);
    announcement
}

/// As a program wrote it that listed no parties.
fn unlisted(number: u32, members: &[u8], marked_by: &[u8]) -> Announcement {
    let mut announcement = Announcement {
        parties: Vec::new(),
        ..generation(number, members, marked_by)
    };
    sign(&mut announcement, marked_by);
    announcement
}

fn sign(announcement: &mut Announcement, marked_by: &[u8]) {
    let digest = announcement.digest();
    announcement.stored = marked_by.iter().map(|seed| mark(*seed, digest)).collect();
    announcement.stored.sort_by_key(|mark| mark.node);
}

#[test]
fn a_generation_needs_the_marks_of_all_its_parties_and_a_quorum_of_the_one_before_among_them() {
    let old = generation(0, &[1, 2, 3], &[1, 2, 3]);
    assert!(old.is_complete());
    assert!(generation(1, &[4, 5], &[1, 2, 4, 5]).succeeds(&old));
    assert!(
        generation(1, &[1, 2], &[1, 2]).succeeds(&old),
        "who stays has consented by its mark"
    );
    assert!(
        generation(1, &[1, 2, 3], &[1, 2, 3]).succeeds(&old),
        "who stays need not deal"
    );
    assert!(
        !generation(1, &[4, 5], &[1, 4, 5]).succeeds(&old),
        "one old member is no quorum"
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
        !generation(0, &[1, 2], &[1, 2, 3]).is_complete(),
        "a stranger's mark on a new key"
    );
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

/// Members and a quorum of old are not all: whoever cannot see that a mark is missing could be told
/// that a reshare is done which its own parties would never take for done.
#[test]
fn anybody_sees_that_a_party_s_mark_is_missing() {
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
            let without = marked(1, members, parties, &rest);
            assert!(
                !without.is_complete() && !without.succeeds(&old),
                "{missing} of {parties:?}"
            );
        }
    }
    let mut shorter = marked(1, &[4, 5], &[1, 2, 3, 4, 5], &[1, 2, 4, 5]);
    shorter.parties.retain(|party| *party != node(3));
    assert!(!shorter.is_complete(), "the list is under the marks");
    let members_missing = generation(1, &[4, 5], &[1, 2, 4]);
    assert!(!members_missing.is_complete(), "members are parties");
    let mut unsorted = generation(1, &[4, 5], &[1, 2, 4, 5]);
    unsorted.parties.reverse();
    sign(&mut unsorted, &[1, 2, 4, 5]);
    assert!(!unsorted.is_complete());
    let mut listed = Announcement {
        parties: vec![node(1)],
        ..old
    };
    sign(&mut listed, &[1, 2, 3]);
    assert!(!listed.is_complete(), "a new key's parties are its members");
}

/// What programs without lists announced stays believed, by what they demanded; nothing can be
/// turned into such.
#[test]
fn what_was_announced_without_a_list_is_read_as_it_was() {
    let old = generation(0, &[1, 2, 3], &[1, 2, 3]);
    assert_eq!(old.parties(), Some(old.committee.members()));
    let unlisted_one = unlisted(1, &[4, 5], &[1, 2, 4, 5]);
    assert_eq!(unlisted_one.parties(), None);
    assert!(unlisted_one.succeeds(&old));
    assert!(
        !unlisted(1, &[4, 5], &[1, 2, 4]).is_complete()
            && !unlisted(1, &[4, 5], &[1, 4, 5]).succeeds(&old)
    );
    let stripped = Announcement {
        parties: Vec::new(),
        ..generation(1, &[4, 5], &[1, 2, 4, 5])
    };
    assert!(!stripped.is_complete(), "the marks are over the list");
}

/// Bytes of a row of the program before lists, and of this one.
#[test]
fn both_forms_of_an_announcement_are_read() {
    let listed = generation(1, &[4, 5], &[1, 2, 4, 5]);
    for announcement in [
        generation(0, &[1, 2], &[1, 2]),
        unlisted(1, &[4, 5], &[1, 2, 4, 5]),
        listed.clone(),
    ] {
        let frame = crate::encode(&(announcement.clone(), 7u32));
        assert_eq!(
            crate::decode::<(Announcement, u32)>(&frame).unwrap(),
            (announcement.clone(), 7)
        );
        let text = serde_json::to_string(&announcement).unwrap();
        assert_eq!(
            serde_json::from_str::<Announcement>(&text).unwrap(),
            announcement
        );
        assert_eq!(text.contains("parties"), !announcement.parties.is_empty());
    }
    let before = Announcement {
        parties: Vec::new(),
        stored: Vec::new(),
        ..listed
    };
    assert_eq!(
        hex::encode(crate::encode(&before)),
        include_str!("fixtures/announcement-unlisted.hex").trim()
    );
    assert!(crate::decode::<Announcement>(&crate::encode(&before)[..40]).is_err());
    let beyond = Announcement {
        generation: u32::MAX,
        ..before
    };
    assert!(
        crate::decode::<Announcement>(&crate::encode(&beyond))
            .is_ok_and(|read| read.parties.is_empty())
    );
    assert!(!beyond.is_complete());
}

#[test]
fn in_force_is_said_by_members_under_a_label_of_its_own() {
    let announcement = generation(1, &[4, 5], &[1, 2, 4, 5]);
    let said = |seeds: &[u8], digest: Hash| {
        let mut in_force: Vec<StoredMark> = seeds.iter().map(|seed| mark(*seed, digest)).collect();
        in_force.sort_by_key(|mark| mark.node);
        GenerationProof {
            announcement: announcement.clone(),
            in_force,
        }
    };
    let digest = announcement.in_force_digest();
    assert!(said(&[], digest).marks_verify() && said(&[4, 5], digest).marks_verify());
    assert!(
        !said(&[4], announcement.digest()).marks_verify(),
        "what it stored is another word"
    );
    assert!(
        !said(&[1], digest).marks_verify(),
        "who leaves holds nothing"
    );
    assert!(!said(&[4, 4], digest).marks_verify(), "twice");
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
