//! The callback plugin end to end: component, host, real RS256, real HTTP.

use std::time::{Duration, Instant};

use countersign_host::rs256::SigningKey;
use countersign_host::{Code, Evaluation, Grants, KeyGrant, KeyUsage, PluginSpec, Role, Verdict};
use serde_json::json;

use crate::guests::{component, host, keygen, server_key, services, soon};
use crate::server::{Received, Server, http, sound, token};

/// An entry of the callback plugin with one server.
pub fn spec(url: &str, retry_times: u64) -> PluginSpec {
    let grant = |name: &str, usage| KeyGrant {
        name: name.into(),
        usage,
    };
    PluginSpec {
        name: "jwt-callback".into(),
        file: component("countersign-jwt-callback"),
        digest: None,
        config: json!({
            "servers": [{"url": url, "key": "cb"}],
            "retry_times": retry_times, "sleep_seconds": 1, "request_timeout": 1,
        }),
        grants: Grants {
            keys: vec![
                grant("callback", KeyUsage::SignJwt),
                grant("callback", KeyUsage::Verify),
                grant("cb", KeyUsage::Verify),
            ],
            http: vec![url.parse().unwrap()],
            ..Grants::default()
        },
        role: Role::default(),
        written: None,
    }
}

async fn evaluate(url: &str, retry_times: u64) -> Evaluation {
    let plugin = host()
        .load(&spec(url, retry_times), services())
        .await
        .unwrap();
    plugin.evaluate(&keygen(), soon()).await
}

async fn ask(
    script: impl Fn(usize, &Received) -> Option<String> + Send + Sync + 'static,
) -> (Evaluation, Server) {
    let server = Server::start(script).await;
    let evaluation = evaluate(&format!("http://{}/v2/check", server.address), 0).await;
    (evaluation, server)
}

/// No approval, and no rejection either: nobody is believed.
async fn assert_disbelieved(
    script: impl Fn(usize, &Received) -> Option<String> + Send + Sync + 'static,
    words: &str,
) {
    let (evaluation, _server) = ask(script).await;
    let Verdict::Failed { code, reason } = evaluation.verdict else {
        panic!("{:?}", evaluation.verdict)
    };
    assert_eq!(
        (code, reason.contains(words)),
        (Code::Unavailable, true),
        "{reason}"
    );
}

#[tokio::test]
async fn an_approving_server_approves() {
    let (evaluation, server) = ask(|_, received| http("200 OK", &sound(received, "APPROVE"))).await;
    assert_eq!(
        evaluation.verdict,
        Verdict::Approve,
        "{:?}",
        evaluation.logs
    );
    let received = &server.received()[0];
    assert!(
        received.head.starts_with("post /v2/check http/1.1\r\n"),
        "{}",
        received.head
    );
    assert!(
        received
            .head
            .contains("content-type: application/x-www-form-urlencoded"),
        "{}",
        received.head
    );
    assert!(
        !received.head.contains("transfer-encoding"),
        "{}",
        received.head
    );
    let id = received.request["request_id"].as_str().unwrap();
    assert!(id.len() == 34 && id.ends_with(":1"), "{id}");
    assert_eq!(received.request["request_type"], 1);
}

#[tokio::test]
async fn a_rejecting_server_rejects() {
    for status in ["200 OK", "400 Bad Request"] {
        let (evaluation, _server) =
            ask(move |_, received| http(status, &sound(received, "REJECT"))).await;
        let (code, reason) = evaluation.verdict.refusal().unwrap();
        assert_eq!(
            (code, reason.contains("because")),
            ("callback-rejected", true),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn an_absent_server_refuses() {
    let evaluation = evaluate("http://127.0.0.1:9/v2/check", 0).await;
    assert_eq!(
        evaluation.verdict.refusal().unwrap().0,
        Code::Unavailable.as_str()
    );
}

#[tokio::test]
async fn a_silent_server_refuses_after_its_time() {
    let started = Instant::now();
    assert_disbelieved(|_, _| None, "no answer in time").await;
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn only_the_pinned_key_is_believed() {
    let stranger = SigningKey::generate().unwrap();
    let answer = move |_, received: &Received| {
        http(
            "200 OK",
            &token(
                &stranger,
                json!({"alg": "RS256"}),
                &received.request["request_id"],
                "APPROVE",
            ),
        )
    };
    assert_disbelieved(answer, "not signed by the expected key").await;
}

#[tokio::test]
async fn the_algorithm_is_not_the_server_s_choice() {
    let answer = |_, received: &Received| {
        let id = &received.request["request_id"];
        http(
            "200 OK",
            &token(&server_key(), json!({"alg": "none"}), id, "APPROVE"),
        )
    };
    assert_disbelieved(answer, "not RS256").await;
}

#[tokio::test]
async fn an_answer_to_another_request_does_not_count() {
    let answer = |_, _: &Received| {
        http(
            "200 OK",
            &token(
                &server_key(),
                json!({"alg": "RS256"}),
                &json!("task-0:1"),
                "APPROVE",
            ),
        )
    };
    assert_disbelieved(answer, "task-0:1").await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let answer = |n, received: &Received| {
        match n {
        1 => Some(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: /v2/check/other\r\ncontent-length: 0\r\n\r\n"
                .into(),
        ),
        _ => http("200 OK", &sound(received, "APPROVE")),
    }
    };
    assert_disbelieved(answer, "307").await;
}

#[tokio::test]
async fn a_huge_answer_is_cut_off() {
    assert_disbelieved(
        |_, _| http("200 OK", &"x".repeat(1 << 20)),
        "exceeds 65536 bytes",
    )
    .await;
}

#[tokio::test]
async fn a_failed_try_is_repeated() {
    let server = Server::start(|n, received| match n {
        1 => http("502 Bad Gateway", "<html>"),
        _ => http("200 OK", &sound(received, "APPROVE")),
    })
    .await;
    let evaluation = evaluate(&format!("http://{}/v2/check", server.address), 2).await;
    assert_eq!(evaluation.verdict, Verdict::Approve);
    assert_eq!(server.received().len(), 2);
    assert!(
        evaluation.elapsed >= Duration::from_secs(1),
        "no pause between the tries"
    );
    assert!(
        evaluation
            .logs
            .iter()
            .any(|line| line.message == "callback try failed"),
        "{:?}",
        evaluation.logs
    );
}
