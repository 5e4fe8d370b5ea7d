use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::{consensus, ecdsa as bitcoin_ecdsa};
use countersign_protocol::{DerivationPath, Payload, Scheme};
use serde_json::json;

use super::*;
use crate::psbt::tests::{payment, taproot_payment};
use crate::testkit::{decode_as, ecdsa, key_of};
use crate::{BitcoinForm, Decoded, Intent, Key, Networks, PayloadKind, finish};

/// The key of the BIP's examples.
const PUBLIC_KEY: &str = "02c7f12003196442943d8588e01aee840423cc54fc1521526a3b85c2b0cbd58872";
const ADDRESS: &str = "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l";
const TAPROOT_ADDRESS: &str = "bc1ppv609nr0vr25u07u95waq5lucwfm6tde4nydujnu8npg4q75mr5sxq8lt3";

/// Its signatures, of either message by this address, in the `simple` form.
const SIGNATURES: [(&str, &str); 4] = [
    (
        "",
        "AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
    ),
    (
        "",
        "AkgwRQIhAPkJ1Q4oYS0htvyuSFHLxRQpFAY56b70UvE7Dxazen0ZAiAtZfFz1S6T6I23MWI2lK/pcNTWncuyL8UL+oMdydVgzAEhAsfxIAMZZEKUPYWI4BruhAQjzFT8FSFSajuFwrDL1Yhy",
    ),
    (
        "Hello World",
        "AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
    ),
    (
        "Hello World",
        "AkgwRQIhAOzyynlqt93lOKJr+wmmxIens//zPzl9tqIOua93wO6MAiBi5n5EyAcPScOjf1lAqIUIQtr3zKNeavYabHyR8eGhowEhAsfxIAMZZEKUPYWI4BruhAQjzFT8FSFSajuFwrDL1Yhy",
    ),
];

fn public_key() -> Vec<u8> {
    hex::decode(PUBLIC_KEY).unwrap()
}

fn payload(message: &str, address: &str) -> Payload {
    let document = json!({"message": message, "address": address});
    Payload::new(
        PayloadKind::BitcoinMessage,
        document.to_string().into_bytes(),
    )
}

fn decoded(key: &Key, payload: &Payload) -> Result<Decoded, crate::DecodeError> {
    crate::decode(
        key,
        &DerivationPath::default(),
        payload,
        &Networks::default(),
    )
}

#[test]
fn hashes_are_those_of_the_bip() {
    let script: bitcoin::Address<bitcoin::address::NetworkUnchecked> = ADDRESS.parse().unwrap();
    let script = script.assume_checked().script_pubkey();
    for (message, hash, spend, sign) in [
        (
            "",
            "c90c269c4f8fcbe6880f72a721ddfbf1914268a794cbb21cfafee13770ae19f1",
            "c5680aa69bb8d860bf82d4e9cd3504b55dde018de765a91bb566283c545a99a7",
            "1e9654e951a5ba44c8604c4de6c67fd78a27e81dcadcfe1edf638ba3aaebaed6",
        ),
        (
            "Hello World",
            "f0eb03b1a75ac6d9847f55c624a99169b5dccba2a31f5b23bea77ba270de0a7a",
            "b79d196740ad5217771c1098fc4a4b51e0535c32236c71f1ea4d61a2d603352b",
            "88737ae86f2077145f93cc4b153ae9a1cb8d56afa511988c149c5c8c9d93bddf",
        ),
    ] {
        assert_eq!(hex::encode(message_hash(message.as_bytes())), hash);
        let spent = to_spend(message.as_bytes(), &script);
        assert_eq!(spent.compute_txid().to_string(), spend);
        assert_eq!(to_sign(&spent).compute_txid().to_string(), sign);
    }
}

/// Each published signature verifies over the bytes signed here, and is
/// reproduced exactly by `finish`.
#[test]
fn signatures_of_the_bip_are_over_what_is_signed() {
    let root = public_key();
    let key = Key {
        root_public_key: &root,
        ..ecdsa()
    };
    for (message, published) in SIGNATURES {
        let payload = payload(message, ADDRESS);
        let seen = decoded(&key, &payload).unwrap();
        assert_eq!(seen.intent, Intent::Message(message.as_bytes().to_vec()));
        let witness: Witness = consensus::deserialize(&BASE64.decode(published).unwrap()).unwrap();
        let made = bitcoin_ecdsa::Signature::from_slice(&witness[0]).unwrap();
        let made = made.signature.serialize_compact();
        let path = DerivationPath::default();
        let form = BitcoinForm::Psbt;
        let text = finish(&key, &path, &payload, &Networks::default(), &[&made], form).unwrap();
        assert_eq!(String::from_utf8(text.bytes).unwrap(), published);
    }
}

