//! The response inside a genuine token: which request it answers, and what it says.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use serde_json::{Value, json};

use crate::forge::*;
use crate::world::*;

/// The approval with one member set.
fn with(received: &Received, name: &str, value: Value) -> String {
    let mut answer = approval(received);
    answer[name] = value;
    package(answer.to_string())
}

fn without(received: &Received, name: &str) -> String {
    let mut answer = approval(received);
    answer.as_object_mut().unwrap().remove(name);
    package(answer.to_string())
}

/// The approval with its first brace replaced by this text.
fn prefixed(received: &Received, text: &str) -> String {
    package(approval(received).to_string().replacen('{', text, 1))
}

#[tokio::test]
async fn approver_answers_another_request() {
    assert_disbelieved(
        |r| with(r, "request_id", json!("0".repeat(32) + ":1")),
        "is for the request",
    )
    .await;
}

#[tokio::test]
async fn approver_answers_another_attempt() {
    assert_disbelieved(
        |r| {
            with(
                r,
                "request_id",
                r.request["request_id"]
                    .as_str()
                    .unwrap()
                    .replace(":1", ":2")
                    .into(),
            )
        },
        "is for the request",
    )
    .await;
}

#[tokio::test]
async fn approver_answers_the_task_id() {
    assert_disbelieved(|r| with(r, "request_id", json!("task-1:1")), "task-1:1").await;
}

#[tokio::test]
async fn approver_answers_no_request() {
    assert_disbelieved(|r| without(r, "request_id"), "is for the request None").await;
}

#[tokio::test]
async fn approver_answers_a_null_request() {
    assert_disbelieved(
        |r| with(r, "request_id", Value::Null),
        "is for the request None",
    )
    .await;
}

#[tokio::test]
async fn approver_answers_a_list_of_requests() {
    assert_disbelieved(
        |r| with(r, "request_id", json!([r.request["request_id"]])),
        "invalid type: sequence",
    )
    .await;
}

#[tokio::test]
async fn approver_writes_the_request_id_in_capitals() {
    assert_disbelieved(
        |r| {
            with(
                r,
                "request_id",
                r.request["request_id"]
                    .as_str()
                    .unwrap()
                    .to_uppercase()
                    .into(),
            )
        },
        // Of 32 random hex digits at least one is a letter, but for one run in three million.
        "is for the request",
    )
    .await;
}

#[tokio::test]
async fn approver_adds_a_space_to_the_request_id() {
    assert_disbelieved(
        |r| {
            with(
                r,
                "request_id",
                format!("{} ", r.request["request_id"].as_str().unwrap()).into(),
            )
        },
        "is for the request",
    )
    .await;
}

#[tokio::test]
async fn approver_replays_the_approval_of_an_earlier_task() {
    let first = Server::start(|_, r| http("200 OK", sound(r))).await;
    let approved = evaluate(&[first.url()], json!({})).await;
    assert!(
        approved.verdict.refusal().is_none(),
        "{:?}",
        approved.verdict
    );
    let recorded = sound(&first.received()[0]);
    // The task is the same down to its id: a node that lost its register of spent tasks.
    assert_disbelieved(move |_| recorded.clone(), "is for the request").await;
}

