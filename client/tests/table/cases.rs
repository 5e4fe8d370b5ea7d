//! The cases, from fixed seeds.

use std::slice::from_ref;

use countersign_client::belief::Believed;
use countersign_protocol::{
    DerivationPath, InputSignature, KeyDescriptor, SessionId, Signed, SignedTask, UnixMillis,
};
use countersign_requester::RequesterKey;
use countersign_requester::book::{Entry, Pages};
use ed25519_dalek::Signer;
use serde_json::{Map, Value, json};

use super::{Action, Case, Table, sign};
use crate::forged::coordinator::{
    OURS, THEIRS, acked, acked_with, key, made, moved, node, task, view,
};

pub const MESSAGE: &[u8] = b"pay";
/// Seeds of the requester, of one under `trusted_requesters`, and of one whom nobody knows.
const OWN: u8 = 201;
const COLLEAGUE: u8 = 202;
const STRANGER: u8 = 203;
/// Seed of the root key.
const ROOT: u8 = 77;

fn requester(seed: u8) -> RequesterKey {
    RequesterKey::from_seed(&[seed; 32]).unwrap()
}

fn order(seed: u8, nodes: &[u8], id: u8) -> SignedTask {
    let key = requester(seed);
    key.sign(&task(key.id(), nodes, id))
}

pub fn table() -> Table {
    let nodes: Map<String, Value> = (1..=4)
        .map(|seed| (format!("n{seed}"), json!(node(seed))))
        .collect();
    let about = [
        "What a coordinator answers, and what every client of Countersign must say to it.",
        "The client has the profile, the requester key and, if it is not null, the text of the wallet book.",
        "`answers`: to GET, by path; all other paths are 404 with the code not-found.",
        "POST /v1/tasks is answered with the order that came, completed, with `result`.",
        "`expect`: ok, or the code of the error.",
        "Made by client/tests/table; do not edit.",
    ];
    Table {
        about: about.map(Into::into).to_vec(),
        profile: json!({
            "nodes": nodes,
            "trusted_requesters": {"colleague": requester(COLLEAGUE).id()},
        }),
        requester: requester(OWN).id().to_string(),
        requester_key: RequesterKey::text_of(&[OWN; 32]).unwrap().to_string(),
        cases: [met(), known(), signed(), tasks()].concat(),
    }
}

/// Wallets at first sight.
fn met() -> Vec<Case> {
    let ours = order(OWN, &OURS, 1);
    let genuine = made(&ours, ROOT);
    let of_a_colleague = order(COLLEAGUE, &OURS, 2);
    let theirs = order(STRANGER, &THEIRS, 3);
    let by_a_stranger = order(STRANGER, &OURS, 4);
    let with_a_stranger = order(OWN, &[1, 2, 103], 5);
    let in_our_name = requester(STRANGER).sign(&task(requester(OWN).id(), &OURS, 6));
    let mut altered = ours.clone();
    let text = String::from_utf8(altered.bytes).unwrap();
    altered.bytes = text.replace("treasury", "treasurz").into_bytes();
    let members = genuine.committee.members().to_vec();
    let mut short = genuine.clone();
    short.acks.pop();
    let mut other_code = genuine.clone();
    other_code.chain_code = countersign_protocol::Hash([66; 32]);
    let second = moved(&genuine, &[1, 2, 4], &[1, 3]);
    let mut all = vec![
        meeting("a_wallet_of_ours", &ours, from_ref(&genuine), "ok"),
        meeting(
            "a_wallet_of_ours_in_its_second_generation",
            &ours,
            &[genuine.clone(), second.clone()],
            "ok",
        ),
        meeting(
            "a_wallet_of_a_trusted_requester",
            &of_a_colleague,
            &[made(&of_a_colleague, ROOT)],
            "ok",
        ),
        meeting(
            "another_root_key_under_the_genuine_acknowledgements",
            &ours,
            &[KeyDescriptor {
                acks: genuine.acks.clone(),
                ..made(&ours, 100)
            }],
            "invalid-wallet",
        ),
        meeting(
            "another_chain_code_under_the_genuine_acknowledgements",
            &ours,
            &[other_code],
            "invalid-wallet",
        ),
        meeting(
            "an_acknowledgement_is_missing",
            &ours,
            &[short],
            "invalid-wallet",
        ),
        meeting(
            "acknowledgements_by_other_keys_under_our_names",
            &ours,
            &[acked_with(made(&ours, 100), &members, |_| key(101))],
            "invalid-wallet",
        ),
        meeting(
            "a_wallet_that_strangers_made_up",
            &theirs,
            &[made(&theirs, 100)],
            "wallet-distrusted",
        ),
        meeting(
            "one_member_is_a_stranger",
            &with_a_stranger,
            &[made(&with_a_stranger, ROOT)],
            "wallet-distrusted",
        ),
        meeting(
            "nobody_knows_the_requester",
            &by_a_stranger,
            &[made(&by_a_stranger, ROOT)],
            "wallet-distrusted",
        ),
        meeting(
            "an_order_in_our_name_that_somebody_else_signed",
            &in_our_name,
            &[made(&in_our_name, ROOT)],
            "invalid-wallet",
        ),
        meeting(
            "no_generation_before_the_second",
            &ours,
            from_ref(&second),
            "wallet-distrusted",
        ),
    ];
    let with_order = |name: &str, order: &SignedTask| {
        let mut case = meeting(name, &ours, from_ref(&genuine), "invalid-wallet");
        case.answers
            .insert(path_of(&genuine), json!(view(order, genuine.task)));
        case
    };
    all.push(with_order(
        "the_order_of_another_wallet",
        &order(OWN, &OURS, 9),
    ));
    all.push(with_order("the_bytes_of_the_order_were_altered", &altered));
    let mut withheld = meeting(
        "the_order_is_withheld",
        &ours,
        from_ref(&genuine),
        "wallet-distrusted",
    );
    withheld.answers.remove(&path_of(&genuine));
    all.push(withheld);
    let mut another = meeting(
        "another_wallet_under_this_id",
        &ours,
        from_ref(&genuine),
        "answer",
    );
    let told = wallet_view(&made(&theirs, 100));
    another
        .answers
        .insert(format!("/v1/wallets/{}", genuine.key), told);
    all.push(another);
    all
}

