use countersign_protocol::Scheme;
use proptest::prelude::*;

use super::*;
use crate::testkit::{decode_as, key_of};
use crate::{Intent, PayloadKind};

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text.trim()).unwrap()
}

/// A Protocol Buffers field with bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

fn message_of_cosmos() -> Vec<u8> {
    [
        field(1, b"/cosmos.bank.v1beta1.MsgSend"),
        field(2, b"\x0a\x01x"),
    ]
    .concat()
}

/// Transactions and their signed forms, each with a word from its expected name.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let body = field(1, &message_of_cosmos());
    let sign_doc = [
        field(1, &body),
        field(2, b"\x12\x00"),
        field(3, b"cosmoshub-4"),
        vec![0x20, 7],
    ]
    .concat();
    let amino = br#"{"account_number":"1","chain_id":"cosmoshub-4","fee":{"amount":[],"gas":"1"},"memo":"","msgs":[],"sequence":"0"}"#;
    let id = [field(1, b"\x08\x01"), field(2, b"\x18\x02")].concat();
    let hedera = [field(1, &id), field(2, b"\x18\x03"), vec![0x18, 5]].concat();
    let near_name = |name: &str| [&(name.len() as u32).to_le_bytes()[..], name.as_bytes()].concat();
    let near = [
        near_name("alice.near"),
        vec![0; 41],
        near_name("bob.near"),
        vec![7; 32],
        vec![1, 0, 0, 0, 3],
    ]
    .concat();
    let segwit = [
        vec![1, 0, 0, 0],
        vec![3; 100],
        vec![25],
        vec![5; 25],
        vec![6; 48],
        vec![1, 0, 0, 0],
    ]
    .concat();
    let transaction = unhex(
        "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932b8af514961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622082221a8768d1d0901ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac00000000",
    );
    let tap = {
        use sha2::{Digest, Sha256};
        let tag = Sha256::digest("TapSighash");
        [&tag[..], &tag, &[0, 0]].concat()
    };
    vec![
        (
            "Tron",
            unhex(include_str!(
                "../../fixtures/message-tron-trigger-contract.hex"
            )),
        ),
        ("SignDoc", sign_doc),
        ("amino", amino.to_vec()),
        ("textual", unhex("a1018fa2016843")),
        ("Hedera", hedera),
        (
            "Aptos",
            [
                unhex("b5e97db07fa0bd0e5598aa3643a9bc6f6693bddc1a9fec9e674a461eaa00b193"),
                vec![1; 80],
            ]
            .concat(),
        ),
        (
            "Aptos",
            [
                unhex("5efa3c4f02f83a0f4b2d69fc95c607cc02825cc4e7be536ef0992df050d9e67c"),
                vec![1; 80],
            ]
            .concat(),
        ),
        ("Sui", [vec![0; 5], vec![9; 120]].concat()),
        ("NEAR", near),
        ("NEAR", unhex("6e01004009000000")),
        ("Algorand", b"TX\x89\xa3amt".to_vec()),
        ("Algorand", b"Program\x06\x81\x01".to_vec()),
        ("XRP", b"STX\0\x12\x00\x00".to_vec()),
        (
            "Stellar",
            [
                unhex("7ac33997544e3175d266bd022439b22cdb16508c01163f26e5cb2a3e1045a979"),
                vec![0, 0, 0, 2],
            ]
            .concat(),
        ),
        (
            "Internet Computer",
            [b"\x0aic-request".to_vec(), vec![8; 32]].concat(),
        ),
        (
            "Antelope",
            [vec![0xac; 32], vec![3; 30], vec![0; 32]].concat(),
        ),
        ("PSBT", b"psbt\xff\x01\x00".to_vec()),
        ("Bitcoin transaction", transaction.clone()),
        (
            "hashed for a Bitcoin signature",
            [transaction, vec![1, 0, 0, 0]].concat(),
        ),
        ("hashed for a Bitcoin signature", segwit),
        ("hashed for a Bitcoin signature", tap),
        (
            "EVM",
            unhex(include_str!(
                "../../fixtures/evm-erc721-approve-token-0.hex"
            )),
        ),
        (
            "EVM",
            unhex(include_str!("../../fixtures/evm-7702-authorization.hex")),
        ),
        (
            "EVM",
            unhex(
                include_str!("../../fixtures/evm-signed-1559.hex")
                    .trim()
                    .trim_start_matches("0x"),
            ),
        ),
        ("EIP-712", [&[0x19, 1][..], &[7; 64]].concat()),
        ("EIP-191", b"\x19Ethereum Signed Message:\n3abc".to_vec()),
    ]
}

#[test]
fn a_transaction_is_refused_as_a_message_by_every_key() {
    for (what, bytes) in samples() {
        for scheme in Scheme::ALL {
            let refused = decode_as(&key_of(scheme), PayloadKind::Message, &bytes).unwrap_err();
            assert_eq!(refused.code(), "message-is-transaction", "{what}");
            assert!(refused.to_string().contains(what), "{what}: {refused}");
        }
    }
}

