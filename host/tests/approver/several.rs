//! Several servers of one entry, and several tries.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign_host::{Level, Verdict};
use serde_json::json;

use crate::forge::*;
use crate::world::*;

async fn approving() -> Server {
    Server::start(|_, r| http("200 OK", sound(r))).await
}

async fn rejecting() -> Server {
    Server::start(|_, r| http("200 OK", decided(r, "REJECT"))).await
}

#[tokio::test]
async fn two_servers_that_approve_are_enough_and_are_asked_at_once() {
    let slow =
        |r: &Received| Reply::Late(Duration::from_millis(600), response("200 OK", "", sound(r)));
    let a = Server::start(move |_, r| slow(r)).await;
    let b = Server::start(move |_, r| slow(r)).await;
    let started = Instant::now();
    let evaluation = evaluate(&[a.url(), b.url()], json!({})).await;
    assert_eq!(
        evaluation.verdict,
        Verdict::Approve,
        "{:?}",
        evaluation.logs
    );
    // One after the other would take 1.2 s.
    assert!(
        started.elapsed() < Duration::from_millis(1150),
        "{:?}",
        started.elapsed()
    );
    assert_ne!(
        a.received()[0].request["request_id"],
        b.received()[0].request["request_id"]
    );
}

#[tokio::test]
async fn approver_disagrees_with_another_in_either_order() {
    let yes = approving().await;
    let no = rejecting().await;
    let first = evaluate(&[yes.url(), no.url()], json!({"retry_times": 2})).await;
    assert_rejected(&first, &format!("{} rejects: because", no.url()));
    let second = evaluate(&[no.url(), yes.url()], json!({"retry_times": 2})).await;
    assert_rejected(&second, "because");
    assert_eq!((yes.asked(), no.asked()), (2, 2), "a rejection is final");
}

/// Both are pinned to one key. The operator of the second server must not be able to pass off the
/// first one's word as its own: under one request id for both it could.
#[tokio::test]
async fn approver_repeats_the_approval_of_another_that_shares_its_key() {
    let overheard = Arc::new(Mutex::new(None));
    let said = overheard.clone();
    let repeated = overheard;
    let honest = Server::start(move |_, r| {
        said.lock().unwrap().replace(sound(r));
        http("200 OK", sound(r))
    })
    .await;
    let evil = Server::start(move |_, _| match repeated.lock().unwrap().as_ref() {
        Some(approval) => http("200 OK", approval),
        None => http("503 Service Unavailable", ""),
    })
    .await;
    let evaluation = evaluate(
        &[honest.url(), evil.url()],
        json!({"retry_times": 3, "sleep_seconds": 1}),
    )
    .await;
    assert_failed(&evaluation, &evil.url());
    let Verdict::Failed { reason, .. } = &evaluation.verdict else {
        unreachable!("it failed")
    };
    assert!(
        reason.contains("the answer is for the request") && !reason.contains(&honest.url()),
        "{reason}"
    );
    assert_eq!((honest.asked(), evil.asked()), (1, 4));
}

#[tokio::test]
async fn approver_is_down_beside_one_that_approves() {
    let yes = approving().await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let urls = [yes.url(), format!("http://{gone}/v2/check")];
    let evaluation = evaluate(&urls, json!({"retry_times": 1})).await;
    assert_failed(&evaluation, &format!("{gone}/v2/check: cannot connect"));
    assert_eq!(yes.asked(), 1, "who approved is not asked again");
}

#[tokio::test]
async fn approver_rejects_beside_one_that_hangs() {
    let no = rejecting().await;
    let silent = Server::start(|_, _| Reply::Stall(Vec::new())).await;
    let evaluation = evaluate(&[silent.url(), no.url()], json!({"retry_times": 9})).await;
    assert_rejected(&evaluation, "because");
    assert_eq!(silent.asked(), 1, "no further round");
}

#[tokio::test]
async fn approver_rejects_with_status_200_and_400() {
    for status in ["200 OK", "400 Bad Request"] {
        let server = Server::start(move |_, r| http(status, decided(r, "REJECT"))).await;
        let evaluation = evaluate(&[server.url()], json!({"retry_times": 3})).await;
        assert_rejected(&evaluation, "because");
        assert_eq!(server.asked(), 1, "a rejection is final");
    }
}

#[tokio::test]
async fn approver_lies_in_every_try() {
    let server = Server::start(|_, r| {
        http(
            "200 OK",
            token(&stranger_key(), RS256, &claims(r).to_string()),
        )
    })
    .await;
    let evaluation = evaluate(&[server.url()], json!({"retry_times": 3})).await;
    assert_failed(&evaluation, "tries: 4");
    assert_eq!(server.asked(), 4);
    let tokens: std::collections::BTreeSet<_> =
        server.received().iter().map(|r| r.token.clone()).collect();
    assert!(!tokens.is_empty());
    let ids: std::collections::BTreeSet<_> = server
        .received()
        .iter()
        .map(|r| r.request["request_id"].to_string())
        .collect();
    assert_eq!(
        ids.len(),
        1,
        "servers that remember their answers may repeat them to a further try"
    );
}

#[tokio::test]
async fn approver_recovers_between_tries() {
    let server = Server::start(|n, r| match n {
        1 => http("503 Service Unavailable", ""),
        2 => Reply::Reset(Vec::new()),
        _ => http("200 OK", sound(r)),
    })
    .await;
    let evaluation = evaluate(
        &[server.url()],
        json!({"retry_times": 2, "sleep_seconds": 1}),
    )
    .await;
    assert_eq!(evaluation.verdict, Verdict::Approve);
    assert!(
        evaluation.elapsed >= Duration::from_secs(2),
        "a fixed pause before each further try"
    );
    let first = &server.received()[0];
    let last = server.received().pop().unwrap();
    let exp = |received: &Received| received.claims["exp"].as_u64().unwrap();
    assert!(exp(&last) > exp(first), "a new token for each try");
}

#[tokio::test]
async fn the_mode_and_each_failed_try_are_logged() {
    let server = Server::start(|_, _| http("200 OK", "")).await;
    let evaluation = evaluate(&[server.url()], json!({"retry_times": 1})).await;
    let lines: Vec<_> = evaluation
        .logs
        .iter()
        .map(|line| (line.level, line.message.as_str()))
        .collect();
    let failed = (Level::Warn, "callback try failed");
    let mode = (
        Level::Info,
        "compatible mode: the answer binds the request id only",
    );
    assert_eq!(lines, [mode, failed, failed]);
}
