//! `extra_info`: what the node knows, and what a requester may add.

use super::*;

fn claim(name: &str, value: &str) -> Statement {
    Statement { name: name.into(), value: value.into(), origin: Origin::Claim }
}

/// What a server of the given vocabulary reads as `extra_info`.
fn extra(version: &str, strict: bool, task: &Task) -> Value {
    let config = configured(&format!(
        r#"{{"servers": [{{"url": "https://a", "key": "cb", "version": "{version}"}}], "strict": {strict}, "retry_times": 0}}"#
    ));
    let host = host(|_, _| Err(HttpError::Timeout));
    assert!(JwtCallback::evaluate(&config, task, &host).is_err());
    let (_, request) = opened(&host, &host.requests()[0]);
    json::strict(request["extra_info"].as_str().unwrap().as_bytes()).unwrap()
}

fn payment() -> Task {
    let mut task = testing::transfer("eip155:1", "0xabc", "1500000000000000000");
    let Operation::Sign(signing) = &mut task.operation else { unreachable!("built as a signing task") };
    let Intent::Transaction(transaction) = &mut signing.intent else { unreachable!("built as a transfer") };
    transaction.unsigned = vec![2, 0xEF];
    transaction.fee = Some("21000".into());
    task
}

#[test]
fn facts_of_a_transaction_in_v1() {
    let mut task = payment();
    task.extra = vec![claim("reference", "order 7"), claim("extra-info", r#"{"coin": "ETH"}"#)];
    assert_eq!(
        extra("v1", false, &task),
        json!({
            "coin": "ETH", "api_request_id": "order 7", "transaction_type": 102, "operation": 100,
            "raw_tx_hex": "0x02ef", "from_address": "0xsource", "to_address": "0xabc",
            "amount": "1500000000000000000", "fee": "21000",
            "to_address_details": r#"[{"amount":"1500000000000000000","to_address":"0xabc"}]"#,
        })
    );
}

#[test]
fn facts_of_a_transaction_in_v2() {
    let extra = extra("v2", false, &payment());
    assert_eq!(extra["source_addresses"], json!([{"address": "0xsource", "chain_id": "eip155:1"}]));
    assert_eq!(extra["signer_key_share_holder_group"]["key_share_holders"][2]["signer"], false);
    assert_eq!(extra["signer_key_share_holder_group"]["tss_key_share_groups"][0]["curve"], "SECP256K1");
    assert_eq!(
        extra["transaction"],
        json!({
            "transaction_id": "task-1", "wallet_id": "key-1", "status": "PendingSignature",
            "initiator_type": "API", "created_timestamp": MockHost::NOW, "updated_timestamp": MockHost::NOW,
            "source": {"source_type": "Org-Controlled", "wallet_id": "key-1", "address": "0xsource"},
            "destination": {
                "destination_type": "Address", "account_output": {"address": "0xabc", "amount": "1.5"},
            },
            "raw_tx_info": {"unsigned_raw_tx": "0x02ef"},
        })
    );
}

#[test]
fn a_claim_never_stands_in_for_a_fact() {
    let lie = r#"{"to_address": "0xgood", "amount": "1", "raw_tx": "0x00", "countersign": {"blind": false},
                  "note": "n", "transaction": {"destination": "0xgood", "raw_tx_info": {"raw_tx": "0x00"}, "type": "t"},
                  "source_addresses": []}"#;
    let mut task = payment();
    task.extra = vec![claim("extra-info", lie)];
    let v1 = extra("v1", false, &task);
    assert_eq!((&v1["to_address"], &v1["note"]), (&json!("0xabc"), &json!("n")));
    assert!(v1.get("raw_tx").is_none() && v1.get("countersign").is_none(), "{v1}");
    let v2 = extra("v2", false, &task);
    assert_eq!(v2["transaction"]["destination"]["account_output"]["address"], "0xabc");
    assert_eq!(v2["transaction"]["raw_tx_info"], json!({"unsigned_raw_tx": "0x02ef"}));
    assert_eq!(v2["transaction"]["type"], "t");
    let strict = extra("v1", true, &task);
    assert_eq!(strict["countersign"]["overridden"], json!(["raw_tx", "to_address", "amount"]));
}

#[test]
fn a_contradiction_is_logged() {
    let mut task = payment();
    task.extra = vec![claim("extra-info", r#"{"transaction": {"destination": 1}}"#)];
    let host = host(|_, _| Err(HttpError::Timeout));
    assert!(JwtCallback::evaluate(&config(), &task, &host).is_err());
    assert!(host.lines().iter().any(|(_, line)| line.contains("contradicts")));
}

#[test]
fn of_bare_digests_everything_is_the_requesters_word() {
    let mut task = testing::signing(Intent::Opaque);
    task.extra = vec![claim("extra-info", r#"{"to_address": "0xgood", "raw_tx_hex": "0x01"}"#)];
    assert_eq!(
        extra("v1", false, &task),
        json!({"to_address": "0xgood", "raw_tx_hex": "0x01", "transaction_type": 102})
    );
    let strict = extra("v1", true, &task);
    assert_eq!(strict["countersign"]["intent"], Value::Null);
}

#[test]
fn a_claim_that_is_no_object_is_not_sent() {
    for text in ["[]", "1", "{", r#"{"a":1,"a":2}"#] {
        let host = host(|host, _| ok(good(host, answer("APPROVE"))));
        let mut task = payment();
        task.extra = vec![claim("extra-info", text)];
        let failure = JwtCallback::evaluate(&config(), &task, &host);
        assert!(matches!(failure, Err(Failure::Unsupported(_))), "{text}");
        assert!(host.requests().is_empty());
    }
}

#[test]
fn contract_calls_messages_and_typed_data_in_v2() {
    let mut task = payment();
    let Operation::Sign(signing) = &mut task.operation else { unreachable!("built as a signing task") };
    let Intent::Transaction(transaction) = &mut signing.intent else { unreachable!("built as a transfer") };
    transaction.calls = vec![Call {
        contract: "0xtoken".into(),
        selector: vec![0xA9, 5, 0x9C, 0xBB],
        method: Some("transfer(address,uint256)".into()),
        amount: "0".into(),
        data: vec![0xA9, 5, 0x9C, 0xBB, 0],
    }];
    assert_eq!(
        extra("v2", false, &task)["transaction"]["destination"],
        json!({"destination_type": "EVM_Contract", "address": "0xtoken", "value": "0", "calldata": "0xa9059cbb00"})
    );
    assert_eq!(extra("v1", false, &task)["operation"], 100, "a token's transfer is a transfer");

    let mut message = testing::signing(Intent::Message(b"hi".to_vec()));
    let Operation::Sign(signing) = &mut message.operation else { unreachable!("built as a signing task") };
    signing.payload = "eip191".into();
    let destination = &extra("v2", false, &message)["transaction"]["destination"];
    assert_eq!(destination, &json!({"destination_type": "EVM_EIP_191_Signature", "message": "aGk="}));
    assert_eq!(extra("v1", false, &message)["operation"], 300);

    let typed = testing::signing(Intent::TypedData(TypedData {
        chain: None,
        verifying_contract: None,
        domain: None,
        primary_type: "Permit".into(),
        json: r#"{"primaryType": "Permit"}"#.into(),
        grants: Vec::new(),
    }));
    let destination = &extra("v2", true, &typed)["transaction"]["destination"];
    assert_eq!(destination["structured_data"]["primaryType"], "Permit");
}

#[test]
fn typed_data_that_cannot_be_shown_is_not_sent() {
    for json in ["{", r#"{"primaryType": "Permit", "primaryType": "Mail"}"#] {
        let host = host(|host, _| ok(good(host, answer("APPROVE"))));
        let task = testing::signing(Intent::TypedData(TypedData {
            chain: None,
            verifying_contract: None,
            domain: None,
            primary_type: "Permit".into(),
            json: json.into(),
            grants: Vec::new(),
        }));
        let failure = JwtCallback::evaluate(&config(), &task, &host);
        assert!(matches!(failure, Err(Failure::Unsupported(_))), "{json}");
        assert!(host.requests().is_empty());
    }
}
