//! Strict mode: an answer is bound to this try at this server by nonce, digest and audience.

use countersign_host::Verdict;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::forge::*;
use crate::world::*;

/// The claims of a sound answer in strict mode.
fn bound(received: &Received) -> Value {
    let mut claims = claims(received);
    claims["nonce"] = received.claims["nonce"].clone();
    claims["digest"] = hex::encode(Sha256::digest(&received.document)).into();
    claims["aud"] = received.claims["iss"].clone();
    claims
}

async fn assert_unbound(
    change: impl Fn(&Received, &mut Value) + Send + Sync + 'static,
    words: &str,
) {
    let reply = move |_, received: &Received| {
        let mut claims = bound(received);
        change(received, &mut claims);
        http("200 OK", by_server(claims))
    };
    let server = Server::start(reply).await;
    let evaluation = evaluate(&[server.url()], json!({"strict": true})).await;
    assert_failed(&evaluation, "strict mode");
    assert_failed(&evaluation, words);
}

#[tokio::test]
async fn a_bound_answer_counts() {
    let server = Server::start(|_, r| http("200 OK", by_server(bound(r)))).await;
    let evaluation = evaluate(&[server.url()], json!({"strict": true})).await;
    assert_eq!(
        evaluation.verdict,
        Verdict::Approve,
        "{:?}",
        evaluation.logs
    );
    let received = &server.received()[0];
    assert_eq!(received.claims["iss"], "csn1self");
    assert_eq!(received.claims["nonce"].as_str().unwrap().len(), 64);
    assert_eq!(
        received.claims["digest"],
        hex::encode(Sha256::digest(&received.document))
    );
    assert!(
        evaluation
            .logs
            .iter()
            .all(|line| !line.message.contains("compatible mode"))
    );
}

#[tokio::test]
async fn requests_differ_in_every_id_and_nonce() {
    let server = Server::start(|_, r| http("200 OK", by_server(bound(r)))).await;
    for _ in 0..3 {
        evaluate(&[server.url()], json!({"strict": true})).await;
    }
    let values = |name: fn(&Received) -> String| -> std::collections::BTreeSet<String> {
        server.received().iter().map(name).collect()
    };
    assert_eq!(values(|r| r.claims["nonce"].to_string()).len(), 3);
    assert_eq!(values(|r| r.request["request_id"].to_string()).len(), 3);
}

#[tokio::test]
async fn approver_of_the_compatible_kind_in_strict_mode() {
    assert_unbound(|r, c| *c = claims(r), "nonce").await;
}

#[tokio::test]
async fn approver_leaves_out_the_nonce() {
    assert_unbound(|_, c| c["nonce"] = Value::Null, "nonce").await;
}

#[tokio::test]
async fn approver_repeats_another_nonce() {
    assert_unbound(|_, c| c["nonce"] = "00".repeat(32).into(), "nonce").await;
}

#[tokio::test]
async fn approver_writes_the_nonce_in_capitals() {
    assert_unbound(
        |_, c| c["nonce"] = c["nonce"].as_str().unwrap().to_uppercase().into(),
        "nonce",
    )
    .await;
}

#[tokio::test]
async fn approver_leaves_out_the_digest() {
    assert_unbound(|_, c| c["digest"] = Value::Null, "digest").await;
}

#[tokio::test]
async fn approver_judged_another_document() {
    assert_unbound(
        |_, c| c["digest"] = hex::encode(Sha256::digest(b"{}")).into(),
        "digest",
    )
    .await;
}

#[tokio::test]
async fn approver_leaves_out_the_audience() {
    assert_unbound(|_, c| c["aud"] = Value::Null, "`aud`").await;
}

#[tokio::test]
async fn approver_approves_for_another_node() {
    assert_unbound(|_, c| c["aud"] = "csn1other".into(), "`aud`").await;
}

#[tokio::test]
async fn approver_approves_for_several_nodes() {
    assert_unbound(|_, c| c["aud"] = json!(["csn1self", "csn1other"]), "`aud`").await;
}

#[tokio::test]
async fn approver_repeats_the_nonce_of_the_try_before() {
    let server = Server::start(|n, r| match n {
        1 => Reply::Bytes(Vec::new()),
        _ => http("200 OK", by_server(bound(r))),
    })
    .await;
    let first = evaluate(&[server.url()], json!({"strict": true})).await;
    assert_failed(&first, "broken answer");
    let old = server.received()[0].claims["nonce"].clone();
    assert_unbound(move |_, c| c["nonce"] = old.clone(), "nonce").await;
}
