//! The callback client against scripted servers, through a mock host.

mod extra;
mod strict;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign_sdk::testing::{self, MockHost};
use countersign_sdk::{HttpError, Request, Response, TypedData};
use countersign_sdk::{
    Input, Intent, KeyShareCheck, KeyShareSigning, Operation, Origin, Resharing, Statement, json,
    scheme,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;

/// The mock's first random number, and the attempt.
const ID: &str = "01010101010101010101010101010101:1";
const NOW_S: u64 = MockHost::NOW / 1000;

fn config() -> Config {
    json::config(r#"{"servers": [{"url": "https://cb.example/v2/check", "key": "cb"}]}"#).unwrap()
}

fn host(server: impl Fn(&MockHost, &Request) -> Result<Response, HttpError> + 'static) -> MockHost {
    MockHost::default()
        .with_key("callback")
        .with_key("cb")
        .with_key("stranger")
        .with_server(server)
}

fn ok(body: impl Into<Vec<u8>>) -> Result<Response, HttpError> {
    Ok(Response {
        status: 200,
        headers: Vec::new(),
        body: body.into(),
    })
}

/// A token as servers make it.
fn token(host: &MockHost, key: &str, header: Value, claims: Value) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = host.sign(key, "RS256", signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn rs256() -> Value {
    json!({"alg": "RS256", "typ": "JWT"})
}

fn claims(answer: Value) -> Value {
    json!({"package_data": STANDARD.encode(answer.to_string()), "exp": NOW_S + 120, "iss": "TEST-001"})
}

fn answer(action: &str) -> Value {
    json!({"status": 0, "request_id": ID, "action": action, "error": ""})
}

fn good(host: &MockHost, answer: Value) -> String {
    token(host, "cb", rs256(), claims(answer))
}

fn evaluate(host: &MockHost) -> Result<Verdict, Failure> {
    JwtCallback::evaluate(
        &config(),
        &testing::transfer("eip155:1", "0xabc", "1"),
        host,
    )
}

/// The sound answer to a request.
fn good_for(host: &MockHost, request: &Request, action: &str) -> String {
    let (_, document) = opened(host, request);
    good(
        host,
        json!({"request_id": document["request_id"], "action": action}),
    )
}

/// The answer is not believed: three tries, two pauses, and no approval.
fn assert_disbelieved(
    what: &str,
    server: impl Fn(&MockHost) -> Result<Response, HttpError> + 'static,
) {
    let host = host(move |host, _| server(host));
    let result = evaluate(&host);
    assert!(
        matches!(result, Err(Failure::Unavailable(_))),
        "{what}: {result:?}"
    );
    assert_eq!(host.requests().len(), 3, "{what}");
    assert_eq!(host.slept(), Duration::from_secs(30), "{what}");
}

#[test]
fn approve_approves_and_reject_rejects_at_once() {
    let approving = host(|host, _| ok(good(host, answer("APPROVE"))));
    assert_eq!(evaluate(&approving), Ok(Verdict::Approve));
    assert_eq!(approving.requests().len(), 1);

    let rejecting = host(|host, _| {
        ok(good(
            host,
            json!({"request_id": ID, "action": "REJECT", "error": "too much"}),
        ))
    });
    let verdict = evaluate(&rejecting);
    assert!(
        matches!(&verdict, Ok(Verdict::Reject(r)) if r.code == "callback-rejected" && r.reason.contains("too much")),
        "{verdict:?}"
    );
    assert_eq!(rejecting.requests().len(), 1);
}

#[test]
fn what_servers_in_the_field_vary_is_tolerated() {
    let quoted = host(|host, _| ok(format!("\"{}\"\n", good(host, answer("APPROVE")))));
    assert_eq!(evaluate(&quoted), Ok(Verdict::Approve));

    let sparse = host(|host, _| {
        ok(good(
            host,
            json!({"request_id": ID, "action": "APPROVE", "error": null}),
        ))
    });
    assert_eq!(evaluate(&sparse), Ok(Verdict::Approve));

    let nulls = host(|host, _| {
        let mut claims = claims(json!({"status": null, "request_id": ID, "action": "APPROVE"}));
        for name in ["aud", "jti", "iat", "nbf", "sub", "iss"] {
            claims[name] = Value::Null;
        }
        ok(token(host, "cb", rs256(), claims))
    });
    assert_eq!(evaluate(&nulls), Ok(Verdict::Approve));

    let status_400 = host(|host, _| {
        let answer = json!({"status": 10, "request_id": ID, "action": "REJECT", "error": "no"});
        Ok(Response {
            status: 400,
            headers: Vec::new(),
            body: good(host, answer).into(),
        })
    });
    assert!(matches!(evaluate(&status_400), Ok(Verdict::Reject(_))));
    assert_eq!(status_400.requests().len(), 1);
}

/// As a server in the field that reports objections of its rules as an error.
#[test]
fn an_answer_with_an_error_status_is_a_no_at_once() {
    for (http, answer) in [
        (
            400,
            json!({"status": 30, "request_id": ID, "error": "not on the list"}),
        ),
        (
            200,
            json!({"status": 10, "request_id": ID, "action": null, "error": "not on the list"}),
        ),
        (
            200,
            json!({"status": 30, "request_id": ID, "action": "APPROVE", "error": "not on the list"}),
        ),
    ] {
        let case = answer.to_string();
        let host = host(move |host, _| {
            Ok(Response {
                status: http,
                headers: Vec::new(),
                body: good(host, answer.clone()).into(),
            })
        });
        let verdict = evaluate(&host);
        assert!(
            matches!(&verdict, Ok(Verdict::Reject(r)) if r.reason.contains("not on the list")),
            "{case}: {verdict:?}"
        );
        assert_eq!(host.requests().len(), 1, "{case}");
    }
}

#[test]
fn what_is_not_a_sound_answer_is_not_believed() {
    assert_disbelieved("alg none", |host| {
        ok(token(
            host,
            "cb",
            json!({"alg": "none", "typ": "JWT"}),
            claims(answer("APPROVE")),
        ))
    });
    assert_disbelieved("no signature", |host| {
        let token = good(host, answer("APPROVE"));
        ok(format!("{}.", token.rsplit_once('.').unwrap().0))
    });
    assert_disbelieved("another key", |host| {
        ok(token(host, "stranger", rs256(), claims(answer("APPROVE"))))
    });
    assert_disbelieved("the node's own key", |host| {
        ok(token(host, "callback", rs256(), claims(answer("APPROVE"))))
    });
    assert_disbelieved("another request", |host| {
        ok(good(
            host,
            json!({"status": 0, "request_id": "01010101010101010101010101010101:2", "action": "APPROVE"}),
        ))
    });
    assert_disbelieved("no request id", |host| {
        ok(good(host, json!({"status": 0, "action": "APPROVE"})))
    });
    assert_disbelieved("unknown action", |host| ok(good(host, answer("approve"))));
    assert_disbelieved("no action", |host| {
        ok(good(host, json!({"request_id": ID})))
    });
    assert_disbelieved("an error for another request", |host| {
        ok(good(
            host,
            json!({"status": 30, "request_id": "0:1", "error": "no"}),
        ))
    });
    assert_disbelieved("expired", |host| {
        let mut claims = claims(answer("APPROVE"));
        claims["exp"] = json!(NOW_S - 1);
        ok(token(host, "cb", rs256(), claims))
    });
    assert_disbelieved("without expiry", |host| {
        let mut claims = claims(answer("APPROVE"));
        claims.as_object_mut().unwrap().remove("exp");
        ok(token(host, "cb", rs256(), claims))
    });
    assert_disbelieved("no package", |host| {
        ok(token(host, "cb", rs256(), json!({"exp": NOW_S + 60})))
    });
    assert_disbelieved("empty", |_| ok(""));
    assert_disbelieved("empty quotes", |_| ok("\"\""));
    assert_disbelieved("html", |_| ok("<html><body>It works!</body></html>"));
    assert_disbelieved("plain json", |_| ok(answer("APPROVE").to_string()));
    assert_disbelieved("status 500", |host| {
        Ok(Response {
            status: 500,
            headers: Vec::new(),
            body: good(host, answer("APPROVE")).into(),
        })
    });
    assert_disbelieved("timeout", |_| Err(HttpError::Timeout));
    assert_disbelieved("no connection", |_| {
        Err(HttpError::Connect("refused".into()))
    });
}

#[test]
fn a_later_try_may_succeed_with_a_new_token_and_the_same_request_id() {
    let host = host(|host, _| match host.requests().len() {
        1 | 2 => Err(HttpError::Timeout),
        _ => ok(good(host, answer("APPROVE"))),
    });
    assert_eq!(evaluate(&host), Ok(Verdict::Approve));
    let sent: Vec<_> = host
        .requests()
        .iter()
        .map(|request| opened(&host, request))
        .collect();
    assert_eq!(sent[0].0["exp"], NOW_S + 120);
    assert_eq!(sent[2].0["exp"], NOW_S + 150);
    assert!(sent.iter().all(|(_, request)| request["request_id"] == ID));
}

#[test]
fn the_deadline_ends_the_tries() {
    let host = host(|_, _| Err(HttpError::Timeout));
    let mut task = testing::transfer("eip155:1", "0xabc", "1");
    task.deadline = MockHost::NOW + 16_000;
    assert!(matches!(
        JwtCallback::evaluate(&config(), &task, &host),
        Err(Failure::Unavailable(_))
    ));
    assert_eq!(host.requests().len(), 2);
    assert_eq!(host.requests()[0].timeout_ms, Some(10_000));
    assert_eq!(host.requests()[1].timeout_ms, Some(900));
}

#[test]
fn every_server_must_approve() {
    let config: Config = json::config(
        r#"{"servers": [{"url": "https://a.example/v1/check", "key": "cb", "version": "v1"},
                        {"url": "https://b.example/v2/check", "key": "cb"}]}"#,
    )
    .unwrap();
    let host = host(|host, request| {
        let action = if request.url.contains("a.example") {
            "APPROVE"
        } else {
            "REJECT"
        };
        ok(good_for(host, request, action))
    });
    let verdict = JwtCallback::evaluate(&config, &testing::signing(Intent::Opaque), &host);
    assert!(matches!(verdict, Ok(Verdict::Reject(r)) if r.reason.contains("b.example")));
}

/// Claims and request that the plugin sent.
fn opened(host: &MockHost, request: &Request) -> (Value, Value) {
    let body = String::from_utf8(request.body.clone()).unwrap();
    let token = body.strip_prefix("TSS_JWT_MSG=").unwrap();
    assert!(token.is_ascii() && !token.contains(['&', '+', '/', '=']));
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(
        URL_SAFE_NO_PAD.decode(parts[0]).unwrap(),
        br#"{"alg":"RS256","typ":"JWT"}"#
    );
    let signed = format!("{}.{}", parts[0], parts[1]);
    let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
    assert!(
        host.verify("callback", "RS256", signed.as_bytes(), &signature)
            .unwrap()
    );
    let claims: Value = json::strict(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let package = STANDARD
        .decode(claims["package_data"].as_str().unwrap())
        .unwrap();
    assert!(package.is_ascii());
    (claims, json::strict(&package).unwrap())
}

/// The request for a task: its type, its detail, its extra information.
fn sent(task: Task) -> (Value, Value, Value) {
    let host = host(|host, _| ok(good(host, answer("APPROVE"))));
    assert_eq!(
        JwtCallback::evaluate(&config(), &task, &host),
        Ok(Verdict::Approve)
    );
    let (claims, request) = opened(&host, &host.requests()[0]);
    assert_eq!(claims.as_object().unwrap().len(), 3);
    assert_eq!(claims["iss"], "");
    assert_eq!(request.as_object().unwrap().len(), 4);
    let inner =
        |name: &str| json::strict::<Value>(request[name].as_str().unwrap().as_bytes()).unwrap();
    (
        request["request_type"].clone(),
        inner("request_detail"),
        inner("extra_info"),
    )
}

#[test]
fn keygen_on_the_wire() {
    let (kind, detail, extra) = sent(testing::keygen(2, &["csn1a", "csn1b"]));
    assert_eq!(kind, 1);
    assert_eq!(
        detail,
        json!({"threshold": 2, "node_ids": ["csn1a", "csn1b"], "curve": 0, "task_id": "task-1", "biz_task_id": "task-1"})
    );
    assert_eq!(
        extra,
        json!({"target_key_share_holder_group": {
            "key_share_holders": [
                {"type": "API", "tss_node_id": "csn1a"},
                {"type": "API", "tss_node_id": "csn1b"},
            ],
            "participants": 2,
            "threshold": 2,
        }})
    );
}

#[test]
fn keysign_on_the_wire() {
    let mut task = testing::signing(Intent::Opaque);
    let statement = |name: &str, value: &str| Statement {
        name: name.into(),
        value: value.into(),
        origin: Origin::Claim,
    };
    task.extra = vec![
        statement("reference", "tx-ß"),
        statement("extra-info", r#"{"note":"ü"}"#),
    ];
    let (kind, detail, extra) = sent(task);
    assert_eq!(kind, 2);
    assert_eq!(
        detail,
        json!({
            "group_id": "key-1", "root_pub_key": "xpub-1", "used_node_ids": ["csn1a", "csn1b"],
            "bip32_path_list": ["m/44/60/0/0/0"], "msg_hash_list": [format!("0x{}", "ab".repeat(32))],
            "tweak_list": [], "signature_type": 1, "tss_protocol": 0, "task_id": "task-1", "biz_task_id": "tx-ß",
        })
    );
    assert_eq!(extra["note"], "ü");
}

#[test]
fn tweaks_stay_parallel_to_the_hashes() {
    let mut task = testing::signing(Intent::Opaque);
    let Operation::Sign(signing) = &mut task.operation else {
        unreachable!("built as a signing task")
    };
    signing.key.scheme = "taproot".into();
    signing.inputs.push(Input {
        tweak: Some(vec![0xCD; 32]),
        ..signing.inputs[0].clone()
    });
    let (_, detail, _) = sent(task);
    assert_eq!(
        detail["tweak_list"],
        json!(["", format!("0x{}", "cd".repeat(32))])
    );
    assert_eq!(detail["signature_type"], 3);
}

#[test]
fn keyreshare_on_the_wire() {
    let task = testing::task(Operation::Reshare(Resharing {
        key: testing::key(),
        signers: vec!["csn1a".into(), "csn1b".into()],
        new_threshold: 3,
        new_members: vec!["csn1d".into(), "csn1e".into(), "csn1f".into()],
    }));
    let (kind, detail, _) = sent(task);
    assert_eq!(kind, 3);
    assert_eq!(
        detail,
        json!({
            "old_group_id": "key-1", "root_pub_key": "xpub-1", "curve": 0, "used_node_ids": ["csn1a", "csn1b"],
            "old_threshold": 2, "new_threshold": 3, "new_node_ids": ["csn1d", "csn1e", "csn1f"],
            "task_id": "task-1", "biz_task_id": "task-1",
        })
    );
}

#[test]
fn key_share_sign_on_the_wire() {
    let check = KeyShareCheck {
        key: testing::key(),
        message: "hello".into(),
    };
    let (kind, detail, _) = sent(testing::task(Operation::KeyShareSign(KeyShareSigning {
        checks: vec![check],
    })));
    assert_eq!(kind, 5);
    assert_eq!(
        detail,
        json!({
            "node_id": "csn1self", "details": [{"group_id": "key-1", "message": "hello"}],
            "task_id": "task-1", "biz_task_id": "task-1",
        })
    );
}

#[test]
fn an_unknown_operation_is_not_sent() {
    let host = host(|host, _| ok(good(host, answer("APPROVE"))));
    let task = testing::task(Operation::Other("export".into()));
    assert!(matches!(
        JwtCallback::evaluate(&config(), &task, &host),
        Err(Failure::Unsupported(_))
    ));
    assert!(host.requests().is_empty());
}

#[test]
fn every_scheme_and_curve_has_its_number_and_nothing_is_sent_about_an_unknown_one() {
    let signing = |scheme: &str| {
        let mut task = testing::signing(Intent::Opaque);
        let Operation::Sign(signing) = &mut task.operation else {
            unreachable!("a KeySign")
        };
        signing.key.scheme = scheme.into();
        task
    };
    let keygen = |curve: &str| {
        let mut task = testing::keygen(2, &["csn1a", "csn1b"]);
        let Operation::Keygen(keygen) = &mut task.operation else {
            unreachable!("a KeyGen")
        };
        keygen.curve = curve.into();
        task
    };
    for scheme in scheme::ALL {
        let (_, detail, _) = sent(signing(scheme));
        assert!(detail["signature_type"].as_u64() > Some(0), "{scheme}");
    }
    for curve in scheme::CURVES {
        let (_, detail, _) = sent(keygen(curve));
        assert!(detail["curve"].is_u64(), "{curve}");
    }
    for task in [signing("of-tomorrow"), keygen("of-tomorrow")] {
        let host = host(|host, _| ok(good(host, answer("APPROVE"))));
        assert!(matches!(
            JwtCallback::evaluate(&config(), &task, &host),
            Err(Failure::Unsupported(_))
        ));
        assert!(host.requests().is_empty());
    }
}

#[test]
fn check_finds_mistakes() {
    let host = host(|host, _| ok(good(host, answer("APPROVE"))));
    assert_eq!(JwtCallback::check(&config(), &host), Ok(()));
    for document in [
        r#"{"servers": []}"#,
        r#"{"servers": [{"url": "https://a", "key": "absent"}]}"#,
        r#"{"servers": [{"url": "https://a", "key": "cb"}], "signing_key": "absent"}"#,
        r#"{"servers": [{"url": "https://a", "key": "callback"}]}"#,
        r#"{"servers": [{"url": "https://a", "key": "cb"}], "request_timeout": 0}"#,
    ] {
        let config = json::config(document).unwrap();
        assert!(
            matches!(
                JwtCallback::check(&config, &host),
                Err(Failure::Misconfigured(_))
            ),
            "{document}"
        );
    }
    for (document, words) in [
        (
            r#"{"servers": [{"url": "ftp://a", "key": "cb"}]}"#,
            "https://",
        ),
        (
            r#"{"servers": [{"url": "https://u:p@a/", "key": "cb"}]}"#,
            "without user",
        ),
        (
            r#"{"servers": [{"url": "https:///x", "key": "cb"}]}"#,
            "host",
        ),
        (
            r#"{"servers": [{"url": "https://a/#x", "key": "cb"}]}"#,
            "fragment",
        ),
        (
            r#"{"servers": [{"url": "https://a b/", "key": "cb"}]}"#,
            "spaces",
        ),
        (
            r#"{"servers": [{"url": "https://A:443", "key": "cb"}, {"url": "https://a/", "key": "cb"}]}"#,
            "listed twice",
        ),
        (
            r#"{"servers": [{"url": "https://a", "key": "cb"}], "token_expire_minutes": 0}"#,
            "1 to 1440",
        ),
        (
            r#"{"servers": [{"url": "https://a", "key": "cb"}], "request_timeout": 61}"#,
            "1 to 60",
        ),
        (
            r#"{"servers": [{"url": "https://a", "key": "cb"}], "sleep_seconds": 86401}"#,
            "0 to 86400",
        ),
        (
            r#"{"servers": [{"url": "https://a", "key": "cb"}], "retry_times": 256}"#,
            "256 requests",
        ),
    ] {
        let found = JwtCallback::check(&json::config(document).unwrap(), &host);
        assert!(
            matches!(&found, Err(Failure::Misconfigured(text)) if text.contains(words)),
            "{document}: {found:?}"
        );
    }
    for document in [
        r#"{}"#,
        r#"{"servers": [{"url": "https://a", "key": "cb", "version": "v3"}]}"#,
    ] {
        assert!(json::config::<Config>(document).is_err(), "{document}");
    }
}

fn configured(document: &str) -> Config {
    json::config(document).unwrap()
}

fn two_servers() -> Config {
    configured(
        r#"{"servers": [{"url": "https://a.example/v1/check", "key": "cb", "version": "v1"},
                        {"url": "https://b.example/v2/check", "key": "cb"}]}"#,
    )
}

#[test]
fn only_servers_without_a_sound_answer_are_asked_again() {
    let host =
        host(
            |host, request| match (request.url.contains("a.example"), host.requests().len()) {
                (false, n) if n < 4 => Err(HttpError::Timeout),
                _ => ok(good_for(host, request, "APPROVE")),
            },
        );
    assert_eq!(
        JwtCallback::evaluate(&two_servers(), &testing::keygen(2, &[]), &host),
        Ok(Verdict::Approve)
    );
    let urls: Vec<_> = host
        .requests()
        .iter()
        .map(|request| request.url.contains("a.example"))
        .collect();
    assert_eq!(
        urls,
        [true, false, false, false],
        "both at once, then the silent one alone"
    );
}

#[test]
fn a_rejection_ends_it_although_another_server_is_silent() {
    let host = host(|host, request| {
        if request.url.contains("a.example") {
            Err(HttpError::Timeout)
        } else {
            ok(good_for(host, request, "REJECT"))
        }
    });
    let verdict = JwtCallback::evaluate(&two_servers(), &testing::keygen(2, &[]), &host);
    assert!(matches!(verdict, Ok(Verdict::Reject(r)) if r.reason.contains("b.example")));
    assert_eq!(host.requests().len(), 2);
    assert_eq!(host.slept(), Duration::ZERO);
}

/// Both servers sign with the key that the node pins for both.
#[test]
fn one_servers_approval_does_not_count_for_another_that_shares_its_key() {
    let overheard = std::cell::RefCell::new(String::new());
    let host = host(move |host, request| {
        if request.url.contains("a.example") {
            overheard.replace(good_for(host, request, "APPROVE"));
        }
        ok(overheard.borrow().clone())
    });
    let failure = JwtCallback::evaluate(&two_servers(), &testing::keygen(2, &[]), &host);
    let Err(Failure::Unavailable(text)) = failure else {
        panic!("{failure:?}")
    };
    assert!(
        text.contains("b.example") && !text.contains("a.example"),
        "{text}"
    );
    let ids: Vec<_> = host
        .requests()
        .iter()
        .map(|request| opened(&host, request).1["request_id"].clone())
        .collect();
    let second = ID.replace("01", "02");
    assert_eq!(ids, [ID, &second, &second, &second].map(Value::from));
}

/// An unanswered question must not count as an approval.
#[test]
fn an_answer_that_the_node_loses_is_not_an_approval() {
    for left in [0, 1] {
        let host = host(|host, request| ok(good_for(host, request, "APPROVE"))).with_answers(left);
        let failure = JwtCallback::evaluate(&two_servers(), &testing::keygen(2, &[]), &host);
        assert!(
            matches!(failure, Err(Failure::Internal(_))),
            "{left}: {failure:?}"
        );
        assert!(
            matches!(
                JwtCallback::probe(&two_servers(), &host),
                Err(Failure::Internal(_))
            ),
            "{left}"
        );
    }
}

#[test]
fn every_silent_server_is_named() {
    let host = host(|_, _| Err(HttpError::Timeout));
    let failure = JwtCallback::evaluate(&two_servers(), &testing::keygen(2, &[]), &host);
    let Err(Failure::Unavailable(text)) = failure else {
        panic!("{failure:?}")
    };
    assert!(
        text.contains("a.example") && text.contains("b.example") && text.contains("tries: 3"),
        "{text}"
    );
}

#[test]
fn no_retries_means_one_try() {
    let host = host(|_, _| Err(HttpError::Timeout));
    let config =
        configured(r#"{"servers": [{"url": "https://a", "key": "cb"}], "retry_times": 0}"#);
    assert!(JwtCallback::evaluate(&config, &testing::keygen(2, &[]), &host).is_err());
    assert_eq!((host.requests().len(), host.slept()), (1, Duration::ZERO));
}

#[test]
fn without_time_nobody_is_asked() {
    let host = host(|host, _| ok(good(host, answer("APPROVE"))));
    let mut task = testing::keygen(2, &[]);
    task.deadline = MockHost::NOW + 599;
    let failure = JwtCallback::evaluate(&config(), &task, &host);
    assert!(matches!(failure, Err(Failure::Unavailable(text)) if text.contains("no time")));
    assert!(host.requests().is_empty());
}

#[test]
fn the_mode_is_logged_once_per_decision() {
    let said = |document: &str| {
        let host = host(|_, _| Err(HttpError::Timeout));
        assert!(
            JwtCallback::evaluate(&configured(document), &testing::keygen(2, &[]), &host).is_err()
        );
        host.lines()
            .iter()
            .filter(|(_, line)| line.starts_with("compatible mode: "))
            .count()
    };
    assert_eq!(
        said(r#"{"servers": [{"url": "https://a", "key": "cb"}]}"#),
        1
    );
    assert_eq!(
        said(r#"{"servers": [{"url": "https://a", "key": "cb"}], "strict": true}"#),
        0
    );
}

#[test]
fn an_array_of_members_is_not_a_response() {
    assert_disbelieved("an array", |host| {
        ok(good(host, json!([0, ID, "APPROVE", ""])))
    });
}

#[test]
fn status_400_carries_rejections_only() {
    assert_disbelieved("approve with 400", |host| {
        Ok(Response {
            status: 400,
            headers: Vec::new(),
            body: good(host, answer("APPROVE")).into(),
        })
    });
}

#[test]
fn probe_pings_every_server_and_names_the_dead() {
    let host = host(|host, request| {
        let (_, ping) = opened(host, request);
        assert_eq!(
            ping,
            json!({"request_id": "", "request_type": 0, "request_detail": "", "extra_info": ""})
        );
        if request.url.contains("a.example") {
            // Some servers leave out whatever is empty or zero.
            ok(good(host, json!({})))
        } else {
            ok(good(host, json!({"status": 30})))
        }
    });
    let failure = JwtCallback::probe(&two_servers(), &host);
    let Err(Failure::Unavailable(text)) = failure else {
        panic!("{failure:?}")
    };
    assert!(
        text.contains("b.example") && text.contains("status 30") && !text.contains("a.example"),
        "{text}"
    );
    assert_eq!(host.requests().len(), 2);

    let well = MockHost::default().with_key("callback").with_key("cb");
    let well = well.with_server(|host, _| ok(good(host, json!({"status": 0, "request_id": ""}))));
    assert_eq!(JwtCallback::probe(&two_servers(), &well), Ok(()));
}
