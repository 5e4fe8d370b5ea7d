//! Every refusal of the node's own checks, each with its code, beside the neighbour that passes.

use countersign_protocol::{
    Failure, FailureCode, Hash, Outcome, Payload, RequesterId, Task, TaskId, UnixMillis,
};
use countersign_store::{OperationKind, PreparedReshare, ReshareStage, Silent, Stop};
use tempfile::TempDir;

use super::*;
use crate::task::fixtures::{
    NOW, TASK, acked, authentic, config, config_listing, decided, empty_journal, generation, key,
    keysign, node, nodes, put_key, quarantined, task,
};

/// Node 1, whose roster is 2, 3 and 4.
fn code_from(mine: Option<(KeyStatus, u32)>, from: &KeyDescriptor) -> Option<String> {
    let record = mine.map(|(status, number)| KeyRecord {
        descriptor: generation(number, &[1, 2]),
        status,
        created: UnixMillis(0),
    });
    let roster = [2, 3, 4].map(node);
    let known = |nodes: &[NodeId]| {
        if nodes.iter().all(|node| roster.contains(node)) {
            Ok(())
        } else {
            refuse(RefusalCode::PeerUnknown, "x")
        }
    };
    check_from(&node(1), record.as_ref(), from, known)
        .err()
        .map(|refusal| refusal.code.to_string())
}

/// A key of invented holders, beside one or two that the node knows, carries acknowledgements
/// of them all.
#[test]
fn who_knows_nothing_of_a_key_believes_only_holders_that_it_knows() {
    assert_eq!(code_from(None, &generation(0, &[2, 3])), None);
    assert_eq!(
        code_from(None, &generation(0, &[2, 3, 9])).as_deref(),
        Some("peer-unknown")
    );
    assert_eq!(
        code_from(None, &generation(0, &[1, 2])).as_deref(),
        Some("key-unknown")
    );
    for given_up in [KeyStatus::Released, KeyStatus::Leaving] {
        assert_eq!(
            code_from(Some((given_up, 1)), &generation(2, &[3, 4])),
            None
        );
        let invented = generation(2, &[3, 9]);
        assert_eq!(
            code_from(Some((given_up, 1)), &invented).as_deref(),
            Some("peer-unknown")
        );
    }
}

#[test]
fn who_holds_a_share_hands_on_what_it_has_on_record_and_nothing_else() {
    let present = generation(1, &[1, 2]);
    assert_eq!(code_from(Some((KeyStatus::Active, 1)), &present), None);
    assert_eq!(
        code_from(Some((KeyStatus::Pending, 1)), &present).as_deref(),
        Some("key-pending")
    );
    for other in [
        generation(2, &[1, 2]),
        generation(0, &[1, 2]),
        generation(1, &[1, 3]),
    ] {
        let refused = code_from(Some((KeyStatus::Active, 1)), &other);
        assert_eq!(refused.as_deref(), Some("generation-mismatch"));
    }
}

#[test]
fn what_nobody_can_read_needs_a_key_that_is_listed_for_it() {
    let [blind, binary, other] = [1, 2, 3].map(|byte| KeyId::from_bytes([byte; 16]).unwrap());
    let text = format!(
        "coordinator: {{ address: '127.0.0.1:1', id: {} }}\nkeys: {{ allow_blind: [{blind}], allow_binary: [{binary}] }}\n\
         policy: {{ allow_unguarded: true }}\n",
        countersign_protocol::CoordinatorId::from_bytes(*node(1).as_bytes()).unwrap()
    );
    let config = Config::parse(&text, std::path::Path::new("/")).unwrap();
    let code = |key, kind, bytes: &[u8]| {
        let payload = Payload {
            kind,
            bytes: bytes.to_vec(),
            digests: Vec::new(),
        };
        let keysign = KeySign {
            key,
            path: "m".parse().unwrap(),
            payload,
            signers: None,
        };
        let opaque = keysign.payload.is_blind() && !signs_binary(&config, &keysign);
        let intent = if opaque {
            Intent::Opaque
        } else {
            Intent::Message(bytes.to_vec())
        };
        check_blind(&config, &keysign, &intent)
            .err()
            .map(|refusal| refusal.code.to_string())
    };
    let refused = Some("blind-signing".to_owned());
    let message = PayloadKind::Message;
    let digest = PayloadKind::Digest;
    for key in [blind, binary, other] {
        assert_eq!(code(key, message, b"pay"), None, "a text");
    }
    for (kind, bytes, with_binary) in [
        (message, &[0xff; 31][..], None),
        (message, &[0xff; 32], refused.clone()),
        (digest, &[0xff; 32], refused.clone()),
    ] {
        assert_eq!(code(blind, kind, bytes), None);
        assert_eq!(
            code(binary, kind, bytes),
            with_binary,
            "{kind:?} of {} bytes",
            bytes.len()
        );
        assert_eq!(code(other, kind, bytes), refused);
    }
}

