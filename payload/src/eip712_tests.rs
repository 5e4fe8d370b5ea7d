use alloy_primitives::{Address, U256};
use countersign_protocol::Scheme;

use super::*;
use crate::testkit::{decode_as, digest_of, ecdsa, key_of};
use crate::{Grant, PayloadKind, Rights};

/// The example in EIP-712.
const MAIL: &str = r#"{"types":{
    "EIP712Domain":[{"name":"name","type":"string"},{"name":"version","type":"string"},
        {"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}],
    "Person":[{"name":"name","type":"string"},{"name":"wallet","type":"address"}],
    "Mail":[{"name":"from","type":"Person"},{"name":"to","type":"Person"},{"name":"contents","type":"string"}]},
    "primaryType":"Mail",
    "domain":{"name":"Ether Mail","version":"1","chainId":1,
        "verifyingContract":"0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"},
    "message":{"from":{"name":"Cow","wallet":"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
        "to":{"name":"Bob","wallet":"0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},"contents":"Hello, Bob!"}}"#;
const CASES: [(&str, &str, &str); 7] = [
    (
        "extra_top_level",
        include_str!("../fixtures/eip712-extra_top_level.json"),
        "eff639971acbc674e42cccb66151bcdcfcfb8154ef7b93432cd0dbf30f29a2bb",
    ),
    (
        "hl_usd_send",
        include_str!("../fixtures/eip712-hl_usd_send.json"),
        "3e1cc8a4ff4098c79434c2a2ab58d740d35dc2e097c2810597f4eba094aa964c",
    ),
    (
        "injective_string_contract",
        include_str!("../fixtures/eip712-injective_string_contract.json"),
        "73994727c09f27b69c475fb8dd74e995cc73b48fe9864803d6c4fb8a1f557e0c",
    ),
    (
        "ledger01_extra_member",
        include_str!("../fixtures/eip712-ledger01_extra_member.json"),
        "eff639971acbc674e42cccb66151bcdcfcfb8154ef7b93432cd0dbf30f29a2bb",
    ),
    (
        "no_domain_type",
        include_str!("../fixtures/eip712-no_domain_type.json"),
        "41a4c78c62a6f34478880e86f2101edd314eef44d1961c8b123aa33fdaead37a",
    ),
    (
        "over_u64_number",
        include_str!("../fixtures/eip712-over_u64_number.json"),
        "21ce2775dbd6f47de89478a78b59ff691ce19a5bf1ee65a6264263828241d3b6",
    ),
    (
        "v4_permit_for_all",
        include_str!("../fixtures/eip712-v4_permit_for_all.json"),
        "c971b2710d691017c5ceaa72aa713f54bc5d4bf3980953e9ac51d9e7343371f6",
    ),
];

fn decode(json: &str) -> Result<Decoded, DecodeError> {
    decode_as(&ecdsa(), PayloadKind::Eip712, json.as_bytes())
}

fn typed_data(json: &str) -> TypedData {
    match decode(json).unwrap().intent {
        Intent::TypedData(typed_data) => typed_data,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_mail_of_eip_712_has_its_published_digest() {
    let decoded = decode(MAIL).unwrap();
    assert_eq!(
        digest_of(&decoded),
        "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
    );
    let facts = typed_data(MAIL);
    assert_eq!(
        (facts.chain.as_deref(), facts.domain.as_deref()),
        (Some("eip155:1"), Some("Ether Mail"))
    );
    let contract = "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC";
    assert_eq!(
        (facts.verifying_contract.as_deref(), &*facts.primary_type),
        (Some(contract), "Mail")
    );
    assert_eq!((&*facts.json, facts.grants.len()), (MAIL, 0));
    assert_eq!((facts.rights, facts.notes.len()), (Rights::None, 0));
}

#[test]
fn numbers_may_be_written_in_each_usual_way_and_mean_the_same() {
    let digest = digest_of(&decode(MAIL).unwrap());
    for other in [r#""chainId":"1""#, r#""chainId":"0x1""#] {
        assert_eq!(
            digest_of(&decode(&MAIL.replace(r#""chainId":1"#, other)).unwrap()),
            digest
        );
    }
}

#[test]
fn a_document_that_two_readers_could_read_differently_is_refused() {
    for (from, to) in [
        (
            r#""contents":"Hello, Bob!""#,
            r#""contents":"Hello, Bob!","contents":"Pay""#,
        ),
        (r#""contents":"Hello, Bob!""#, r#""contents":null"#),
        (r#""contents":"Hello, Bob!""#, r#""contents":7"#),
        (r#","contents":"Hello, Bob!""#, ""),
        (r#""primaryType":"Mail""#, r#""primaryType":"Letter""#),
        (r#""primaryType":"Mail""#, r#""primaryType":"EIP712Domain""#),
        (r#""chainId":1,"#, r#""chainId":1.0,"#),
        (r#""chainId":1,"#, r#""chainId":-1,"#),
        (r#""chainId":1,"#, r#""chainId":"","#),
        (r#""chainId":1,"#, r#""chainId":"1_0","#),
        (r#""chainId":1,"#, ""),
        (r#""chainId":1,"#, r#""chainId":1,"salt":1,"#),
        (r#""name":"version""#, r#""name":"salt""#),
        (
            r#"{"name":"name","type":"string"},{"name":"version","type":"string"},"#,
            r#"{"name":"version","type":"string"},{"name":"name","type":"string"},"#,
        ),
        (
            r#""name":"to","type":"Person""#,
            r#""name":"to","type":"Person ""#,
        ),
        (
            r#""name":"contents","type":"string""#,
            r#""name":"contents","type":"uint8[] a,string""#,
        ),
        (
            "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826",
            "0xcD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826",
        ),
        (
            r#""chainId","type":"uint256""#,
            r#""chainId","type":"uint8""#,
        ),
        (
            r#""name":"to","type":"Person""#,
            r#""name":"from","type":"Person""#,
        ),
        (
            r#""name":"to","type":"Person""#,
            r#""name":"to","type":"Nobody""#,
        ),
        (
            r#""name":"to","type":"Person""#,
            r#""name":"to","type":"Person[]""#,
        ),
        (r#""Person":["#, r#""address":[],"Person":["#),
        (r#""Person":["#, r#""address":["#),
        (
            r#"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"#,
            r#"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD8"#,
        ),
        (
            r#"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"#,
            r#"CD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"#,
        ),
        ("{\"types\"", "[{\"types\""),
    ] {
        let changed = MAIL.replacen(from, to, 1);
        assert_ne!(changed, MAIL);
        assert_eq!(
            decode(&changed).unwrap_err().code(),
            "payload-malformed",
            "{to}"
        );
    }
    assert!(decode(&format!("{MAIL} {{}}")).is_err());
    for scheme in [Scheme::Ed25519, Scheme::SchnorrSecp256k1, Scheme::Taproot] {
        let refused = decode_as(&key_of(scheme), PayloadKind::Eip712, MAIL.as_bytes());
        assert_eq!(refused.unwrap_err().code(), "payload-scheme");
    }
}

/// The `encode` of one value, as the struct `T(kind x)`.
fn hash_of(kind: &str, value: &str) -> Result<String, DecodeError> {
    let json = format!(
        r#"{{"types":{{"EIP712Domain":[],"T":[{{"name":"x","type":"{kind}"}}]}},
            "primaryType":"T","domain":{{}},"message":{{"x":{value}}}}}"#
    );
    decode(&json).map(|decoded| digest_of(&decoded))
}

fn expected(kind: &str, word: &[u8]) -> String {
    let of_type = |text: &str| keccak256(text.as_bytes());
    let domain = keccak256(of_type("EIP712Domain()"));
    let message = keccak256([of_type(&format!("T({kind} x)")).as_slice(), word].concat());
    hex::encode(keccak256(
        [&[0x19, 1], domain.as_slice(), message.as_slice()].concat(),
    ))
}

#[test]
fn every_atomic_type_is_encoded_as_the_standard_says_and_bounded() {
    let minus_one = [0xff; 32];
    let mut one = [0; 32];
    one[31] = 1;
    let mut left = [0; 32];
    left[..2].copy_from_slice(&[0xab, 0xcd]);
    for (kind, value, word) in [
        ("bool", "true", one),
        ("uint8", "1", one),
        ("int8", "-1", minus_one),
        ("int256", "\"-1\"", minus_one),
        ("bytes2", "\"0xabcd\"", left),
        ("bytes", "\"0xabcd\"", keccak256([0xab, 0xcd]).0),
        ("string", "\"abc\"", keccak256("abc").0),
        ("uint8[2]", "[1,1]", keccak256([one, one].concat()).0),
        ("uint8[][1]", "[[1]]", keccak256(keccak256(one)).0),
        ("uint256[]", "[]", keccak256([]).0),
    ] {
        assert_eq!(
            hash_of(kind, value).unwrap(),
            expected(kind, &word),
            "{kind}"
        );
    }
    for (kind, value) in [
        ("uint8", "256"),
        ("uint8", "-1"),
        ("int8", "128"),
        ("int8", "-129"),
        ("uint7", "1"),
        ("uint", "1"),
        ("uint264", "1"),
        ("uint08", "1"),
        ("bool", "1"),
        ("bytes2", "\"0xab\""),
        ("bytes0", "\"0x\""),
        ("bytes33", "\"0x\""),
        ("bytes", "\"abcd\""),
        ("uint8[2]", "[1]"),
        ("uint8[2]", "{}"),
        ("uint8[", "[1]"),
        ("uint8[-1]", "[1]"),
        ("[]", "[]"),
    ] {
        assert!(hash_of(kind, value).is_err(), "{kind} {value}");
    }
    assert!(hash_of("int8", "127").is_ok() && hash_of("int8", "-128").is_ok());
}

fn permit(primary: &str, types: &str, message: &str) -> Vec<Grant> {
    let json = format!(
        r#"{{"types":{{"EIP712Domain":[{{"name":"chainId","type":"uint256"}},{{"name":"verifyingContract","type":"address"}}],{types}}},
        "primaryType":"{primary}","message":{message},
        "domain":{{"chainId":"0x1","verifyingContract":"0x{}"}}}}"#,
        "aa".repeat(20)
    );
    typed_data(&json).grants
}

/// Builds a type with these members.
fn members(name: &str, list: &[(&str, &str)]) -> String {
    let list: Vec<_> = list
        .iter()
        .map(|(kind, name)| format!(r#"{{"name":"{name}","type":"{kind}"}}"#))
        .collect();
    format!(r#""{name}":[{}]"#, list.join(","))
}

#[test]
fn permits_are_grants() {
    let a = Address::repeat_byte(0xaa);
    let b = format!("0x{}", "bb".repeat(20));
    let spender = Address::repeat_byte(0xbb).to_string();
    let max = U256::MAX.to_string();
    let max160 = (U256::MAX >> 96u32).to_string();
    let erc2612 = members("Permit", &[("address", "spender"), ("uint256", "value")]);
    let dai = members("Permit", &[("address", "spender"), ("bool", "allowed")]);
    let nft = members("Permit", &[("address", "spender"), ("uint256", "tokenId")]);
    let transfer = members(
        "TransferWithAuthorization",
        &[("address", "to"), ("uint256", "value")],
    );
    let details = members("Details", &[("address", "token"), ("uint160", "amount")]);
    let single = members(
        "PermitSingle",
        &[("Details", "details"), ("address", "spender")],
    ) + ","
        + &details;
    let batch = members(
        "PermitBatchTransferFrom",
        &[("Details[]", "permitted"), ("address", "spender")],
    ) + ","
        + &details;
    let detail = |amount: &str| {
        format!(
            r#"{{"token":"{}","amount":"{amount}"}}"#,
            a.to_string().to_lowercase()
        )
    };
    for (primary, types, message, standard, amounts) in [
        (
            "Permit",
            &erc2612,
            format!(r#"{{"spender":"{b}","value":7}}"#),
            "erc20",
            vec![Some("7")],
        ),
        (
            "Permit",
            &erc2612,
            format!(r#"{{"spender":"{b}","value":"{max}"}}"#),
            "erc20",
            vec![None],
        ),
        (
            "Permit",
            &dai,
            format!(r#"{{"spender":"{b}","allowed":true}}"#),
            "erc20",
            vec![None],
        ),
        (
            "Permit",
            &dai,
            format!(r#"{{"spender":"{b}","allowed":false}}"#),
            "erc20",
            vec![Some("0")],
        ),
        (
            "Permit",
            &nft,
            format!(r#"{{"spender":"{b}","tokenId":7}}"#),
            "erc721",
            vec![Some("1")],
        ),
        (
            "TransferWithAuthorization",
            &transfer,
            format!(r#"{{"to":"{b}","value":7}}"#),
            "erc20",
            vec![Some("7")],
        ),
        (
            "PermitSingle",
            &single,
            format!(r#"{{"details":{},"spender":"{b}"}}"#, detail(&max160)),
            "erc20",
            vec![None],
        ),
        (
            "PermitBatchTransferFrom",
            &batch,
            format!(
                r#"{{"permitted":[{},{}],"spender":"{b}"}}"#,
                detail("7"),
                detail("8")
            ),
            "erc20",
            vec![Some("7"), Some("8")],
        ),
    ] {
        let grants = permit(primary, types, &message);
        let found: Vec<_> = grants.iter().map(|grant| grant.amount.as_deref()).collect();
        assert_eq!(found, amounts, "{message}");
        for grant in grants {
            assert_eq!(grant.spender, spender);
            assert!(
                grant.asset.starts_with(&format!("eip155:1/{standard}:{a}")),
                "{}",
                grant.asset
            );
        }
    }
}

/// Digests by eth-account 0.14, ethers 6.17 and viem 2.57, which agree on
/// everything that they accept.
#[test]
fn documents_that_wallets_and_libraries_hand_out_have_the_digest_that_those_compute() {
    for (name, json, digest) in CASES {
        assert_eq!(
            digest_of(&decode(json).unwrap_or_else(|error| panic!("{name}: {error}"))),
            digest,
            "{name}"
        );
    }
}

#[test]
fn what_no_signature_covers_is_not_shown() {
    for (name, left_out) in [
        ("extra_top_level", "`account`"),
        ("ledger01_extra_member", "`message.r`, `message.v`"),
    ] {
        let (_, json, digest) = CASES.into_iter().find(|case| case.0 == name).unwrap();
        let facts = typed_data(json);
        assert_eq!(
            facts.notes,
            [format!("not signed and left out: {left_out}")]
        );
        let shown = Json::parse(facts.json.as_bytes()).unwrap();
        let plain = Json::parse(CASES[0].1.as_bytes()).unwrap();
        assert_eq!(shown.get("message"), plain.get("message"), "{name}");
        assert!(shown.get("account").is_none());
        let again = decode(&facts.json).unwrap();
        assert_eq!(
            digest_of(&again),
            digest,
            "what is shown has the digest that is signed"
        );
    }
    let nested = MAIL.replace(r#""name":"Cow""#, r#""name":"Cow","pays":"1""#);
    assert_eq!(
        typed_data(&nested).notes,
        ["not signed and left out: `message.from.pays`"]
    );
    assert_eq!(
        digest_of(&decode(&nested).unwrap()),
        digest_of(&decode(MAIL).unwrap())
    );
}

#[test]
fn a_domain_without_a_type_has_the_one_that_its_members_make() {
    let (_, json, digest) = CASES
        .into_iter()
        .find(|case| case.0 == "no_domain_type")
        .unwrap();
    let facts = typed_data(json);
    let derived =
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
    assert_eq!(
        facts.notes,
        [format!(
            "the domain's type is derived from its members: {derived}"
        )]
    );
    assert_eq!(digest_of(&decode(&facts.json).unwrap()), digest);
    assert!(typed_data(&facts.json).notes.is_empty());
    let salt = format!(r#"{{"salt":"0x{}","name":"App"}}"#, "11".repeat(32));
    let json = |domain: &str| {
        format!(
            r#"{{"types":{{"M":[{{"name":"x","type":"string"}}]}},"primaryType":"M","domain":{domain},"message":{{"x":"hi"}}}}"#
        )
    };
    for (domain, digest) in [
        (
            "{}",
            "c1d3158148cf4ced203537f7d69af7403f001209c7eb62aea244a2be8639a0ea",
        ),
        (
            &*salt,
            "5c42042bc72ae6bce9bee0c013790b4deda383b255a941e7bc1c44b5f8ae5392",
        ),
    ] {
        assert_eq!(
            digest_of(&decode(&json(domain)).unwrap()),
            digest,
            "{domain}"
        );
    }
    assert!(
        decode(&json(r#"{"name":"App","foo":"x"}"#))
            .unwrap_err()
            .to_string()
            .contains("`foo`")
    );
}

#[test]
fn a_domain_may_name_an_invalid_address() {
    let facts = typed_data(CASES[2].1);
    assert_eq!(
        (facts.verifying_contract.as_deref(), facts.chain.as_deref()),
        (Some("cosmos"), Some("eip155:1"))
    );
    assert_eq!(facts.rights, Rights::Unknown);
}

/// ethers 6.17 and eth-account 0.14 hash an address as one, viem 2.57 and MetaMask as the text that
/// it is declared to be. eth-account treats a salt of any type as 32 bytes.
#[test]
fn a_text_that_could_be_the_standards_member_is_refused_in_a_domain() {
    let address = "ab".repeat(20);
    let read = |domain_type: &str, domain: &str| {
        decode(&format!(
            r#"{{"types":{{"EIP712Domain":[{domain_type}],"M":[]}},"primaryType":"M","domain":{{{domain}}},"message":{{}}}}"#
        ))
    };
    let member = |name: &str, kind: &str| format!(r#"{{"name":"{name}","type":"{kind}"}}"#);
    let contract = member("verifyingContract", "string");
    let salt = member("salt", "string");
    for named in [
        format!("0x{address}"),
        format!("0X{address}"),
        address.to_uppercase(),
        "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD827".into(),
        "XE65GB6LDNXYOFTX0NSV3FUWKOWIXAMJK36".into(),
        "xe65gb6ldnxyoftx0nsv3fuwkowixamjk3".into(),
    ] {
        let refused = read(&contract, &format!(r#""verifyingContract":"{named}""#)).unwrap_err();
        assert!(
            refused.to_string().contains("declare it as address"),
            "{named}: {refused}"
        );
    }
    for other in ["cosmos", "", "0x", &address[1..], "XEON"] {
        let text = format!(r#""verifyingContract":"{other}","salt":"0""#);
        read(&format!("{contract},{salt}"), &text)
            .unwrap_or_else(|error| panic!("{other}: {error}"));
    }
    let word = format!("0x{}", "11".repeat(32));
    for text in ["0", "cosmos", &word] {
        let refused = read(&salt, &format!(r#""salt":"{text}""#)).unwrap_err();
        assert!(
            refused.to_string().contains("declare it as bytes32"),
            "{text}: {refused}"
        );
    }
    let of_a_chain = format!(r#""verifyingContract":"0x{address}","salt":"0""#);
    assert!(
        read(
            &format!("{},{salt}", member("verifyingContract", "address")),
            &of_a_chain
        )
        .is_err()
    );
}

/// eth-account 0.14 treats a struct `uint` as a number; viem 2.57 and ethers 6.17
/// refuse most of them.
#[test]
fn a_struct_is_not_called_as_what_is_built_in() {
    let read = |name: &str| {
        decode(&format!(
            r#"{{"types":{{"EIP712Domain":[],"M":[{{"name":"x","type":"{name}"}}],"{name}":[]}},
                "primaryType":"M","domain":{{}},"message":{{"x":{{}}}}}}"#
        ))
    };
    for name in [
        "uint",
        "int",
        "bytes33",
        "bytes0",
        "uint08",
        "uint7",
        "int512",
        "fixed",
        "ufixed128x18",
        "function",
    ] {
        assert!(
            read(name)
                .unwrap_err()
                .to_string()
                .contains("not a name for a type"),
            "{name}"
        );
    }
    for name in [
        "Uint",
        "integer",
        "internal",
        "bytesLike",
        "uint8s",
        "fixed:a",
        "functions",
    ] {
        read(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn a_chain_of_types_takes_no_stack() {
    let link = |at: usize| format!(r#""t{at}":[{{"name":"x","type":"t{}[]"}}],"#, at + 1);
    let types: String = (0..1650).map(link).collect();
    let json = format!(
        r#"{{"types":{{{types}"t1650":[],"EIP712Domain":[]}},"primaryType":"t0","domain":{{}},"message":{{"x":[]}}}}"#
    );
    assert!((60_000..1 << 16).contains(&json.len()), "{}", json.len());
    let little = std::thread::Builder::new().stack_size(160 << 10);
    little
        .spawn(move || decode(&json).unwrap())
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn a_mark_before_the_document_changes_nothing() {
    let marked = format!("\u{feff}{MAIL}");
    assert_eq!(decode(&marked).unwrap(), decode(MAIL).unwrap());
}

/// Documents of random types and values. eth-account 0.14, ethers 6.17 and viem 2.57
/// agree on each digest.
#[test]
fn generated_documents_have_the_digest_that_three_libraries_compute() {
    let vectors: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../fixtures/eip712-generated.json")).unwrap();
    assert_eq!(vectors.len(), 64);
    for (number, vector) in vectors.iter().enumerate() {
        let mut document = vector["document"].clone();
        let computed =
            |document: &serde_json::Value| digest_of(&decode(&document.to_string()).unwrap());
        assert_eq!(computed(&document), vector["digest"], "{number}");
        document["message"]["one"]["further"] = 1.into();
        assert_eq!(
            computed(&document),
            vector["digest"],
            "what no type declares is not signed, {number}"
        );
    }
}
