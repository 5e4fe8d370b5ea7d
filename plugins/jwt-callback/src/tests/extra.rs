//! `extra_info`: the node's facts, and the requester's additions.

use super::*;

const ASSETS: &str = r#"{"eip155:1": {"id": "ETH", "decimals": 18}, "eip155:1/erc20:0xdac": {"id": "ETH_USDT", "decimals": 6}}"#;

fn claim(name: &str, value: &str) -> Statement {
    Statement {
        name: name.into(),
        value: value.into(),
        origin: Origin::Claim,
    }
}

/// Returns the `extra_info` that a server of the given vocabulary reads.
pub(super) fn extra(version: &str, strict: bool, task: &Task) -> Value {
    extra_with("{}", version, strict, task)
}

/// As above, with these names for assets.
fn extra_with(assets: &str, version: &str, strict: bool, task: &Task) -> Value {
    let config = configured(&format!(
        r#"{{"servers": [{{"url": "https://a", "key": "cb", "version": "{version}"}}], "strict": {strict},
            "retry_times": 0, "assets": {assets}}}"#
    ));
    let host = host(|_, _| Err(HttpError::Timeout));
    assert!(JwtCallback::evaluate(&config, task, &host).is_err());
    let (_, request) = opened(&host, &host.requests()[0]);
    json::strict(request["extra_info"].as_str().unwrap().as_bytes()).unwrap()
}

fn payment() -> Task {
    let mut task = testing::transfer("eip155:1", "0xabc", "1500000000000000000");
    let Operation::Sign(signing) = &mut task.operation else {
        unreachable!("built as a signing task")
    };
    let Intent::Transaction(transaction) = &mut signing.intent else {
        unreachable!("built as a transfer")
    };
    transaction.unsigned = vec![2, 0xEF];
    transaction.fee = Some("21000".into());
    task
}

fn erc20() -> testing::TransactionBuilder {
    testing::transaction("eip155:1")
        .pays_asset("eip155:1/erc20:0xdac", "0xbob", "2500000")
        .calls("0xdac", &[0xA9, 5, 0x9C, 0xBB])
        .known_as("transfer(address,uint256)")
}

