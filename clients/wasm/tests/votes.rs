//! Votes by the operations of the module, with an authenticator in software.

use countersign_protocol::{ApproverId, ApproverKey, Choice, Hash, Proof, Vote};
use countersign_vote::RelyingParty;
use countersign_vote::testing::{Key, ORIGIN, Passkey, RP_ID, other_s};
use countersign_wasm::call;
use serde_json::{Value, json};

const NOW: u64 = 1_764_500_000_000;
const HOUR: u64 = 3_600_000;

fn ask(name: &str, document: &Value) -> Result<Value, String> {
    let answer: Value =
        serde_json::from_slice(&call(name, document.to_string().as_bytes())).unwrap();
    match answer.get("error") {
        None => Ok(answer["ok"].clone()),
        Some(error) => Err(error["code"].as_str().unwrap().to_owned()),
    }
}

fn table() -> Value {
    serde_json::from_str(include_str!("../../tests/forgeries.json")).unwrap()
}

/// The descriptor of the wallet in the book of the table.
fn wallet() -> Value {
    let table = table();
    let mut cases = table["cases"].as_array().unwrap().iter();
    let case = cases.find(|case| case["name"] == "a_signature").unwrap();
    let line = case["book"].as_str().unwrap().lines().nth(1).unwrap();
    serde_json::from_str::<Value>(line).unwrap()["wallet"].clone()
}

fn payment() -> Value {
    let payload = json!({"kind": "message", "bytes": hex::encode("pay")});
    json!({"sign": {"wallet": wallet()["key"], "path": "m", "payload": payload}})
}

fn collect() -> Value {
    json!({"votes": 2, "until": NOW + HOUR})
}

fn signed(operation: Value, collect: Value) -> Value {
    let parts = json!({
        "key": table()["requester_key"], "id": "0a".repeat(16), "now": NOW, "life_ms": 60_000,
        "operation": operation, "collect": collect,
    });
    ask("order.sign", &parts).unwrap()
}

/// The order as it travels.
fn order() -> Value {
    let signed = signed(payment(), collect());
    json!({"task": signed["task"], "signature": signed["signature"]})
}

fn hash() -> Hash {
    let hash = signed(payment(), collect())["hash"].clone();
    serde_json::from_value(hash).unwrap()
}

fn passkeys() -> Value {
    json!({"rp_id": RP_ID, "origins": [ORIGIN]})
}

#[test]
fn every_kind_of_order_may_collect_votes_and_says_so_in_the_signed_bytes() {
    let nodes = &wallet()["committee"];
    let operations = [
        payment(),
        json!({"create-wallet": {"name": "new", "scheme": "taproot", "nodes": nodes, "threshold": 2}}),
        json!({"reshare": {"from": wallet(), "nodes": nodes, "threshold": 2, "dealers": null}}),
        json!({"check-up": {"wallet": wallet()["key"], "nodes": nodes}}),
    ];
    for operation in operations {
        let text = signed(operation.clone(), collect())["task"].clone();
        let task: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        assert_eq!(task["collect"], collect());
        assert_eq!(task["not_after"], NOW + HOUR + 60_000);
        let text = signed(operation, Value::Null)["task"].clone();
        let task: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        assert_eq!(task.get("collect"), None);
    }
}

/// What is asked before a vote, of a task that is pending.
fn examination() -> Value {
    let order = order();
    let task: Value = serde_json::from_str(order["task"].as_str().unwrap()).unwrap();
    json!({
        "id": task["id"], "now": NOW,
        "known": {"own": null, "nodes": {}, "trusted_requesters": {"ann": task["requester"]}},
        "view": {
            "id": task["id"], "requester": task["requester"], "operation": "KeySign",
            "wallet": wallet()["key"], "not_after": task["not_after"], "state": "pending",
            "task": order["task"], "signature": order["signature"],
        },
    })
}

