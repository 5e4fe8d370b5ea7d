//! Components that use what they were granted for something else.

use countersign_host::Code;
use serde_json::{Value, json};

use crate::keeper::{deed_is_denied, deed_is_stopped, rogue};

async fn denied(deed: Value, code: &str, words: &str) {
    deed_is_denied(rogue(deed), code, words).await;
}

#[tokio::test]
async fn zoo_signs_bytes_that_are_not_a_token() {
    denied(json!({ "sign": "callback" }), "not-a-jwt", "JWTs").await;
}

#[tokio::test]
async fn zoo_signs_with_a_key_it_may_only_verify_with() {
    denied(json!({ "sign": "cb" }), "unknown-key", "").await;
}

#[tokio::test]
async fn zoo_signs_with_the_node_s_identity() {
    denied(json!({ "sign": "identity" }), "unknown-key", "").await;
}

#[tokio::test]
async fn zoo_verifies_with_a_key_it_may_only_sign_with() {
    denied(json!({ "verify": "callback" }), "unknown-key", "").await;
}

#[tokio::test]
async fn zoo_asks_another_host() {
    denied(
        json!({ "request": ["http://127.0.0.2:9/allowed/", "x"] }),
        "denied",
        "127.0.0.2",
    )
    .await;
}

#[tokio::test]
async fn zoo_asks_another_port() {
    denied(
        json!({ "request": ["http://127.0.0.1:10/allowed/", "x"] }),
        "denied",
        ":10",
    )
    .await;
}

#[tokio::test]
async fn zoo_asks_by_another_scheme() {
    denied(
        json!({ "request": ["https://127.0.0.1:9/allowed/", "x"] }),
        "denied",
        "https",
    )
    .await;
}

#[tokio::test]
async fn zoo_asks_another_path() {
    denied(
        json!({ "request": ["http://127.0.0.1:9/allowed-too", "x"] }),
        "denied",
        "allowed-too",
    )
    .await;
}

#[tokio::test]
async fn zoo_climbs_out_of_the_path() {
    denied(
        json!({ "request": ["http://127.0.0.1:9/allowed/../admin", "x"] }),
        "denied",
        "admin",
    )
    .await;
}

#[tokio::test]
async fn zoo_climbs_out_of_the_path_in_disguise() {
    denied(
        json!({ "request": ["http://127.0.0.1:9/allowed/..%2fadmin", "x"] }),
        "denied",
        "%2f",
    )
    .await;
}

#[tokio::test]
async fn zoo_hides_the_host_behind_a_user() {
    denied(
        json!({ "request": ["http://127.0.0.1:9@evil.example/allowed/", "x"] }),
        "denied",
        "evil",
    )
    .await;
}

#[tokio::test]
async fn zoo_asks_for_a_file() {
    denied(
        json!({ "request": ["file:///etc/passwd", "x"] }),
        "denied",
        "file",
    )
    .await;
}

#[tokio::test]
async fn zoo_sets_the_host_header() {
    denied(
        json!({ "request": ["http://127.0.0.1:9/allowed/", "Host"] }),
        "denied",
        "header",
    )
    .await;
}

#[tokio::test]
async fn zoo_sets_the_length_of_the_body() {
    denied(
        json!({ "request": ["http://127.0.0.1:9/allowed/", "content-length"] }),
        "denied",
        "header",
    )
    .await;
}

#[tokio::test]
async fn zoo_sends_to_an_invalid_url() {
    deed_is_stopped(
        json!({ "request": ["not a url", "x"] }),
        Code::Misconfigured,
        "malformed",
    )
    .await;
}

#[tokio::test]
async fn zoo_looks_for_environment_and_arguments() {
    denied(json!("environment"), "nothing-there", "").await;
}

#[tokio::test]
async fn zoo_remembers_more_than_its_quota() {
    denied(json!({ "remember": 2_000 }), "quota", "1000 bytes").await;
}

#[tokio::test]
async fn zoo_remembers_a_value_too_long() {
    denied(json!({ "remember": 70_000 }), "quota", "values").await;
}

#[tokio::test]
async fn zoo_signs_without_end() {
    let mut spec = rogue(json!({ "sign-for-ever": "callback" }));
    spec.grants.cpu_ms = 50;
    let plugin = crate::keeper::host()
        .load(&spec, crate::keeper::services())
        .await
        .unwrap();
    let evaluation = plugin
        .evaluate(&crate::keeper::task(), crate::keeper::soon())
        .await;
    // Signatures cost the guest time: it runs out of that before it runs out of signatures.
    crate::keeper::refused_by_host(&evaluation, Code::Cpu, "50 ms of CPU");
    crate::keeper::neighbour_approves().await;
}

#[tokio::test]
async fn zoo_says_that_it_is_misconfigured() {
    deed_is_stopped(
        json!({ "fail": "misconfigured" }),
        Code::Misconfigured,
        "misconfigured",
    )
    .await;
}

#[tokio::test]
async fn zoo_says_that_something_is_unavailable() {
    deed_is_stopped(
        json!({ "fail": "unavailable" }),
        Code::Unavailable,
        "unavailable",
    )
    .await;
}

#[tokio::test]
async fn zoo_says_that_the_task_is_unsupported() {
    deed_is_stopped(
        json!({ "fail": "unsupported" }),
        Code::Unsupported,
        "unsupported",
    )
    .await;
}

#[tokio::test]
async fn zoo_says_that_it_is_broken() {
    deed_is_stopped(json!({ "fail": "internal" }), Code::Internal, "internal").await;
}
