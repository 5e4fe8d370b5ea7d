//! The webhook against scripted servers, through a mock host with genuine HMACs.

use countersign_sdk::testing::{self, MockHost};
use countersign_sdk::{
    Call, Grant, Intent, Operation, Origin, Resharing, Response, Statement, TypedData, json,
};
use serde_json::{Value, json};

use super::*;

const NOW_S: u64 = MockHost::NOW / 1000;

fn config() -> Config {
    json::config(r#"{"url": "https://approve.example/hook", "secret": "hook"}"#).unwrap()
}

type Reply = Result<Response, HttpError>;

fn host(reply: impl Fn(&MockHost, Value) -> Reply + 'static) -> MockHost {
    let server = move |host: &MockHost, post: &Request| reply(host, opened(host, post));
    MockHost::default()
        .with_secret("hook", *b"0123456789abcdef0123456789abcdef")
        .with_secret("answers", *b"another secret of the same server")
        .with_secret("stranger", *b"a secret that is somebody else's.")
        .with_server(server)
}

/// The document that the plugin sent, after its signature was checked as a server would.
fn opened(host: &MockHost, post: &Request) -> Value {
    let header = &post
        .headers
        .iter()
        .find(|(name, _)| name == "countersign-signature")
        .unwrap()
        .1;
    let (time, code) = header
        .strip_prefix("t=")
        .unwrap()
        .split_once(",v1=")
        .unwrap();
    let signed = [time.as_bytes(), b".", &post.body].concat();
    assert!(
        host.verify("hook", "HS256", &signed, &hex::decode(code).unwrap())
            .unwrap()
    );
    assert_eq!(time.parse::<u64>().unwrap(), host.now() / 1000);
    assert!(post.body.is_ascii());
    json::strict(&post.body).unwrap()
}

fn header(host: &MockHost, secret: &str, time: u64, body: &str) -> String {
    let code = host
        .sign(secret, "HS256", format!("{time}.{body}").as_bytes())
        .unwrap();
    format!("t={time},v1={}", hex::encode(code))
}

fn response(body: impl Into<String>, header: impl Into<String>) -> Reply {
    Ok(Response {
        status: 200,
        headers: vec![("Countersign-Signature".into(), header.into())],
        body: body.into().into_bytes(),
    })
}

fn signed(host: &MockHost, body: Value) -> Reply {
    let body = body.to_string();
    let header = header(host, "hook", host.now() / 1000, &body);
    response(body, header)
}

fn answer(request: &Value, action: &str) -> Value {
    json!({"request_id": request["request_id"], "nonce": request["nonce"], "action": action, "reason": "because"})
}

fn transfer() -> Task {
    testing::transfer("eip155:1", "0xabc", "1")
}

fn evaluate(host: &MockHost) -> Result<Verdict, Failure> {
    Webhook::evaluate(&config(), &transfer(), host)
}

/// The answer is not believed, for a reason that names `why`: three tries, two
/// pauses, and no approval.
fn assert_disbelieved(why: &str, reply: impl Fn(&MockHost, Value) -> Reply + 'static) {
    let host = host(reply);
    let result = evaluate(&host);
    assert!(
        matches!(&result, Err(Failure::Unavailable(text)) if text.contains(why)),
        "{why}: {result:?}"
    );
    assert_eq!(
        (host.requests().len(), host.slept()),
        (3, Duration::from_secs(30)),
        "{why}"
    );
}

#[test]
fn approve_approves_and_reject_rejects_at_once() {
    let approving = host(|host, request| signed(host, answer(&request, "approve")));
    assert_eq!(evaluate(&approving), Ok(Verdict::Approve));
    let rejecting = host(|host, request| signed(host, answer(&request, "reject")));
    let result = evaluate(&rejecting);
    assert!(
        matches!(&result, Ok(Verdict::Reject(r)) if r.code == "webhook-rejected" && r.reason == "because"),
        "{result:?}"
    );
    assert_eq!(
        (approving.requests().len(), rejecting.requests().len()),
        (1, 1)
    );
}

#[test]
fn the_signature_is_what_other_libraries_compute() {
    // openssl: printf '1800000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
    let value = signature::sign(&host(|_, _| Err(HttpError::Timeout)), "hook", b"{}").unwrap();
    assert_eq!(
        value,
        "t=1800000000,v1=a8471f58daa469f8073cbebd823830f85e8942f4bbc0acd2ef47c28edc8c488e"
    );
}

#[test]
fn a_server_may_sign_with_another_secret() {
    let config: Config = json::config(
        r#"{"url": "https://approve.example/hook", "secret": "hook", "answer_secret": "answers"}"#,
    )
    .unwrap();
    let with = |secret: &'static str| {
        host(move |host, request| {
            let body = answer(&request, "approve").to_string();
            let header = header(host, secret, NOW_S, &body);
            response(body, header)
        })
    };
    assert_eq!(
        Webhook::evaluate(&config, &transfer(), &with("answers")),
        Ok(Verdict::Approve)
    );
    let first_only = Config {
        retry_times: 0,
        ..config
    };
    assert!(Webhook::evaluate(&first_only, &transfer(), &with("hook")).is_err());
}