/// By bip322-js, over the taproot address of the same key.
#[test]
fn a_taproot_address_signs_with_sighash_all() {
    let published = "AUHd69PrJQEv+oKTfZ8l+WROBHuy9HKrbFCJu7U1iK2iiEy1vMU5EfMtjc+VSHM7aU0SDbak5IUZRVno2P5mjSafAQ==";
    let root = public_key();
    let key = Key {
        root_public_key: &root,
        ..key_of(Scheme::Taproot)
    };
    let payload = payload("Hello World", TAPROOT_ADDRESS);
    let witness: Witness = consensus::deserialize(&BASE64.decode(published).unwrap()).unwrap();
    let path = DerivationPath::default();
    let made = finish(
        &key,
        &path,
        &payload,
        &Networks::default(),
        &[&witness[0][..64]],
        BitcoinForm::Psbt,
    );
    assert_eq!(String::from_utf8(made.unwrap().bytes).unwrap(), published);
}

/// Every form of address of one key; P2PKH gives the transaction, as the BIP demands.
#[test]
fn every_address_of_a_child_signs() {
    let root = public_key();
    let key = Key {
        root_public_key: &root,
        ..ecdsa()
    };
    let point = bitcoin::CompressedPublicKey::from_slice(&root).unwrap();
    let legacy = bitcoin::Address::p2pkh(point, bitcoin::Network::Bitcoin).to_string();
    let nested = bitcoin::Address::p2shwpkh(&point, bitcoin::Network::Bitcoin).to_string();
    let digests: Vec<_> = [ADDRESS, &legacy, &nested]
        .map(|address| {
            decoded(&key, &payload("Hello World", address))
                .unwrap()
                .inputs[0]
                .signed_bytes
                .clone()
        })
        .into();
    assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
    let testnet = bitcoin::Address::p2pkh(point, bitcoin::Network::Testnet).to_string();
    for wrong in [
        &testnet,
        TAPROOT_ADDRESS,
        "bc1qqurswpc8qurswpc8qurswpc8qurswpc89fe3yv",
        "",
        "0x00",
    ] {
        let error = decoded(&key, &payload("Hello World", wrong)).unwrap_err();
        assert_eq!(error.code(), "payload-malformed", "{wrong}");
    }
    for scheme in [Scheme::Ed25519, Scheme::SchnorrSecp256k1] {
        assert_eq!(
            decoded(&key_of(scheme), &payload("", ADDRESS))
                .unwrap_err()
                .code(),
            "payload-scheme"
        );
    }
}

