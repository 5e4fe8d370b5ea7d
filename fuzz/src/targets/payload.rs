//! Payloads of every kind: decoding, digests, and their consistency.
//!
//! Input: one byte that chooses the scheme, one that chooses the path, and the payload.

use bitcoin::psbt::Psbt;
use countersign_payload::{
    BitcoinForm, DecodeError, Decoded, FinishError, Intent, Key, MAX_INPUTS, Networks, decode,
    facts, finish, is_transaction, read_hex, read_psbt, read_solana,
};
use countersign_protocol::{DerivationPath, Payload, PayloadKind, Scheme};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sha3::Keccak256;

use super::sighash::{Spending, key_hash_code};
use super::{eip712, rlp, signer};
use crate::input::Input;

const PATHS: [&str; 3] = ["m", "m/0/7", "m/84/0/2147483647"];

/// The place of a kind in [`PayloadKind::ALL`], as an argument of [`run`].
pub(super) const fn place(kind: PayloadKind) -> usize {
    let mut at = 0;
    while PayloadKind::ALL[at] as usize != kind as usize {
        at += 1;
    }
    at
}

pub(super) fn run<const KIND: usize>(input: &[u8]) -> bool {
    let mut input = Input::new(input);
    let scheme = input.choose(&Scheme::ALL);
    let path = input.choose(&PATHS).parse().expect("a path");
    let payload = Payload::new(PayloadKind::ALL[KIND], input.rest().to_vec());
    if payload.check().is_err() {
        return false;
    }
    let key = signer::key(scheme);
    match decode(&key, &path, &payload, &Networks::default()) {
        Ok(decoded) => {
            judge(&key, &path, &payload, &decoded);
            true
        }
        Err(error) => {
            assert!(!error.code().as_str().is_empty());
            assert!(
                error.to_string().len() < 4096 + 2 * payload.bytes.len(),
                "a refusal is for people"
            );
            false
        }
    }
}

/// Properties of everything that is signed.
fn judge(key: &Key, path: &DerivationPath, payload: &Payload, decoded: &Decoded) {
    let networks = Networks::default();
    assert_eq!(
        decode(key, path, payload, &networks).as_ref(),
        Ok(decoded),
        "decoding again gives the same"
    );
    assert!((1..=MAX_INPUTS).contains(&decoded.inputs.len()));
    for input in &decoded.inputs {
        assert!(!input.signed_bytes.is_empty());
        assert!(input.script_root.is_none() || key.scheme == Scheme::Taproot);
        assert!(
            key.scheme != Scheme::EcdsaSecp256k1 || input.signed_bytes.len() == 32,
            "ECDSA signs a digest"
        );
    }
    facts(&decoded.intent);
    claims_are_compared(key, path, payload, decoded);
    signed_bytes_are_those_of_the_kind(key, payload, decoded);
    if is_transaction(payload.kind) {
        is_no_message(payload);
    }
    is_finished(key, path, payload, decoded);
}

/// Digests stated by the requester must equal the computed ones.
fn claims_are_compared(key: &Key, path: &DerivationPath, payload: &Payload, decoded: &Decoded) {
    let claim = |digests| {
        decode(
            key,
            path,
            &Payload {
                digests,
                ..payload.clone()
            },
            &Networks::default(),
        )
    };
    let digests: Vec<_> = decoded
        .inputs
        .iter()
        .map(|input| input.signed_bytes.clone())
        .collect();
    assert_eq!(claim(digests.clone()).as_ref(), Ok(decoded));
    let mut other = digests;
    other[0][0] ^= 1;
    assert!(matches!(
        claim(other),
        Err(DecodeError::DigestMismatch { .. })
    ));
}

