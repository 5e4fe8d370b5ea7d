//! The receiver against scripted servers, through a mock host.

use countersign_sdk::testing::{self, MockHost};
use countersign_sdk::{
    End, HttpError, Intent, NewKey, Operation, Participant, Rejection, Response, Signature, Stage,
    Success, Task, What, operation, scheme,
};
use serde_json::{Value, json};

use super::*;

const NOW_S: u64 = MockHost::NOW / 1000;

fn config() -> Config {
    json::config(r#"{"url": "https://events.example/v2/event"}"#).unwrap()
}

fn host(reply: impl Fn() -> Result<Response, HttpError> + 'static) -> MockHost {
    MockHost::default()
        .with_key("event")
        .with_server(move |_, _| reply())
}

fn status(status: u16) -> Result<Response, HttpError> {
    Ok(Response {
        status,
        headers: Vec::new(),
        body: b"whatever".to_vec(),
    })
}

/// The document that the server received in a valid token.
fn told(task: Option<Task>, what: What) -> Value {
    let host = host(|| status(200));
    JwtEvents::deliver(&config(), &testing::event(task, what), &host).unwrap();
    let request = &host.requests()[0];
    let body = std::str::from_utf8(&request.body).unwrap();
    let claims = jwt::verify(&host, "event", body.strip_prefix("TSS_JWT_MSG=").unwrap()).unwrap();
    assert_eq!(claims.len(), 3);
    assert_eq!(
        (&claims["exp"], &claims["iss"]),
        (&json!(NOW_S + 120), &json!(""))
    );
    assert_eq!(
        request.headers,
        [(
            "content-type".into(),
            "application/x-www-form-urlencoded".into()
        )]
    );
    let document = STANDARD
        .decode(claims["package_data"].as_str().unwrap())
        .unwrap();
    assert!(document.is_ascii());
    json::strict(&document).unwrap()
}

#[test]
fn two_statuses_are_a_delivery_and_nothing_else_is() {
    let deliver = |reply: fn() -> Result<Response, HttpError>| {
        JwtEvents::deliver(&config(), &testing::event(None, What::Ping), &host(reply))
    };
    assert_eq!(deliver(|| status(200)), Ok(()));
    assert_eq!(deliver(|| status(201)), Ok(()));
    for reply in [
        || status(202),
        || status(302),
        || status(400),
        || status(500),
    ] {
        assert!(
            matches!(deliver(reply), Err(Failure::Unavailable(text)) if text.contains("HTTP status"))
        );
    }
    assert!(matches!(
        deliver(|| Err(HttpError::Timeout)),
        Err(Failure::Unavailable(_))
    ));
    assert!(matches!(
        deliver(|| Err(HttpError::Denied("x".into()))),
        Err(Failure::Misconfigured(_))
    ));
}

#[test]
fn one_call_is_one_try() {
    let host = host(|| Err(HttpError::Timeout));
    JwtEvents::deliver(&config(), &testing::event(None, What::Ping), &host).unwrap_err();
    assert_eq!(host.requests().len(), 1);
    assert_eq!(host.requests()[0].timeout_ms, Some(10_000));
}

#[test]
fn a_ping_on_the_wire() {
    assert_eq!(
        told(None, What::Ping),
        json!({"event_id": "3f0c5b1e-9d7a-4c1b-8a44-2f6f4f0c9d11", "event_type": "ping", "node_id": "csn1self",
               "created_timestamp": MockHost::NOW})
    );
}

#[test]
fn a_new_key_on_the_wire() {
    let participant = Participant {
        node: "csn1a".into(),
        share_id: "1".into(),
        share_public_key: vec![2; 33],
    };
    let key = NewKey {
        key: testing::key(),
        chain_code: vec![7; 32],
        created_at: MockHost::NOW,
        participants: vec![participant],
    };
    let told = told(
        Some(testing::keygen(2, &["csn1a", "csn1b", "csn1c"])),
        What::Succeeded(Success::Key(key)),
    );
    assert_eq!(told["event_type"], "request.keygen.succeeded");
    assert_eq!(
        told["data"],
        json!({
            "data_type": "KeyGen", "request_id": "task-1:1", "request_type": "KeyGen", "request_status": 190,
            "request_detail": {"threshold": 2, "node_ids": ["csn1a", "csn1b", "csn1c"], "curve": 0,
                               "task_id": "task-1", "biz_task_id": "task-1"},
            "extra_info": "", "failed_reason": "",
            "result": {
                "id": "key-1", "canonical_group_id": "key-1", "created_timestamp": MockHost::NOW, "type": 1,
                "root_extended_public_key": "xpub-1", "chaincode": format!("0x{}", "07".repeat(32)),
                "curve": "secp256k1", "threshold": 2,
                "participants": [{"node_id": "csn1a", "share_id": "1",
                                  "share_public_key": format!("0x{}", "02".repeat(33))}],
            },
        })
    );
}

#[test]
fn signatures_on_the_wire() {
    let signature = Signature {
        path: "m/44/60/0/0/0".into(),
        digest: vec![0xAB; 32],
        tweak: None,
        signature: vec![0xCD; 64],
        recovery_id: Some(1),
    };
    let what = What::Succeeded(Success::Signatures(vec![signature]));
    let told = told(Some(testing::signing(Intent::Opaque)), what);
    let hash = format!("0x{}", "ab".repeat(32));
    assert_eq!(told["event_type"], "request.keysign.succeeded");
    assert_eq!(
        told["data"]["request_detail"],
        json!({
            "group_id": "key-1", "root_pub_key": "xpub-1", "used_node_ids": ["csn1a", "csn1b"],
            "bip32_path_list": ["m/44/60/0/0/0"], "msg_hash_list": [hash], "tweak_list": [],
            "signature_type": 1, "tss_protocol": 0, "task_id": "task-1", "biz_task_id": "task-1",
        })
    );
    assert_eq!(
        told["data"]["result"],
        json!({
            "signatures": [{"bip32_path": "m/44/60/0/0/0", "msg_hash": hash, "tweak": "",
                            "signature": format!("0x{}", "cd".repeat(64)), "signature_recovery": "1"}],
            "signature_type": 1, "tss_protocol": 0,
        })
    );
}

#[test]
fn each_stage_and_end_has_its_number() {
    let data = |what| {
        let told = told(Some(testing::signing(Intent::Opaque)), what);
        (
            told["event_type"].clone(),
            told["data"]["request_status"].clone(),
            told["data"]["failed_reason"].clone(),
        )
    };
    let rejection = Rejection {
        code: "limit".into(),
        reason: "too much".into(),
    };
    for (what, kind, status, reason) in [
        (What::Created, "created", 110, ""),
        (What::Updated(Stage::Approving), "updated", 130, ""),
        (What::Updated(Stage::Waiting), "updated", 130, ""),
        (What::Updated(Stage::Processing), "updated", 140, ""),
        (
            What::Failed(End::Declined(rejection)),
            "failed",
            160,
            "limit: too much",
        ),
        (What::Failed(End::Failed("x".into())), "failed", 170, "x"),
        (What::Failed(End::Cancelled("y".into())), "failed", 180, "y"),
    ] {
        assert_eq!(
            data(what),
            (
                json!(format!("request.keysign.{kind}")),
                json!(status),
                json!(reason)
            )
        );
    }
}

#[test]
fn a_task_that_was_refused_unread_has_a_name_and_ids() {
    let task = testing::task(Operation::Other("keysign".into()));
    let rejection = Rejection {
        code: "key-unknown".into(),
        reason: "no share".into(),
    };
    let told = told(Some(task), What::Failed(End::Declined(rejection)));
    assert_eq!(told["event_type"], "request.keysign.failed");
    assert_eq!(
        told["data"]["request_detail"],
        json!({"task_id": "task-1", "biz_task_id": "task-1"})
    );
}

/// A receiver that is never told of a task would wait for it.
#[test]
fn a_task_of_a_kind_that_is_newer_than_this_component_has_a_name_and_ids() {
    let told = told(
        Some(testing::task(Operation::Other("melt".into()))),
        What::Created,
    );
    assert_eq!(told["event_type"], "request.melt.created");
    let data = &told["data"];
    assert_eq!(
        (&data["data_type"], &data["request_type"]),
        (&json!("melt"), &json!("melt"))
    );
    assert_eq!(
        data["request_detail"],
        json!({"task_id": "task-1", "biz_task_id": "task-1"})
    );
}

#[test]
fn every_kind_of_operation_has_events_whether_it_was_read_or_not() {
    for title in operation::ALL {
        let name = title.to_ascii_lowercase();
        let unread = testing::task(Operation::Other(name.clone()));
        let told = told(Some(unread), What::Created);
        assert_eq!(told["event_type"], format!("request.{name}.created"));
        assert_eq!(told["data"]["data_type"], title);
    }
}

fn signed_with(scheme: &str) -> Task {
    let mut task = testing::signing(Intent::Opaque);
    let Operation::Sign(signing) = &mut task.operation else {
        unreachable!("a KeySign")
    };
    signing.key.scheme = scheme.into();
    task
}

fn signatures() -> What {
    What::Succeeded(Success::Signatures(Vec::new()))
}

fn unsupported(task: Task, what: What) {
    let host = host(|| status(200));
    let failure = JwtEvents::deliver(&config(), &testing::event(Some(task), what), &host);
    assert!(
        matches!(failure, Err(Failure::Unsupported(_))),
        "{failure:?}"
    );
    assert!(host.requests().is_empty());
}

#[test]
fn every_scheme_has_its_number_and_an_unknown_one_has_none() {
    for scheme in scheme::ALL {
        let told = told(Some(signed_with(scheme)), signatures());
        let number = &told["data"]["result"]["signature_type"];
        assert!(number.as_u64() > Some(0), "{scheme}");
        assert_eq!(&told["data"]["request_detail"]["signature_type"], number);
    }
    unsupported(signed_with("of-tomorrow"), signatures());
    let unread = testing::task(Operation::Other("keysign".into()));
    let told = told(Some(unread), signatures());
    assert_eq!(told["data"]["result"]["signature_type"], 0);
}

#[test]
fn every_curve_has_its_numbers_and_an_unknown_one_has_none() {
    let made = |curve: &str| {
        let mut key = testing::key();
        key.curve = curve.into();
        What::Succeeded(Success::Key(NewKey {
            key,
            chain_code: Vec::new(),
            created_at: MockHost::NOW,
            participants: Vec::new(),
        }))
    };
    let ordered = |curve: &str| {
        let mut task = testing::keygen(2, &["csn1a", "csn1b"]);
        let Operation::Keygen(keygen) = &mut task.operation else {
            unreachable!("a KeyGen")
        };
        keygen.curve = curve.into();
        task
    };
    for curve in scheme::CURVES {
        let told = told(Some(ordered(curve)), made(curve));
        assert!(told["data"]["request_detail"]["curve"].is_u64(), "{curve}");
        assert!(told["data"]["result"]["type"].as_u64() > Some(0), "{curve}");
    }
    unsupported(ordered("of-tomorrow"), What::Created);
    unsupported(ordered("ed25519"), made("of-tomorrow"));
}

#[test]
fn check_finds_mistakes() {
    let host = host(|| status(200));
    assert_eq!(JwtEvents::check(&config(), &host), Ok(()));
    for document in [
        r#"{"url": ""}"#,
        r#"{"url": "https://a", "token_expire_minutes": 0}"#,
        r#"{"url": "https://a", "request_timeout": 0}"#,
        r#"{"url": "https://a", "signing_key": "absent"}"#,
    ] {
        let config = json::config(document).unwrap();
        assert!(
            matches!(
                JwtEvents::check(&config, &host),
                Err(Failure::Misconfigured(_))
            ),
            "{document}"
        );
    }
}
