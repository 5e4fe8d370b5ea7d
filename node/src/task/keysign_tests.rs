use countersign_protocol::{Cause, Committee, TaskId, Threshold};

use super::*;
use crate::task::fixtures::{node, nodes};

#[test]
fn a_wrong_signature_of_two_is_the_others_doing() {
    let failure = invalid(&WrongResult::WalletUnknown, Some(node(2)));
    assert_eq!(
        (failure.cause, &failure.culprits[..]),
        (Cause::Peer, &[node(2)][..])
    );
    assert_eq!(invalid(&WrongResult::WalletUnknown, None).culprits, []);
}

#[test]
fn different_generations_are_told_with_all_their_digests_and_nobody_is_named() {
    let mine = KeyDescriptor {
        generation: 3,
        ..descriptor()
    };
    let digest = mine.digest();
    let other = Hash([7; 32]);
    let signers = [node(1), node(2), node(3)];
    let failure = generation_mismatch(&mine, &signers, &[Some(digest), Some(other), None]);
    assert_eq!(
        (failure.code.as_str(), &failure.culprits[..]),
        ("generation-mismatch", &[][..])
    );
    let told = [
        format!("generation 3 ({digest})"),
        format!("{} holds {other}", node(2)),
        format!("{} holds none", node(3)),
    ];
    assert!(
        told.iter().all(|told| failure.text.contains(told)),
        "{}",
        failure.text
    );
    assert!(
        !failure.text.contains(&format!("{} holds", node(1))),
        "it agrees"
    );
}

fn descriptor() -> KeyDescriptor {
    KeyDescriptor {
        key: KeyId::from_bytes([2; 16]).unwrap(),
        task: TaskId([1; 16]),
        session: SessionId([3; 32]),
        name: "n".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(vec![node(1), node(2), node(3)]).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        generation: 0,
        root_public_key: vec![4; 32],
        chain_code: Hash([5; 32]),
        public_shares: Hash([6; 32]),
        aux: None,
        parties: Vec::new(),
        acks: Vec::new(),
    }
}

/// A plan of nodes 1 and 3 with this many inputs.
fn plan(scheme: Scheme, inputs: usize) -> KeySignPlan {
    let descriptor = KeyDescriptor {
        scheme,
        ..descriptor()
    };
    let planned = |number: usize| PlannedInput {
        input: Input::new(
            format!("m/{number}").parse().unwrap(),
            vec![number as u8; 32],
        ),
        public_key: vec![2; 33],
        tweak: None,
    };
    KeySignPlan {
        record: Arc::new(KeyRecord {
            descriptor,
            status: countersign_store::KeyStatus::Active,
            created: countersign_protocol::UnixMillis(0),
        }),
        signers: nodes(&[1, 3]),
        kind: PayloadKind::Digests,
        intent: Intent::Opaque,
        inputs: (0..inputs).map(planned).collect(),
        root: "xpub".into(),
    }
}

/// An engine for ECDSA given anything but a digest would hash it, or refuse.
#[test]
fn ecdsa_signs_digests_and_refuses_the_rest_and_the_others_sign_bytes() {
    let message = |scheme, bytes: &[u8]| {
        let mut planned = plan(scheme, 1).inputs.remove(0);
        planned.input.signed_bytes = bytes.to_vec();
        planned.message(scheme)
    };
    let ecdsa = Scheme::EcdsaSecp256k1;
    assert!(matches!(message(ecdsa, &[7; 32]), Message::Digest(digest) if digest == [7; 32]));
    for length in [0, 31, 33] {
        assert!(matches!(message(ecdsa, &vec![7; length]), Message::Raw(_)));
    }
    for scheme in [Scheme::Ed25519, Scheme::SchnorrSecp256k1, Scheme::Taproot] {
        assert!(matches!(message(scheme, &[7; 32]), Message::Raw(_)));
    }
}

#[test]
fn inputs_share_a_phase_up_to_the_batch_of_their_scheme() {
    let phases = |scheme, inputs| {
        let plan = plan(scheme, inputs);
        plan.inputs.chunks(plan.batch()).count()
    };
    let ecdsa = Scheme::EcdsaSecp256k1;
    assert_eq!(phases(ecdsa, ECDSA_BATCH), 1);
    assert_eq!(phases(ecdsa, ECDSA_BATCH + 1), 2);
    assert_eq!(phases(ecdsa, MAX_INPUTS), MAX_INPUTS / ECDSA_BATCH);
    for scheme in [Scheme::Ed25519, Scheme::SchnorrSecp256k1, Scheme::Taproot] {
        assert_eq!(phases(scheme, MAX_INPUTS), 1);
    }
}

#[test]
fn signers_count_by_their_place_in_the_committee() {
    let plan = plan(Scheme::Ed25519, 1);
    let committee = &plan.record.descriptor.committee;
    let places: Vec<_> = plan.indices();
    let expected = plan
        .signers
        .iter()
        .map(|node| committee.index_of(node).unwrap());
    assert_eq!(places, expected.collect::<Vec<_>>());
    assert!(places.is_sorted());
}

#[test]
fn holders_that_do_not_sign_are_told_and_signers_are_not() {
    assert_eq!(plan(Scheme::Ed25519, 1).bystanders(), [node(2)]);
}

#[test]
fn signers_compare_the_whole_generation_before_they_begin() {
    let plan = plan(Scheme::Ed25519, 1);
    assert_eq!(plan.holds(), Some(plan.record.descriptor.digest()));
}

#[test]
fn plugins_are_asked_about_every_input_and_told_if_nothing_can_be_read() {
    let asked = |intent| {
        let plan = KeySignPlan {
            intent,
            ..plan(Scheme::Ed25519, 3)
        };
        match plan.question() {
            countersign_host::Operation::Sign(signing) => signing,
            other => panic!("{other:?}"),
        }
    };
    let blind = asked(Intent::Opaque);
    let paths: Vec<_> = blind
        .inputs
        .iter()
        .map(|input| input.path.clone())
        .collect();
    assert_eq!(paths, ["m/0", "m/1", "m/2"]);
    assert!(blind.blind);
    assert_eq!(blind.inputs[2].digest, [2; 32]);
    assert!(!asked(Intent::Message(b"m".to_vec())).blind);
}