#[tokio::test]
async fn approver_says_both() {
    assert_disbelieved(
        |r| prefixed(r, r#"{"action":"REJECT","#),
        "the member `action` is repeated",
    )
    .await;
}

#[tokio::test]
async fn approver_repeats_the_request_id() {
    assert_disbelieved(
        |r| prefixed(r, r#"{"request_id":"x","#),
        "the member `request_id` is repeated",
    )
    .await;
}

#[tokio::test]
async fn approver_repeats_a_member_behind_an_escape() {
    assert_disbelieved(
        |r| prefixed(r, r#"{"act\u0069on":"REJECT","#),
        "the member `action` is repeated",
    )
    .await;
}

#[tokio::test]
async fn approver_repeats_a_member_deep_inside() {
    assert_disbelieved(
        |r| prefixed(r, r#"{"x":[{"a":1,"a":2}],"#),
        "the member `a` is repeated",
    )
    .await;
}

#[tokio::test]
async fn approver_lists_actions() {
    assert_disbelieved(
        |r| with(r, "action", json!(["APPROVE", "REJECT"])),
        "invalid type: sequence",
    )
    .await;
}

#[tokio::test]
async fn approver_approves_in_lower_case() {
    assert_disbelieved(
        |r| with(r, "action", json!("approve")),
        r#"action Some("approve")"#,
    )
    .await;
}

#[tokio::test]
async fn approver_approves_in_the_past_tense() {
    assert_disbelieved(
        |r| with(r, "action", json!("APPROVED")),
        r#"action Some("APPROVED")"#,
    )
    .await;
}

#[tokio::test]
async fn approver_approves_with_a_trailing_space() {
    assert_disbelieved(
        |r| with(r, "action", json!("APPROVE ")),
        r#"action Some("APPROVE ")"#,
    )
    .await;
}

#[tokio::test]
async fn approver_approves_in_look_alike_letters() {
    assert_disbelieved(|r| with(r, "action", json!("\u{410}PPROVE")), "action Some").await;
}

#[tokio::test]
async fn approver_says_wait() {
    assert_disbelieved(
        |r| with(r, "action", json!("WAIT")),
        r#"action Some("WAIT")"#,
    )
    .await;
}

#[tokio::test]
async fn approver_says_nothing() {
    assert_disbelieved(|r| without(r, "action"), "action None").await;
}

#[tokio::test]
async fn approver_says_true() {
    assert_disbelieved(|r| with(r, "action", json!(true)), "invalid type: boolean").await;
}

#[tokio::test]
async fn approver_writes_the_name_of_the_action_in_capitals() {
    assert_disbelieved(
        |r| {
            let answer = approval(r).to_string().replace("\"action\"", "\"ACTION\"");
            package(answer)
        },
        "action None",
    )
    .await;
}

#[tokio::test]
async fn approver_approves_with_an_error_status() {
    assert_declined(|r| with(r, "status", json!(30)), "status 30").await;
}

#[tokio::test]
async fn approver_approves_with_a_negative_status() {
    assert_declined(|r| with(r, "status", json!(-1)), "status -1").await;
}

#[tokio::test]
async fn approver_writes_the_status_as_text() {
    assert_disbelieved(|r| with(r, "status", json!("0")), "invalid type: string").await;
}

#[tokio::test]
async fn approver_writes_the_status_as_a_fraction() {
    assert_disbelieved(
        |r| with(r, "status", json!(0.5)),
        "invalid type: floating point",
    )
    .await;
}

#[tokio::test]
async fn approver_writes_the_status_as_false() {
    assert_disbelieved(|r| with(r, "status", json!(false)), "invalid type: boolean").await;
}

#[tokio::test]
async fn approver_overflows_the_status() {
    assert_disbelieved(|r| prefixed(r, r#"{"x":1e999,"#), "number out of range").await;
}

#[tokio::test]
async fn approver_writes_the_error_as_an_object() {
    assert_disbelieved(|r| with(r, "error", json!({})), "invalid type: map").await;
}

#[tokio::test]
async fn approver_sends_the_members_as_a_list() {
    assert_disbelieved(
        |r| package(json!([0, r.request["request_id"], "APPROVE", ""]).to_string()),
        "invalid type: sequence",
    )
    .await;
}

#[tokio::test]
async fn approver_sends_a_list_of_responses() {
    assert_disbelieved(
        |r| package(json!([approval(r)]).to_string()),
        "invalid type: sequence",
    )
    .await;
}

#[tokio::test]
async fn approver_sends_the_response_as_text() {
    assert_disbelieved(
        |r| package(json!(approval(r).to_string()).to_string()),
        "invalid type: string",
    )
    .await;
}

#[tokio::test]
async fn approver_sends_a_null_response() {
    assert_disbelieved(|_| package("null"), "invalid type: null").await;
}

#[tokio::test]
async fn approver_sends_an_empty_package() {
    assert_disbelieved(|_| package(""), "EOF while parsing").await;
}

#[tokio::test]
async fn approver_sends_xml() {
    assert_disbelieved(|_| package("<action>APPROVE</action>"), "expected value").await;
}

#[tokio::test]
async fn approver_nests_too_deep() {
    assert_disbelieved(
        |r| {
            prefixed(
                r,
                &format!(r#"{{"x":{}{},"#, "[".repeat(10_000), "]".repeat(10_000)),
            )
        },
        "recursion limit",
    )
    .await;
}

#[tokio::test]
async fn approver_sends_a_byte_order_mark() {
    assert_disbelieved(
        |r| package(format!("\u{feff}{}", approval(r))),
        "expected value",
    )
    .await;
}

#[tokio::test]
async fn approver_sends_invalid_utf8() {
    assert_disbelieved(
        |r| {
            let mut bytes = approval(r).to_string().into_bytes();
            let quote = bytes.iter().rposition(|byte| *byte == b'"').unwrap();
            bytes.insert(quote, 0xFF);
            package(bytes)
        },
        "package_data:",
    )
    .await;
}

#[tokio::test]
async fn approver_sends_utf16() {
    assert_disbelieved(
        |r| {
            let text = approval(r).to_string();
            package(
                text.encode_utf16()
                    .flat_map(u16::to_le_bytes)
                    .collect::<Vec<_>>(),
            )
        },
        "package_data:",
    )
    .await;
}

#[tokio::test]
async fn approver_sends_a_second_document() {
    assert_disbelieved(
        |r| package(format!("{}{{}}", approval(r))),
        "trailing characters",
    )
    .await;
}

#[tokio::test]
async fn approver_writes_comments() {
    assert_disbelieved(|r| prefixed(r, "/* ok */{"), "expected value").await;
}

/// The package under another spelling of Base64.
async fn assert_not_base64(encode: impl Fn(&str) -> String + Send + Sync + 'static) {
    assert_disbelieved(
        move |r| {
            let mut claims = claims(r);
            // A length that needs padding, and bytes that need both characters in which the
            // alphabets differ.
            let mut text = approval(r)
                .to_string()
                .replace("\"error\":\"\"", "\"error\":\"ÿ?>~ÿ\"");
            while text.len() % 3 != 1 {
                text.push(' ');
            }
            claims["package_data"] = encode(&text).into();
            by_server(claims)
        },
        "not Base64",
    )
    .await;
}

#[tokio::test]
async fn approver_encodes_the_package_for_urls() {
    assert_not_base64(|text| {
        let encoded = URL_SAFE.encode(text);
        assert!(encoded.contains(['-', '_']));
        encoded
    })
    .await;
}

#[tokio::test]
async fn approver_leaves_out_the_padding() {
    assert_not_base64(|text| STANDARD_NO_PAD.encode(text)).await;
}

#[tokio::test]
async fn approver_breaks_the_package_into_lines() {
    assert_not_base64(|text| STANDARD.encode(text).replacen('e', "e\n", 1)).await;
}

#[tokio::test]
async fn approver_sends_the_package_unencoded() {
    assert_not_base64(str::to_owned).await;
}

#[tokio::test]
async fn approver_sends_the_package_in_hex() {
    assert_not_base64(|text| format!("0x{}", hex::encode(text))).await;
}