#[test]
fn a_task_that_nobody_should_vote_on_is_refused_with_the_reason() {
    let good = examination();
    assert_eq!(ask("vote.examine", &good).unwrap()["hash"], json!(hash()));

    let other = ask("requester.new", &json!({"seed": "cb".repeat(32)})).unwrap();
    let plain = signed(payment(), Value::Null);
    let plain_end: Value = serde_json::from_str(plain["task"].as_str().unwrap()).unwrap();
    type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;
    let cases: [(&str, Change); 6] = [
        (
            "vote-stranger",
            Box::new(|ask| ask["known"]["trusted_requesters"] = json!({"bob": other["requester"]})),
        ),
        (
            "vote-not-pending",
            Box::new(|ask| ask["view"]["state"] = json!("running")),
        ),
        (
            "vote-not-pending",
            Box::new(|ask| ask["view"]["state"] = json!("of a later version")),
        ),
        (
            "vote-over",
            Box::new(|ask| ask["now"] = json!(NOW + HOUR + 1)),
        ),
        (
            "vote-order",
            Box::new(|ask| ask["now"] = json!(NOW + 3 * HOUR)),
        ),
        (
            "vote-not-asked",
            Box::new(|ask| {
                ask["view"]["task"] = plain["task"].clone();
                ask["view"]["signature"] = plain["signature"].clone();
                ask["view"]["not_after"] = plain_end["not_after"].clone();
            }),
        ),
    ];
    for (code, change) in cases {
        let mut examined = good.clone();
        change(&mut examined);
        assert_eq!(ask("vote.examine", &examined), Err(code.into()));
    }
    let mut nobody_named = good.clone();
    nobody_named["known"]["trusted_requesters"] = json!({});
    assert!(ask("vote.examine", &nobody_named).is_ok());
    let mut forged = good;
    forged["view"]["signature"] = json!("00".repeat(64));
    assert_eq!(ask("vote.examine", &forged), Err("invalid-result".into()));
}

#[test]
fn the_effect_of_a_task_is_decoded_under_the_believed_wallet() {
    let shown = ask(
        "vote.subject",
        &json!({"order": order(), "wallet": wallet()}),
    )
    .unwrap();
    assert_eq!(shown["lines"][0], "message: pay");
    let nodes = &wallet()["committee"];
    let reshare =
        json!({"reshare": {"from": wallet(), "nodes": nodes, "threshold": 2, "dealers": null}});
    let signed = signed(reshare, collect());
    let order = json!({"task": signed["task"], "signature": signed["signature"]});
    let subject =
        |believed: Value| ask("vote.subject", &json!({"order": order, "wallet": believed}));
    assert_eq!(subject(wallet()), Ok(Value::Null));
    let mut newer = wallet();
    newer["generation"] = json!(1);
    assert_eq!(subject(newer), Err("vote-generation".into()));
}

/// Nobody votes on a part.
#[test]
fn a_long_message_is_shown_as_a_whole_to_whoever_votes_on_it() {
    let message = "pay ".repeat(2000) + "eve";
    let mut operation = payment();
    operation["sign"]["payload"]["bytes"] = json!(hex::encode(&message));
    let signed = signed(operation, collect());
    let order = json!({"task": signed["task"], "signature": signed["signature"]});
    let shown = ask("vote.subject", &json!({"order": order, "wallet": wallet()})).unwrap();
    assert_eq!(shown["lines"][0], format!("message: {message}"));
}

/// The answer of the device to the challenge of a ballot.
fn returned(passkey: &Passkey, choice: &str) -> Value {
    let asked = json!({
        "order": order(), "approver": passkey.id(), "choice": choice, "time": NOW,
    });
    let message = ask("vote.message", &asked).unwrap();
    let mut challenge = [0; 32];
    hex::decode_to_slice(message["challenge"].as_str().unwrap(), &mut challenge).unwrap();
    let assertion = passkey.assertion(&challenge);
    json!({
        "ballot": message["ballot"], "passkeys": passkeys(),
        "client_data": hex::encode(assertion.client_data),
        "authenticator_data": hex::encode(assertion.authenticator_data),
        "signature": hex::encode(assertion.signature),
    })
}

/// The vote, if this project's own check accepts it.
fn accepted(vote: Value) -> Vote {
    let vote: Vote = serde_json::from_value(vote).unwrap();
    let pages = RelyingParty::new(RP_ID, [ORIGIN]).unwrap();
    countersign_vote::check(&vote, &hash(), Some(&pages)).unwrap();
    vote
}

#[test]
fn an_assertion_becomes_a_genuine_vote_in_whichever_form_the_device_signs() {
    let mut passkey = Passkey::new(1);
    let low = returned(&passkey, "approve");
    passkey.high_s = true;
    let high = returned(&passkey, "approve");
    assert_ne!(low["signature"], high["signature"]);
    let low = accepted(ask("vote.from_assertion", &low).unwrap());
    let high = accepted(ask("vote.from_assertion", &high).unwrap());
    assert_eq!(low, high);
    assert_eq!(low.ballot().choice, Choice::Approve);
    assert_eq!(low.ballot().approver, passkey.id());
}