#[test]
fn two_codes_serve_while_a_secret_is_replaced() {
    let host = host(|host, request| {
        let body = answer(&request, "approve").to_string();
        let header = header(host, "hook", NOW_S, &body);
        let (time, code) = header.split_once(',').unwrap();
        response(body, format!("{time},v1={},{code},v0=x", "00".repeat(32)))
    });
    assert_eq!(evaluate(&host), Ok(Verdict::Approve));
}

#[test]
fn an_answer_without_signature_is_refused() {
    assert_disbelieved("no header countersign-signature", |_, request| {
        let body = answer(&request, "approve").to_string().into_bytes();
        Ok(Response {
            status: 200,
            headers: Vec::new(),
            body,
        })
    });
}

#[test]
fn two_signature_headers_are_refused() {
    assert_disbelieved("twice", |host, request| {
        let mut response = signed(host, answer(&request, "approve"))?;
        response.headers.push(response.headers[0].clone());
        Ok(response)
    });
}

#[test]
fn another_secret_is_refused() {
    assert_disbelieved("not signed with the expected secret", |host, request| {
        let body = answer(&request, "approve").to_string();
        let header = header(host, "stranger", host.now() / 1000, &body);
        response(body, header)
    });
}

#[test]
fn a_changed_body_is_refused() {
    assert_disbelieved("not signed with the expected secret", |host, request| {
        let rejection = answer(&request, "reject").to_string();
        let header = header(host, "hook", host.now() / 1000, &rejection);
        response(answer(&request, "approve").to_string(), header)
    });
}

#[test]
fn a_changed_time_is_refused() {
    assert_disbelieved("not signed with the expected secret", |host, request| {
        let body = answer(&request, "approve").to_string();
        let old = header(host, "hook", NOW_S - 100, &body);
        let code = old.split_once(',').unwrap().1;
        response(body, format!("t={},{code}", host.now() / 1000))
    });
}

#[test]
fn a_cut_signature_is_refused() {
    assert_disbelieved("not signed with the expected secret", |host, request| {
        let body = answer(&request, "approve").to_string();
        let header = header(host, "hook", host.now() / 1000, &body);
        response(body, &header[..header.len() - 2])
    });
    assert_disbelieved("not signed with the expected secret", |host, request| {
        response(
            answer(&request, "approve").to_string(),
            format!("t={},v1=", host.now() / 1000),
        )
    });
}

#[test]
fn malformed_signature_headers_are_refused() {
    for (header, why) in [
        ("", "not a list of name=value"),
        ("v1=00", "no t"),
        ("t=1", "no v1"),
        ("t=1,v0=00", "no v1"),
        ("t=1,t=2,v1=00", "two times"),
        ("t=1,v1=zz", "v1 is not hex"),
        ("t=1,v1=0,v1=0", "v1 is not hex"),
        ("t=1,v1=00,v1=00,v1=00,v1=00,v1=00", "more than four codes"),
    ] {
        assert_disbelieved(why, move |_, request| {
            response(answer(&request, "approve").to_string(), header)
        });
    }
}

#[test]
fn a_time_that_is_not_a_number_is_refused_even_if_signed() {
    for time in [
        "+1800000000",
        "1800000000.0",
        "",
        "-1",
        "99999999999999999999",
    ] {
        assert_disbelieved("t is not a number", move |host, request| {
            let body = answer(&request, "approve").to_string();
            let code = host
                .sign("hook", "HS256", format!("{time}.{body}").as_bytes())
                .unwrap();
            response(body, format!("t={time},v1={}", hex::encode(code)))
        });
    }
}

