use alloy_primitives::keccak256;

use super::*;
use crate::testkit::{decode_as, ecdsa};
use crate::{Intent, PayloadKind, TypedData};

const TOKEN: &str = r#"{"name":"Token","chainId":1,"verifyingContract":"0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;

fn typed_data(json: &str) -> TypedData {
    match decode_as(&ecdsa(), PayloadKind::Eip712, json.as_bytes())
        .unwrap()
        .intent
    {
        Intent::TypedData(data) => data,
        other => panic!("{other:?}"),
    }
}

/// Builds a document with the types of `whole`, a type as EIP-712 hashes it.
fn document(whole: &str, domain: &str, message: &str) -> String {
    let mut types = Vec::new();
    for one in whole.split_terminator(')') {
        let (name, members) = one.split_once('(').unwrap();
        let members = members.split_terminator(',').map(|member| {
            let (kind, name) = member.split_once(' ').unwrap();
            format!(r#"{{"name":"{name}","type":"{kind}"}}"#)
        });
        types.push(format!(
            r#""{name}":[{}]"#,
            members.collect::<Vec<_>>().join(",")
        ));
    }
    let primary = whole.split_once('(').unwrap().0;
    format!(
        r#"{{"types":{{{}}},"primaryType":"{primary}","domain":{domain},"message":{message}}}"#,
        types.join(",")
    )
}

#[test]
fn every_entry_has_a_source_and_the_published_hash() {
    let file: Vocabulary = serde_json::from_str(FILE).unwrap();
    assert!(file.types.len() > 50);
    for entry in &file.types {
        assert!(entry.source.starts_with("https://"), "{}", entry.primary);
        for whole in entry.types.iter().chain(&entry.prefixes) {
            assert!(whole.starts_with(&format!("{}(", entry.primary)), "{whole}");
        }
        if let Some(hash) = &entry.hash {
            assert_eq!(
                hex::encode(keccak256(&entry.types[0])),
                *hash,
                "{}",
                entry.types[0]
            );
        }
        // The name alone never suffices.
        let by_name = entry.types.is_empty() && entry.prefixes.is_empty();
        assert!(
            entry.rights == Said::Hidden || !by_name,
            "{}",
            entry.primary
        );
        assert!(entry.rights != Said::None || entry.grants.is_empty());
    }
}

#[test]
fn the_right_to_every_token_of_a_contract_is_a_grant() {
    let data = typed_data(include_str!("../fixtures/eip712-v4_permit_for_all.json"));
    let [grant] = &data.grants[..] else {
        panic!("{data:?}")
    };
    assert_eq!(grant.spender, "0x2222222222222222222222222222222222222222");
    assert_eq!(
        grant.asset,
        "eip155:1/erc721:0xbD216513d74C8cf14cf4747E6AaA6420FF64ee9e"
    );
    assert_eq!((&grant.amount, data.rights), (&None, Rights::Shown));
    let back = include_str!("../fixtures/eip712-v4_permit_for_all.json").replace("true", "false");
    assert_eq!(typed_data(&back).grants[0].amount.as_deref(), Some("0"));
}

#[test]
fn a_type_is_known_only_as_a_whole() {
    let vote = "Vote(address from,string space,uint64 timestamp,bytes32 proposal,uint32 choice,string reason,string app,string metadata)";
    let message = format!(
        r#"{{"from":"0x{}","space":"a","timestamp":1,"proposal":"0x{}","choice":1,"reason":"","app":"","metadata":""}}"#,
        "11".repeat(20),
        "22".repeat(32)
    );
    let snapshot = r#"{"name":"snapshot","version":"0.1.4"}"#;
    let known = typed_data(&document(vote, snapshot, &message));
    assert_eq!((known.rights, known.grants.len()), (Rights::None, 0));
    assert!(known.meaning.unwrap().contains("vote"));
    let other_member = vote.replace("uint32 choice", "uint16 choice");
    let contract = format!(
        r#"{{"name":"snapshot","verifyingContract":"0x{}"}}"#,
        "11".repeat(20)
    );
    for (whole, domain) in [
        (vote, TOKEN),
        (vote, r#"{"name":"other"}"#),
        (vote, &*contract),
        (&*other_member, snapshot),
    ] {
        let unknown = typed_data(&document(whole, domain, &message));
        assert_eq!(
            (unknown.rights, unknown.meaning),
            (Rights::Unknown, None),
            "{whole} {domain}"
        );
    }
}

#[test]
fn what_is_not_in_the_vocabulary_is_unknown_and_grants_are_still_told() {
    let permit = "Permit(address spender,uint256 value,bytes32 further)";
    let message = format!(
        r#"{{"spender":"0x{}","value":7,"further":"0x{}"}}"#,
        "bb".repeat(20),
        "00".repeat(32)
    );
    let data = typed_data(&document(permit, TOKEN, &message));
    assert_eq!(
        (data.rights, data.grants[0].amount.as_deref()),
        (Rights::Unknown, Some("7"))
    );
    let other = typed_data(&document(
        "Session(address key)",
        TOKEN,
        &format!(r#"{{"key":"0x{}"}}"#, "bb".repeat(20)),
    ));
    assert_eq!((other.rights, other.grants.len()), (Rights::Unknown, 0));
    let agent = include_str!("../fixtures/eip712-hl_usd_send.json");
    assert_eq!(typed_data(agent).rights, Rights::Hidden);
}

#[test]
fn a_payment_for_an_order_is_bounded_by_permit2_alone() {
    let whole = "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,Order witness)Order(uint256 price)TokenPermissions(address token,uint256 amount)";
    let message = format!(
        r#"{{"permitted":{{"token":"0x{}","amount":5}},"spender":"0x{}","nonce":0,"deadline":1,"witness":{{"price":2}}}}"#,
        "cc".repeat(20),
        "bb".repeat(20)
    );
    let permit2 = r#"{"name":"Permit2","chainId":1,"verifyingContract":"0x000000000022D473030F116dDEE9F6B43aC78BA3"}"#;
    for (domain, rights) in [(permit2, Rights::Shown), (TOKEN, Rights::Unknown)] {
        let data = typed_data(&document(whole, domain, &message));
        assert_eq!(
            (data.rights, data.grants[0].amount.as_deref()),
            (rights, Some("5")),
            "{domain}"
        );
    }
}

#[test]
fn an_offer_on_seaport_hands_out_all_that_it_offers() {
    let file: Vocabulary = serde_json::from_str(FILE).unwrap();
    let whole = &file
        .types
        .iter()
        .find(|entry| entry.primary == "OrderComponents")
        .unwrap()
        .types[0];
    let zero = format!("0x{}", "00".repeat(20));
    let word = format!("0x{}", "00".repeat(32));
    let token = format!("0x{}", "cc".repeat(20));
    let item = |kind: u8, id: u8, start: u8, end: u8| {
        format!(
            r#"{{"itemType":{kind},"token":"{token}","identifierOrCriteria":{id},"startAmount":{start},"endAmount":{end}}}"#
        )
    };
    let order = |offer: &str| {
        let message = format!(
            r#"{{"offerer":"{zero}","zone":"{zero}","offer":[{offer}],"consideration":[],"orderType":0,"startTime":0,"endTime":1,"zoneHash":"{word}","salt":0,"conduitKey":"{word}","counter":0}}"#
        );
        document(whole, TOKEN, &message)
    };
    let offer = [
        item(1, 0, 3, 9),
        item(2, 0, 1, 1),
        item(3, 7, 5, 4),
        item(4, 0, 2, 2),
    ]
    .join(",");
    let data = typed_data(&order(&offer));
    let seen: Vec<_> = data
        .grants
        .iter()
        .map(|grant| (&grant.asset[9..], grant.amount.as_deref()))
        .collect();
    let contract = Address::repeat_byte(0xcc);
    let asset = |text: &str| format!("{}:{contract}", text);
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0], (&*asset("erc20"), Some("9")));
    assert_eq!(seen[1], (&*(asset("erc721") + "/0"), Some("1")));
    assert_eq!(seen[2], (&*(asset("erc1155") + "/7"), Some("5")));
    assert_eq!(seen[3], (&*asset("erc721"), Some("2")));
    assert_eq!(data.rights, Rights::Shown);
    assert!(
        data.grants
            .iter()
            .all(|grant| grant.spender == Address::repeat_byte(0xaa).to_string())
    );
    let native = order(&item(0, 0, 1, 1));
    assert!(decode_as(&ecdsa(), PayloadKind::Eip712, native.as_bytes()).is_err());
}
