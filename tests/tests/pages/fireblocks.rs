//! `docs/fireblocks.md`: a question to the handler and its answer, with the configuration and the
//! key of the page. The tokens are checked, and the answer is made, by the crate `rsa`, which signs
//! nothing in a node.

use countersign_fireblocks_callback::FireblocksCallback;
use countersign_sdk::{Plugin, Response, Verdict, json};
use countersign_tests::jwt;
use rsa::pkcs8::DecodePrivateKey;
use rsa::{RsaPrivateKey, RsaPublicKey};
use serde_json::Value;

use crate::node::{Node, payment};
use crate::page::{Page, Section};

const PAGE: Page = Page(include_str!("../../../docs/fireblocks.md"));

fn example() -> Section {
    PAGE.section("An example")
}

/// Of the question, and of the answer.
fn pairs(language: &str) -> [&'static str; 2] {
    example()
        .blocks(language)
        .try_into()
        .expect("one for the question, one for the answer")
}

fn key() -> RsaPrivateKey {
    RsaPrivateKey::from_pkcs8_pem(example().block("pem")).unwrap()
}

/// The plugin's request for the payment under the configuration of the page, and its
/// verdict on the answer.
fn asked(answer: &str) -> (countersign_sdk::Request, Verdict) {
    let written: Value = serde_norway::from_str(PAGE.whole().block("yaml")).unwrap();
    let config = json::config(&written["policy"]["plugins"][0]["config"].to_string()).unwrap();
    let response = Response {
        status: 200,
        headers: Vec::new(),
        body: answer.into(),
    };
    let node = Node::answered(response).with_pair(example().block("pem"));
    let verdict = FireblocksCallback::evaluate(&config, &payment(), &node).unwrap();
    (node.request(), verdict)
}

#[test]
fn the_question_of_the_page_is_what_the_plugin_sends() {
    let [claims, _] = pairs("json");
    let [token, answer] = pairs("jwt");
    let (request, verdict) = asked(answer);
    assert_eq!(verdict, Verdict::Approve);
    assert_eq!(
        request.url,
        example().block("").strip_prefix("POST ").unwrap()
    );
    assert_eq!(String::from_utf8(request.body).unwrap(), token);
    assert_eq!(token_claims(token), claims);
}

#[test]
fn another_library_finds_the_question_signed() {
    let [claims, _] = pairs("json");
    let [token, _] = pairs("jwt");
    let read = jwt::claims(&[RsaPublicKey::from(&key())], token).unwrap();
    assert_eq!(read, serde_json::from_str::<Value>(claims).unwrap());
}

#[test]
fn another_library_makes_the_answer_of_the_page() {
    let [_, claims] = pairs("json");
    let [_, token] = pairs("jwt");
    assert_eq!(
        jwt::seal(&key(), &serde_json::from_str(claims).unwrap()),
        token
    );
    assert_eq!(token_claims(token), claims);
}

/// The claims verbatim, as in the token.
fn token_claims(token: &str) -> String {
    use base64::Engine as _;
    let claims = token.split('.').nth(1).expect("three parts");
    String::from_utf8(
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(claims)
            .unwrap(),
    )
    .unwrap()
}
