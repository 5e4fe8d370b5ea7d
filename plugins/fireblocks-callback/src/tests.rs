//! The adapter against scripted handlers, through a mock host.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_sdk::testing::{self, MockHost};
use countersign_sdk::{
    Call, Destination, Grant, Intent, Operation, Origin, Resharing, Response, Statement, TypedData,
    json,
};
use serde_json::{Value, json};

use super::*;

const NOW_S: u64 = MockHost::NOW / 1000;

fn config() -> Config {
    json::config(
        r#"{"url": "https://handler.example/base/", "key": "handler", "retry_times": 3, "retry_seconds": 10,
            "assets": {"eip155:1": {"id": "ETH", "decimals": 18},
                       "eip155:1/erc20:0xA0b8": {"id": "USDC", "decimals": 6}}}"#,
    )
    .unwrap()
}

type Reply = Result<Response, HttpError>;

/// A host whose handler answers each request with the result of `reply` for its claims.
fn host(reply: impl Fn(&MockHost, Value) -> Reply + 'static) -> MockHost {
    let server = move |host: &MockHost, post: &Post| reply(host, claims(host, post));
    MockHost::default()
        .with_key("callback")
        .with_key("handler")
        .with_key("stranger")
        .with_server(server)
}

/// The claims that the plugin sent in a JWT under the node's key.
fn claims(host: &MockHost, post: &Post) -> Value {
    let token = std::str::from_utf8(&post.body).unwrap();
    jwt::verify_answer(host, "callback", token).unwrap().into()
}

fn ok(body: impl Into<Vec<u8>>) -> Reply {
    Ok(Response {
        status: 200,
        headers: Vec::new(),
        body: body.into(),
    })
}

fn token(host: &MockHost, key: &str, header: Value, claims: Value) -> String {
    let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = parts.join(".");
    let signature = host.sign(key, "RS256", signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn rs256() -> Value {
    json!({"alg": "RS256", "typ": "JWT"})
}

/// As handlers in the field answer: with `iat`, without `exp`.
fn answer(host: &MockHost, request: &Value, action: &str) -> String {
    let claims = json!({"action": action, "requestId": request["requestId"], "iat": NOW_S});
    token(host, "handler", rs256(), claims)
}

fn ask(task: &Task, host: &MockHost) -> Result<Verdict, Failure> {
    FireblocksCallback::evaluate(&config(), task, host)
}

fn transfer() -> Task {
    testing::transfer(
        "eip155:1",
        "0x5dC69B1Fbb13Bafd09af88a782F0F285772Ad5f8",
        "10000000000000000",
    )
}

/// The document that the handler received about `task`, and its path.
fn told(task: &Task) -> (String, Value) {
    let host = host(|host, request| ok(answer(host, &request, "APPROVE")));
    assert_eq!(ask(task, &host), Ok(Verdict::Approve));
    let post = &host.requests()[0];
    (post.url.clone(), claims(&host, post))
}

/// The answer is refused at once, for a reason that names `why`.
fn assert_unsound(why: &str, reply: impl Fn(&MockHost, Value) -> Reply + 'static) {
    let host = host(reply);
    let result = ask(&transfer(), &host);
    assert!(
        matches!(&result, Err(Failure::Unavailable(text)) if text.contains(why)),
        "{why}: {result:?}"
    );
    assert_eq!(host.requests().len(), 1, "{why}");
}

fn code(result: Result<Verdict, Failure>) -> String {
    match result {
        Ok(Verdict::Reject(rejection)) => rejection.code,
        other => panic!("not a rejection: {other:?}"),
    }
}

#[test]
fn only_approve_approves() {
    assert_eq!(
        ask(
            &transfer(),
            &host(|host, request| ok(answer(host, &request, "APPROVE")))
        ),
        Ok(Verdict::Approve)
    );
    let rejecting = host(|host, request| {
        let claims = json!({"action": "REJECT", "requestId": request["requestId"], "rejectionReason": "too much"});
        ok(token(host, "handler", rs256(), claims))
    });
    let result = ask(&transfer(), &rejecting);
    assert!(
        matches!(&result, Ok(Verdict::Reject(r)) if r.code == "callback-rejected" && r.reason == "too much"),
        "{result:?}"
    );
    let ignoring = host(|host, request| ok(answer(host, &request, "IGNORE")));
    assert_eq!(code(ask(&transfer(), &ignoring)), "callback-ignored");
}

#[test]
fn retry_asks_the_same_question_again() {
    let host = host(|host, request| {
        ok(answer(
            host,
            &request,
            if host.requests().len() < 3 {
                "RETRY"
            } else {
                "APPROVE"
            },
        ))
    });
    assert_eq!(ask(&transfer(), &host), Ok(Verdict::Approve));
    let sent: Vec<_> = host
        .requests()
        .iter()
        .map(|post| claims(&host, post))
        .collect();
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|request| *request == sent[0]));
    assert_eq!(host.slept(), Duration::from_secs(20));
}

