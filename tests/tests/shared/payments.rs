//! Payments that several tests have signed, and the programs of others that judge them.
//!
//! `just outsiders` installs those; `outsiders.py` passes the signatures on and reports the
//! results.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bitcoin::absolute::LockTime;
use bitcoin::bip32::{DerivationPath as Bip32Path, Fingerprint};
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, CompressedPublicKey, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut,
};
use countersign_protocol::{DerivationPath, KeyDescriptor};
use countersign_verify::derive_public;
use serde_json::{Value, json};

/// Paths and amounts of the two outputs that are spent.
pub const PATHS: [&str; 2] = ["m/84/0/0/0/3", "m/84/0/0/1/9"];
const AMOUNTS: [u64; 2] = [60_000, 40_000];
pub const SOL: u64 = 1_000_000_000;

/// anvil's chain, 31337.
pub const CHAIN: [u8; 2] = [0x7a, 0x69];

pub fn changed(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

pub fn child(wallet: &KeyDescriptor, path: &str) -> Vec<u8> {
    let path: DerivationPath = path.parse().unwrap();
    let root = &wallet.root_public_key;
    let chain_code = wallet.chain_code.as_bytes();
    derive_public(wallet.scheme, root, chain_code, path.steps())
        .unwrap()
        .0
}

pub fn origin(wallet: &KeyDescriptor, path: &str) -> (Fingerprint, Bip32Path) {
    let root = CompressedPublicKey::from_slice(&wallet.root_public_key).unwrap();
    let hash = root.pubkey_hash().to_byte_array();
    (
        Fingerprint::from([hash[0], hash[1], hash[2], hash[3]]),
        path.parse().unwrap(),
    )
}

/// Two outputs of these scripts, each of a transaction of its own, all spent on fees.
pub fn spending(scripts: &[ScriptBuf; 2]) -> Psbt {
    let from = |previous_output| TxIn {
        previous_output,
        sequence: Sequence::MAX,
        ..TxIn::default()
    };
    let paying = |input, script_pubkey: &ScriptBuf, amount| Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input,
        output: vec![TxOut {
            value: Amount::from_sat(amount),
            script_pubkey: script_pubkey.clone(),
        }],
    };
    let before = [0, 1].map(|at: usize| {
        paying(
            vec![from(OutPoint {
                vout: 7,
                ..OutPoint::default()
            })],
            &scripts[at],
            AMOUNTS[at],
        )
    });
    let inputs = before
        .iter()
        .map(|previous| from(OutPoint::new(previous.compute_txid(), 0)))
        .collect();
    let nobody = ScriptBuf::from([&[0, 20], &[0x11; 20][..]].concat());
    let mut psbt = Psbt::from_unsigned_tx(paying(inputs, &nobody, 99_000)).unwrap();
    for (input, previous) in psbt.inputs.iter_mut().zip(before) {
        input.witness_utxo = Some(previous.output[0].clone());
        input.non_witness_utxo = Some(previous);
    }
    psbt
}

/// The same two outputs, paid to children of a wallet for ECDSA by the hash of their keys.
pub fn spending_by_hash(wallet: &KeyDescriptor) -> Psbt {
    let keys = PATHS.map(|path| child(wallet, path));
    let scripts = keys.clone().map(|key| {
        let key = CompressedPublicKey::from_slice(&key).unwrap();
        ScriptBuf::new_p2wpkh(&key.wpubkey_hash())
    });
    let mut psbt = spending(&scripts);
    for (input, (key, path)) in psbt.inputs.iter_mut().zip(keys.iter().zip(PATHS)) {
        let key = bitcoin::secp256k1::PublicKey::from_slice(key).unwrap();
        input.bip32_derivation.insert(key, origin(wallet, path));
    }
    psbt
}

/// The outputs that a payment spends, in the form that `outsiders.py` reads.
pub fn spent(psbt: &Psbt) -> Vec<Value> {
    let spent = psbt.inputs.iter().map(|input| {
        let output = input.witness_utxo.as_ref().unwrap();
        json!({"script": hex::encode(output.script_pubkey.as_bytes()), "amount": output.value.to_sat()})
    });
    spent.collect()
}

/// A legacy message: the payer sends 1 SOL by the system program.
pub fn solana_transfer(payer: &[u8], recipient: &[u8]) -> Vec<u8> {
    let instruction = [
        &[2, 2, 0, 1, 12][..],
        &2u32.to_le_bytes(),
        &SOL.to_le_bytes(),
    ]
    .concat();
    [
        &[1, 0, 1, 3][..],
        payer,
        recipient,
        &[0; 32],
        &[0x33; 32],
        &[1],
        &instruction,
    ]
    .concat()
}

/// The common beginning of both transactions: chain, nonce, fees of 1 and 2 gwei, and gas.
pub fn evm_head(nonce: u8, gas: u32) -> Vec<u8> {
    let fees = [
        rlp(&1_000_000_000u32.to_be_bytes()),
        rlp(&2_000_000_000u32.to_be_bytes()),
    ]
    .concat();
    [
        rlp(&CHAIN),
        rlp(&number(nonce)),
        fees,
        rlp(&gas.to_be_bytes()[1..]),
    ]
    .concat()
}

/// EIP-1559: 1 ETH to 0x5a5a….
pub fn evm_transfer(nonce: u8) -> Vec<u8> {
    let value = rlp(&1_000_000_000_000_000_000u64.to_be_bytes());
    let rest = [rlp(&[0x5a; 20]), value, rlp(&[]), vec![0xc0]].concat();
    [&[2][..], &list(&[evm_head(nonce, 100_000), rest].concat())].concat()
}

/// RLP has no byte for zero.
pub fn number(value: u8) -> Vec<u8> {
    if value == 0 { vec![] } else { vec![value] }
}

/// A short string of RLP.
pub fn rlp(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [byte] if *byte < 0x80 => vec![*byte],
        _ => [&[0x80 + bytes.len() as u8], bytes].concat(),
    }
}

/// A list of RLP, of at most 255 bytes.
pub fn list(items: &[u8]) -> Vec<u8> {
    match items.len() {
        length @ 0..56 => [&[0xc0 + length as u8], items].concat(),
        length => [&[0xf8, length as u8], items].concat(),
    }
}

pub fn installed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dist/outsiders")
}

pub fn anvil() -> PathBuf {
    foundry("anvil")
}

/// A program of Foundry.
pub fn foundry(name: &str) -> PathBuf {
    let machine = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    installed().join(format!(
        "node_modules/@foundry-rs/{name}-linux-{machine}/bin/{name}"
    ))
}

/// An outsider's verdict on `case`.
pub fn outsider(name: &str, case: &Value) -> Value {
    let python = installed().join("bin/python");
    assert!(
        python.exists() && anvil().exists(),
        "the outsiders are not installed; run `just outsiders`"
    );
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/outsiders/outsiders.py");
    let mut program = Command::new(python)
        .arg("-B")
        .arg(script)
        .arg(name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = program.stdin.take().unwrap();
    input.write_all(case.to_string().as_bytes()).unwrap();
    drop(input);
    let output = program.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
