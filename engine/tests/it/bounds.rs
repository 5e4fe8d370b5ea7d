//! Lengths of messages, and of the integers in them. Oversized ones are refused before anything
//! computes with them, so even an engine that has not begun refuses them.

use ciborium::Value;
use countersign_engine::{
    AgreeParams, Aux, AuxParams, Engine, EngineError, MAX_BODY, Message, MessageKind, PartyIndex,
    PeerFault, Scheme, agree, agree_room, aux_info, aux_info_room, batch, keygen_room, sign_room,
};
use rand::RngCore;
use rand::rngs::OsRng;

use crate::driver;
use crate::fixtures::{Wallet, keygens, primes};

/// Responses of proofs, which may be short and of either sign.
const EITHER_SIGN: [&str; 7] = ["z1", "z2", "z3", "z4", "w1", "w2", "v"];

#[test]
fn no_integer_of_signing_is_longer_or_shorter_than_the_level_has() {
    let wallet = Wallet::new(Scheme::EcdsaSecp256k1, 2, 3);
    let message = Message::Digest([5; 32]);
    let mut sent = vec![];
    driver::run_altered(wallet.signers(&[0, 1], &[], &message), |packet| {
        if packet.from == PartyIndex(1) {
            sent.push((packet.kind, packet.body.clone()));
        }
    });
    let fresh = || wallet.signer(0, &[0, 1], &[], &message, b"signing");
    let integers: usize = sent
        .iter()
        .map(|(kind, body)| integers_are_bounded(fresh, *kind, body))
        .sum();
    assert_eq!(integers, 2 + 2 * 6 + 4 + 2 * 12, "of rounds 1 and 2");
}

#[test]
fn no_integer_of_auxiliary_information_is_longer_or_shorter_than_the_level_has() {
    let [parameters, proofs] = [parameters(number(3072)), proofs()].map(|message| encode(&message));
    let integers = integers_are_bounded(engine, MessageKind::Broadcast, &parameters)
        + integers_are_bounded(engine, MessageKind::Direct, &proofs);
    assert_eq!(integers, 4 + 2 * 128 + 1 + 2 * 128 + 10);
}