#[test]
fn retry_ends_after_its_tries() {
    let host = host(|host, request| ok(answer(host, &request, "RETRY")));
    assert_eq!(code(ask(&transfer(), &host)), "callback-undecided");
    assert_eq!(host.requests().len(), 4);
}

#[test]
fn retry_ends_at_the_deadline() {
    let host = host(|host, request| ok(answer(host, &request, "RETRY")));
    let mut task = transfer();
    task.deadline = MockHost::NOW + 12_000;
    assert_eq!(code(ask(&task, &host)), "callback-undecided");
    let timeouts: Vec<_> = host.requests().iter().map(|post| post.timeout_ms).collect();
    assert_eq!(timeouts, [Some(12_000), Some(2_000)]);
}

#[test]
fn an_exchange_has_thirty_seconds() {
    let host = host(|host, request| ok(answer(host, &request, "APPROVE")));
    ask(&transfer(), &host).unwrap();
    assert_eq!(host.requests()[0].timeout_ms, Some(30_000));
}

#[test]
fn a_token_without_signature_is_refused() {
    assert_unsound("`alg` is not RS256", |host, request| {
        let claims = json!({"action": "APPROVE", "requestId": request["requestId"]});
        ok(token(host, "handler", json!({"alg": "none"}), claims))
    });
}

#[test]
fn a_stripped_signature_is_refused() {
    assert_unsound("not signed by the expected key", |host, request| {
        let token = answer(host, &request, "APPROVE");
        ok(format!("{}.", token.rsplit_once('.').unwrap().0))
    });
}

#[test]
fn another_key_is_refused() {
    for key in ["stranger", "callback"] {
        assert_unsound("not signed by the expected key", move |host, request| {
            let claims = json!({"action": "APPROVE", "requestId": request["requestId"]});
            ok(token(host, key, rs256(), claims))
        });
    }
}

#[test]
fn changed_claims_are_refused() {
    assert_unsound("not signed by the expected key", |host, request| {
        let rejected = answer(host, &request, "REJECT");
        let approved = answer(host, &request, "APPROVE");
        let claims = approved.split('.').nth(1).unwrap();
        let parts: Vec<_> = rejected.split('.').collect();
        ok([parts[0], claims, parts[2]].join("."))
    });
}

#[test]
fn another_algorithm_is_refused() {
    assert_unsound("`alg` is not RS256", |host, request| {
        let claims = json!({"action": "APPROVE", "requestId": request["requestId"]});
        ok(token(host, "handler", json!({"alg": "HS256"}), claims))
    });
}

#[test]
fn extensions_are_refused() {
    assert_unsound("`crit`", |host, request| {
        let claims = json!({"action": "APPROVE", "requestId": request["requestId"]});
        ok(token(
            host,
            "handler",
            json!({"alg": "RS256", "crit": ["x"]}),
            claims,
        ))
    });
}

#[test]
fn a_passed_expiry_is_refused() {
    assert_unsound("`exp` has passed", |host, request| {
        let claims = json!({"action": "APPROVE", "requestId": request["requestId"], "exp": NOW_S});
        ok(token(host, "handler", rs256(), claims))
    });
}