#[test]
fn an_assertion_for_something_else_or_from_elsewhere_becomes_no_vote() {
    let good = returned(&Passkey::new(1), "approve");
    let set = |field: &str, value: Value| {
        let mut returned = good.clone();
        let place = format!("/{field}");
        *returned.pointer_mut(&place).unwrap() = value;
        ask("vote.from_assertion", &returned)
    };
    let not_made = Err("vote-not-made".to_owned());
    assert_eq!(set("ballot/choice", json!("reject")), not_made);
    assert_eq!(set("ballot/time", json!(NOW + 1)), not_made);
    assert_eq!(set("ballot/task", json!("ab".repeat(32))), not_made);
    let others: ApproverId = Passkey::new(2).id();
    assert_eq!(set("ballot/approver", json!(others)), not_made);
    assert_eq!(set("ballot/approver", json!(Key::new(1).id())), not_made);
    assert_eq!(set("signature", json!("3000")), not_made);
    assert_eq!(set("client_data", json!("7b7d")), not_made);
    assert_eq!(set("authenticator_data", json!("00".repeat(37))), not_made);
    let elsewhere = json!({"rp_id": RP_ID, "origins": ["https://other.treasury.example"]});
    assert_eq!(set("passkeys", elsewhere), not_made);
    let no_page = json!({"rp_id": RP_ID, "origins": ["https://example.org"]});
    assert_eq!(set("passkeys", no_page), Err("usage".into()));
    assert!(ask("vote.from_assertion", &good).is_ok());
}

#[test]
fn a_challenge_is_given_only_for_an_order_that_its_requester_signed() {
    let mut forged = order();
    forged["task"] = json!(forged["task"].as_str().unwrap().replace("706179", "70617a"));
    let asked = json!({
        "order": forged, "approver": Passkey::new(1).id(), "choice": "approve", "time": NOW,
    });
    assert_eq!(ask("vote.message", &asked), Err("invalid-result".into()));
    let late = json!({
        "order": order(), "approver": Passkey::new(1).id(), "choice": "approve",
        "time": NOW + HOUR + 1,
    });
    assert_eq!(ask("vote.message", &late), Err("vote-over".into()));
}

#[test]
fn an_approvers_own_key_votes_on_a_signed_order() {
    let seed = [7; 32];
    let key = countersign_requester::VotingKey::text_of(&seed).unwrap();
    let id = countersign_requester::VotingKey::from_seed(&seed)
        .unwrap()
        .id();
    let told = ask("vote.approver", &json!({"key": *key})).unwrap();
    assert_eq!(told["approver"], json!(id));
    let parts = json!({"key": *key, "order": order(), "choice": "reject", "time": NOW});
    let vote = accepted(ask("vote.sign", &parts).unwrap());
    assert_eq!(
        (vote.ballot().approver, vote.ballot().choice),
        (id, Choice::Reject)
    );
    let requesters = json!({"key": table()["requester_key"]});
    assert_eq!(ask("vote.approver", &requesters), Err("file".into()));
}

fn counted(votes: &[(&str, Value)], passkeys: Value) -> Result<Value, String> {
    answered(votes, passkeys, None)
}

/// The count of a list that answers a vote, or that was asked for.
fn answered(
    votes: &[(&str, Value)],
    passkeys: Value,
    vote: Option<&Vote>,
) -> Result<Value, String> {
    let task: Value = serde_json::from_str(order()["task"].as_str().unwrap()).unwrap();
    let votes = votes
        .iter()
        .map(|(name, vote)| json!({"name": name, "received": NOW, "vote": vote}));
    let told = json!({
        "task": task["id"], "hash": hash(), "missing": ["erin"],
        "votes": votes.collect::<Vec<_>>(),
        "collecting": {"needed": 2, "approved": 2, "rejected": 0, "until": NOW + HOUR},
    });
    let ask_for = json!({
        "order": order(), "told": told, "passkeys": passkeys, "vote": vote, "now": NOW,
    });
    ask("vote.count", &ask_for)
}

#[test]
fn what_became_of_a_vote_is_told_to_whoever_handed_it_in() {
    let passkey = Passkey::new(1);
    let vote = passkey.vote(hash(), Choice::Reject, NOW);
    let newer = passkey.vote(hash(), Choice::Approve, NOW + 1);
    let before = passkey.vote(hash(), Choice::Reject, NOW - 1);
    for (listed, arrival) in [
        (vec![&vote], json!("listed")),
        (vec![&vote, &newer], json!("not-newest")),
        (vec![&before], json!("known")),
        (vec![], json!("not-listed")),
    ] {
        let listed: Vec<_> = listed.iter().map(|one| ("ann", json!(one))).collect();
        let count = answered(&listed, passkeys(), Some(&vote)).unwrap();
        assert_eq!(count["arrival"], arrival);
        let count = counted(&listed, passkeys()).unwrap();
        assert_eq!(count.get("arrival"), None, "none was handed in");
    }
}