/// Wallets that the book has.
fn known() -> Vec<Case> {
    let ours = order(OWN, &OURS, 1);
    let first = made(&ours, ROOT);
    let second = moved(&first, &[1, 2, 4], &[1, 3]);
    let without_quorum = moved(&first, &THEIRS, &[1]);
    let forged = acked_with(moved(&first, &THEIRS, &[1, 2]), &parties(&first), |_| {
        key(101)
    });
    let strangers: Vec<_> = THEIRS.iter().map(|seed| node(*seed)).collect();
    let by_strangers = acked(moved(&first, &THEIRS, &[1, 2]), &strangers);
    let other_facts = {
        let members = first.committee.members().to_vec();
        acked(
            KeyDescriptor {
                session: SessionId([9; 32]),
                ..first.clone()
            },
            &members,
        )
    };
    let following = |name: &str, book: &KeyDescriptor, told: &[KeyDescriptor], expect: &str| Case {
        book: Some(book_of(&ours, &first, book)),
        action: Action::NewestWallet(first.key.to_string()),
        ..meeting(name, &ours, told, expect)
    };
    vec![
        following(
            "a_generation_that_a_quorum_handed_over",
            &first,
            &[first.clone(), second.clone()],
            "ok",
        ),
        following(
            "an_older_generation_than_the_books",
            &second,
            from_ref(&first),
            "stale-coordinator",
        ),
        following(
            "another_root_key_than_the_books",
            &first,
            &[made(&ours, 100)],
            "invalid-wallet",
        ),
        following(
            "other_facts_of_the_generation_in_the_book",
            &first,
            &[other_facts],
            "invalid-wallet",
        ),
        following(
            "another_committee_without_a_quorum_of_the_last",
            &first,
            &[first.clone(), without_quorum],
            "invalid-wallet",
        ),
        following(
            "another_committee_with_the_acknowledgements_of_strangers",
            &first,
            &[first.clone(), by_strangers],
            "invalid-wallet",
        ),
        following(
            "another_committee_with_acknowledgements_by_other_keys",
            &first,
            &[first.clone(), forged],
            "invalid-wallet",
        ),
    ]
}

/// Signatures by a wallet of the book.
fn signed() -> Vec<Case> {
    let ours = order(OWN, &OURS, 1);
    let wallet = made(&ours, ROOT);
    let case = |name: &str, path: &str, result: Value, expect: &str| Case {
        name: name.into(),
        book: Some(book_of(&ours, &wallet, &wallet)),
        action: sign(&wallet.key, path),
        answers: Map::new(),
        result,
        expect: expect.into(),
    };
    let honest = signature(ROOT, MESSAGE);
    let mut changed = honest.clone();
    changed.signature = [1; 64].into();
    let mut beside = honest.clone();
    beside.public_key = key(100).verifying_key().to_bytes().to_vec();
    let mut elsewhere = honest.clone();
    elsewhere.path = path("m/0/7");
    let mut of_the_order = signature(ROOT, b"pay more");
    of_the_order.signed_bytes = MESSAGE.to_vec();
    let wrong = "invalid-result";
    vec![
        case("a_signature", "m", result(from_ref(&honest)), "ok"),
        case(
            "one_bit_of_the_signature_was_changed",
            "m",
            result(&[changed]),
            wrong,
        ),
        case(
            "a_signature_by_another_key",
            "m",
            result(&[signature(100, MESSAGE)]),
            wrong,
        ),
        case(
            "a_signature_of_another_message",
            "m",
            result(&[signature(ROOT, b"pay more")]),
            wrong,
        ),
        case(
            "a_signature_of_another_message_that_claims_to_be_of_ours",
            "m",
            result(&[of_the_order]),
            wrong,
        ),
        case(
            "a_signature_by_another_child",
            "m/0/7",
            result(from_ref(&honest)),
            wrong,
        ),
        case(
            "a_signature_by_another_child_that_claims_our_path",
            "m/0/7",
            result(&[elsewhere]),
            wrong,
        ),
        case(
            "another_public_key_beside_the_signature",
            "m",
            result(&[beside]),
            wrong,
        ),
        case("no_signature", "m", result(&[]), wrong),
        case(
            "a_signature_too_many",
            "m",
            result(&[honest.clone(), honest]),
            wrong,
        ),
        case(
            "a_wallet_in_the_place_of_a_signature",
            "m",
            json!({ "created": wallet }),
            wrong,
        ),
        case("completed_without_a_result", "m", Value::Null, wrong),
    ]
}

