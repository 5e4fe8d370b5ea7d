//! Strict mode: an answer counts only if it repeats what it answers.

use super::*;

fn strict() -> Config {
    configured(
        r#"{"servers": [{"url": "https://cb.example/v2/check", "key": "cb"}], "strict": true, "retry_times": 0}"#,
    )
}

/// The sound answer in strict mode to a request, as a claim set.
fn bound(host: &MockHost, request: &Request, action: &str) -> Value {
    let (received, document) = opened(host, request);
    let package = STANDARD
        .decode(received["package_data"].as_str().unwrap())
        .unwrap();
    let mut claims = claims(json!({"request_id": document["request_id"], "action": action}));
    claims["nonce"] = received["nonce"].clone();
    claims["digest"] = json!(hex::encode(Sha256::digest(package)));
    claims["aud"] = received["iss"].clone();
    claims
}

#[test]
fn a_bound_answer_counts_in_strict_mode() {
    let task = testing::transfer("eip155:1", "0xabc", "1");
    for (audience, action, verdict) in [
        (json!("csn1self"), "APPROVE", true),
        (json!(["csn1self"]), "APPROVE", true),
        (json!("csn1self"), "REJECT", false),
    ] {
        let host = host(move |host, request| {
            let mut claims = bound(host, request, action);
            assert_eq!(claims["aud"], "csn1self", "the node names itself");
            claims["aud"] = audience.clone();
            ok(token(host, "cb", rs256(), claims))
        });
        let answer = JwtCallback::evaluate(&strict(), &task, &host);
        assert_eq!(answer == Ok(Verdict::Approve), verdict, "{answer:?}");
        assert!(verdict || matches!(answer, Ok(Verdict::Reject(_))));
    }
}

#[test]
fn an_unbound_answer_does_not_count_in_strict_mode() {
    for (name, value, words) in [
        ("nonce", Value::Null, "nonce"),
        ("nonce", json!("00"), "nonce"),
        ("digest", Value::Null, "digest"),
        ("digest", json!("ab".repeat(32)), "digest"),
        ("aud", Value::Null, "aud"),
        ("aud", json!("csn1other"), "aud"),
        ("aud", json!(["csn1self", "csn1other"]), "aud"),
    ] {
        let case = format!("{name}: {value}");
        let host = host(move |host, request| {
            let mut claims = bound(host, request, "APPROVE");
            claims[name] = value.clone();
            ok(token(host, "cb", rs256(), claims))
        });
        let failure = JwtCallback::evaluate(&strict(), &testing::keygen(2, &[]), &host);
        assert!(
            matches!(&failure, Err(Failure::Unavailable(text)) if text.contains("strict mode") && text.contains(words)),
            "{case}: {failure:?}"
        );
    }
}

#[test]
fn each_try_has_a_nonce_of_its_own() {
    let mut config = strict();
    config.retry_times = 2;
    let host = host(|_, _| Err(HttpError::Timeout));
    assert!(JwtCallback::evaluate(&config, &testing::keygen(2, &[]), &host).is_err());
    let nonces: std::collections::BTreeSet<_> = host
        .requests()
        .iter()
        .map(|request| opened(&host, request).0["nonce"].to_string())
        .collect();
    assert_eq!(nonces.len(), 3);
}

#[test]
fn the_number_of_a_token_does_not_stand_where_amounts_do() {
    let either = "eip155:1/token:0xa0b8";
    let task = testing::transaction("eip155:1")
        .pays_asset(either, "0xbob", "7")
        .calls("0xa0b8", &[0x23, 0xB8, 0x72, 0xDD])
        .grants("0xeve", either, Some("0"))
        .grants("0xeve", "eip155:1/erc20:0xdac", Some("5"))
        .task();
    let told =
        super::extra::extra("v1", true, &task)["countersign"]["intent"]["transaction"].clone();
    assert_eq!(
        (&told["destinations"], &told["grants"]),
        (
            &json!([{"address": "0xbob", "asset": either, "amount": null, "number": "7", "memo": null, "change": false}]),
            &json!([
                {"spender": "0xeve", "asset": either, "amount": null, "number": "0"},
                {"spender": "0xeve", "asset": "eip155:1/erc20:0xdac", "amount": "5"},
            ])
        )
    );
}