/// Node 1 with an empty journal; nodes 2, 3 and 4 are on its roster.
fn control() -> (TempDir, AdmissionControl) {
    let (dir, journal) = empty_journal();
    let control = AdmissionControl {
        me: node(1),
        world: World::system().at(NOW),
        journal,
        config: Arc::new(config("").into()),
    };
    (dir, control)
}

/// The same node, which holds a key with nodes 2 and 3.
fn holding(status: KeyStatus) -> (TempDir, AdmissionControl) {
    let (dir, control) = control();
    put_key(&control.journal, status, generation(0, &[1, 2, 3]));
    (dir, control)
}

fn ordered(
    control: &AdmissionControl,
    operation: Operation,
    parties: &[NodeId],
) -> Result<Plan, Refusal> {
    control.admit(&authentic(operation), parties)
}

fn refused(control: &AdmissionControl, operation: Operation, parties: &[NodeId]) -> Refusal {
    match ordered(control, operation, parties) {
        Err(refusal) => refusal,
        Ok(_) => panic!("it was admitted"),
    }
}

fn code(control: &AdmissionControl, operation: Operation, parties: &[NodeId]) -> String {
    let refusal = ordered(control, operation, parties).err();
    refusal.map_or(String::new(), |refusal| refusal.code.to_string())
}

fn keygen(members: &[u8]) -> Operation {
    Operation::KeyGen(KeyGen {
        name: "n".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(nodes(members)).unwrap(),
        threshold: countersign_protocol::Threshold::try_from(2).unwrap(),
    })
}

fn signing(text: &str) -> Operation {
    Operation::KeySign(keysign(text, None))
}

fn checking(seeds: &[u8]) -> Operation {
    let nodes = seeds.iter().copied().map(node).collect();
    Operation::KeyShareSign(KeyShareSign { key: key(), nodes })
}

/// Hands the key of nodes 1 and 2 over to these members.
fn resharing(members: &[u8]) -> KeyReshare {
    KeyReshare {
        from: acked(generation(0, &[1, 2]), &[1, 2]),
        committee: Committee::new(nodes(members)).unwrap(),
        threshold: countersign_protocol::Threshold::try_from(2).unwrap(),
        dealers: None,
    }
}

fn reshare(members: &[u8]) -> Operation {
    Operation::KeyReshare(resharing(members).into())
}

/// Node 1, which holds the key that is to be reshared.
fn dealer() -> (TempDir, AdmissionControl) {
    let (dir, control) = control();
    put_key(&control.journal, KeyStatus::Active, generation(0, &[1, 2]));
    (dir, control)
}

/// Prepares another reshare of the key, which was ordered then.
fn prepare(control: &AdmissionControl, task: u8, created: UnixMillis) {
    let task = TaskId([task; 16]);
    let row = decided(task, OperationKind::KeyReshare, nodes(&[1, 2, 3]));
    control.journal.approve(NOW, row, Vec::new()).unwrap();
    let descriptor = KeyDescriptor {
        task,
        ..generation(1, &[1, 3])
    };
    let prepared = PreparedReshare {
        task,
        descriptor,
        joins: true,
        opened: UnixMillis(1),
        stage: ReshareStage::InDoubt,
        created,
    };
    control.journal.prepare_reshare(prepared).unwrap();
}