/// The key of the table's requester has 32 equal bytes.
#[test]
fn an_approval_by_whoever_ordered_is_shown_and_not_counted() {
    let own = Key::new(0xc9);
    let approval = json!(own.vote(hash(), Choice::Approve, NOW));
    let count = counted(&[("ann", approval)], Value::Null).unwrap();
    assert_eq!(count["votes"][0]["finding"], "own");
    assert_eq!(
        (&count["approved"], &count["rejected"]),
        (&json!(0), &json!(0))
    );
    let rejection = json!(own.vote(hash(), Choice::Reject, NOW));
    let count = counted(&[("ann", rejection)], Value::Null).unwrap();
    assert_eq!(count["rejected"], 1);
}

#[test]
fn votes_are_counted_if_they_prove_themselves_and_shown_if_not() {
    let ann = Key::new(1).vote(hash(), Choice::Approve, NOW);
    let bob = Passkey::new(2).vote(hash(), Choice::Approve, NOW);
    let Proof::Passkey(assertion) = bob.proof() else {
        panic!("it is a passkey's");
    };
    let mut forged = json!(ann);
    forged["approver"] = json!(Key::new(3).id());
    let mut high = json!(bob);
    high["passkey"]["signature"] = json!(hex::encode(other_s(&assertion.signature)));
    let votes = [
        ("ann", json!(ann)),
        ("bob", json!(bob)),
        ("cyd", forged),
        ("dan", json!({"version": 2})),
        (
            "eve",
            json!(Key::new(4).vote(hash(), Choice::Approve, NOW + HOUR)),
        ),
        ("bob", high),
    ];
    let findings = |count: &Value| {
        let votes = count["votes"].as_array().unwrap().iter();
        votes.map(|one| one["finding"].clone()).collect::<Vec<_>>()
    };
    let count = counted(&votes, passkeys()).unwrap();
    assert_eq!(
        findings(&count),
        [
            "genuine",
            "genuine",
            "forged",
            "unreadable",
            "early",
            "forged"
        ]
    );
    assert_eq!(
        (&count["approved"], &count["rejected"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(
        (&count["needed"], &count["missing"]),
        (&json!(2), &json!(["erin"]))
    );
    assert_eq!(count["votes"][0]["problem"], Value::Null);
    assert!(count["votes"][2]["problem"].is_string());

    let count = counted(&votes, Value::Null).unwrap();
    assert_eq!(findings(&count)[1], "passkey");
    assert_eq!(count["approved"], 1);
}

#[test]
fn a_list_of_another_task_is_no_answer() {
    let other = json!({"task": "0b".repeat(16), "hash": hash(), "votes": [], "missing": []});
    let ask_for = json!({"order": order(), "told": other, "now": NOW});
    assert_eq!(ask("vote.count", &ask_for), Err("answer".into()));
}

/// The base point of P-256 (SEC 2, section 2.4.2) and its negative, which has the other sign.
#[test]
fn a_new_passkey_has_the_id_of_its_compressed_point() {
    const X: &str = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
    const ODD: &str = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    const EVEN: &str = "b01cbd1c01e58065711814b583f061e9d431cca994cea1313449bf97c840ae0a";
    const HEAD: &str = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
    for (y, sign) in [(ODD, 3), (EVEN, 2)] {
        let spki = format!("{HEAD}{X}{y}");
        let told = ask("vote.passkey", &json!({"spki": spki})).unwrap();
        let mut key = [sign; 33];
        hex::decode_to_slice(X, &mut key[1..]).unwrap();
        let id = ApproverId::new(ApproverKey::Passkey(key)).unwrap();
        assert_eq!(told, json!({"approver": id}));
    }
    let other_curve = format!("{HEAD}{X}{ODD}").replace("030107", "030106");
    for wrong in [
        String::new(),
        HEAD.into(),
        other_curve,
        format!("{HEAD}{X}{ODD}00"),
        format!("{HEAD}{}{ODD}", "f".repeat(64)),
    ] {
        let refused = ask("vote.passkey", &json!({"spki": wrong}));
        assert_eq!(refused, Err("usage".into()), "{wrong}");
    }
}

#[test]
fn a_second_vote_of_a_person_is_later_than_her_first_whatever_her_clock_says() {
    let passkey = Passkey::new(3);
    let ask_for = |after: Value| {
        let parts = json!({
            "order": order(), "approver": passkey.id(), "choice": "reject", "time": NOW,
            "after": after, "passkeys": passkeys(),
        });
        ask("vote.message", &parts).map(|message| message["ballot"]["time"].clone())
    };
    assert_eq!(ask_for(Value::Null), Ok(json!(NOW)));
    assert_eq!(ask_for(json!(NOW - 1)), Ok(json!(NOW)));
    for earlier in [NOW, NOW + 1, NOW + 20_000] {
        assert_eq!(ask_for(json!(earlier)), Ok(json!(earlier + 1)));
    }
    let far = ask_for(json!(NOW + Vote::MAX_SKEW_MS));
    assert_eq!(far, Err("vote-clock".into()));
}
