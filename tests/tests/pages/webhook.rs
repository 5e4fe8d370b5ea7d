//! `docs/webhook.md`: a question and its answer. The codes are checked by the crate `hmac`, which a
//! node does not use for them.

use countersign_sdk::{Plugin, Response, Verdict, json};
use countersign_webhook::Webhook;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::node::{Node, payment};
use crate::page::{Page, Section};

const PAGE: Page = Page(include_str!("../../../docs/webhook.md"));
const HEADER: &str = "countersign-signature";

fn example() -> Section {
    PAGE.section("An example")
}

/// The secret, then the header of the question and that of the answer.
fn texts() -> [&'static str; 3] {
    example()
        .blocks("")
        .try_into()
        .expect("a secret and two headers")
}

/// Of the question, and of the answer.
fn bodies() -> [&'static str; 2] {
    example()
        .blocks("json")
        .try_into()
        .expect("a question and an answer")
}

fn value(header: &'static str) -> &'static str {
    header
        .strip_prefix("countersign-signature: ")
        .expect("the header")
}

#[test]
fn the_question_of_the_page_is_what_the_plugin_sends() {
    let [secret, question, answer] = texts();
    let [asked, said] = bodies();
    let config = r#"{"url": "https://approve.example.com/countersign", "secret": "approve"}"#;
    let headers = vec![(HEADER.into(), value(answer).into())];
    let node = Node::answered(Response {
        status: 200,
        headers,
        body: said.into(),
    })
    .with_secret(secret);
    let verdict = Webhook::evaluate(&json::config(config).unwrap(), &payment(), &node).unwrap();
    assert_eq!(verdict, Verdict::Approve);
    let request = node.request();
    assert_eq!(String::from_utf8(request.body).unwrap(), asked);
    let sent = request
        .headers
        .iter()
        .find(|(name, _)| name == HEADER)
        .unwrap();
    assert_eq!(sent.1, value(question));
}

#[test]
fn another_library_computes_the_codes_of_the_page() {
    let [secret, question, answer] = texts();
    let [asked, said] = bodies();
    for (header, body) in [(question, asked), (answer, said)] {
        let (time, code) = value(header)
            .strip_prefix("t=")
            .unwrap()
            .split_once(",v1=")
            .unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{time}.{body}").as_bytes());
        assert_eq!(hex::encode(mac.finalize().into_bytes()), code);
    }
}
