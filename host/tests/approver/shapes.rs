//! Answers of known servers, each in its own dialect. All of them are believed.

use serde_json::{Value, json};

use crate::forge::*;
use crate::world::*;

fn id(received: &Received) -> Value {
    received.request["request_id"].clone()
}

#[tokio::test]
async fn the_v1_node_server_quotes_the_token_and_omits_what_is_absent() {
    assert_approved(|r| {
        let mut claims = claims_around(
            json!({"request_id": id(r), "action": "APPROVE", "status": 0}).to_string(),
        );
        claims["iat"] = now().into();
        format!("\"{}\"", by_server(claims))
    })
    .await;
}

#[tokio::test]
async fn the_v1_python_server_sends_null_for_everything_absent() {
    assert_approved(|r| {
        let answer = json!({"request_id": id(r), "action": "APPROVE", "status": 0, "error": null});
        let mut claims = claims_around(answer.to_string());
        for name in ["aud", "jti", "iat", "nbf", "sub"] {
            claims[name] = Value::Null;
        }
        by_server(claims)
    })
    .await;
}

#[tokio::test]
async fn the_v1_go_server_omits_a_status_of_zero() {
    assert_approved(|r| {
        format!(
            "\"{}\"\n",
            package(json!({"request_id": id(r), "action": "APPROVE"}).to_string())
        )
    })
    .await;
}

#[tokio::test]
async fn the_v1_rust_server_sends_empty_texts() {
    assert_approved(|r| {
        package(
            json!({"status": 0, "request_id": id(r), "action": "APPROVE", "error": ""}).to_string(),
        )
    })
    .await;
}

#[tokio::test]
async fn the_v2_python_server_answers_as_a_web_page() {
    let reply = |_, r: &Received| {
        let token =
            package(json!({"status": 0, "request_id": id(r), "action": "APPROVE"}).to_string());
        Reply::Bytes(response(
            "200 OK",
            "content-type: text/html; charset=utf-8\r\n",
            token,
        ))
    };
    let server = Server::start(reply).await;
    assert!(
        evaluate(&[server.url()], json!({}))
            .await
            .verdict
            .refusal()
            .is_none()
    );
}

#[tokio::test]
async fn the_v2_go_server_rejects_with_status_400() {
    let reply = |_, r: &Received| {
        let answer = json!({"action": "REJECT", "error": "over the limit", "request_id": id(r), "status": 10});
        Reply::Bytes(response(
            "400 Bad Request",
            "content-type: application/json\r\n",
            format!("\"{}\"", package(answer.to_string())),
        ))
    };
    let server = Server::start(reply).await;
    assert_rejected(
        &evaluate(&[server.url()], json!({})).await,
        "over the limit",
    );
}

#[tokio::test]
async fn the_v1_java_server_sends_a_bare_token_as_plain_text() {
    let reply = |_, r: &Received| {
        Reply::Bytes(response(
            "200 OK",
            "content-type: text/plain;charset=UTF-8\r\n",
            sound(r),
        ))
    };
    let server = Server::start(reply).await;
    assert!(
        evaluate(&[server.url()], json!({}))
            .await
            .verdict
            .refusal()
            .is_none()
    );
}

#[tokio::test]
async fn the_v2_java_server_rejects_with_an_error_status() {
    let reply = |_, r: &Received| {
        http(
            "200 OK",
            package(
                json!({"status": 10, "request_id": id(r), "action": "REJECT", "error": "verifier"})
                    .to_string(),
            ),
        )
    };
    let server = Server::start(reply).await;
    assert_rejected(&evaluate(&[server.url()], json!({})).await, "verifier");
}

#[tokio::test]
async fn a_chunked_answer_is_read() {
    let reply = |_, r: &Received| {
        let token = sound(r);
        let (a, b) = token.split_at(100);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        Reply::Bytes(format!("{head}64\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n", b.len()).into_bytes())
    };
    let server = Server::start(reply).await;
    assert!(
        evaluate(&[server.url()], json!({}))
            .await
            .verdict
            .refusal()
            .is_none()
    );
}

#[tokio::test]
async fn an_answer_after_interim_ones_is_read() {
    let reply = |_, r: &Received| {
        let interim =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".to_vec();
        Reply::Bytes([interim, response("200 OK", "", sound(r))].concat())
    };
    let server = Server::start(reply).await;
    assert!(
        evaluate(&[server.url()], json!({}))
            .await
            .verdict
            .refusal()
            .is_none()
    );
}

#[tokio::test]
async fn what_is_sent_is_what_every_server_can_read() {
    let server = Server::start(|_, r| http("200 OK", sound(r))).await;
    evaluate(&[server.url()], json!({})).await;
    let received = &server.received()[0];
    let names: Vec<_> = received
        .claims
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(names, ["exp", "iss", "package_data"]);
    assert_eq!(received.claims["iss"], "");
    let id = received.request["request_id"].as_str().unwrap();
    let (digits, attempt) = id.split_once(':').unwrap();
    assert_eq!((digits.len(), attempt), (32, "1"));
    assert!(
        digits
            .bytes()
            .all(|digit| digit.is_ascii_hexdigit() && !digit.is_ascii_uppercase())
    );
    let detail: Value =
        serde_json::from_str(received.request["request_detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail["task_id"], "task-1");
}