#[test]
fn the_document_says_one_thing() {
    let root = public_key();
    let key = Key {
        root_public_key: &root,
        ..ecdsa()
    };
    let of = |text: &str| {
        decoded(
            &key,
            &Payload::new(PayloadKind::BitcoinMessage, text.as_bytes().to_vec()),
        )
    };
    for wrong in [
        r#"{"message":"a"}"#.to_owned(),
        format!(r#"{{"address":"{ADDRESS}"}}"#),
        format!(r#"{{"message":"a","message":"b","address":"{ADDRESS}"}}"#),
        format!(r#"{{"message":"a","address":"{ADDRESS}","psbt":"cHNidP8="}}"#),
        format!(r#"{{"message":"a","address":"{ADDRESS}","note":"b"}}"#),
        r#"{"message":"a","psbt":"?"}"#.to_owned(),
        "[]".to_owned(),
    ] {
        assert_eq!(
            of(&wrong).unwrap_err().code(),
            "payload-malformed",
            "{wrong}"
        );
    }
}

/// A `to_sign` of the first input of a payment, whose second input is that payment's:
/// a proof of funds.
fn proof(message: &[u8], of: Psbt) -> Psbt {
    let script = of.inputs[0]
        .witness_utxo
        .as_ref()
        .unwrap()
        .script_pubkey
        .clone();
    let spend = to_spend(message, &script);
    let mut unsigned = to_sign(&spend);
    unsigned.input.push(of.unsigned_tx.input[0].clone());
    let mut psbt = Psbt::from_unsigned_tx(unsigned).unwrap();
    psbt.inputs[1] = of.inputs[0].clone();
    psbt.inputs[0] = of.inputs[0].clone();
    psbt.inputs[0].witness_utxo = Some(spend.output[0].clone());
    psbt.inputs[0].non_witness_utxo = Some(spend);
    psbt
}

fn carrying(mut psbt: Psbt, message: &[u8]) -> Psbt {
    psbt.unknown.insert(
        raw::Key {
            type_value: SIGNED_MESSAGE,
            key: vec![],
        },
        message.to_vec(),
    );
    psbt
}

fn as_message(message: &str, psbt: &Psbt) -> Payload {
    let document = json!({"message": message, "psbt": BASE64.encode(psbt.serialize())});
    Payload::new(
        PayloadKind::BitcoinMessage,
        document.to_string().into_bytes(),
    )
}

#[test]
fn a_transaction_of_a_message_is_a_message_and_no_payment() {
    let (taproot, coins) = taproot_payment();
    for (key, coins) in [(ecdsa(), payment()), (taproot, coins)] {
        let psbt = proof(b"these are ours", coins);
        let by_document = decoded(&key, &as_message("these are ours", &psbt)).unwrap();
        assert_eq!(
            by_document.intent,
            Intent::Message(b"these are ours".to_vec())
        );
        assert_eq!(by_document.inputs.len(), 2);
        let carried = carrying(psbt.clone(), b"these are ours").serialize();
        assert_eq!(
            decode_as(&key, PayloadKind::Psbt, &carried).unwrap(),
            by_document
        );
        // The same is signed by anybody who reads the PSBT.
        let all = bitcoin::sighash::EcdsaSighashType::All;
        if key.scheme == Scheme::EcdsaSecp256k1 {
            let mut cache = bitcoin::sighash::SighashCache::new(&psbt.unsigned_tx);
            for (index, input) in by_document.inputs.iter().enumerate() {
                let spent = psbt.inputs[index].witness_utxo.as_ref().unwrap();
                let hash = cache
                    .p2wpkh_signature_hash(index, &spent.script_pubkey, spent.value, all)
                    .unwrap();
                assert_eq!(input.signed_bytes, hash.to_byte_array());
            }
        }
        // Without the carried message its content is unknown.
        let error = decode_as(&key, PayloadKind::Psbt, &psbt.serialize()).unwrap_err();
        assert!(error.to_string().contains("bitcoin-message"), "{error}");
        // The transaction that is spent follows from the message.
        let mut without = psbt.clone();
        without.inputs[0].non_witness_utxo = None;
        assert_eq!(
            decoded(&key, &as_message("these are ours", &without)).unwrap(),
            by_document
        );
    }
}

#[test]
fn what_only_looks_like_a_message_is_refused() {
    let key = ecdsa();
    let good = proof(b"yes", payment());
    let refused = |what: &str, psbt: Psbt| {
        for payload in [
            as_message("yes", &psbt),
            Payload::new(
                PayloadKind::Psbt,
                carrying(psbt.clone(), b"yes").serialize(),
            ),
            Payload::new(PayloadKind::Psbt, psbt.serialize()),
        ] {
            let error = decoded(&key, &payload)
                .map(|seen| seen.intent)
                .expect_err(what);
            assert_eq!(error.code(), "payload-malformed", "{what}");
        }
    };
    assert!(decoded(&key, &as_message("yes", &good)).is_ok());
    let with = |change: &dyn Fn(&mut Psbt)| {
        let mut psbt = good.clone();
        change(&mut psbt);
        psbt
    };
    refused("another message", proof(b"no", payment()));
    refused(
        "value in the output",
        with(&|psbt| psbt.unsigned_tx.output[0].value = Amount::from_sat(1)),
    );
    refused(
        "version 1",
        with(&|psbt| psbt.unsigned_tx.version = Version::ONE),
    );
    refused(
        "two outputs",
        with(&|psbt| {
            psbt.unsigned_tx.output.push(TxOut {
                value: Amount::from_sat(1),
                script_pubkey: ScriptBuf::new(),
            });
            psbt.outputs.push(Default::default());
        }),
    );
    refused(
        "a payment that spends what does not exist",
        with(&|psbt| {
            psbt.unsigned_tx.output[0].script_pubkey = crate::psbt::tests::foreign();
        }),
    );
    refused(
        "coins first",
        with(&|psbt| {
            psbt.unsigned_tx.input.swap(0, 1);
            psbt.inputs.swap(0, 1);
        }),
    );
    refused(
        "value in the spent output",
        with(&|psbt| {
            psbt.inputs[0].non_witness_utxo = None;
            psbt.inputs[0].witness_utxo.as_mut().unwrap().value = Amount::from_sat(1);
        }),
    );
    refused(
        "the message of another key",
        with(&|psbt| psbt.inputs[0].bip32_derivation.clear()),
    );
    refused(
        "coins alone",
        with(&|psbt| {
            psbt.unsigned_tx.input.remove(0);
            psbt.inputs.remove(0);
        }),
    );
    // A payment that claims to be a message.
    let payment = Payload::new(PayloadKind::Psbt, carrying(payment(), b"yes").serialize());
    assert_eq!(
        decoded(&key, &payment).unwrap_err().code(),
        "payload-malformed"
    );
    // Its inputs name their paths.
    let elsewhere = "m/0".parse().unwrap();
    let by_path = crate::decode(
        &key,
        &elsewhere,
        &as_message("yes", &good),
        &Networks::default(),
    );
    assert_eq!(by_path.unwrap_err().code(), "payload-malformed");
    // Two messages in one payload.
    let both = as_message("yes", &carrying(good.clone(), b"no"));
    assert_eq!(
        decoded(&key, &both).unwrap_err().code(),
        "payload-malformed"
    );
    // Version 2 is as good as 0.
    let later = with(&|psbt| psbt.unsigned_tx.version = Version::TWO);
    assert!(decoded(&key, &as_message("yes", &later)).is_ok());
}