fn signed_bytes_are_those_of_the_kind(key: &Key, payload: &Payload, decoded: &Decoded) {
    let bytes = &payload.bytes;
    let only = || {
        assert_eq!(decoded.inputs.len(), 1);
        decoded.inputs[0].signed_bytes.as_slice()
    };
    match payload.kind {
        PayloadKind::Message if key.scheme == Scheme::EcdsaSecp256k1 => {
            assert_eq!(*only(), *Sha256::digest(bytes));
        }
        PayloadKind::Message | PayloadKind::Digest | PayloadKind::SolanaMessage => {
            assert_eq!(only(), bytes)
        }
        PayloadKind::EvmTransaction => {
            assert_eq!(*only(), *Keccak256::digest(bytes));
            rlp::agrees(bytes, &decoded.intent);
        }
        PayloadKind::Eip7702 => assert_eq!(*only(), *Keccak256::digest(bytes)),
        PayloadKind::Eip191 => {
            let head = format!("\x19Ethereum Signed Message:\n{}", bytes.len());
            assert_eq!(
                *only(),
                *Keccak256::digest([head.as_bytes(), bytes].concat())
            );
            assert_eq!(decoded.intent, Intent::Message(bytes.clone()));
        }
        PayloadKind::Eip712 => {
            let Intent::TypedData(data) = &decoded.intent else {
                panic!("typed data is shown as such")
            };
            eip712::agrees(bytes, only(), &data.json);
        }
        PayloadKind::Digests => agree_with_the_list(bytes, decoded),
        PayloadKind::Psbt => agree_with_the_transaction(key, bytes, decoded),
        PayloadKind::BitcoinMessage => {
            let document: Value = serde_json::from_slice(bytes).expect("a document");
            let message = document["message"].as_str().expect("a message");
            assert_eq!(decoded.intent, Intent::Message(message.as_bytes().to_vec()));
        }
    }
}

/// Another reader of the list finds the same digests.
fn agree_with_the_list(bytes: &[u8], decoded: &Decoded) {
    let list: Vec<Value> = serde_json::from_slice(bytes).expect("a list");
    let digest =
        |entry: &Value| hex::decode(entry["digest"].as_str().expect("a text")).expect("digits");
    let signed: Vec<_> = decoded
        .inputs
        .iter()
        .map(|input| input.signed_bytes.clone())
        .collect();
    assert_eq!(list.iter().map(digest).collect::<Vec<_>>(), signed);
}

/// The digests are those that this crate computes for inputs of the transaction, in their order.
fn agree_with_the_transaction(key: &Key, bytes: &[u8], decoded: &Decoded) {
    // Version 2 is converted before it is read, and has no unsigned transaction to compare with.
    let Ok(psbt) = Psbt::deserialize(bytes) else {
        return;
    };
    let spent = psbt
        .unsigned_tx
        .input
        .iter()
        .zip(&psbt.inputs)
        .map(|(txin, input)| {
            let whole = input.non_witness_utxo.as_ref();
            let output =
                whole.and_then(|previous| previous.output.get(txin.previous_output.vout as usize));
            output
                .or(input.witness_utxo.as_ref())
                .cloned()
                .expect("an output was proven")
        });
    let spent: Vec<_> = spent.collect();
    let spending = Spending {
        transaction: &psbt.unsigned_tx,
        spent: &spent,
    };
    let mut open = 0..spent.len();
    for input in &decoded.inputs {
        let child = signer::child(&input.path).public_key(&signer::CURVE);
        let nested =
            bitcoin::ScriptBuf::new_p2wpkh(&bitcoin::CompressedPublicKey(child).wpubkey_hash());
        let fits = |index: usize| match key.scheme {
            Scheme::Taproot => [0, 1]
                .iter()
                .any(|kind| spending.taproot(index, *kind)[..] == input.signed_bytes),
            _ => {
                let map = &psbt.inputs[index];
                let script = &spent[index].script_pubkey;
                let codes = [
                    key_hash_code(script),
                    key_hash_code(&nested),
                    map.witness_script.clone(),
                ];
                let before = [Some(script), map.redeem_script.as_ref()];
                codes
                    .iter()
                    .flatten()
                    .any(|code| spending.segwit(index, code)[..] == input.signed_bytes)
                    || before
                        .iter()
                        .flatten()
                        .any(|code| spending.legacy(index, code)[..] == input.signed_bytes)
            }
        };
        assert!(open.any(fits), "what is signed is the hash of no input");
    }
}

/// A transaction of a known chain is not a message, whatever the key.
fn is_no_message(payload: &Payload) {
    let message = Payload::new(PayloadKind::Message, payload.bytes.clone());
    for scheme in Scheme::ALL {
        let read = decode(
            &signer::key(scheme),
            &DerivationPath::default(),
            &message,
            &Networks::default(),
        );
        assert!(
            read.is_err(),
            "a transaction passes as a message of {scheme}"
        );
    }
}