#[test]
fn an_answer_to_another_request_is_refused() {
    assert_unsound("the answer is for the request", |host, _| {
        ok(token(
            host,
            "handler",
            rs256(),
            json!({"action": "APPROVE", "requestId": "task-1"}),
        ))
    });
}

#[test]
fn an_answer_to_no_request_is_refused() {
    assert_unsound("the answer is for the request None", |host, _| {
        ok(token(
            host,
            "handler",
            rs256(),
            json!({"action": "APPROVE"}),
        ))
    });
}

#[test]
fn a_request_id_that_is_not_text_is_refused() {
    assert_unsound("the answer is for the request", |host, request| {
        let claims = json!({"action": "APPROVE", "requestId": [request["requestId"]]});
        ok(token(host, "handler", rs256(), claims))
    });
}

#[test]
fn an_unknown_action_is_refused() {
    for action in ["approve", "APPROVED", " APPROVE", ""] {
        assert_unsound("unknown action", move |host, request| {
            ok(answer(host, &request, action))
        });
    }
}

#[test]
fn a_missing_action_is_refused() {
    assert_unsound("unknown action None", |host, request| {
        ok(token(
            host,
            "handler",
            rs256(),
            json!({"requestId": request["requestId"]}),
        ))
    });
}

#[test]
fn a_repeated_member_is_refused() {
    assert_unsound("not a JSON object", |host, request| {
        let id = &request["requestId"];
        let claims = format!(r#"{{"action":"REJECT","requestId":{id},"action":"APPROVE"}}"#);
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(rs256().to_string()),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = host.sign("handler", "RS256", signed.as_bytes()).unwrap();
        ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    });
}

#[test]
fn other_statuses_are_refused() {
    for status in [201, 204, 302, 400, 401, 500] {
        assert_unsound(&format!("HTTP status {status}"), move |host, request| {
            Ok(Response {
                status,
                ..ok(answer(host, &request, "APPROVE")).unwrap()
            })
        });
    }
}

#[test]
fn bodies_that_are_not_a_token_are_refused() {
    assert_unsound("the answer is empty", |_, _| ok(" \n"));
    assert_unsound("the answer is not text", |_, _| ok([0xFF, 0xFE]));
    assert_unsound("malformed token", |_, _| ok("<html>ok</html>"));
    assert_unsound("malformed token", |_, request| {
        ok(json!({"action": "APPROVE", "requestId": request["requestId"]}).to_string())
    });
}

#[test]
fn an_unreachable_handler_is_not_asked_twice() {
    assert_unsound("no answer in time", |_, _| Err(HttpError::Timeout));
    assert_unsound("cannot connect", |_, _| {
        Err(HttpError::Connect("refused".into()))
    });
    assert_unsound("TLS failed", |_, _| {
        Err(HttpError::Tls("unknown issuer".into()))
    });
    assert_unsound("exceeds 1 bytes", |_, _| Err(HttpError::TooLarge(1)));
}

#[test]
fn an_answer_counts_for_one_decision() {
    let host = host(|host, request| ok(answer(host, &request, "APPROVE")));
    for _ in 0..2 {
        assert_eq!(ask(&transfer(), &host), Ok(Verdict::Approve));
    }
    let ids: Vec<_> = host
        .requests()
        .iter()
        .map(|post| claims(&host, post)["requestId"].clone())
        .collect();
    assert_ne!(ids[0], ids[1], "the same task, asked twice");
}

#[test]
fn a_requester_can_fill_extra_parameters_but_not_say_what_is_signed() {
    let mut task = transfer();
    let supplied = r#"{"message": "approve 7", "extraSignature": "c2ln", "contractCallData": "00", "psbt": "x", "chain": "y"}"#;
    let statement = Statement {
        name: "extra-parameters".into(),
        value: supplied.into(),
        origin: Origin::Claim,
    };
    task.extra = vec![statement];
    let extra = told(&task).1["extraParameters"].clone();
    assert_eq!(
        (&extra["message"], &extra["extraSignature"]),
        (&json!("approve 7"), &json!("c2ln"))
    );
    assert_eq!(extra["chain"], "eip155:1");
    assert!(
        extra.get("contractCallData").is_none() && extra.get("psbt").is_none(),
        "{extra}"
    );

    task.extra[0].value = "[]".into();
    let host = host(|host, request| ok(answer(host, &request, "APPROVE")));
    assert!(matches!(ask(&task, &host), Err(Failure::Unsupported(_))));
    assert!(host.requests().is_empty());
}

#[test]
fn a_psbt_is_shown_with_its_digests() {
    let mut task = testing::transaction("bip122:000000000019d6689c085ae165831e93")
        .pays("bc1q", "1")
        .task();
    task.raw =
        br#"{"operation": {"key-sign": {"payload": {"kind": "psbt", "bytes": "70736274ff"}}}}"#
            .to_vec();
    let extra = told(&task).1["extraParameters"].clone();
    assert_eq!(extra["psbt"], "cHNidP8=");
    assert_eq!(
        extra["rawMessageData"]["messages"],
        json!([{"content": "ab".repeat(32), "type": "RAW"}])
    );
}

#[test]
fn a_transfer_on_the_wire() {
    let mut task = transfer();
    let claim = |name: &str, value: &str| Statement {
        name: name.into(),
        value: value.into(),
        origin: Origin::Claim,
    };
    task.extra = vec![claim("reference", "order 7"), claim("note", "rent")];
    let Operation::Sign(signing) = &mut task.operation else {
        unreachable!("a transfer")
    };
    let Intent::Transaction(tx) = &mut signing.intent else {
        unreachable!("a transfer")
    };
    tx.fee = Some("597803762241000".into());
    tx.unsigned = vec![0x02, 0xEF];
    let (url, mut request) = told(&task);
    assert_eq!(url, "https://handler.example/base/v2/tx_sign_request");
    assert_eq!(request["requestId"].take().as_str().unwrap().len(), 32);
    assert_eq!(
        request,
        json!({
            "requestId": null, "txId": "task-1", "externalTxId": "order 7", "signerId": "csn1self",
            "operation": "TRANSFER", "sourceType": "VAULT", "sourceId": "key-1",
            "destType": "ONE_TIME_ADDRESS", "destId": "", "destAddressType": "ONE_TIME",
            "destAddress": "0x5dC69B1Fbb13Bafd09af88a782F0F285772Ad5f8",
            "asset": "ETH", "amountStr": "0.010000000000000000", "requestedAmountStr": "0.010000000000000000",
            "fee": "0.000597803762241000",
            "destinations": [{
                "amountNativeStr": "0.010000000000000000", "asset": "ETH", "dstType": "ONE_TIME_ADDRESS",
                "dstId": "", "dstAddressType": "ONE_TIME",
                "dstAddress": "0x5dC69B1Fbb13Bafd09af88a782F0F285772Ad5f8",
                "displayDstAddress": "0x5dC69B1Fbb13Bafd09af88a782F0F285772Ad5f8",
            }],
            "rawTx": [{"keyDerivationPath": "[ 44, 60, 0, 0, 0 ]", "rawTx": "02ef", "payload": "ab".repeat(32)}],
            "players": ["csn1a", "csn1b"], "note": "rent",
            "extraParameters": {
                "calls": [], "grants": [], "chain": "eip155:1", "scheme": "ecdsa-secp256k1",
                "rootPublicKey": "xpub-1", "blind": false, "claims": {"reference": "order 7", "note": "rent"},
            },
        })
    );
}

fn with_transaction(change: impl Fn(&mut countersign_sdk::Transaction)) -> Value {
    let mut task = transfer();
    let Operation::Sign(signing) = &mut task.operation else {
        unreachable!("a transfer")
    };
    let Intent::Transaction(tx) = &mut signing.intent else {
        unreachable!("a transfer")
    };
    change(tx);
    told(&task).1
}

fn call(method: &str) -> Call {
    Call {
        contract: "0xA0b8".into(),
        selector: vec![0xa9, 0x05, 0x9c, 0xbb],
        method: Some(method.into()),
        amount: "0".into(),
        data: vec![0xa9, 0x05, 0x9c, 0xbb],
    }
}

#[test]
fn a_token_transfer_is_a_transfer_of_the_token() {
    let request = with_transaction(|tx| {
        tx.calls = vec![call("transfer(address,uint256)")];
        tx.destinations[0].asset = "eip155:1/erc20:0xA0b8".into();
        tx.destinations[0].amount = "1500000".into();
    });
    assert_eq!(
        (&request["operation"], &request["asset"]),
        (&json!("TRANSFER"), &json!("USDC"))
    );
    assert_eq!(request["amountStr"], "1.500000");
}

#[test]
fn other_calls_and_approvals_are_not_transfers() {
    let called = with_transaction(|tx| {
        tx.calls = vec![call("mint()")];
        tx.destinations.clear();
    });
    assert_eq!(
        (&called["operation"], &called["destAddress"]),
        (&json!("CONTRACT_CALL"), &json!("0xA0b8"))
    );
    let granted = with_transaction(|tx| {
        tx.calls = vec![call("approve(address,uint256)")];
        tx.destinations.clear();
        let asset = "eip155:1/erc20:0xA0b8".into();
        tx.grants = vec![Grant {
            spender: "0xevil".into(),
            asset,
            amount: None,
        }];
    });
    assert_eq!(
        (&granted["operation"], &granted["destAddress"]),
        (&json!("APPROVE"), &json!("0xA0b8"))
    );
    assert_eq!(granted["extraParameters"]["grants"][0]["spender"], "0xevil");
}

#[test]
fn a_call_beside_which_the_account_is_handed_over_is_not_shown_as_all() {
    let request = with_transaction(|tx| {
        tx.calls = vec![call("mint()")];
        tx.destinations.clear();
        tx.grants = vec![Grant {
            spender: "0xevil".into(),
            asset: String::new(),
            amount: None,
        }];
    });
    for summary in ["destAddress", "asset", "amountStr", "requestedAmountStr"] {
        assert_eq!(request[summary], "", "{summary}");
    }
    assert_eq!(request["operation"], "APPROVE");
}

#[test]
fn several_recipients_are_not_shown_as_one() {
    let request = with_transaction(|tx| {
        let second = Destination {
            address: "0xsecond".into(),
            ..tx.destinations[0].clone()
        };
        tx.destinations.push(second);
    });
    assert_eq!(
        (&request["destAddress"], &request["amountStr"]),
        (&json!(""), &json!(""))
    );
    assert_eq!(request["destinations"].as_array().unwrap().len(), 2);
}

#[test]
fn change_is_the_vaults_own() {
    let request = with_transaction(|tx| {
        let change = Destination {
            address: "0xmine".into(),
            change: true,
            ..tx.destinations[0].clone()
        };
        tx.destinations.push(change);
    });
    assert_eq!(
        request["destAddress"],
        "0x5dC69B1Fbb13Bafd09af88a782F0F285772Ad5f8"
    );
    assert_eq!(request["destinations"][1]["dstType"], "VAULT");
}

#[test]
fn an_asset_without_a_name_is_shown_in_its_smallest_unit() {
    let (_, request) = told(&testing::transfer(
        "eip155:10",
        "0xabc",
        "10000000000000000",
    ));
    assert_eq!(
        (&request["asset"], &request["amountStr"]),
        (&json!("eip155:10"), &json!("10000000000000000"))
    );
}

#[test]
fn messages_and_digests_are_shown_as_such() {
    let kind = |intent| {
        let (_, request) = told(&testing::signing(intent));
        (
            request["operation"].clone(),
            request["extraParameters"]["rawMessageData"]["messages"].clone(),
        )
    };
    assert_eq!(
        kind(Intent::Opaque),
        (
            json!("RAW"),
            json!([{"content": "ab".repeat(32), "type": "RAW"}])
        )
    );
    let (operation, messages) = kind(Intent::Message(b"hi".to_vec()));
    assert_eq!(
        (operation, &messages[0]["content"]),
        (json!("TYPED_MESSAGE"), &json!("6869"))
    );
    let (operation, messages) = kind(Intent::TypedData(TypedData {
        chain: None,
        verifying_contract: None,
        domain: None,
        primary_type: "Permit".into(),
        json: r#"{"primaryType":"Permit"}"#.into(),
        grants: Vec::new(),
    }));
    assert_eq!(operation, "TYPED_MESSAGE");
    assert_eq!(
        messages,
        json!([{"content": {"primaryType": "Permit"}, "type": "EIP712"}])
    );
}

#[test]
fn keys_are_configuration_changes() {
    let (url, request) = told(&testing::keygen(2, &["csn1a", "csn1b"]));
    assert_eq!(
        url,
        "https://handler.example/base/v2/config_change_sign_request"
    );
    assert_eq!(request["type"], "KEY_GENERATION");
    assert_eq!(
        request["extraInfo"],
        json!({"scheme": "ecdsa-secp256k1", "curve": "secp256k1", "threshold": 2, "members": ["csn1a", "csn1b"],
               "taskId": "task-1", "claims": {}})
    );
    let (_, request) = told(&testing::task(Operation::Reshare(Resharing {
        key: testing::key(),
        signers: vec!["csn1a".into(), "csn1b".into()],
        new_threshold: 3,
        new_members: vec!["csn1d".into()],
    })));
    assert_eq!(
        (&request["type"], &request["extraInfo"]["newThreshold"]),
        (&json!("KEY_RESHARING"), &json!(3))
    );
}

#[test]
fn an_unknown_operation_is_not_sent() {
    let host = host(|host, request| ok(answer(host, &request, "APPROVE")));
    let task = testing::task(Operation::Other("export".into()));
    assert!(matches!(ask(&task, &host), Err(Failure::Unsupported(_))));
    assert!(host.requests().is_empty());
}

#[test]
fn check_finds_mistakes() {
    let host = host(|_, _| ok(""));
    assert_eq!(FireblocksCallback::check(&config(), &host), Ok(()));
    for document in [
        r#"{"url": "", "key": "handler"}"#,
        r#"{"url": "https://a?x", "key": "handler"}"#,
        r#"{"url": "https://a", "key": "absent"}"#,
        r#"{"url": "https://a", "key": "callback"}"#,
        r#"{"url": "https://a", "key": "handler", "signing_key": "absent"}"#,
        r#"{"url": "https://a", "key": "handler", "request_timeout": 31}"#,
        r#"{"url": "https://a", "key": "handler", "request_timeout": 0}"#,
        r#"{"url": "https://a", "key": "handler", "retry_seconds": 0}"#,
        r#"{"url": "https://a", "key": "handler", "assets": {"x": {"id": "", "decimals": 1}}}"#,
    ] {
        let config = json::config(document).unwrap();
        assert!(
            matches!(
                FireblocksCallback::check(&config, &host),
                Err(Failure::Misconfigured(_))
            ),
            "{document}"
        );
    }
}

#[test]
fn the_number_of_a_token_does_not_stand_where_amounts_do() {
    let request = with_transaction(|tx| {
        tx.calls = vec![call("transferFrom(address,address,uint256)")];
        tx.destinations[0].asset = "eip155:1/token:0xA0b8".into();
        tx.destinations[0].amount = "7".into();
    });
    let [destination] = request["destinations"].as_array().unwrap().as_slice() else {
        panic!("{request}")
    };
    assert_eq!(
        (&destination["asset"], &destination["amountNativeStr"]),
        (&json!("eip155:1/token:0xA0b8"), &json!(""))
    );
    assert_eq!(
        (&request["operation"], &request["amountStr"]),
        (&json!("CONTRACT_CALL"), &json!(""))
    );
    let approved = with_transaction(|tx| {
        tx.destinations.clear();
        let asset = "eip155:1/token:0xA0b8".into();
        tx.grants = vec![Grant {
            spender: "0xeve".into(),
            asset,
            amount: Some("7".into()),
        }];
    });
    assert_eq!(
        approved["extraParameters"]["grants"],
        json!([{"spender": "0xeve", "asset": "eip155:1/token:0xA0b8", "amount": null, "number": "7"}])
    );
}
