//! Bitcoin: every input of a transaction is signed by its own child, over the hash that BIP-143 and
//! BIP-341 give it here.

use bitcoin::absolute::LockTime;
use bitcoin::bip32::{DerivationPath as Bip32Path, Fingerprint};
use bitcoin::hashes::Hash as _;
use bitcoin::key::TapTweak;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, Psbt, ScriptBuf, Sequence, TapNodeHash, Transaction, TxIn, TxOut, Witness,
    XOnlyPublicKey, consensus,
};
use countersign_client::{SignOrder, Signature};
use countersign_protocol::{DerivationPath, KeyDescriptor, Payload, PayloadKind, Scheme};
use countersign_tests::{Blueprint, Cluster, PrimeSource};
use ripemd::Ripemd160;
use secp256k1::{Message, PublicKey, Secp256k1, ecdsa, schnorr};
use sha2::{Digest, Sha256};

const PATHS: [&str; 2] = ["m/84/0/0/0/3", "m/84/0/0/1/9"];
const AMOUNTS: [u64; 2] = [60_000, 40_000];

#[tokio::test(flavor = "multi_thread")]
async fn both_inputs_of_a_segwit_transaction_are_signed_by_their_own_children() {
    let (cluster, wallet) = wallet(PrimeSource::Fixture, Scheme::EcdsaSecp256k1).await;
    let keys = PATHS.map(|path| child(&wallet, path));
    let scripts = keys
        .clone()
        .map(|key| ScriptBuf::from([&[0, 20], &hash160(&key)[..]].concat()));
    let mut psbt = spending(&scripts);
    for (input, (key, path)) in psbt.inputs.iter_mut().zip(keys.iter().zip(PATHS)) {
        let key = bitcoin::secp256k1::PublicKey::from_slice(key).unwrap();
        input.bip32_derivation.insert(
            key,
            (fingerprint(&wallet), path.parse::<Bip32Path>().unwrap()),
        );
    }
    let made = sign(&cluster, &wallet, &psbt).await;
    let secp = Secp256k1::verification_only();
    for (index, one) in made.signed.signatures.iter().enumerate() {
        assert_eq!(one.path.to_string(), PATHS[index]);
        let signature = ecdsa::Signature::from_compact(&one.signature).unwrap();
        let key = PublicKey::from_slice(&keys[index]).unwrap();
        let hash = bip143(
            &psbt.unsigned_tx,
            index,
            &hash160(&keys[index]),
            AMOUNTS[index],
        );
        secp.verify_ecdsa(Message::from_digest(hash), &signature, &key)
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_inputs_of_a_taproot_transaction_are_signed_by_their_own_children() {
    let (cluster, wallet) = wallet(PrimeSource::None, Scheme::Taproot).await;
    let keys = PATHS.map(|path| child(&wallet, path));
    // The second output has scripts; the first has none.
    let roots = [None, Some(TapNodeHash::from_byte_array([9; 32]))];
    let secp = bitcoin::secp256k1::Secp256k1::verification_only();
    let outputs: [[u8; 32]; 2] = std::array::from_fn(|index| {
        let internal = XOnlyPublicKey::from_slice(&keys[index][1..]).unwrap();
        internal.tap_tweak(&secp, roots[index]).0.serialize()
    });
    let scripts = outputs.map(|key| ScriptBuf::from([&[0x51, 32], &key[..]].concat()));
    let mut psbt = spending(&scripts);
    for (index, (input, path)) in psbt.inputs.iter_mut().zip(PATHS).enumerate() {
        let key = XOnlyPublicKey::from_slice(&keys[index][1..]).unwrap();
        (input.tap_internal_key, input.tap_merkle_root) = (Some(key), roots[index]);
        let source = (fingerprint(&wallet), path.parse::<Bip32Path>().unwrap());
        input.tap_key_origins.insert(key, (vec![], source));
    }
    let made = sign(&cluster, &wallet, &psbt).await;
    let secp = Secp256k1::verification_only();
    for (index, one) in made.signed.signatures.iter().enumerate() {
        assert_eq!(one.path.to_string(), PATHS[index]);
        let signature = schnorr::Signature::from_byte_array(one.signature[..].try_into().unwrap());
        let key = secp256k1::XOnlyPublicKey::from_byte_array(outputs[index]).unwrap();
        secp.verify_schnorr(
            &signature,
            &bip341(&psbt.unsigned_tx, index, &scripts),
            &key,
        )
        .unwrap();
    }
}

async fn wallet(primes: PrimeSource, scheme: Scheme) -> (Cluster, KeyDescriptor) {
    let cluster = Cluster::start(Blueprint {
        nodes: 2,
        primes,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let wallet = cluster.create_wallet("bitcoin", scheme, 2).await.unwrap();
    (cluster, wallet)
}

async fn sign(cluster: &Cluster, wallet: &KeyDescriptor, psbt: &Psbt) -> Signature {
    let payload = Payload::new(PayloadKind::Psbt, psbt.serialize());
    let order = SignOrder::new(wallet.key, DerivationPath::default(), payload);
    let made = cluster.client.sign(&order, |_| {}).await;
    let made = made.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));
    assert_eq!(made.signed.signatures.len(), 2);
    made
}

/// Two outputs of these scripts, each of a transaction of its own, all spent on fees.
fn spending(scripts: &[ScriptBuf; 2]) -> Psbt {
    let transaction = |input, output| Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input,
        output: vec![output],
    };
    let from = |previous_output| TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let to = |script: &ScriptBuf, amount| TxOut {
        value: Amount::from_sat(amount),
        script_pubkey: script.clone(),
    };
    let before = [0, 1].map(|at: usize| {
        transaction(
            vec![from(OutPoint {
                vout: 7,
                ..OutPoint::default()
            })],
            to(&scripts[at], AMOUNTS[at]),
        )
    });
    let inputs = before
        .iter()
        .map(|previous| from(OutPoint::new(previous.compute_txid(), 0)))
        .collect();
    let nobody = ScriptBuf::from([&[0, 20], &[0x11; 20][..]].concat());
    let mut psbt = Psbt::from_unsigned_tx(transaction(inputs, to(&nobody, 99_000))).unwrap();
    for (input, previous) in psbt.inputs.iter_mut().zip(before) {
        input.witness_utxo = Some(previous.output[0].clone());
        input.non_witness_utxo = Some(previous);
    }
    psbt
}

/// BIP-143 for P2WPKH and SIGHASH_ALL, of a transaction without lock time.
fn bip143(transaction: &Transaction, index: usize, key_hash: &[u8; 20], amount: u64) -> [u8; 32] {
    let Parts {
        outpoints,
        sequences,
        outputs,
    } = parts(transaction);
    let code = [&[0x19, 0x76, 0xa9, 20], &key_hash[..], &[0x88, 0xac]].concat();
    let own = consensus::serialize(&transaction.input[index].previous_output);
    twice(&[
        &2u32.to_le_bytes(),
        &twice(&[&outpoints]),
        &twice(&[&sequences]),
        &own,
        &code,
        &amount.to_le_bytes(),
        &u32::MAX.to_le_bytes(),
        &twice(&[&outputs]),
        &0u32.to_le_bytes(),
        &1u32.to_le_bytes(),
    ])
}

/// BIP-341 for the key path and SIGHASH_DEFAULT, of a transaction without lock time.
fn bip341(transaction: &Transaction, index: usize, scripts: &[ScriptBuf; 2]) -> [u8; 32] {
    let Parts {
        outpoints,
        sequences,
        outputs,
    } = parts(transaction);
    let amounts = AMOUNTS.map(u64::to_le_bytes).concat();
    let scripts: Vec<u8> = scripts.iter().flat_map(consensus::serialize).collect();
    let tag: [u8; 32] = Sha256::digest(b"TapSighash").into();
    let hashes = [&outpoints, &amounts, &scripts, &sequences, &outputs]
        .map(|part| Sha256::digest(part).to_vec());
    let head = [&[0, 0][..], &2u32.to_le_bytes(), &0u32.to_le_bytes()].concat();
    let tail = [&[0][..], &(index as u32).to_le_bytes()].concat();
    Sha256::digest([&tag[..], &tag, &head, &hashes.concat(), &tail].concat()).into()
}

/// The parts of both hashes, serialised.
struct Parts {
    outpoints: Vec<u8>,
    sequences: Vec<u8>,
    outputs: Vec<u8>,
}

fn parts(transaction: &Transaction) -> Parts {
    Parts {
        outpoints: transaction
            .input
            .iter()
            .flat_map(|input| consensus::serialize(&input.previous_output))
            .collect(),
        sequences: transaction
            .input
            .iter()
            .flat_map(|input| input.sequence.0.to_le_bytes())
            .collect(),
        outputs: transaction
            .output
            .iter()
            .flat_map(consensus::serialize)
            .collect(),
    }
}

fn twice(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(parts.concat())).into()
}

fn hash160(bytes: &[u8]) -> [u8; 20] {
    Ripemd160::digest(Sha256::digest(bytes)).into()
}

fn fingerprint(wallet: &KeyDescriptor) -> Fingerprint {
    Fingerprint::from(<[u8; 4]>::try_from(&hash160(&wallet.root_public_key)[..4]).unwrap())
}

fn child(wallet: &KeyDescriptor, path: &str) -> Vec<u8> {
    let path: DerivationPath = path.parse().unwrap();
    let root = &wallet.root_public_key;
    let chain_code = wallet.chain_code.as_bytes();
    countersign_verify::derive_public(wallet.scheme, root, chain_code, path.steps())
        .unwrap()
        .0
}
