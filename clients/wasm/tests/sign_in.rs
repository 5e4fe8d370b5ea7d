//! Signing in through the operations of the module, with an authenticator in software.

use countersign_protocol::{ApproverKey, Assertion};
use countersign_vote::testing::{ORIGIN, Passkey, RP_ID, other_s};
use countersign_vote::{RelyingParty, SignIn};
use countersign_wasm::call;
use serde_json::{Value, json};

const NONCE: [u8; 32] = [0x6b; 32];

fn ask(name: &str, document: &Value) -> Value {
    serde_json::from_slice(&call(name, document.to_string().as_bytes())).unwrap()
}

fn bytes(document: &Value, member: &str) -> Vec<u8> {
    hex::decode(document["ok"][member].as_str().unwrap()).unwrap()
}

#[test]
fn a_page_signs_in_with_a_passkey_and_the_server_takes_either_value_of_s() {
    let passkey = Passkey::new(3);
    let asked = json!({"origin": ORIGIN, "nonce": hex::encode(NONCE)});
    let challenge = bytes(&ask("sign_in.message", &asked), "challenge");
    let made = passkey.assertion(&challenge.try_into().unwrap());
    let ApproverKey::Passkey(key) = *passkey.id().key() else {
        unreachable!("it is a passkey");
    };
    let page = RelyingParty::new(RP_ID, [ORIGIN]).unwrap();
    for signature in [made.signature.clone(), other_s(&made.signature)] {
        let returned = json!({
            "client_data": hex::encode(&made.client_data),
            "authenticator_data": hex::encode(&made.authenticator_data),
            "signature": hex::encode(signature),
        });
        let answer = ask("sign_in.answer", &returned);
        let assertion = Assertion {
            client_data: bytes(&answer, "client_data"),
            authenticator_data: bytes(&answer, "authenticator_data"),
            signature: bytes(&answer, "signature"),
        };
        let asked = SignIn {
            origin: ORIGIN,
            nonce: &NONCE,
        };
        assert_eq!(asked.check(&assertion, &key, &page), Ok(0));
    }
}

#[test]
fn what_is_no_nonce_and_no_signature_is_refused() {
    let short = json!({"origin": ORIGIN, "nonce": "6b"});
    assert_eq!(ask("sign_in.message", &short)["error"]["code"], "usage");
    let returned = json!({"client_data": "", "authenticator_data": "", "signature": "00"});
    assert_eq!(ask("sign_in.answer", &returned)["error"]["code"], "usage");
}
