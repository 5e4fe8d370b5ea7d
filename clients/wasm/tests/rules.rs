//! What the operations refuse beyond the table of forgeries, which clients run as a whole: each
//! rule that stands between two operations, by the operation itself.

use countersign_wasm::call;
use serde_json::{Value, json};

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

fn case(name: &str) -> Value {
    let table = table();
    let cases = table["cases"].as_array().unwrap();
    cases
        .iter()
        .find(|case| case["name"] == name)
        .unwrap()
        .clone()
}

fn book() -> String {
    case("a_signature")["book"].as_str().unwrap().to_owned()
}

/// The descriptor of the wallet in the book.
fn wallet() -> Value {
    let entry: Value = serde_json::from_str(book().lines().nth(1).unwrap()).unwrap();
    entry["wallet"].clone()
}

fn key() -> String {
    table()["requester_key"].as_str().unwrap().to_owned()
}

fn own() -> Value {
    table()["requester"].clone()
}

/// Another key, which nobody knows.
fn stranger() -> Value {
    ask("requester.new", &json!({"seed": "cb".repeat(32)})).unwrap()
}

fn order(key: &str, operation: Value) -> Value {
    let parts = json!({
        "key": key, "id": "0a".repeat(16), "now": 1_000_000, "life_ms": 60_000, "operation": operation,
    });
    let signed = ask("order.sign", &parts).unwrap();
    json!({"task": signed["task"], "signature": signed["signature"]})
}

fn sign(wallet: &Value, message: &str) -> Value {
    let payload = json!({"kind": "message", "bytes": hex::encode(message)});
    json!({"sign": {"wallet": wallet, "path": "m", "payload": payload}})
}

/// A signature of "pay", judged against an order.
fn judged(own: &Value, order: Value) -> Result<Value, String> {
    let signed = case("a_signature")["result"]["signed"].clone();
    let claim = json!({"own": own, "order": order, "wallet": wallet(), "signed": signed});
    ask("result.signed", &claim)
}

#[test]
fn a_signature_is_judged_against_the_bytes_that_were_ordered() {
    let id = &wallet()["key"];
    let good = order(&key(), sign(id, "pay"));
    assert_eq!(judged(&own(), good.clone()).unwrap()["wallet"], *id);

    let mut altered = good.clone();
    altered["task"] = good["task"]
        .as_str()
        .unwrap()
        .replace("706179", "70617a")
        .into();
    let other = order(&key(), sign(id, "pay more"));
    let elsewhere = order(
        &key(),
        sign(
            &case("a_wallet_of_a_trusted_requester")["action"]["wallet"],
            "pay",
        ),
    );
    let check_up = json!({"check-up": {"wallet": id, "nodes": wallet()["committee"]}});
    let another_operation = order(&key(), check_up);
    for forged in [altered, other, elsewhere, another_operation] {
        assert_eq!(judged(&own(), forged), Err("invalid-result".into()));
    }
}

#[test]
fn nobody_elses_order_passes_for_ones_own() {
    let stranger = stranger();
    let theirs = order(
        stranger["key"].as_str().unwrap(),
        sign(&wallet()["key"], "pay"),
    );
    assert!(judged(&stranger["requester"], theirs.clone()).is_ok());
    assert_eq!(judged(&own(), theirs), Err("invalid-result".into()));

    let met = case("a_wallet_of_a_trusted_requester");
    let id = met["action"]["wallet"].as_str().unwrap();
    let made = &met["answers"][format!("/v1/wallets/{id}")]["announcement"];
    let task = &met["answers"][format!("/v1/tasks/{}", made["task"].as_str().unwrap())];
    let mut claim = json!({
        "book": "", "own": own(), "made": made, "now": 1,
        "order": {"task": task["task"], "signature": task["signature"]},
    });
    assert_eq!(ask("wallet.created", &claim), Err("invalid-result".into()));
    claim["own"] = task["requester"].clone();
    let recorded = ask("wallet.created", &claim).unwrap();
    assert_eq!(recorded["belief"]["ground"], "ordered");
}

fn introduced(name: &str) -> Value {
    let met = case(name);
    let id = &met["action"]["wallet"];
    let told = &met["answers"][format!("/v1/wallets/{}", id.as_str().unwrap())]["announcement"];
    let task = &met["answers"][format!("/v1/tasks/{}", told["task"].as_str().unwrap())];
    json!({
        "id": id, "told": told,
        "order": {"task": task["task"], "signature": task["signature"]},
    })
}

fn known() -> Value {
    let mut known = table()["profile"].clone();
    known["own"] = own();
    known
}