#[test]
fn an_old_or_future_answer_is_refused() {
    for by in [-61, 61] {
        assert_disbelieved("61 seconds away", move |host, request| {
            let body = answer(&request, "approve").to_string();
            let header = header(
                host,
                "hook",
                (host.now() / 1000).saturating_add_signed(by),
                &body,
            );
            response(body, header)
        });
    }
}

#[test]
fn an_answer_may_be_a_minute_off() {
    for by in [-60, 60] {
        let host = host(move |host, request| {
            let body = answer(&request, "approve").to_string();
            let header = header(host, "hook", NOW_S.saturating_add_signed(by), &body);
            response(body, header)
        });
        assert_eq!(evaluate(&host), Ok(Verdict::Approve));
    }
}

#[test]
fn an_answer_to_another_request_is_refused() {
    assert_disbelieved("the answer is for the request", |host, request| {
        let mut answer = answer(&request, "approve");
        answer["request_id"] = "00".repeat(16).into();
        signed(host, answer)
    });
}

#[test]
fn an_answer_to_another_nonce_is_refused() {
    assert_disbelieved("for another nonce", |host, request| {
        let mut answer = answer(&request, "approve");
        answer["nonce"] = "00".repeat(32).into();
        signed(host, answer)
    });
}

#[test]
fn an_answer_to_an_earlier_try_is_refused() {
    let host = host(|host, request| match host.requests().len() {
        1 => Err(HttpError::Timeout),
        _ => {
            let first = opened_again(host);
            assert_ne!(first["nonce"], request["nonce"]);
            signed(host, answer(&first, "approve"))
        }
    });
    assert!(
        matches!(evaluate(&host), Err(Failure::Unavailable(text)) if text.contains("another nonce"))
    );
}

/// The first request, without a look at its time.
fn opened_again(host: &MockHost) -> Value {
    json::strict(&host.requests()[0].body).unwrap()
}

