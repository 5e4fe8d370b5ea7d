//! Properties of every kind: decoding random bytes ends in a value, and no digest has two meanings.

use countersign_protocol::{Payload, Scheme};
use proptest::prelude::*;

use crate::testkit::{decode_as, ecdsa, ed25519, key_of};
use crate::{DecodeError, Decoded, Intent, Key, Networks, PayloadKind, decode, is_transaction};

/// Valid payloads of every kind, each with a key that signs it.
fn samples() -> Vec<(Key<'static>, PayloadKind, Vec<u8>)> {
    PayloadKind::ALL
        .into_iter()
        .flat_map(|kind| {
            samples_of(kind)
                .into_iter()
                .map(move |(key, bytes)| (key, kind, bytes))
        })
        .collect()
}

/// Valid payloads of one kind: at least one, and for a list of digests one with several.
fn samples_of(kind: PayloadKind) -> Vec<(Key<'static>, Vec<u8>)> {
    let unhex = |text: &str| hex::decode(text).unwrap();
    match kind {
        PayloadKind::Message => vec![(ed25519(), b"a message".to_vec())],
        PayloadKind::Digest => vec![(ecdsa(), vec![7; 32])],
        PayloadKind::EvmTransaction => {
            let typed = "02f8620a8080808094aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa80b844a9059cbb000000000000000000000000bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0000000000000000000000000000000000000000000000000000000000000007c0";
            let legacy = "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";
            vec![(ecdsa(), unhex(typed)), (ecdsa(), unhex(legacy))]
        }
        PayloadKind::Eip191 => vec![(ecdsa(), b"Hello World".to_vec())],
        PayloadKind::Eip712 => {
            let typed = br#"{"types":{"EIP712Domain":[{"name":"chainId","type":"uint256"}],"T":[{"name":"x","type":"uint8[]"}]},"primaryType":"T","domain":{"chainId":1},"message":{"x":[1,"2"]}}"#;
            vec![(ecdsa(), typed.to_vec())]
        }
        PayloadKind::Psbt => vec![
            (ecdsa(), crate::psbt::tests::payment().serialize()),
            (
                key_of(Scheme::Taproot),
                crate::psbt::tests::taproot_payment().1.serialize(),
            ),
            (
                ecdsa(),
                crate::psbt::tests::shared_payments(2)[1].serialize(),
            ),
        ],
        PayloadKind::SolanaMessage => {
            let solana = [
                &[1, 0, 1, 2][..],
                ed25519().root_public_key,
                &[7; 32],
                &[9; 32],
                &[1, 1, 1, 0, 1, 5],
            ]
            .concat();
            vec![(ed25519(), solana)]
        }
        PayloadKind::Digests => {
            let entry =
                |path, byte: &str| format!(r#"{{"path":"{path}","digest":"{}"}}"#, byte.repeat(32));
            let list = format!("[{},{}]", entry("m/0/7", "11"), entry("m", "22"));
            vec![(ecdsa(), list.into())]
        }
        PayloadKind::BitcoinMessage => {
            let document =
                br#"{"message":"a","address":"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}"#;
            vec![(ecdsa(), document.to_vec())]
        }
        PayloadKind::Eip7702 => vec![(
            ecdsa(),
            unhex("05d7019463c0c19a282a1b52b07dd5a65b58948a07dae32b01"),
        )],
    }
}

/// The intent without the details that wallets may write differently or omit with the same meaning:
/// the claim which output of a PSBT is change (checked, but not covered by a signature), and the
/// way typed data spells a value or omits its domain's type.
fn meaning(decoded: &Decoded) -> Intent {
    let mut intent = decoded.intent.clone();
    match &mut intent {
        Intent::Transaction(transaction) => transaction
            .destinations
            .iter_mut()
            .for_each(|to| to.change = false),
        Intent::TypedData(typed_data) => {
            typed_data.json.clear();
            typed_data.notes.clear();
        }
        Intent::Message(_) | Intent::Opaque => {}
    }
    intent
}

fn digests(decoded: &Decoded) -> Vec<&[u8]> {
    decoded
        .inputs
        .iter()
        .map(|input| &input.signed_bytes[..])
        .collect()
}

#[test]
fn every_kind_has_samples_and_they_are_decoded() {
    for kind in PayloadKind::ALL {
        assert!(!samples_of(kind).is_empty(), "{kind}");
    }
    for (key, kind, bytes) in samples() {
        decode_as(&key, kind, &bytes).unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

/// Nodes refuse by the kind, plugins by the intent: neither may take for readable what the other
/// takes for blind.
#[test]
fn exactly_what_is_blind_has_no_intent() {
    let hash = [
        (ed25519(), PayloadKind::Message, vec![7; 32]),
        (ed25519(), PayloadKind::Message, vec![0xff, 7]),
    ];
    for (key, kind, bytes) in samples().into_iter().chain(hash) {
        let is_blind = Payload::new(kind, bytes.clone()).is_blind();
        let decoded = decode_as(&key, kind, &bytes).unwrap();
        assert_eq!(decoded.intent == Intent::Opaque, is_blind, "{kind}");
    }
}

/// The kind that a requester declares is not signed, and an operator may allow binary messages.
#[test]
fn a_transaction_of_any_kind_is_refused_as_a_message() {
    for (_, kind, bytes) in samples() {
        if !is_transaction(kind) {
            continue;
        }
        for scheme in Scheme::ALL {
            let refused = decode_as(&key_of(scheme), PayloadKind::Message, &bytes)
                .expect_err(&format!("a payload of kind {kind} passes as a message"));
            assert_eq!(refused.code(), "message-is-transaction", "{kind}");
        }
    }
}

#[test]
fn an_intent_of_a_transaction_is_of_a_kind_that_is_one() {
    for (key, kind, bytes) in samples() {
        let decoded = decode_as(&key, kind, &bytes).unwrap();
        let shown = matches!(decoded.intent, Intent::Transaction(_));
        assert_eq!(shown, is_transaction(kind), "{kind}");
    }
}

/// Changes every byte in eight ways.
#[test]
fn a_changed_byte_never_gives_the_same_digest_another_meaning() {
    for (key, kind, bytes) in samples() {
        let good = decode_as(&key, kind, &bytes).unwrap();
        for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let Ok(other) = decode_as(&key, kind, &changed) else {
                continue;
            };
            if digests(&other) == digests(&good) {
                assert_eq!(
                    meaning(&other),
                    meaning(&good),
                    "{kind}, byte {at}, bit {bit}"
                );
            }
        }
    }
}

#[test]
fn digests_of_the_requester_must_be_those_that_are_computed() {
    for (key, kind, bytes) in samples() {
        let claiming = |digests| {
            let payload = Payload {
                digests,
                ..Payload::new(kind, bytes.clone())
            };
            decode(&key, &Default::default(), &payload, &Networks::default())
        };
        let computed: Vec<_> = claiming(vec![])
            .unwrap()
            .inputs
            .into_iter()
            .map(|input| input.signed_bytes)
            .collect();
        assert!(claiming(computed.clone()).is_ok(), "{kind}");
        let mut flipped = computed.clone();
        flipped[0][0] ^= 1;
        for wrong in [
            flipped,
            [computed.clone(), computed].concat(),
            vec![vec![1]],
        ] {
            let refused = claiming(wrong).unwrap_err();
            assert!(
                matches!(refused, DecodeError::DigestMismatch { .. }),
                "{kind}"
            );
            assert_eq!(refused.code(), "digest-mismatch");
        }
    }
}

/// Errors state the correct form, and never advise signing something unreadable.
#[test]
fn what_is_malformed_is_told_the_form_that_is_expected() {
    for kind in PayloadKind::ALL {
        for scheme in Scheme::ALL {
            let Err(error) = decode_as(&key_of(scheme), kind, b"\x19E?") else {
                continue;
            };
            let text = error.to_string();
            assert!(
                !text.contains("blind") && !text.contains("hash it"),
                "{text}"
            );
            if error.code() == "payload-malformed" {
                assert!(text.contains("expected"), "{text}");
            }
        }
    }
}

#[test]
fn a_path_without_a_key_is_refused() {
    let key = Key {
        root_public_key: &[2; 33],
        ..ecdsa()
    };
    let root = Key {
        root_public_key: &[0; 33],
        ..ecdsa()
    };
    let bytes = &samples_of(PayloadKind::EvmTransaction)[0].1;
    assert!(decode_as(&key, PayloadKind::EvmTransaction, bytes).is_ok());
    assert_eq!(
        decode_as(&root, PayloadKind::EvmTransaction, bytes)
            .unwrap_err()
            .code(),
        "payload-path"
    );
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 1..400)) {
        for scheme in Scheme::ALL {
            for kind in PayloadKind::ALL {
                let _ = decode_as(&key_of(scheme), kind, &bytes);
            }
        }
    }

    #[test]
    fn mutated_payloads_never_panic(
        which in 0..samples().len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..6),
    ) {
        let (key, kind, mut bytes) = samples().swap_remove(which);
        for (at, byte, edit) in edits {
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let _ = decode_as(&key, kind, &bytes);
    }
}