/// Other encodings of the same message, and everything else that parsers skip.
#[test]
fn protocol_buffers_are_recognised_in_every_encoding() {
    let other = field(1, b"type without a slash");
    // A group with number 200 that contains a field.
    let group = [0xc3, 0x0c, 0x08, 1, 0xc4, 0x0c];
    for (what, bytes) in samples()
        .into_iter()
        .filter(|(what, _)| ["Tron", "SignDoc", "Hedera"].contains(what))
    {
        let first = usize::from(bytes[1]) + 2;
        let altered = [
            ("a group that nobody knows", [&group, &bytes[..]].concat()),
            (
                "a group in a group",
                [&[0x0b][..], &group, &[0x0c], &bytes].concat(),
            ),
            (
                "a field that nobody knows",
                [&bytes[..], &[0xfa, 0x01, 1, b'x']].concat(),
            ),
            (
                "an empty message in front",
                [&field(1, b""), &bytes[..]].concat(),
            ),
            (
                "an empty contract in front",
                [&field(11, b""), &bytes[..]].concat(),
            ),
            (
                "other messages in front",
                [&field(1, &other), &field(11, &other), &bytes[..]].concat(),
            ),
            (
                "bits beyond 32 in a key",
                [&[bytes[0] | 0x80, 0x80, 0x80, 0x80, 0x10], &bytes[1..]].concat(),
            ),
            (
                "bits beyond 32 in a length",
                [
                    &bytes[..1],
                    &[bytes[1] | 0x80, 0x80, 0x80, 0x80, 0x10],
                    &bytes[2..],
                ]
                .concat(),
            ),
            (
                "the first field again, at the end",
                [&bytes[first..], &bytes[..first]].concat(),
            ),
        ];
        for (how, altered) in altered {
            let seen = transaction(&altered).unwrap_or_else(|| panic!("{what}, {how}"));
            assert!(seen.0.contains(what), "{what}, {how}: {}", seen.0);
        }
    }
    // The type's name in one part, an unknown field in the `Any`, parts of a contract and of an id.
    let name = field(1, "é.com/protocol.TransferContract".as_bytes());
    let any = [field(2, b"x"), name, field(3, b"?")].concat();
    let parts = [field(2, &any[..3]), vec![0x08, 1], field(2, &any[3..])].concat();
    assert!(transaction(&field(11, &parts)).unwrap().0.contains("Tron"));
    let start = field(1, &field(1, b"\x08\x01"));
    let payer = field(1, &field(2, b"\x18\x02"));
    let hedera = [start, payer, field(2, b"\x18\x03"), vec![0x18, 5]].concat();
    assert!(transaction(&hedera).unwrap().0.contains("Hedera"));
}

#[test]
fn groups_with_unmatched_brackets_are_not_a_message() {
    let tron = unhex(include_str!(
        "../../fixtures/message-tron-trigger-contract.hex"
    ));
    for around in [&[0x0b][..], &[0x0c], &[0x0b, 0x14], &[0x0b, 0x13, 0x0c]] {
        assert_eq!(transaction(&[around, &tron].concat()), None, "{around:?}");
    }
}

/// Each form is recognised on its own: with any other in its place the sample would pass.
#[test]
fn every_form_has_a_sample() {
    let mut seen: Vec<_> = samples()
        .iter()
        .filter_map(|(_, bytes)| transaction(bytes))
        .map(|(what, _)| what)
        .collect();
    seen.sort_unstable();
    seen.dedup();
    // Those of Solana are in the tests of messages.
    assert_eq!(seen.len() + 2, KNOWN.len());
}

#[test]
fn what_people_write_is_a_message() {
    for text in [
        "Sign in to app.example.com at 2026-11-28T20:00:00Z",
        "TX 7 of account Z",
        "Program of the conference",
        "{\"chain_id\": 1, \"memo\": \"hello\"}",
        "\tfirst line\r\nsecond line\n",
        "płacę 5 zł",
        "0x02f86f0102843b9aca00",
        "Z\u{9}",
        "",
    ] {
        assert_eq!(transaction(text.as_bytes()), None, "{text}");
    }
    let text = decode_as(
        &key_of(Scheme::Ed25519),
        PayloadKind::Message,
        "a\tb\r\n".as_bytes(),
    )
    .unwrap();
    assert_eq!(text.intent, Intent::Message(b"a\tb\r\n".to_vec()));
}

#[test]
fn bytes_that_are_not_text_are_blind() {
    for scheme in Scheme::ALL {
        for bytes in [&[0xff, 0xfe, 1][..], b"a\0b", b"\x1b[2J", &[7; 64]] {
            let decoded = decode_as(&key_of(scheme), PayloadKind::Message, bytes).unwrap();
            assert_eq!(decoded.intent, Intent::Opaque, "{bytes:?}");
        }
    }
}

proptest! {
    #[test]
    fn plain_text_is_not_a_transaction(text in "[ -~\n]{0,200}") {
        prop_assert_eq!(transaction(text.as_bytes()), None);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = transaction(&bytes);
    }
}

#[test]
fn nobody_is_advised_to_sign_blindly() {
    for (_, what, instead) in KNOWN {
        assert!(
            !instead.contains("blind") && !instead.contains("digest"),
            "{what}: {instead}"
        );
    }
}