#[test]
fn a_modulus_of_a_megabyte_is_not_even_decoded() {
    let fault = |modulus| {
        let body = encode(&parameters(modulus));
        let error = engine()
            .receive(PartyIndex(1), MessageKind::Broadcast, &body)
            .err();
        match error {
            Some(EngineError::Peer { fault, culprits }) if culprits == [PartyIndex(1)] => {
                Some(fault)
            }
            None => None,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fault(number(3072)), None);
    assert_eq!(fault(number(3071)), None);
    assert_eq!(fault(number(3073)), Some(PeerFault::Integers));
    assert_eq!(fault(number(3070)), Some(PeerFault::Integers));
    assert_eq!(
        fault(number(40_000)),
        Some(PeerFault::Integers),
        "the message is no longer than another may be"
    );
    assert_eq!(fault(number(8_000_000)), Some(PeerFault::TooLong));
}

#[test]
fn engines_say_how_long_their_messages_are() {
    let wallet = Wallet::new(Scheme::EcdsaSecp256k1, 2, 3);
    let signer = || wallet.signer(0, &[0, 1], &[], &Message::Digest([5; 32]), b"signing");
    let one = signer().body_limit();
    assert!((28_000..64_000).contains(&one), "{one}");
    let two = batch(vec![signer(), signer()]).body_limit();
    assert!((2 * one..2 * one + 64).contains(&two), "{two}");
    assert!(engine().body_limit() < MAX_BODY / 3);
    let frost = Wallet::new(Scheme::Ed25519, 2, 3);
    assert!(
        frost
            .signer(0, &[0, 1], &[], &Message::Digest([5; 32]), b"signing")
            .body_limit()
            <= 512
    );
}

/// Messages that arrive before their engine are bounded by the same numbers.
#[test]
fn rooms_are_as_large_as_the_engines_say() {
    for scheme in Scheme::ALL {
        let wallet = Wallet::new(scheme, 2, 3);
        for runs in [1, 3] {
            let run = |_| wallet.signer(0, &[0, 1], &[], &Message::Digest([5; 32]), b"signing");
            let engine = batch((0..runs).map(run).collect());
            assert_eq!(
                sign_room(scheme, runs).longest,
                engine.body_limit(),
                "{scheme}"
            );
        }
        assert!(sign_room(scheme, 1).total > sign_room(scheme, 1).longest);
        let keygen = &keygens(scheme, 2, 3, b"keygen")[0];
        assert_eq!(keygen_room().longest, keygen.body_limit(), "{scheme}");
    }
    assert_eq!(aux_info_room().longest, engine().body_limit());
    assert!(aux_info_room().total < 3 * aux_info_room().longest);
    let speakers = [PartyIndex(0)];
    let params = AgreeParams {
        session: b"agree",
        me: PartyIndex(0),
        parties: 2,
        speakers: &speakers,
    };
    assert_eq!(
        agree_room().longest,
        agree(params, Some(vec![1])).unwrap().body_limit()
    );
}

/// Tries each integer of a message longer, shorter and negative, and returns how many there are.
fn integers_are_bounded<O>(
    engine: impl Fn() -> Box<dyn Engine<Output = O>>,
    kind: MessageKind,
    body: &[u8],
) -> usize {
    let honest: Value = ciborium::from_reader(body).unwrap();
    let receive = |message: &Value| engine().receive(PartyIndex(1), kind, &encode(message));
    assert_eq!(receive(&honest), Ok(()));
    let refused = Err(EngineError::Peer {
        fault: PeerFault::Integers,
        culprits: vec![PartyIndex(1)],
    });
    let names = integers(&honest, "");
    for (index, (name, digits)) in names.iter().enumerate() {
        // Items of an array have one type: the first two stand for all.
        if names[..index]
            .iter()
            .filter(|(earlier, _)| earlier == name)
            .count()
            > 1
        {
            continue;
        }
        let with = |value: String| {
            let mut message = honest.clone();
            replace(&mut message, &mut index.clone(), &value);
            receive(&message)
        };
        assert_eq!(with("f".repeat(digits + 40)), refused, "{name} is too long");
        assert_eq!(
            with(format!("0{}", "f".repeat(180))),
            refused,
            "{name} has a second form"
        );
        assert_eq!(with("no number".into()), refused, "{name}");
        if !EITHER_SIGN.iter().any(|suffix| is_response(name, suffix)) {
            assert_eq!(with("1".into()), refused, "{name} is too short");
            assert_eq!(
                with(format!("-{}", "f".repeat(768))),
                refused,
                "{name} is negative"
            );
        }
    }
    names.len()
}

/// z2 is a residue in the range proofs of round 1 and in no other.
fn is_response(name: &str, suffix: &str) -> bool {
    let response = name.contains(".proof.") && name.ends_with(&format!(".{suffix}"));
    response && !(name.contains("Round1b") && suffix == "z2")
}

/// The names of all integers and how many digits they have, in order.
fn integers(value: &Value, name: &str) -> Vec<(String, usize)> {
    match value {
        Value::Map(entries)
            if entries
                .iter()
                .any(|(key, _)| key.as_text() == Some("radix")) =>
        {
            vec![(name.to_owned(), entries[1].1.as_text().unwrap().len())]
        }
        Value::Map(entries) => {
            let deeper = |(key, value): &(Value, Value)| {
                integers(value, &format!("{name}.{}", key.as_text().unwrap()))
            };
            entries.iter().flat_map(deeper).collect()
        }
        Value::Array(items) => items.iter().flat_map(|item| integers(item, name)).collect(),
        _ => vec![],
    }
}

/// Replaces the integer that has this index; counts down to it.
fn replace(value: &mut Value, index: &mut usize, digits: &str) -> bool {
    match value {
        Value::Map(entries)
            if entries
                .iter()
                .any(|(key, _)| key.as_text() == Some("radix")) =>
        {
            if *index == 0 {
                entries[1].1 = Value::Text(digits.into());
                return true;
            }
            *index -= 1;
            false
        }
        Value::Map(entries) => entries
            .iter_mut()
            .any(|(_, value)| replace(value, index, digits)),
        Value::Array(items) => items.iter_mut().any(|item| replace(item, index, digits)),
        _ => false,
    }
}

fn engine() -> Box<dyn Engine<Output = Aux>> {
    aux_info(
        AuxParams {
            session: b"aux",
            me: PartyIndex(0),
            parties: 2,
        },
        primes(0),
        OsRng,
    )
    .unwrap()
}

/// Round 2 of auxiliary information, as long as an honest one except for N.
fn parameters(modulus: Value) -> Value {
    let numbers = || Value::Array((0..128).map(|_| number(3072)).collect());
    let proof = map(vec![("commitment", numbers()), ("zs", numbers())]);
    let bytes = || Value::Text("ab".repeat(32));
    let parameters = map(vec![
        ("N", modulus),
        ("hat_N", number(3072)),
        ("s", number(3072)),
        ("t", number(3072)),
        ("params_proof", proof),
        ("rho_bytes", bytes()),
        ("decommit", bytes()),
    ]);
    let responses = Value::Array((0..128).map(|_| Value::Bytes(vec![1; 384])).collect());
    let proof = map(vec![
        ("challenge", Value::Bytes(vec![1; 16])),
        ("responses", responses),
    ]);
    map(vec![(
        "ProvenRound2",
        map(vec![("round", parameters), ("proof", proof)]),
    )])
}

/// Round 3 of auxiliary information, as long as an honest one.
fn proofs() -> Value {
    let residues =
        |names: &[&'static str]| map(names.iter().map(|name| (*name, number(3072))).collect());
    let point = || {
        map(vec![
            ("x", number(3072)),
            ("a", Value::Bool(true)),
            ("b", Value::Bool(false)),
            ("z", number(3072)),
        ])
    };
    let points = map(vec![(
        "points",
        Value::Array((0..128).map(|_| point()).collect()),
    )]);
    let blum = map(vec![("commitment", residues(&["w"])), ("proof", points)]);
    let responses = map(vec![
        ("z1", number(2304)),
        ("z2", number(2304)),
        ("w1", number(3840)),
        ("w2", number(3840)),
        ("v", number(6912)),
    ]);
    let factors = map(vec![
        ("commitment", residues(&["p", "q", "a", "b", "t"])),
        ("proof", responses),
    ]);
    map(vec![(
        "Round3",
        map(vec![("mod_proof", blum), ("fac_proof", factors)]),
    )])
}

/// A random integer of so many bits.
fn number(bits: usize) -> Value {
    let mut bytes = vec![0; bits.div_ceil(8)];
    OsRng.fill_bytes(&mut bytes);
    let spare = bytes.len() * 8 - bits;
    bytes[0] = (bytes[0] | 0x80) >> spare;
    let digits = hex::encode(bytes);
    let value = Value::Text(digits.trim_start_matches('0').into());
    map(vec![("radix", Value::Integer(16.into())), ("value", value)])
}

fn map(entries: Vec<(&str, Value)>) -> Value {
    Value::Map(
        entries
            .into_iter()
            .map(|(key, value)| (Value::Text(key.into()), value))
            .collect(),
    )
}

fn encode(value: &Value) -> Vec<u8> {
    let mut body = vec![];
    ciborium::into_writer(value, &mut body).unwrap();
    body
}