/// A task's id is the requester's choice: two orders under one id must be two questions.
#[test]
fn each_decision_has_an_id_and_each_try_a_nonce_that_nobody_chose() {
    let host = host(|_, _| Err(HttpError::Timeout));
    for _ in 0..2 {
        evaluate(&host).unwrap_err();
    }
    let asked: Vec<Value> = host
        .requests()
        .iter()
        .map(|post| json::strict(&post.body).unwrap())
        .collect();
    let distinct = |name: &str| {
        asked
            .iter()
            .map(|document| document[name].to_string())
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    assert_eq!(
        (asked.len(), distinct("request_id"), distinct("nonce")),
        (6, 2, 6)
    );
    assert!(!asked[0]["request_id"].as_str().unwrap().contains("task-1"));
}

#[test]
fn missing_members_are_refused() {
    for name in ["request_id", "nonce", "action"] {
        assert_disbelieved(&format!("missing field `{name}`"), move |host, request| {
            let mut answer = answer(&request, "approve");
            answer.as_object_mut().unwrap().remove(name);
            signed(host, answer)
        });
    }
}

#[test]
fn an_unknown_action_is_refused() {
    for action in ["APPROVE", "Approve", "approved", ""] {
        assert_disbelieved("unknown variant", move |host, request| {
            signed(host, answer(&request, action))
        });
    }
}

#[test]
fn an_unknown_member_is_refused() {
    assert_disbelieved("unknown field `dry_run`", |host, request| {
        let mut answer = answer(&request, "approve");
        answer["dry_run"] = true.into();
        signed(host, answer)
    });
}

#[test]
fn the_request_sent_back_is_not_an_answer() {
    assert_disbelieved("unknown field", signed);
}

#[test]
fn a_repeated_member_is_refused() {
    assert_disbelieved("the member `action` is repeated", |host, request| {
        let id = &request["request_id"];
        let nonce = &request["nonce"];
        let body = format!(
            r#"{{"request_id":{id},"nonce":{nonce},"action":"reject","action":"approve"}}"#
        );
        let header = header(host, "hook", host.now() / 1000, &body);
        response(body, header)
    });
}

#[test]
fn what_is_not_json_is_refused_even_if_signed() {
    for body in ["", "approve", "<html>", "[]"] {
        assert_disbelieved("the answer: ", move |host, _| {
            let header = header(host, "hook", host.now() / 1000, body);
            response(body, header)
        });
    }
}

#[test]
fn other_statuses_are_refused() {
    for status in [201, 202, 302, 400, 500] {
        assert_disbelieved(&format!("HTTP status {status}"), move |host, request| {
            Ok(Response {
                status,
                ..signed(host, answer(&request, "approve"))?
            })
        });
    }
}

#[test]
fn an_unreachable_server_is_tried_again() {
    assert_disbelieved("no answer in time", |_, _| Err(HttpError::Timeout));
    assert_disbelieved("cannot connect", |_, _| {
        Err(HttpError::Connect("refused".into()))
    });
    let host = host(|host, request| match host.requests().len() {
        1 | 2 => Err(HttpError::Timeout),
        _ => signed(host, answer(&request, "approve")),
    });
    assert_eq!(evaluate(&host), Ok(Verdict::Approve));
}

#[test]
fn a_url_without_grant_is_not_tried_again() {
    let host = host(|_, _| Err(HttpError::Denied("https://approve.example/hook".into())));
    assert!(matches!(evaluate(&host), Err(Failure::Misconfigured(_))));
    assert_eq!(host.requests().len(), 1);
}

#[test]
fn the_deadline_ends_the_tries() {
    let host = host(|_, _| Err(HttpError::Timeout));
    let task = Task {
        deadline: MockHost::NOW + 16_000,
        ..transfer()
    };
    assert!(matches!(
        Webhook::evaluate(&config(), &task, &host),
        Err(Failure::Unavailable(_))
    ));
    let timeouts: Vec<_> = host.requests().iter().map(|post| post.timeout_ms).collect();
    assert_eq!(timeouts, [Some(10_000), Some(1_000)]);
}

/// The document that the server received about `task`.
fn told(task: &Task) -> Value {
    let host = host(|host, request| signed(host, answer(&request, "approve")));
    assert_eq!(
        Webhook::evaluate(&config(), task, &host),
        Ok(Verdict::Approve)
    );
    opened(&host, &host.requests()[0])
}

#[test]
fn a_transfer_on_the_wire() {
    let mut task = transfer();
    let statement = |name: &str, value: &str, origin| Statement {
        name: name.into(),
        value: value.into(),
        origin,
    };
    task.extra = vec![
        statement("reference", "Büro 7", Origin::Claim),
        statement("blind-allowed", "no", Origin::Fact),
    ];
    let Operation::Sign(signing) = &mut task.operation else {
        unreachable!("a transfer")
    };
    let Intent::Transaction(tx) = &mut signing.intent else {
        unreachable!("a transfer")
    };
    tx.calls = vec![Call {
        contract: "0xA0b8".into(),
        selector: vec![0xa9, 0x05, 0x9c, 0xbb],
        method: None,
        amount: "0".into(),
        data: vec![0xa9, 0x05, 0x9c, 0xbb, 0],
    }];
    tx.grants = vec![Grant {
        spender: "0xspender".into(),
        asset: String::new(),
        amount: Some("5".into()),
    }];
    tx.unsigned = vec![2];
    let mut told = told(&task);
    assert_eq!(told["nonce"].take().as_str().unwrap().len(), 64);
    assert_eq!(told["request_id"].take().as_str().unwrap().len(), 32);
    assert_eq!(
        told,
        json!({
            "version": 1, "request_id": null, "nonce": null, "node": "csn1self",
            "requester": {"id": "requester-key", "name": "treasury"},
            "coordinator": {"id": "coordinator-key", "name": "main"},
            "received_at": MockHost::NOW, "deadline": MockHost::NOW + 120_000,
            "task": {"id": "task-1", "attempt": 1,
                     "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
            "operation": {
                "kind": "sign",
                "key": {"id": "key-1", "scheme": "ecdsa-secp256k1", "curve": "secp256k1", "root_public_key": "xpub-1",
                        "threshold": 2, "members": ["csn1a", "csn1b", "csn1c"]},
                "signers": ["csn1a", "csn1b"],
                "inputs": [{"path": "m/44/60/0/0/0", "public_key": "02".repeat(33), "digest": "ab".repeat(32),
                            "tweak": null}],
                "payload": "evm-transaction", "blind": false,
                "intent": {
                    "kind": "transaction", "chain": "eip155:1", "sources": ["0xsource"],
                    "destinations": [{"address": "0xabc", "asset": "", "amount": "1", "memo": null, "change": false}],
                    "calls": [{"contract": "0xA0b8", "selector": "a9059cbb", "method": null, "amount": "0",
                               "data": "a9059cbb00"}],
                    "grants": [{"spender": "0xspender", "asset": "", "amount": "5"}],
                    "fee": null, "unsigned": "02",
                },
            },
            "facts": {"blind-allowed": "no"}, "claims": {"reference": "Büro 7"},
        })
    );
}

#[test]
fn the_number_of_a_token_does_not_stand_where_amounts_do() {
    let either = "eip155:1/token:0xa0b8";
    let task = testing::transaction("eip155:1")
        .pays_asset(either, "0xbob", "7")
        .grants("0xeve", either, Some("0"))
        .grants("0xeve", either, None)
        .grants("0xeve", "eip155:1/erc20:0xdac", Some("5"))
        .task();
    let intent = told(&task)["operation"]["intent"].clone();
    assert_eq!(
        (&intent["destinations"], &intent["grants"]),
        (
            &json!([{"address": "0xbob", "asset": either, "amount": null, "number": "7", "memo": null, "change": false}]),
            &json!([
                {"spender": "0xeve", "asset": either, "amount": null, "number": "0"},
                {"spender": "0xeve", "asset": either, "amount": null},
                {"spender": "0xeve", "asset": "eip155:1/erc20:0xdac", "amount": "5"},
            ])
        )
    );
}

#[test]
fn other_tasks_on_the_wire() {
    let intent = |intent| told(&testing::signing(intent))["operation"]["intent"].clone();
    assert_eq!(intent(Intent::Opaque), json!({"kind": "opaque"}));
    assert_eq!(
        intent(Intent::Message(b"hi".to_vec())),
        json!({"kind": "message", "bytes": "6869"})
    );
    let data = TypedData {
        chain: Some("eip155:1".into()),
        verifying_contract: None,
        domain: None,
        primary_type: "Permit".into(),
        json: "{}".into(),
        grants: Vec::new(),
    };
    assert_eq!(intent(Intent::TypedData(data))["primary_type"], "Permit");
    assert_eq!(
        told(&testing::keygen(2, &["csn1a", "csn1b"]))["operation"],
        json!({"kind": "keygen", "scheme": "ecdsa-secp256k1", "curve": "secp256k1", "threshold": 2,
               "members": ["csn1a", "csn1b"]})
    );
    let resharing = Resharing {
        key: testing::key(),
        signers: vec!["csn1a".into()],
        new_threshold: 3,
        new_members: vec!["csn1d".into()],
    };
    let told = told(&testing::task(Operation::Reshare(resharing)));
    assert_eq!(
        (
            &told["operation"]["kind"],
            &told["operation"]["new_threshold"]
        ),
        (&json!("reshare"), &json!(3))
    );
}

#[test]
fn an_unknown_operation_is_not_sent() {
    let host = host(|host, request| signed(host, answer(&request, "approve")));
    let task = testing::task(Operation::Other("export".into()));
    assert!(matches!(
        Webhook::evaluate(&config(), &task, &host),
        Err(Failure::Unsupported(_))
    ));
    assert!(host.requests().is_empty());
}

#[test]
fn check_finds_mistakes() {
    let host = host(|_, _| Err(HttpError::Timeout));
    assert_eq!(Webhook::check(&config(), &host), Ok(()));
    for (document, sound) in [
        (
            r#"{"url": "http://127.0.0.1:8080/hook", "secret": "hook"}"#,
            true,
        ),
        (
            r#"{"url": "http://localhost/hook", "secret": "hook"}"#,
            true,
        ),
        (
            r#"{"url": "http://approve.example/hook", "secret": "hook"}"#,
            false,
        ),
        (
            r#"{"url": "http://localhost.evil.example/hook", "secret": "hook"}"#,
            false,
        ),
        (
            r#"{"url": "http://127.0.0.1@evil.example/hook", "secret": "hook"}"#,
            false,
        ),
        (r#"{"url": "https://a", "secret": "absent"}"#, false),
        (
            r#"{"url": "https://a", "secret": "hook", "answer_secret": "absent"}"#,
            false,
        ),
        (
            r#"{"url": "https://a", "secret": "hook", "request_timeout": 0}"#,
            false,
        ),
    ] {
        let result = Webhook::check(&json::config(document).unwrap(), &host);
        assert_eq!(result.is_ok(), sound, "{document}");
        assert!(
            sound || matches!(result, Err(Failure::Misconfigured(_))),
            "{document}"
        );
    }
}