fn abort(control: &AdmissionControl, task: u8) {
    let failure = Failure::new(FailureCode::ReshareAborted, "t");
    control
        .journal
        .finish_reshare(NOW, TaskId([task; 16]), ReshareStage::Aborted, failure)
        .unwrap();
}

/// The code with which an admitted task is stopped once the configuration was changed.
fn code_after(
    control: &AdmissionControl,
    operation: Operation,
    parties: &[NodeId],
    change: impl FnOnce(&mut Config),
) -> String {
    let order = authentic(operation);
    let plan = control.admit(&order, parties).expect("it is admitted");
    assert_eq!(
        control.permits(&order, &plan),
        Ok(()),
        "nothing has changed"
    );
    let before = Config::clone(&control.config.now());
    let mut changed = before.clone();
    change(&mut changed);
    control.config.take(changed);
    let refusal = control.permits(&order, &plan).err();
    control.config.take(before);
    refusal.map_or(String::new(), |refusal| refusal.code.to_string())
}

#[test]
fn an_admitted_task_of_any_kind_is_stopped_once_its_requester_is_removed() {
    let (_dir, holder) = holding(KeyStatus::Active);
    let (_other, dealer) = dealer();
    for (control, operation, parties) in [
        (&holder, keygen(&[1, 2]), &[1, 2][..]),
        (&holder, signing("pay"), &[1, 2]),
        (&holder, checking(&[1]), &[1]),
        (&dealer, reshare(&[1, 3]), &[1, 2, 3]),
    ] {
        let stopped = code_after(control, operation, &nodes(parties), |config| {
            config.requesters.clear();
        });
        assert_eq!(stopped, "requester-unknown");
    }
}

#[test]
fn an_admitted_task_is_stopped_once_the_page_of_its_passkey_is_removed() {
    use countersign_vote::testing::{ORIGIN, Passkey, RP_ID};
    let (_dir, control) = holding(KeyStatus::Active);
    let passkey = Passkey::new(3);
    let on = |origin: &str| {
        let pages = format!("passkeys: {{ rp_id: {RP_ID}, origins: ['{origin}'] }}");
        config_listing(&passkey.requester(), &pages)
    };
    let pinned = on(ORIGIN);
    control.config.take(pinned.clone());
    let order = passkey.order(&Task {
        requester: passkey.requester(),
        ..task(signing("pay"))
    });
    let order = order.authenticate(|_| true, pinned.passkeys(), NOW);
    let order = order.unwrap();
    let plan = control.admit(&order, &nodes(&[1, 2]));
    let plan = plan.expect("it is admitted");
    assert_eq!(control.permits(&order, &plan), Ok(()));
    let mut none = pinned;
    none.passkeys = None;
    for changed in [on(&format!("https://other.{RP_ID}")), none] {
        control.config.take(changed);
        let refusal = control.permits(&order, &plan).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::RequesterPasskey);
    }
}

#[test]
fn an_admitted_task_is_stopped_once_a_party_is_removed() {
    let (_dir, holder) = holding(KeyStatus::Active);
    let (_other, dealer) = dealer();
    for (control, operation, parties) in [
        (&holder, keygen(&[1, 2]), &[1, 2][..]),
        (&holder, signing("pay"), &[1, 2]),
        (&dealer, reshare(&[1, 3]), &[1, 2, 3]),
    ] {
        for (removed, expected) in [(2, "peer-unknown"), (4, "")] {
            let stopped = code_after(control, operation.clone(), &nodes(parties), |config| {
                config.roster.remove(&node(removed));
            });
            assert_eq!(stopped, expected);
        }
    }
}

/// Node 1 receives a share of a key of nodes 2 and 3, and does not deal with node 3.
#[test]
fn a_share_is_not_taken_over_once_a_present_holder_is_removed() {
    let (_dir, control) = control();
    let order = KeyReshare {
        from: acked(generation(0, &[2, 3, 4]), &[2, 3, 4]),
        dealers: Some(nodes(&[2, 3])),
        ..resharing(&[1, 2])
    };
    let order = Operation::KeyReshare(order.into());
    let stopped = code_after(&control, order, &nodes(&[1, 2, 3]), |config| {
        config.roster.remove(&node(4));
    });
    assert_eq!(stopped, "peer-unknown");
}