/// Tasks, whose order is verified.
fn tasks() -> Vec<Case> {
    let ours = order(OWN, &OURS, 1);
    let other = order(OWN, &OURS, 9);
    let id = ours.parse().unwrap().id;
    let genuine = json!(view(&ours, id));
    let case = |name: &str, told: Value, expect: &str| Case {
        name: name.into(),
        book: None,
        action: Action::Task(id.to_string()),
        answers: Map::from_iter([(format!("/v1/tasks/{id}"), told)]),
        result: Value::Null,
        expect: expect.into(),
    };
    let with = |field: &str, value: Value| {
        let mut told = genuine.clone();
        told[field] = value;
        told
    };
    let text = genuine["task"].as_str().unwrap();
    let wrong = "invalid-result";
    vec![
        case("a_task", genuine.clone(), "ok"),
        case("another_task_under_this_id", json!(view(&other, id)), wrong),
        case(
            "the_bytes_of_a_tasks_order_were_altered",
            with("task", text.replace("treasury", "treasurz").into()),
            wrong,
        ),
        case(
            "the_signature_of_another_order",
            with("signature", json!(other.signature)),
            wrong,
        ),
        case(
            "a_summary_with_another_wallet",
            with("wallet", json!(made(&other, ROOT).key)),
            wrong,
        ),
        case(
            "a_summary_with_another_requester",
            with("requester", json!(requester(STRANGER).id())),
            wrong,
        ),
        case(
            "a_summary_with_another_deadline",
            with("not_after", json!(2_000_000)),
            wrong,
        ),
    ]
}

/// A wallet as a coordinator shows it. Clients read the root key from the descriptor alone.
fn wallet_view(newest: &KeyDescriptor) -> Value {
    json!({
        "id": newest.key, "name": newest.name, "generation": newest.generation, "task": newest.task,
        "extended_public_key": "cpub", "announcement": newest,
    })
}

fn meeting(name: &str, order: &SignedTask, told: &[KeyDescriptor], expect: &str) -> Case {
    let newest = told.last().unwrap();
    let answers = [
        (format!("/v1/wallets/{}", newest.key), wallet_view(newest)),
        (
            format!("/v1/wallets/{}/generations", newest.key),
            json!({ "generations": told }),
        ),
        (path_of(&told[0]), json!(view(order, told[0].task))),
    ];
    Case {
        name: name.into(),
        book: None,
        action: Action::Wallet(newest.key.to_string()),
        answers: Map::from_iter(answers),
        result: Value::Null,
        expect: expect.into(),
    }
}

fn path_of(wallet: &KeyDescriptor) -> String {
    format!("/v1/tasks/{}", wallet.task)
}

fn parties(wallet: &KeyDescriptor) -> Vec<countersign_protocol::NodeId> {
    let moved = moved(wallet, &THEIRS, &[1, 2]);
    moved.acks.iter().map(|ack| ack.node).collect()
}

/// A book with a wallet that was ordered, in this generation.
fn book_of(order: &SignedTask, first: &KeyDescriptor, newest: &KeyDescriptor) -> String {
    let believed = Believed::ordered(first, order, None, UnixMillis(1_000_000)).unwrap();
    let entry = Entry {
        wallet: newest.clone(),
        belief: Some(believed.belief().clone()),
        earlier: (0..newest.generation).map(|_| first.clone()).collect(),
    };
    Pages::default().with(&entry).unwrap()
}

fn path(text: &str) -> DerivationPath {
    text.parse().unwrap()
}

fn signature(seed: u8, message: &[u8]) -> InputSignature {
    InputSignature {
        path: path("m"),
        public_key: key(seed).verifying_key().to_bytes().to_vec(),
        signed_bytes: message.to_vec(),
        signature: key(seed).sign(message).to_vec(),
        recovery_id: None,
    }
}

fn result(signatures: &[InputSignature]) -> Value {
    let session = SessionId([5; 32]);
    json!({"signed": Signed { session, signatures: signatures.to_vec() }})
}
