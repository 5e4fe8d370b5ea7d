//! Orders by passkeys through the operations of the module, with an authenticator in software.

use countersign_vote::testing::{Key, ORIGIN, Passkey, RP_ID, other_s};
use countersign_wasm::call;
use serde_json::{Value, json};

const NOW: u64 = 1_764_500_000_000;

fn ask(name: &str, document: &Value) -> Result<Value, String> {
    let answer: Value =
        serde_json::from_slice(&call(name, document.to_string().as_bytes())).unwrap();
    match answer.get("error") {
        None => Ok(answer["ok"].clone()),
        Some(error) => Err(error["code"].as_str().unwrap().to_owned()),
    }
}

fn passkeys() -> Value {
    json!({"rp_id": RP_ID, "origins": [ORIGIN]})
}

fn elsewhere() -> Value {
    json!({"rp_id": "evil.example", "origins": ["https://evil.example"]})
}

/// An order for a message, as a page makes it for this passkey.
fn parts(passkey: &Passkey) -> Value {
    let key = "csk1qvpsxqcrqvpsxqcrqvpsxqcrqvptzmel";
    let payload = json!({"kind": "message", "bytes": hex::encode("pay")});
    json!({
        "requester": passkey.requester(), "id": "0a".repeat(16), "now": NOW, "life_ms": 60_000,
        "operation": {"sign": {"wallet": key, "path": "m", "payload": payload}},
    })
}

/// What the authenticator returns for an order.
fn returned(passkey: &Passkey, message: &Value) -> Value {
    let mut challenge = [0; 32];
    hex::decode_to_slice(message["challenge"].as_str().unwrap(), &mut challenge).unwrap();
    let assertion = passkey.assertion(&challenge);
    json!({
        "task": message["task"], "passkeys": passkeys(),
        "client_data": hex::encode(assertion.client_data),
        "authenticator_data": hex::encode(assertion.authenticator_data),
        "signature": hex::encode(assertion.signature),
    })
}

fn order(passkey: &Passkey) -> Result<Value, String> {
    let message = ask("order.message", &parts(passkey)).unwrap();
    ask("order.from_assertion", &returned(passkey, &message))
}

#[test]
fn a_page_orders_with_a_passkey_and_everybody_reads_the_order() {
    let passkey = Passkey::new(3);
    let message = ask("order.message", &parts(&passkey)).unwrap();
    let order = order(&passkey).unwrap();
    for member in ["task", "id", "hash", "wallet"] {
        assert_eq!(order[member], message[member], "{member}");
    }
    assert!(order["signature"]["passkey"]["client_data"].is_string());
    let mut read =
        json!({"task": order["task"], "signature": order["signature"], "passkeys": passkeys()});
    let known = ask("order.read", &read).unwrap();
    assert_eq!(known["requester"], json!(passkey.requester()));
    assert_eq!(known["hash"], message["hash"]);
    for pages in [Value::Null, elsewhere()] {
        read["passkeys"] = pages;
        assert_eq!(ask("order.read", &read), Err("invalid-result".into()));
    }
    read["passkeys"] = json!({"rp_id": RP_ID, "origins": []});
    assert_eq!(ask("order.read", &read), Err("usage".into()));
}

/// The pages are the caller's: those that a coordinator puts beside the order count for nothing.
#[test]
fn a_coordinator_does_not_say_on_which_pages_passkeys_order() {
    let mut evil = Passkey::new(3);
    evil.rp_id = "evil.example".into();
    evil.client_data = evil.client_data.replace(ORIGIN, "https://evil.example");
    let message = ask("order.message", &parts(&evil)).unwrap();
    let mut signed = returned(&evil, &message);
    signed["passkeys"] = elsewhere();
    let order = ask("order.from_assertion", &signed).unwrap();
    let task: Value = serde_json::from_str(order["task"].as_str().unwrap()).unwrap();
    let mut told = json!({
        "id": task["id"], "requester": task["requester"], "operation": "KeySign",
        "wallet": order["wallet"], "not_after": task["not_after"], "state": "pending",
        "task": order["task"], "signature": order["signature"],
    });
    let known = |view: &Value, pages: Value| {
        let document = json!({"id": task["id"], "view": view, "passkeys": pages});
        ask("order.told", &document).map(drop)
    };
    assert_eq!(known(&told, elsewhere()), Ok(()));
    told["passkeys"] = elsewhere();
    for pages in [passkeys(), Value::Null] {
        assert_eq!(known(&told, pages), Err("invalid-result".into()));
    }
}