#[test]
fn an_admitted_signature_is_stopped_once_its_key_may_no_longer_sign_so() {
    let (_dir, control) = holding(KeyStatus::Active);
    let digest = Payload::new(PayloadKind::Digest, vec![7; 32]);
    let binary = Payload::new(PayloadKind::Message, vec![0xff; 31]);
    let mut exempt = config("");
    exempt.allow_blind.insert(key());
    exempt.allow_binary.insert(key());
    control.config.take(exempt);
    for payload in [digest, binary] {
        let order = Operation::KeySign(KeySign {
            payload,
            ..keysign("", None)
        });
        let stopped = code_after(&control, order, &nodes(&[1, 2]), |config| {
            config.allow_blind.clear();
            config.allow_binary.clear();
        });
        assert_eq!(stopped, "blind-signing");
    }
}

#[test]
fn an_admitted_signature_is_stopped_if_its_payload_reads_differently() {
    let (_dir, control) = holding(KeyStatus::Active);
    let order = authentic(signing("pay"));
    let admitted = || match control.admit(&order, &nodes(&[1, 2])) {
        Ok(Plan::KeySign(plan)) => plan,
        _ => panic!("it is admitted"),
    };
    let code = |plan| {
        control
            .permits(&order, &Plan::KeySign(plan))
            .unwrap_err()
            .code
    };
    let intent = Intent::Message(b"pray".to_vec());
    let other_intent = KeySignPlan {
        intent,
        ..admitted()
    };
    assert_eq!(code(other_intent), RefusalCode::PayloadNetwork);
    let mut other_inputs = admitted();
    other_inputs.inputs[0].input.signed_bytes.push(0);
    assert_eq!(code(other_inputs), RefusalCode::PayloadNetwork);
    let mut fewer = admitted();
    fewer.inputs.clear();
    assert_eq!(code(fewer), RefusalCode::PayloadNetwork);
}

#[test]
fn a_new_key_needs_exactly_the_members_that_the_task_names() {
    let (_dir, control) = control();
    assert_eq!(code(&control, keygen(&[1, 2, 3]), &nodes(&[1, 2, 3])), "");
    let reversed: Vec<NodeId> = nodes(&[1, 2, 3]).into_iter().rev().collect();
    for parties in [
        nodes(&[1, 2]),
        nodes(&[1, 2, 3, 4]),
        nodes(&[1, 2, 4]),
        reversed,
        Vec::new(),
    ] {
        assert_eq!(
            code(&control, keygen(&[1, 2, 3]), &parties),
            "parties-mismatch"
        );
    }
}

#[test]
fn a_new_key_of_others_does_not_concern_this_node() {
    let (_dir, control) = control();
    assert_eq!(
        code(&control, keygen(&[2, 3]), &nodes(&[2, 3])),
        "not-a-party"
    );
}

#[test]
fn a_new_key_with_a_stranger_is_refused_and_the_stranger_named() {
    let (_dir, control) = control();
    let refusal = refused(&control, keygen(&[1, 2, 9]), &nodes(&[1, 2, 9]));
    assert_eq!(refusal.code, RefusalCode::PeerUnknown);
    assert!(refusal.reason.contains(&node(9).to_string()));
    assert!(refusal.reason.ends_with("add it if it should be"));
}

#[test]
fn a_new_key_is_not_made_with_a_peer_that_cheated_with_any_key() {
    let (_dir, control) = control();
    let elsewhere = KeyId::from_bytes([9; 16]).unwrap();
    control
        .journal
        .quarantine(quarantined(2, elsewhere))
        .unwrap();
    assert_eq!(
        code(&control, keygen(&[1, 2]), &nodes(&[1, 2])),
        "peer-quarantined"
    );
    assert_eq!(code(&control, keygen(&[1, 3]), &nodes(&[1, 3])), "");
}

#[test]
fn a_new_key_is_named_after_the_exact_bytes_of_its_order() {
    let (_dir, control) = control();
    let order = authentic(keygen(&[1, 2]));
    let Ok(Plan::KeyGen(plan)) = control.admit(&order, &nodes(&[1, 2])) else {
        panic!("a new key was ordered");
    };
    assert_eq!(
        crate::vault::MakesKey::makes(&plan),
        KeyId::of_task(&order.hash())
    );
}