#[test]
fn a_wallet_that_the_book_has_without_a_reason_is_compared_with_it() {
    let introduced = introduced("a_wallet_of_ours");
    let entry = |wallet: &Value| {
        let id = wallet["key"].as_str().unwrap();
        json!({"version": 1, "wallets": {id: wallet}}).to_string()
    };
    let meet = |book: String| {
        let met = json!({"book": book, "introduced": introduced, "known": known(), "now": 1});
        ask("wallet.meet", &met)
    };
    let recorded = meet(entry(&wallet())).unwrap();
    assert!(
        recorded["write"]["whole"]
            .as_str()
            .unwrap()
            .contains("profile")
    );
    let mut other = wallet();
    other["session"] = "42".repeat(32).into();
    assert_eq!(meet(entry(&other)), Err("invalid-wallet".into()));

    let follow = json!({"book": entry(&wallet()), "told": wallet()});
    assert_eq!(ask("wallet.follow", &follow), Err("usage".into()));
    let follow = json!({"book": book(), "told": wallet()});
    assert_eq!(ask("wallet.follow", &follow).unwrap()["write"], "nothing");
}

#[test]
fn a_persons_word_is_for_what_the_person_was_shown() {
    let introduced = introduced("a_wallet_that_strangers_made_up");
    let shown = json!({"introduced": introduced, "known": known()});
    let shown = ask("wallet.introduce", &shown).unwrap();
    assert_eq!(shown["doubts"].as_array().unwrap().len(), 4);
    let mut word = json!({
        "book": "", "introduced": introduced, "fingerprint": "00".repeat(16), "reason": "compared", "now": 1,
    });
    assert_eq!(ask("wallet.trust", &word), Err("usage".into()));
    word["fingerprint"] = shown["fingerprint"].clone();
    let recorded = ask("wallet.trust", &word).unwrap();
    assert_eq!(recorded["belief"]["reason"], "compared");
    word["book"] = recorded["write"]["whole"].clone();
    assert_eq!(
        ask("wallet.trust", &word),
        Err("usage".into()),
        "it is there"
    );
}

#[test]
fn a_book_is_verified_whoever_wrote_it() {
    let id = &wallet()["key"];
    let entry = json!({"book": book(), "id": id});
    assert_eq!(ask("book.wallet", &entry).unwrap()["wallet"], wallet());
    let changed = book().replace("\"threshold\":2", "\"threshold\":3");
    let entry = json!({"book": changed, "id": id});
    assert_eq!(ask("book.wallet", &entry), Err("invalid-wallet".into()));
    let all = json!({ "book": changed });
    assert_eq!(ask("book.wallets", &all), Err("invalid-wallet".into()));
    let none = json!({"book": "", "id": id});
    assert_eq!(ask("book.wallet", &none).unwrap(), Value::Null);
    let named = json!({"book": book(), "name": "treasury"});
    assert_eq!(ask("book.named", &named).unwrap(), json!([id]));
}

#[test]
fn an_order_that_no_node_would_accept_is_not_signed() {
    let id = wallet()["key"].clone();
    let with = |more: Value| {
        let mut parts = json!({
            "key": key(), "id": "0a".repeat(16), "now": 1_000_000, "life_ms": 60_000,
            "operation": sign(&id, "pay"),
        });
        for (name, value) in more.as_object().unwrap() {
            parts[name] = value.clone();
        }
        ask("order.sign", &parts)
    };
    assert!(with(json!({})).is_ok());
    let create = |nodes: Value, threshold: u16| json!({"operation": {"create-wallet": {"name": "n", "scheme": "ed25519", "nodes": nodes, "threshold": threshold}}});
    let nodes = &wallet()["committee"];
    assert!(with(create(nodes.clone(), 2)).is_ok());
    let mut reversed: Vec<Value> = nodes.as_array().unwrap().clone();
    reversed.reverse();
    assert!(with(create(json!(reversed), 2)).is_ok(), "in any order");
    for bad in [
        json!({"note": "x".repeat(300)}),
        json!({"claims": {"Not a name": "x"}}),
        json!({"id": "0a"}),
        json!({"operation": {"pay": {}}}),
        create(nodes.clone(), 4),
        create(json!([nodes[0], nodes[0]]), 2),
    ] {
        assert_eq!(with(bad.clone()), Err("usage".into()), "{bad}");
    }
    assert_eq!(with(json!({"key": "csr-secret1qqqq"})), Err("file".into()));
    let short = json!({"seed": "07"});
    assert_eq!(ask("requester.new", &short), Err("usage".into()));
}
