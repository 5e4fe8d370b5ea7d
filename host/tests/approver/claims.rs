//! The token as a text, and when it is valid.

use serde_json::{Value, json};

use crate::forge::*;
use crate::world::*;

const MALFORMED: &str = "malformed token";

/// Claims with this `exp`, written as JSON text.
fn expiring(received: &Received, exp: &str) -> String {
    let mut claims = claims(received);
    claims["exp"] = "EXP".into();
    by_server(claims.to_string().replace("\"EXP\"", exp))
}

/// Claims with one member set.
fn with(received: &Received, name: &str, value: impl Into<Value>) -> String {
    let mut claims = claims(received);
    claims[name] = value.into();
    by_server(claims)
}

fn without(received: &Received, name: &str) -> String {
    let mut claims = claims(received);
    claims.as_object_mut().unwrap().remove(name);
    by_server(claims)
}

#[tokio::test]
async fn approver_lets_the_token_expire() {
    assert_disbelieved(
        |r| expiring(r, &(now() - 1).to_string()),
        "`exp` has passed",
    )
    .await;
}

#[tokio::test]
async fn approver_lets_the_token_expire_this_second() {
    assert_disbelieved(|r| expiring(r, &now().to_string()), "`exp` has passed").await;
}

#[tokio::test]
async fn approver_leaves_out_the_expiry() {
    assert_disbelieved(|r| without(r, "exp"), "`exp` is missing").await;
}

#[tokio::test]
async fn approver_sends_a_null_expiry() {
    assert_disbelieved(|r| expiring(r, "null"), "`exp` is not a number").await;
}

#[tokio::test]
async fn approver_writes_the_expiry_as_text() {
    assert_disbelieved(|r| expiring(r, "\"4000000000\""), "`exp` is not a number").await;
}

#[tokio::test]
async fn approver_writes_the_expiry_as_a_list() {
    assert_disbelieved(|r| expiring(r, "[4000000000]"), "`exp` is not a number").await;
}

#[tokio::test]
async fn approver_expires_before_1970() {
    assert_disbelieved(|r| expiring(r, "-4000000000"), "`exp` has passed").await;
}

#[tokio::test]
async fn approver_writes_no_number_as_expiry() {
    assert_disbelieved(|r| expiring(r, "NaN"), MALFORMED).await;
}

#[tokio::test]
async fn approver_writes_infinity_as_expiry() {
    assert_disbelieved(|r| expiring(r, "1e999"), MALFORMED).await;
}

#[tokio::test]
async fn approver_expires_after_the_end_of_dates() {
    assert_disbelieved(|r| expiring(r, "1e300"), "`exp` is not a date").await;
}

#[tokio::test]
async fn approver_expires_in_milliseconds() {
    assert_disbelieved(
        |r| expiring(r, &format!("{}000", now() + 120)),
        "`exp` is not a date",
    )
    .await;
}

#[tokio::test]
async fn approver_repeats_the_expiry() {
    assert_disbelieved(|r| expiring(r, "1,\"exp\":4000000000"), MALFORMED).await;
}

#[tokio::test]
async fn approver_is_not_valid_yet() {
    assert_disbelieved(|r| with(r, "nbf", now() + 120), "`nbf` lies in the future").await;
}

#[tokio::test]
async fn approver_writes_the_start_as_text() {
    assert_disbelieved(|r| with(r, "nbf", "0"), "`nbf` is not a number").await;
}

#[tokio::test]
async fn approver_leaves_out_the_package() {
    assert_disbelieved(|r| without(r, "package_data"), "no package_data").await;
}

#[tokio::test]
async fn approver_encloses_the_package_as_an_object() {
    assert_disbelieved(|r| with(r, "package_data", approval(r)), "no package_data").await;
}

#[tokio::test]
async fn approver_encloses_a_list_of_packages() {
    assert_disbelieved(
        |r| with(r, "package_data", json!([claims(r)["package_data"]])),
        "no package_data",
    )
    .await;
}