#[test]
fn a_key_that_is_not_on_record_does_not_sign() {
    let (_dir, control) = control();
    let refusal = refused(&control, signing("pay"), &nodes(&[1, 2]));
    assert_eq!(refusal.code, RefusalCode::KeyUnknown);
    assert!(refusal.reason.contains(&key().to_string()));
}

#[test]
fn only_an_active_key_signs() {
    for (status, expected) in [
        (KeyStatus::Active, ""),
        (KeyStatus::Pending, "key-pending"),
        (KeyStatus::Leaving, "key-released"),
        (KeyStatus::Released, "key-released"),
    ] {
        let (_dir, control) = holding(status);
        assert_eq!(
            code(&control, signing("pay"), &nodes(&[1, 2])),
            expected,
            "{status:?}"
        );
    }
}

#[test]
fn the_signers_are_exactly_as_many_different_members_as_the_key_needs() {
    let (_dir, control) = holding(KeyStatus::Active);
    let me = node(1);
    let mut unsorted = nodes(&[1, 2]);
    unsorted.reverse();
    for parties in [
        vec![me],
        nodes(&[1, 2, 3]),
        vec![me, me],
        unsorted,
        nodes(&[1, 4]),
        Vec::new(),
    ] {
        assert_eq!(code(&control, signing("pay"), &parties), "signers");
    }
}

#[test]
fn the_coordinator_chooses_no_other_signers_than_those_asked_for() {
    let (_dir, control) = holding(KeyStatus::Active);
    let mut asked = nodes(&[1, 2]);
    asked.reverse();
    let order = || Operation::KeySign(keysign("pay", Some(asked.clone())));
    assert_eq!(code(&control, order(), &nodes(&[1, 2])), "", "in any order");
    assert_eq!(code(&control, order(), &nodes(&[1, 3])), "parties-mismatch");
}

#[test]
fn a_signature_by_others_is_not_this_nodes_to_make() {
    let (_dir, control) = holding(KeyStatus::Active);
    assert_eq!(
        code(&control, signing("pay"), &nodes(&[2, 3])),
        "not-a-party"
    );
}

/// A peer may have been taken off the roster since the key was made.
#[test]
fn a_member_that_is_no_longer_on_the_roster_does_not_sign_along() {
    let (_dir, control) = control();
    put_key(&control.journal, KeyStatus::Active, generation(0, &[1, 9]));
    assert_eq!(
        code(&control, signing("pay"), &nodes(&[1, 9])),
        "peer-unknown"
    );
}

#[test]
fn a_quarantine_keeps_a_peer_away_from_the_key_and_from_no_other() {
    let (_dir, control) = holding(KeyStatus::Active);
    let elsewhere = KeyId::from_bytes([9; 16]).unwrap();
    control
        .journal
        .quarantine(quarantined(2, elsewhere))
        .unwrap();
    assert_eq!(code(&control, signing("pay"), &nodes(&[1, 2])), "");
    control.journal.quarantine(quarantined(2, key())).unwrap();
    let refusal = refused(&control, signing("pay"), &nodes(&[1, 2]));
    assert_eq!(refusal.code, RefusalCode::PeerQuarantined);
    assert!(refusal.reason.contains(&node(2).to_string()));
    assert_eq!(code(&control, signing("pay"), &nodes(&[1, 3])), "");
}

#[test]
fn a_payload_that_cannot_be_decoded_is_refused_with_the_decoders_code() {
    let (_dir, control) = holding(KeyStatus::Active);
    for (kind, bytes, expected) in [
        (PayloadKind::EvmTransaction, &b"x"[..], "payload-scheme"),
        (PayloadKind::SolanaMessage, b"x", "payload-malformed"),
    ] {
        let order = KeySign {
            payload: Payload::new(kind, bytes.to_vec()),
            ..keysign("", None)
        };
        let found = code(&control, Operation::KeySign(order), &nodes(&[1, 2]));
        assert_eq!(found, expected, "{kind:?}");
    }
}