#[test]
fn an_assertion_that_proves_nothing_makes_no_order() {
    let not_made = Err("order-not-made".to_owned());
    let good = Passkey::new(3);
    let message = ask("order.message", &parts(&good)).unwrap();
    let answer = returned(&good, &message);
    let with = |member: &str, value: Value| {
        let mut other = answer.clone();
        other[member] = value;
        ask("order.from_assertion", &other).map(drop)
    };
    assert_eq!(with("passkeys", passkeys()), Ok(()));
    let high = other_s(&hex::decode(answer["signature"].as_str().unwrap()).unwrap());
    assert_eq!(
        with("signature", json!(hex::encode(high))),
        Ok(()),
        "the page brings s to the smaller one"
    );
    assert_eq!(with("passkeys", elsewhere()), not_made);
    assert_eq!(with("passkeys", Value::Null), Err("usage".into()));
    assert_eq!(
        with("client_data", json!("7b".repeat(10_240))),
        not_made,
        "10 kB"
    );
    assert_eq!(with("client_data", json!("7b7d")), not_made);
    assert_eq!(with("authenticator_data", json!("00".repeat(36))), not_made);
    let altered = answer["task"].as_str().unwrap();
    let altered = altered.replace("706179", "706178");
    assert_eq!(with("task", json!(altered)), not_made);
    let other = ask("order.message", &parts(&Passkey::new(4))).unwrap();
    assert_eq!(with("task", other["task"].clone()), not_made);
    let mut unverified = Passkey::new(3);
    unverified.flags &= !4;
    assert_eq!(order(&unverified).map(drop), not_made);
}

#[test]
fn a_key_that_is_no_passkey_is_asked_for_no_assertion() {
    let mut by_key = parts(&Passkey::new(3));
    let key = countersign_protocol::RequesterId::new(*Key::new(1).id().key()).unwrap();
    by_key["requester"] = json!(key);
    assert_eq!(ask("order.message", &by_key), Err("usage".into()));
}

/// The generator of P-256, uncompressed and in the form of `getPublicKey()`.
#[test]
fn a_new_passkey_has_one_id_for_each_role_from_one_key() {
    let x = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
    let y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let head = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    let spki = json!({"spki": format!("{head}04{x}{y}")});
    let made = ask("requester.passkey", &spki).unwrap();
    let id = "csr1qd43050juykyy3lchnnw2caygre8wqmasyk7kvaq7jsnj3wcnrpfvyxdqhw";
    assert_eq!(made["requester"], id);
    let approver = ask("vote.passkey", &spki).unwrap();
    let requester: countersign_protocol::RequesterId = id.parse().unwrap();
    let approver = approver["approver"].as_str().unwrap().parse().unwrap();
    assert!(requester.is(&approver));
    for wrong in [format!("{head}02{x}"), "00".into()] {
        let refused = ask("requester.passkey", &json!({"spki": wrong}));
        assert_eq!(refused, Err("usage".into()));
    }
}

#[test]
fn what_a_passkey_is_to_sign_is_decoded_from_its_exact_bytes() {
    let table: Value = serde_json::from_str(include_str!("../../tests/forgeries.json")).unwrap();
    let mut cases = table["cases"].as_array().unwrap().iter();
    let case = cases.find(|case| case["name"] == "a_signature").unwrap();
    let line = case["book"].as_str().unwrap().lines().nth(1).unwrap();
    let wallet = serde_json::from_str::<Value>(line).unwrap()["wallet"].clone();
    let passkey = Passkey::new(3);
    let mut parts = parts(&passkey);
    parts["operation"]["sign"]["wallet"] = wallet["key"].clone();
    let long = "pay ".repeat(200) + "eve";
    parts["operation"]["sign"]["payload"]["bytes"] = json!(hex::encode(&long));
    let message = ask("order.message", &parts).unwrap();
    let seen = ask(
        "order.preview",
        &json!({"task": message["task"], "wallet": wallet}),
    )
    .unwrap();
    assert_eq!(seen["hash"], message["hash"]);
    assert_eq!(seen["requester"], json!(passkey.requester()));
    assert!(
        seen["decoded"]["lines"][0]
            .as_str()
            .unwrap()
            .ends_with(&long)
    );
    let without = ask("order.preview", &json!({"task": message["task"]}));
    assert_eq!(without, Err("usage".into()));
    let mut other = wallet.clone();
    other["key"] = json!("csk1qvpsxqcrqvpsxqcrqvpsxqcrqvptzmel");
    let other = ask(
        "order.preview",
        &json!({"task": message["task"], "wallet": other}),
    );
    assert_eq!(other, Err("usage".into()));
    let same = ask("requester.of_approver", &json!({"approver": passkey.id()})).unwrap();
    assert_eq!(same["requester"], json!(passkey.requester()));
}