#[tokio::test]
async fn approver_repeats_the_package() {
    assert_disbelieved(
        |r| {
            let claims = claims(r).to_string();
            let package = &claims_around("{}")["package_data"];
            by_server(claims.replacen('{', &format!("{{\"package_data\":{package},"), 1))
        },
        MALFORMED,
    )
    .await;
}

#[tokio::test]
async fn approver_puts_the_response_into_the_claims_without_a_package() {
    assert_disbelieved(
        |r| {
            let mut claims = approval(r);
            claims["exp"] = (now() + 120).into();
            by_server(claims)
        },
        "no package_data",
    )
    .await;
}

#[tokio::test]
async fn approver_sends_claims_that_are_a_list() {
    assert_disbelieved(|r| by_server(json!([claims(r)])), MALFORMED).await;
}

#[tokio::test]
async fn approver_sends_claims_that_are_not_json() {
    assert_disbelieved(|_| by_server("APPROVE"), MALFORMED).await;
}

#[tokio::test]
async fn approver_sends_two_parts() {
    assert_disbelieved(
        |r| sound(r).rsplit_once('.').unwrap().0.to_owned(),
        "malformed token",
    )
    .await;
}

#[tokio::test]
async fn approver_sends_four_parts() {
    assert_disbelieved(|r| sound(r) + ".e30", MALFORMED).await;
}

#[tokio::test]
async fn approver_sends_an_encrypted_token_s_five_parts() {
    assert_disbelieved(|r| format!("{}.e30.e30", sound(r)), MALFORMED).await;
}

#[tokio::test]
async fn approver_pads_a_part() {
    assert_disbelieved(|r| sound(r) + "==", MALFORMED).await;
}

#[tokio::test]
async fn approver_leaves_stray_bits_in_a_part() {
    assert_disbelieved(
        |r| {
            // 256 bytes end in a character of which only two bits count.
            let mut token = sound(r);
            let last = token.pop().unwrap();
            token.push(char::from(last as u8 + 1));
            token
        },
        MALFORMED,
    )
    .await;
}

#[tokio::test]
async fn approver_breaks_the_token_by_a_space() {
    assert_disbelieved(
        |r| sound(r).replacen('.', ". ", 1),
        "not signed by the expected key",
    )
    .await;
}

#[tokio::test]
async fn approver_breaks_the_token_by_a_line() {
    assert_disbelieved(
        |r| sound(r).replacen('.', ".\r\n", 1),
        "not signed by the expected key",
    )
    .await;
}

#[tokio::test]
async fn approver_opens_quotes_and_does_not_close_them() {
    assert_disbelieved(|r| format!("\"{}", sound(r)), MALFORMED).await;
}

#[tokio::test]
async fn approver_quotes_twice() {
    assert_disbelieved(|r| format!("\"\"{}\"\"", sound(r)), MALFORMED).await;
}

#[tokio::test]
async fn approver_sends_two_tokens() {
    assert_disbelieved(
        |r| format!("{} {}", decided(r, "REJECT"), sound(r)),
        MALFORMED,
    )
    .await;
}

#[tokio::test]
async fn approver_wraps_the_token_in_an_object() {
    assert_disbelieved(|r| json!({"token": sound(r)}).to_string(), MALFORMED).await;
}

#[tokio::test]
async fn approver_sends_the_token_as_a_form() {
    assert_disbelieved(|r| format!("TSS_JWT_MSG={}", sound(r)), MALFORMED).await;
}

#[tokio::test]
async fn approver_sends_nothing() {
    assert_disbelieved(|_| "", "the answer is empty").await;
}

#[tokio::test]
async fn approver_sends_empty_quotes() {
    assert_disbelieved(|_| "\"\"", "the answer is empty").await;
}

#[tokio::test]
async fn approver_sends_a_web_page() {
    assert_disbelieved(|_| "<!doctype html><title>APPROVE</title>", MALFORMED).await;
}

#[tokio::test]
async fn approver_sends_the_bare_response() {
    assert_disbelieved(|r| approval(r).to_string(), MALFORMED).await;
}

#[tokio::test]
async fn approver_sends_bytes_that_are_not_text() {
    assert_disbelieved(|_| [0xFF, 0xFE, 0x00], "not text").await;
}