#[test]
fn a_bare_digest_is_refused_unless_the_operator_lists_the_key() {
    let digest = || KeySign {
        payload: Payload::new(PayloadKind::Digest, vec![7; 32]),
        ..keysign("", None)
    };
    let (_dir, control) = holding(KeyStatus::Active);
    let refusal = refused(&control, Operation::KeySign(digest()), &nodes(&[1, 2]));
    assert_eq!(refusal.code, RefusalCode::BlindSigning);
    assert!(refusal.reason.ends_with("send what it is the digest of"));
    let listing = format!("keys: {{ allow_blind: [{}] }}", key());
    let control = AdmissionControl {
        config: Arc::new(config(&listing).into()),
        ..control
    };
    assert_eq!(
        code(&control, Operation::KeySign(digest()), &nodes(&[1, 2])),
        ""
    );
}

#[test]
fn every_input_is_signed_by_the_child_on_its_own_path() {
    let (_dir, control) = holding(KeyStatus::Active);
    let planned = |path: &str| {
        let order = KeySign {
            path: path.parse().unwrap(),
            ..keysign("pay", None)
        };
        match ordered(&control, Operation::KeySign(order), &nodes(&[1, 2])) {
            Ok(Plan::KeySign(plan)) => plan.inputs,
            _ => panic!("it is admitted"),
        }
    };
    let descriptor = generation(0, &[1, 2]);
    let chain_code = descriptor.chain_code.as_bytes();
    let root = ExtendedPublicKey::root(Scheme::Ed25519, &descriptor.root_public_key, chain_code);
    let child = root.unwrap().derive(&[3, 7]).unwrap();
    let inputs = planned("m/3/7");
    assert_eq!(inputs.len(), 1);
    assert_eq!(inputs[0].public_key, child.public_key());
    assert_eq!(planned("m")[0].public_key, descriptor.root_public_key);
}

#[test]
fn what_others_sign_is_described_even_if_this_node_would_not_sign_it() {
    let (_dir, control) = holding(KeyStatus::Active);
    let digest = KeySign {
        payload: Payload::new(PayloadKind::Digest, vec![7; 32]),
        ..keysign("", None)
    };
    let unreadable = KeySign {
        payload: Payload::new(PayloadKind::SolanaMessage, b"x".to_vec()),
        ..keysign("", None)
    };
    for order in [digest, unreadable] {
        let foreign = admit_foreign(&control, &order, &nodes(&[2, 3]))
            .ok()
            .unwrap();
        assert_eq!(foreign.key, key());
        let countersign_host::Operation::Sign(signing) = foreign.operation else {
            panic!("it is a signature");
        };
        assert!(signing.blind);
        assert_eq!(signing.intent, countersign_host::Intent::Opaque);
    }
}

#[test]
fn what_others_sign_counts_only_for_a_key_and_signers_that_this_node_knows() {
    let foreign = |control: &AdmissionControl, signers: &[NodeId]| {
        let found = admit_foreign(control, &keysign("pay", None), signers);
        found.err().map(|refusal| refusal.code.to_string())
    };
    let (_dir, ignorant) = control();
    let unknown = foreign(&ignorant, &nodes(&[2, 3]));
    assert_eq!(unknown.as_deref(), Some("key-unknown"));
    let (_dir, control) = holding(KeyStatus::Active);
    assert_eq!(foreign(&control, &nodes(&[2, 3])), None);
    for signers in [nodes(&[2]), nodes(&[2, 4]), nodes(&[1, 2, 3])] {
        assert_eq!(foreign(&control, &signers).as_deref(), Some("signers"));
    }
}

#[test]
fn a_check_up_needs_exactly_the_nodes_that_the_task_names() {
    let (_dir, control) = holding(KeyStatus::Active);
    assert_eq!(
        code(&control, checking(&[2, 1]), &nodes(&[1, 2])),
        "",
        "in any order"
    );
    for parties in [nodes(&[1]), nodes(&[1, 2, 3]), nodes(&[1, 3])] {
        assert_eq!(
            code(&control, checking(&[1, 2]), &parties),
            "parties-mismatch"
        );
    }
    assert_eq!(
        code(&control, checking(&[2, 3]), &nodes(&[2, 3])),
        "not-a-party"
    );
}