#[test]
fn facts_of_a_transaction_in_v1() {
    let mut task = payment();
    task.extra = vec![
        claim("reference", "order 7"),
        claim("extra-info", r#"{"note": "rent"}"#),
    ];
    let facts = json!({
        "note": "rent", "api_request_id": "order 7", "transaction_type": 102, "operation": 100,
        "raw_tx_hex": "0x02ef", "from_address": "0xsource", "to_address": "0xabc",
        "amount": "1500000000000000000", "fee": 21000,
        "to_address_details": r#"[{"amount":"1500000000000000000","to_address":"0xabc"}]"#,
    });
    assert_eq!(extra("v1", false, &task), facts);
    let named = extra_with(ASSETS, "v1", false, &task);
    assert_eq!(
        (&named["coin"], &named["decimal"]),
        (&json!("ETH"), &json!(18))
    );
}

#[test]
fn a_fee_that_does_not_fit_is_left_out() {
    for (fee, expected) in [
        (
            "9223372036854775807",
            Some(json!(9_223_372_036_854_775_807_u64)),
        ),
        ("9223372036854775808", None),
        ("1000000000000000000000", None),
    ] {
        let task = testing::transaction("eip155:1")
            .pays("0xabc", "1")
            .fee(fee)
            .task();
        assert_eq!(
            extra("v1", false, &task).get("fee").cloned(),
            expected,
            "{fee}"
        );
    }
}

#[test]
fn facts_of_a_transaction_in_v2() {
    let extra = extra("v2", false, &payment());
    assert_eq!(
        extra["source_addresses"],
        json!([{"address": "0xsource", "chain_id": "eip155:1"}])
    );
    assert_eq!(
        extra["signer_key_share_holder_group"]["key_share_holders"][2]["signer"],
        false
    );
    assert_eq!(
        extra["signer_key_share_holder_group"]["tss_key_share_groups"][0]["curve"],
        "SECP256K1"
    );
    assert_eq!(
        extra["transaction"],
        json!({
            "transaction_id": "task-1", "wallet_id": "key-1", "status": "PendingSignature",
            "type": "Withdrawal", "chain_id": "eip155:1",
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
fn assets_have_the_servers_names_where_the_operator_gave_them() {
    let named = extra_with(ASSETS, "v2", false, &erc20().task());
    assert_eq!(named["source_addresses"][0]["chain_id"], "ETH");
    let transaction = &named["transaction"];
    assert_eq!(
        (&transaction["chain_id"], &transaction["token_id"]),
        (&json!("ETH"), &json!("ETH_USDT"))
    );
    assert_eq!(
        transaction["destination"]["account_output"],
        json!({"address": "0xbob", "amount": "2.5"})
    );
    let unnamed = extra("v2", false, &erc20().task());
    assert!(unnamed["transaction"].get("token_id").is_none());
    assert_eq!(
        unnamed["transaction"]["destination"]["destination_type"],
        "EVM_Contract"
    );
}

#[test]
fn a_claim_never_stands_in_for_a_fact() {
    let lie = r#"{"to_address": "0xgood", "amount": "1", "raw_tx": "0x00", "countersign": {"blind": false},
                  "note": "n", "org": {"org_id": "o"}, "wallet": {"name": "petty cash"},
                  "transaction": {"destination": "0xgood", "raw_tx_info": {"raw_tx": "0x00"}, "description": "d",
                                  "token_id": "DUST", "fee": {"fee_type": "Fixed"}},
                  "source_addresses": [], "coin": "DUST", "chain_id": "TESTNET", "fee": 1, "gas_price": 1, "gas_limit": 1,
                  "spender": "0xgood", "custody_wallet_name": "petty cash"}"#;
    let mut task = payment();
    task.extra = vec![claim("extra-info", lie)];
    let v1 = extra("v1", false, &task);
    let v1 = v1.as_object().unwrap();
    assert_eq!(
        (&v1["to_address"], &v1["note"], &v1["fee"]),
        (&json!("0xabc"), &json!("n"), &json!(21000))
    );
    for described in [
        "raw_tx",
        "chain_id",
        "gas_price",
        "gas_limit",
        "spender",
        "custody_wallet_name",
    ] {
        assert!(
            !v1.contains_key(described),
            "{described} is the requester's word"
        );
        assert!(
            v1["claims"].get(described).is_some(),
            "{described} is told as what it is"
        );
    }
    let v2 = extra("v2", false, &task);
    assert_eq!(
        (&v2["org"]["org_id"], v2.get("wallet")),
        (&json!("o"), None)
    );
    let transaction = v2["transaction"].as_object().unwrap();
    assert_eq!(
        transaction["destination"]["account_output"]["address"],
        "0xabc"
    );
    assert_eq!(
        transaction["raw_tx_info"],
        json!({"unsigned_raw_tx": "0x02ef"})
    );
    assert_eq!(transaction["description"], "d");
    assert!(!transaction.contains_key("token_id") && !transaction.contains_key("fee"));
    assert!(v2.get("chain_id").is_none() && v2.get("coin").is_none());
    let strict = extra("v1", true, &task);
    assert_eq!(
        strict["countersign"]["overridden"],
        json!(["fee", "coin", "to_address", "amount"])
    );
}

#[test]
fn a_claim_of_the_nodes_own_member_is_told_as_a_claim() {
    let mut task = payment();
    task.extra = vec![claim(
        "extra-info",
        r#"{"claims": {"coin": "X"}, "countersign": {"blind": false}}"#,
    )];
    let told = extra("v1", false, &task);
    assert_eq!(told["claims"]["claims"]["coin"], "X");
    assert!(told.get("countersign").is_none());
}

#[test]
fn a_payment_that_is_not_all_is_not_shown_as_one() {
    let chain = "solana:mainnet";
    let hidden = testing::transaction(chain)
        .pays("GoodRecipient", "1")
        .calls("TokenProgram", &[6])
        .known_as("SetAuthority")
        .grants("Thief", "", None)
        .task();
    let v1 = extra("v1", false, &hidden);
    for summary in ["to_address", "amount", "to_address_details", "coin"] {
        assert!(v1.get(summary).is_none(), "{summary}");
    }
    assert_eq!(v1["operation"], 200);
    let transaction = &extra("v2", false, &hidden)["transaction"];
    assert_eq!(
        transaction["destination"],
        json!({"destination_type": "SOL_Contract"})
    );
    assert_eq!(transaction["type"], "ContractCall");
    // Two assets in one list of amounts would be added up by a reader.
    let mixed = testing::transaction(chain)
        .pays("A", "1")
        .pays_asset("solana:mainnet/token:X", "B", "1")
        .task();
    assert!(
        extra("v1", false, &mixed)
            .get("to_address_details")
            .is_none()
    );
}

/// The message and the text of the incumbent's published test of native transfers.
#[test]
fn an_unsigned_solana_transaction_is_the_hex_of_its_base64_text() {
    let message = "0100020453f8c96cd916709eaaf0e4023b16bd25276b8d117275def443e36a0c318f2c92a4bb7324ac0eae63455c211cd74e40\
                   26950fe09b2f7fad7e29c506d652f848eb0306466fe5211732ffecadba72c39be7bc8ce5bbc5f7126b2c439b3a4000000000000\
                   00000000000000000000000000000000000000000000000000000000000bf82f7a836cb9c90684b8d03dbac12002ebe530e83a\
                   a2ce5283f172ae316c17f0302000903305705000000000002000502400d0300030200010c020000000b00000000000000";
    let text = "41414541416752542b4d6c7332525a776e717277354149374672306c4a32754e45584a313376524434326f4d4d5938736b715337\
                637953734471356a52567768484e644f51436156442b43624c332b7466696e4642745a532b456a7241775a47622b5568467a4c2f\
                374b323663734f623537794d3562764639784a724c454f624f6b4141414141414141414141414141414141414141414141414141\
                4141414141414141414141414141414141414141414c2b4339366732793579516145754e4139757345674175766c4d4f67366f73\
                3553672f4679726a4673462f4177494143514d7756775541414141414141494142514a4144514d41417749414151774341414141\
                4377414141414141414141\
                3d";
    let mut task = testing::transfer("solana:mainnet", "C63e", "11");
    let Operation::Sign(signing) = &mut task.operation else {
        unreachable!("built as a signing task")
    };
    let Intent::Transaction(transaction) = &mut signing.intent else {
        unreachable!("built as a transfer")
    };
    transaction.unsigned = hex::decode(message).unwrap();
    let raw = &extra("v2", false, &task)["transaction"]["raw_tx_info"];
    assert_eq!(raw["unsigned_raw_tx"], format!("0x{text}"));
}

#[test]
fn a_contradiction_is_logged() {
    let mut task = payment();
    task.extra = vec![claim(
        "extra-info",
        r#"{"transaction": {"destination": 1}}"#,
    )];
    let host = host(|_, _| Err(HttpError::Timeout));
    assert!(JwtCallback::evaluate(&config(), &task, &host).is_err());
    assert!(
        host.lines()
            .iter()
            .any(|(_, line)| line.contains("contradicts"))
    );
}

#[test]
fn of_bare_digests_everything_is_the_requesters_word() {
    let mut task = testing::signing(Intent::Opaque);
    task.extra = vec![claim(
        "extra-info",
        r#"{"to_address": "0xgood", "raw_tx_hex": "0x01"}"#,
    )];
    assert_eq!(
        extra("v1", false, &task),
        json!({"to_address": "0xgood", "raw_tx_hex": "0x01", "transaction_type": 102})
    );
    let destination = &extra("v2", false, &testing::blind())["transaction"]["destination"];
    let hash = format!("0x{}", "ab".repeat(32));
    assert_eq!(
        destination,
        &json!({"destination_type": "Raw_Message_Signature", "msg_hash": hash})
    );
    let strict = extra("v1", true, &task);
    assert_eq!(strict["countersign"]["intent"], Value::Null);
}

#[test]
fn a_claim_that_is_not_an_object_is_not_sent() {
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
    let destination = |task: &Task| extra("v2", false, task)["transaction"]["destination"].clone();
    let transfer = erc20().task();
    assert_eq!(
        destination(&transfer),
        json!({"destination_type": "EVM_Contract", "address": "0xdac", "value": "0", "calldata": "0xa9059cbb"})
    );
    assert_eq!(
        extra("v1", false, &transfer)["operation"],
        100,
        "a token's transfer is a transfer"
    );

    let personal = testing::message("eip191", "hi");
    let shown = json!({"destination_type": "EVM_EIP_191_Signature", "message": "aGk="});
    assert_eq!(destination(&personal), shown);
    assert_eq!(extra("v1", false, &personal)["operation"], 300);

    let plain = testing::message("message", "hi");
    let hash = format!("0x{}", "ab".repeat(32));
    assert_eq!(
        destination(&plain),
        json!({"destination_type": "Raw_Message_Signature", "msg_hash": hash})
    );

    let typed = testing::signing(Intent::TypedData(TypedData {
        chain: None,
        verifying_contract: None,
        domain: None,
        primary_type: "Permit".into(),
        json: r#"{"primaryType": "Permit"}"#.into(),
        grants: Vec::new(),
    }));
    assert_eq!(
        destination(&typed)["structured_data"]["primaryType"],
        "Permit"
    );
}

/// One call, with effects beside it that the call does not show.
#[test]
fn a_call_beside_which_the_account_is_handed_over_is_not_shown_as_all() {
    let call = testing::transaction("eip155:1").calls("0xdac", &[1, 2, 3, 4]);
    let transaction = |task: &Task| extra("v2", false, task)["transaction"].clone();
    assert_eq!(
        transaction(&call.clone().task())["destination"]["destination_type"],
        "EVM_Contract"
    );
    let approves = call
        .clone()
        .grants("0xeve", "eip155:1/erc20:0xdac", None)
        .task();
    assert_eq!(
        transaction(&approves)["destination"]["calldata"],
        "0x01020304",
        "the call is all"
    );
    let told = transaction(&call.grants("0xeve", "", None).task());
    assert_eq!(told["destination"], json!({"destination_type": "Address"}));
    assert_eq!(told["type"], "ContractCall");
}

#[test]
fn a_message_of_bip_322_is_told_with_its_words() {
    for payload in ["bitcoin-message", "psbt"] {
        let transaction = &extra("v2", false, &testing::message(payload, "hi"))["transaction"];
        let shown =
            json!({"destination_type": "BTC_BIP_322_Signature", "message_bip322": "0x6869"});
        assert_eq!(
            (&transaction["destination"], &transaction["type"]),
            (&shown, &json!("MessageSign"))
        );
    }
}

#[test]
fn a_payment_of_solana_is_told_as_one_with_what_wallets_put_around_it() {
    let task = testing::transaction("solana:mainnet")
        .calls("ComputeBudget111", &[2])
        .known_as("SetComputeUnitLimit")
        .calls("ComputeBudget111", &[3])
        .known_as("SetComputeUnitPrice")
        .pays("Bob", "5000")
        .calls("1111", &[2])
        .known_as("Transfer")
        .with_value("5000")
        .calls("Memo", b"7")
        .known_as("Memo")
        .task();
    let v1 = extra("v1", false, &task);
    assert_eq!(
        (&v1["operation"], &v1["to_address"], &v1["amount"]),
        (&json!(100), &json!("Bob"), &json!("5000"))
    );
    let v2 = &extra("v2", false, &task)["transaction"];
    assert_eq!(v2["type"], "Withdrawal");
    assert_eq!(
        v2["destination"]["account_output"],
        json!({"address": "Bob", "amount": "0.000005"})
    );
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