/// Signatures by another library are put where the chain wants them.
fn is_finished(key: &Key, path: &DerivationPath, payload: &Payload, decoded: &Decoded) {
    let signatures: Option<Vec<_>> = decoded
        .inputs
        .iter()
        .map(|input| signer::sign(key.scheme, input))
        .collect();
    let Some(signatures) = signatures else { return };
    let finish = |signatures: &[Vec<u8>]| {
        let signatures: Vec<&[u8]> = signatures.iter().map(Vec::as_slice).collect();
        finish(
            key,
            path,
            payload,
            &Networks::default(),
            &signatures,
            BitcoinForm::Psbt,
        )
    };
    if payload.kind == PayloadKind::Digests && decoded.inputs.len() > 1 {
        assert!(matches!(finish(&signatures), Err(FinishError::Several(_))));
        return;
    }
    let finished = finish(&signatures).expect("sound signatures are assembled");
    assert!(!finished.bytes.is_empty());
    let mut other = signatures;
    other[0][40] ^= 1;
    assert!(matches!(
        finish(&other),
        Err(FinishError::Signature { number: 1, .. })
    ));
}

/// Texts and files in which people keep payloads.
pub(super) fn forms(input: &[u8]) -> bool {
    let mut was_read = false;
    for read in [read_hex, read_psbt, read_solana] {
        if let Ok(bytes) = read(input) {
            assert!(
                bytes.len() <= input.len(),
                "no form is shorter than what it stands for"
            );
            was_read = true;
        }
    }
    if let Ok(bytes) = read_hex(input) {
        assert_eq!(
            read_hex(hex::encode(&bytes).as_bytes()).as_ref(),
            Ok(&bytes),
            "digits have one meaning"
        );
    }
    was_read
}

/// For a scheme, at the root.
pub(super) fn seed(scheme: Scheme, bytes: &[u8]) -> Vec<u8> {
    seed_at(scheme, 0, bytes)
}

fn seed_at(scheme: Scheme, path: u8, bytes: &[u8]) -> Vec<u8> {
    let number = Scheme::ALL
        .iter()
        .position(|other| *other == scheme)
        .expect("a scheme");
    [&[number as u8, path], bytes].concat()
}

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../payload/fixtures/", $name))
    };
}

fn digits(text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).expect("text").trim();
    hex::decode(text.trim_start_matches("0x")).expect("digits")
}

pub(super) fn message_seeds() -> Vec<Vec<u8>> {
    let tron = digits(fixture!("message-tron-trigger-contract.hex"));
    let messages = [
        &b"pay 3 to bob"[..],
        b"\0binary\xff",
        &[7; 32],
        "zażółć\r\n".as_bytes(),
        &tron,
    ];
    let of = |scheme| messages.map(|message| seed(scheme, message));
    Scheme::ALL
        .into_iter()
        .flat_map(of)
        .chain([seed_at(Scheme::EcdsaSecp256k1, 1, b"by a child")])
        .collect()
}

pub(super) fn digest_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = Scheme::ALL.map(|scheme| seed(scheme, &[7; 32])).into();
    seeds.push(seed_at(Scheme::EcdsaSecp256k1, 1, &[1; 32]));
    seeds
}