#[test]
fn a_share_that_is_not_in_use_is_not_checked_by_order() {
    for (status, expected) in [
        (KeyStatus::Pending, "key-pending"),
        (KeyStatus::Leaving, "key-released"),
        (KeyStatus::Released, "key-released"),
    ] {
        let (_dir, control) = holding(status);
        assert_eq!(code(&control, checking(&[1]), &nodes(&[1])), expected);
    }
    let (_dir, ignorant) = control();
    assert_eq!(code(&ignorant, checking(&[1]), &nodes(&[1])), "key-unknown");
}

/// Every holder of a committee of nine is asked at once, and each proves only its own share.
#[test]
fn a_check_up_is_a_session_of_this_node_alone() {
    let (_dir, control) = holding(KeyStatus::Active);
    let Ok(plan) = ordered(&control, checking(&[1, 2]), &nodes(&[1, 2])) else {
        panic!("it is admitted");
    };
    assert_eq!(plan.parties(), [node(1)]);
}

#[test]
fn a_reshare_needs_exactly_its_dealers_and_future_members() {
    let (_dir, control) = dealer();
    assert_eq!(code(&control, reshare(&[1, 3]), &nodes(&[1, 2, 3])), "");
    for parties in [nodes(&[1, 3]), nodes(&[1, 2, 3, 4]), nodes(&[1, 2, 4])] {
        assert_eq!(
            code(&control, reshare(&[1, 3]), &parties),
            "parties-mismatch"
        );
    }
}

#[test]
fn a_reshare_among_others_or_with_a_stranger_is_refused() {
    let (_dir, control) = dealer();
    let order = KeyReshare {
        from: acked(generation(0, &[2, 3]), &[2, 3]),
        ..resharing(&[3, 4])
    };
    let order = Operation::KeyReshare(order.into());
    assert_eq!(code(&control, order, &nodes(&[2, 3, 4])), "not-a-party");
    assert_eq!(
        code(&control, reshare(&[1, 9]), &nodes(&[1, 2, 9])),
        "peer-unknown"
    );
}

#[test]
fn a_reshare_with_a_cheat_or_of_a_stopped_key_is_refused() {
    let (_dir, control) = dealer();
    control.journal.quarantine(quarantined(3, key())).unwrap();
    assert_eq!(
        code(&control, reshare(&[1, 3]), &nodes(&[1, 2, 3])),
        "peer-quarantined"
    );
    assert_eq!(code(&control, reshare(&[1, 4]), &nodes(&[1, 2, 4])), "");
    let stop = Stop {
        key: key(),
        signers: Vec::new(),
        task: TASK,
        since: NOW,
        code: FailureCode::Protocol,
        text: "t".into(),
    };
    let row = decided(TaskId([8; 16]), OperationKind::KeySign, nodes(&[1, 2]));
    control.journal.approve(NOW, row, Vec::new()).unwrap();
    let consequences = countersign_store::Consequences {
        stops: vec![stop],
        ..Default::default()
    };
    let outcome = Outcome::Failed(Failure::new(FailureCode::Protocol, "t"));
    control
        .journal
        .conclude(NOW, TaskId([8; 16]), outcome, true, consequences)
        .unwrap();
    let refusal = refused(&control, reshare(&[1, 4]), &nodes(&[1, 2, 4]));
    assert_eq!(refusal.code, RefusalCode::KeyStopped);
    let remedy = format!("`countersign-node quarantine lift {}`", key());
    assert!(refusal.reason.ends_with(&remedy), "{}", refusal.reason);
}

#[test]
fn a_key_is_reshared_once_at_a_time() {
    let (_dir, control) = dealer();
    prepare(&control, 9, UnixMillis(NOW.0 - 1));
    let refusal = refused(&control, reshare(&[1, 3]), &nodes(&[1, 2, 3]));
    assert_eq!(refusal.code, RefusalCode::ReshareUnsettled);
    assert!(refusal.reason.contains(&TaskId([9; 16]).to_string()));
    abort(&control, 9);
    assert_eq!(code(&control, reshare(&[1, 3]), &nodes(&[1, 2, 3])), "");
}

/// Two complete reshares of one generation must have been stored by all in the same order.
#[test]
fn a_reshare_ordered_before_one_that_was_stored_is_refused() {
    for (created, expected) in [
        (NOW.0 - 1, ""),
        (NOW.0, "reshare-order"),
        (NOW.0 + 1, "reshare-order"),
    ] {
        let (_dir, control) = dealer();
        prepare(&control, 9, UnixMillis(created));
        abort(&control, 9);
        let found = code(&control, reshare(&[1, 3]), &nodes(&[1, 2, 3]));
        assert_eq!(found, expected, "{created}");
    }
}

#[test]
fn reshares_of_a_key_are_limited_within_a_day() {
    let (_dir, control) = dealer();
    let limit = control.config.now().reshares.count;
    let start = |number: usize, at: UnixMillis| {
        let task = TaskId([100 + number as u8; 16]);
        control
            .journal
            .start_reshare(key(), task, at, UnixMillis(0))
            .unwrap();
    };
    let yesterday = control.config.now().reshares.since(NOW);
    start(0, yesterday);
    (1..limit).for_each(|number| start(number, NOW));
    assert_eq!(
        code(&control, reshare(&[1, 3]), &nodes(&[1, 2, 3])),
        "",
        "one below the limit; the oldest is a day old"
    );
    start(limit, NOW);
    let refusal = refused(&control, reshare(&[1, 3]), &nodes(&[1, 2, 3]));
    assert_eq!(refusal.code, RefusalCode::ReshareRate);
    assert!(refusal.reason.contains("limits.reshares"));
}

#[test]
fn a_reshare_starts_from_the_generation_on_record() {
    let (_dir, control) = control();
    put_key(&control.journal, KeyStatus::Active, generation(1, &[1, 2]));
    let refusal = refused(&control, reshare(&[1, 3]), &nodes(&[1, 2, 3]));
    assert_eq!(refusal.code, RefusalCode::GenerationMismatch);
    assert!(refusal.reason.contains("generation 1"));
}

#[test]
fn a_member_that_lost_its_share_does_not_deal() {
    let (_dir, control) = control();
    assert_eq!(
        code(&control, reshare(&[1, 3]), &nodes(&[1, 2, 3])),
        "key-unknown"
    );
}

#[test]
fn a_new_member_brings_the_auxiliary_information_of_its_committee_and_a_leaver_none() {
    let aux = Hash([8; 32]);
    let committee_key = |members: &[u8]| KeyDescriptor {
        key: KeyId::from_bytes([members[0]; 16]).unwrap(),
        aux: Some(aux),
        ..generation(0, members)
    };
    let (_dir, control) = dealer();
    put_key(&control.journal, KeyStatus::Active, committee_key(&[1, 3]));
    put_key(&control.journal, KeyStatus::Active, committee_key(&[3, 4]));
    let holds = |members: &[u8]| match ordered(&control, reshare(members), &{
        let mut parties = members.to_vec();
        parties.extend([1, 2].iter().filter(|dealer| !members.contains(dealer)));
        nodes(&parties)
    }) {
        Ok(Plan::KeyReshare(plan)) => plan.holds(),
        _ => panic!("it is admitted"),
    };
    assert_eq!(holds(&[1, 3]), Some(aux));
    assert_eq!(holds(&[3, 4]), None);
}

#[test]
fn an_order_is_judged_by_its_operation_and_by_no_other() {
    let (_dir, control) = holding(KeyStatus::Active);
    let Ok(plan) = ordered(&control, signing("pay"), &nodes(&[1, 2])) else {
        panic!("it is admitted");
    };
    assert!(KeyGenPlan::part_of(plan).is_none());
    let Ok(plan) = ordered(&control, signing("pay"), &nodes(&[1, 2])) else {
        panic!("it is admitted");
    };
    assert!(KeySignPlan::part_of(plan).is_some());
}

#[test]
fn only_listed_requesters_are_known() {
    let (_dir, control) = control();
    assert!(
        control
            .rules()
            .requesters
            .contains_key(&task(checking(&[1])).requester)
    );
    let stranger = RequesterId::from_bytes(*node(1).as_bytes()).unwrap();
    assert!(!control.rules().requesters.contains_key(&stranger));
}