pub(super) fn digests_seeds() -> Vec<Vec<u8>> {
    let entry = |path, rest: &str| {
        format!(
            r#"{{"path":"{path}","digest":"{}"{rest}}}"#,
            "1a".repeat(32)
        )
    };
    let root = format!(r#","script_root":"{}""#, "2b".repeat(32));
    let plain = format!("[{}]", entry("m/0/7", ""));
    let two = format!("[{},{}]", entry("m/0/7", ""), entry("m", ""));
    let scripts = format!("[{}]", entry("m/1", &root));
    let mut seeds: Vec<_> = Scheme::ALL
        .map(|scheme| seed(scheme, plain.as_bytes()))
        .into();
    seeds.extend([two, scripts].map(|list| seed(Scheme::Taproot, list.as_bytes())));
    seeds
}

pub(super) fn evm_seeds() -> Vec<Vec<u8>> {
    let transactions = [
        // The example of EIP-155.
        "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080"
            .to_owned(),
        // Types 1, 2 and 4: a transfer of value, a call of transfer(address,uint256), a delegation.
        format!("01e8010284b2d05e0082520894{}0380c0", "35".repeat(20)),
        format!(
            "02f86b0102843b9aca0084b2d05e0082ea6094{}80b844a9059cbb{}{}c0",
            "a0".repeat(20),
            format_args!("{}{}", "00".repeat(12), "35".repeat(20)),
            format_args!("{}05", "00".repeat(31))
        ),
        format!(
            "04f8850102843b9aca0084b2d05e0082ea6094{}0380c0f85cf85a0194{}0180a0{}a0{}",
            "35".repeat(20),
            "77".repeat(20),
            "11".repeat(32),
            "22".repeat(32)
        ),
    ];
    let fixtures = [
        &fixture!("evm-erc721-approve-token-0.hex")[..],
        fixture!("evm-signed-1559.hex"),
    ];
    let all = transactions
        .iter()
        .map(|text| digits(text.as_bytes()))
        .chain(fixtures.map(digits));
    all.map(|bytes| seed_at(Scheme::EcdsaSecp256k1, 1, &bytes))
        .collect()
}

pub(super) fn eip7702_seeds() -> Vec<Vec<u8>> {
    let plain = digits(format!("05da0194{}80", "77".repeat(20)).as_bytes());
    [digits(fixture!("evm-7702-authorization.hex")), plain]
        .map(|bytes| seed(Scheme::EcdsaSecp256k1, &bytes))
        .into()
}

pub(super) fn eip712_seeds() -> Vec<Vec<u8>> {
    let files: [&[u8]; 7] = [
        fixture!("eip712-extra_top_level.json"),
        fixture!("eip712-hl_usd_send.json"),
        fixture!("eip712-injective_string_contract.json"),
        fixture!("eip712-ledger01_extra_member.json"),
        fixture!("eip712-no_domain_type.json"),
        fixture!("eip712-over_u64_number.json"),
        fixture!("eip712-v4_permit_for_all.json"),
    ];
    let generated: Vec<Value> =
        serde_json::from_slice(fixture!("eip712-generated.json")).expect("a fixture");
    let documents = generated
        .iter()
        .map(|case| case["document"].to_string().into_bytes());
    let all = files.into_iter().map(<[u8]>::to_vec).chain(documents);
    all.map(|bytes| seed(Scheme::EcdsaSecp256k1, &bytes))
        .collect()
}

pub(super) fn psbt_seeds() -> Vec<Vec<u8>> {
    let files = [
        fixture!("psbt-p2wsh-2of3.psbt").to_vec(),
        digits(fixture!("psbt-v2.hex")),
    ];
    let theirs = files.map(|bytes| seed(Scheme::EcdsaSecp256k1, &bytes));
    theirs
        .into_iter()
        .chain(
            super::psbts::all()
                .into_iter()
                .map(|(scheme, psbt)| seed(scheme, &psbt)),
        )
        .collect()
}

pub(super) fn bitcoin_message_seeds() -> Vec<Vec<u8>> {
    let named = super::psbts::addresses().map(|(scheme, path, address)| {
        seed_at(
            scheme,
            path,
            format!(r#"{{"message":"Hello World","address":"{address}"}}"#).as_bytes(),
        )
    });
    let text = super::psbts::message();
    let full = seed(
        Scheme::EcdsaSecp256k1,
        format!(r#"{{"message":"Hello World","psbt":"{text}"}}"#).as_bytes(),
    );
    named.into_iter().chain([full]).collect()
}

pub(super) fn solana_seeds() -> Vec<Vec<u8>> {
    let messages = [
        &fixture!("solana-priority-fee-unbounded.hex")[..],
        fixture!("solana-usdc-ata-owner.hex"),
    ];
    let fees = std::str::from_utf8(fixture!("solana-fees.txt")).expect("text");
    let fees = fees
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(|text| digits(text.as_bytes()));
    let all = messages.map(digits).into_iter().chain(fees);
    all.map(|bytes| seed(Scheme::Ed25519, &bytes)).collect()
}

pub(super) fn form_seeds() -> Vec<Vec<u8>> {
    let files: [&[u8]; 4] = [
        fixture!("psbt-base64-76-columns.txt"),
        fixture!("psbt-p2wsh-2of3.psbt"),
        fixture!("psbt-v2.hex"),
        fixture!("solana-wire-transaction.b64"),
    ];
    let texts: [&[u8]; 3] = [b"0xAB cd\n", b"\xef\xbb\xbf0x00", b"\"00ff\""];
    files.into_iter().chain(texts).map(<[u8]>::to_vec).collect()
}
