use bitcoin::bip32::{ChainCode, ChildNumber, Xpriv};
use bitcoin::hashes::Hash as _;
use bitcoin::key::TapTweak;
use bitcoin::psbt::Psbt;
use bitcoin::secp256k1::{All, Keypair, Message, Secp256k1, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::{NetworkKind, TapNodeHash, Transaction, consensus};

use super::*;
use crate::psbt::tests::{
    every_form, foreign, payment, shared_payments, taproot_payment, taproot_payment_with_scripts,
};
use crate::testkit::{ecdsa, ed25519, key_of};

/// Signs like the keys of these tests, whose root is the private key 1.
struct Signer(Secp256k1<All>);

impl Signer {
    fn new() -> Self {
        Self(Secp256k1::new())
    }

    fn secret(&self, path: &DerivationPath) -> SecretKey {
        let mut one = [0; 32];
        one[31] = 1;
        let root = Xpriv {
            network: NetworkKind::Main,
            depth: 0,
            parent_fingerprint: Default::default(),
            child_number: ChildNumber::Normal { index: 0 },
            private_key: SecretKey::from_slice(&one).unwrap(),
            chain_code: ChainCode::from([9; 32]),
        };
        let steps: Vec<_> = path
            .steps()
            .iter()
            .map(|index| ChildNumber::Normal { index: *index })
            .collect();
        root.derive_priv(&self.0, &steps).unwrap().private_key
    }

    fn ecdsa(&self, input: &Input) -> Vec<u8> {
        let digest = Message::from_digest_slice(&input.signed_bytes).unwrap();
        self.0
            .sign_ecdsa(&digest, &self.secret(&input.path))
            .serialize_compact()
            .to_vec()
    }

    fn taproot(&self, input: &Input) -> Vec<u8> {
        let digest = Message::from_digest_slice(&input.signed_bytes).unwrap();
        let root = input.script_root.map(TapNodeHash::from_byte_array);
        let pair =
            Keypair::from_secret_key(&self.0, &self.secret(&input.path)).tap_tweak(&self.0, root);
        self.0
            .sign_schnorr_no_aux_rand(&digest, &pair.to_keypair())
            .as_ref()
            .to_vec()
    }
}

fn finished(
    key: &Key,
    payload: &Payload,
    signatures: &[Vec<u8>],
    form: BitcoinForm,
) -> Result<Finished, FinishError> {
    let signatures: Vec<&[u8]> = signatures.iter().map(Vec::as_slice).collect();
    finish(
        key,
        &DerivationPath::default(),
        payload,
        &Networks::default(),
        &signatures,
        form,
    )
}

fn inputs(key: &Key, payload: &Payload) -> Vec<Input> {
    decode(
        key,
        &DerivationPath::default(),
        payload,
        &Networks::default(),
    )
    .unwrap()
    .inputs
}

fn psbt_payload(psbt: &Psbt) -> Payload {
    Payload::new(PayloadKind::Psbt, psbt.serialize())
}

fn sign_ecdsa(payload: &Payload) -> Vec<Vec<u8>> {
    inputs(&ecdsa(), payload)
        .iter()
        .map(|input| Signer::new().ecdsa(input))
        .collect()
}

/// The transaction from its bytes alone, after comparison with the finalised PSBT.
fn both_forms(key: &Key, payload: &Payload, signatures: &[Vec<u8>]) -> Transaction {
    let whole = finished(key, payload, signatures, BitcoinForm::Transaction).unwrap();
    let transaction: Transaction = consensus::deserialize(&whole.bytes).unwrap();
    let psbt = finished(key, payload, signatures, BitcoinForm::Psbt).unwrap();
    assert_eq!((whole.missing, psbt.missing), (0, 0));
    let psbt = Psbt::deserialize(&psbt.bytes).unwrap();
    assert!(
        psbt.inputs
            .iter()
            .all(|input| input.bip32_derivation.is_empty() && input.redeem_script.is_none())
    );
    assert_eq!(psbt.extract_tx().unwrap(), transaction);
    transaction
}

/// DER and sighash byte, the form in which a script gives them to OP_CHECKSIG.
fn checksig(digest: [u8; 32], signature: &[u8], key: &[u8]) {
    let (kind, der) = signature.split_last().unwrap();
    assert_eq!(*kind, 1, "SIGHASH_ALL");
    let signature = bitcoin::secp256k1::ecdsa::Signature::from_der(der).unwrap();
    let key = bitcoin::secp256k1::PublicKey::from_slice(key).unwrap();
    Secp256k1::new()
        .verify_ecdsa(&Message::from_digest(digest), &signature, &key)
        .unwrap();
}

#[test]
fn every_form_of_output_is_unlocked() {
    let psbt = every_form(&[]);
    let payload = psbt_payload(&psbt);
    let transaction = both_forms(&ecdsa(), &payload, &sign_ecdsa(&payload));
    let spent: Vec<_> = psbt.inputs[0]
        .non_witness_utxo
        .clone()
        .unwrap()
        .output
        .into_iter()
        .take(3)
        .collect();
    let mut cache = SighashCache::new(&transaction);
    let [segwit, nested, legacy] = &transaction.input[..] else {
        panic!()
    };

    let all = EcdsaSighashType::All;
    assert!(segwit.script_sig.is_empty());
    let hash = cache
        .p2wpkh_signature_hash(0, &spent[0].script_pubkey, spent[0].value, all)
        .unwrap();
    checksig(hash.to_byte_array(), &segwit.witness[0], &segwit.witness[1]);

    // One push of the 22 bytes whose hash the output has (BIP-16).
    let (length, redeem) = nested.script_sig.as_bytes().split_first().unwrap();
    assert_eq!(usize::from(*length), redeem.len());
    let redeem = bitcoin::Script::from_bytes(redeem);
    assert_eq!(redeem.to_p2sh(), spent[1].script_pubkey);
    let hash = cache
        .p2wpkh_signature_hash(1, redeem, spent[1].value, all)
        .unwrap();
    checksig(hash.to_byte_array(), &nested.witness[0], &nested.witness[1]);

    assert!(legacy.witness.is_empty());
    let pushes: Vec<_> = legacy
        .script_sig
        .instructions()
        .map(|it| it.unwrap())
        .collect();
    let [signature, key] = &pushes[..] else {
        panic!()
    };
    let signature = signature.push_bytes().unwrap();
    let key = key.push_bytes().unwrap();
    let hash = cache
        .legacy_signature_hash(2, &spent[2].script_pubkey, all.to_u32())
        .unwrap();
    checksig(hash.to_byte_array(), signature.as_bytes(), key.as_bytes());
}

#[test]
fn a_taproot_output_is_unlocked_with_either_sighash_type() {
    for payment in [taproot_payment(), taproot_payment_with_scripts()] {
        a_taproot_output_is_unlocked(payment);
    }
}

fn a_taproot_output_is_unlocked((key, mut psbt): (Key, Psbt)) {
    for (kind, length) in [(TapSighashType::Default, 64), (TapSighashType::All, 65)] {
        psbt.inputs[0].sighash_type = Some(kind.into());
        let payload = psbt_payload(&psbt);
        let signatures: Vec<_> = inputs(&key, &payload)
            .iter()
            .map(|input| Signer::new().taproot(input))
            .collect();
        let transaction = both_forms(&key, &payload, &signatures);
        let [signature] = &transaction.input[0].witness.to_vec()[..] else {
            panic!()
        };
        assert_eq!(signature.len(), length);
        let spent = psbt.inputs[0].witness_utxo.clone().unwrap();
        let mut cache = SighashCache::new(&transaction);
        let hash = cache
            .taproot_key_spend_signature_hash(0, &Prevouts::All(&[&spent]), kind)
            .unwrap();
        let output =
            bitcoin::XOnlyPublicKey::from_slice(&spent.script_pubkey.as_bytes()[2..]).unwrap();
        let signature =
            bitcoin::secp256k1::schnorr::Signature::from_slice(&signature[..64]).unwrap();
        let digest = Message::from_digest(hash.to_byte_array());
        Secp256k1::new()
            .verify_schnorr(&signature, &digest, &output)
            .unwrap();
    }
}

#[test]
fn what_others_have_not_signed_stays_in_the_psbt() {
    let psbt = every_form(&[foreign()]);
    let payload = psbt_payload(&psbt);
    let signatures = sign_ecdsa(&payload);
    let whole = finished(&ecdsa(), &payload, &signatures, BitcoinForm::Transaction);
    assert_eq!(whole, Err(FinishError::Missing(1)));
    let part = finished(&ecdsa(), &payload, &signatures, BitcoinForm::Psbt).unwrap();
    assert_eq!(part.missing, 1);
    let part = Psbt::deserialize(&part.bytes).unwrap();
    assert_eq!(part.inputs[3], psbt.inputs[3]);
    assert_eq!(
        (part.unsigned_tx, part.outputs),
        (psbt.unsigned_tx, psbt.outputs)
    );
}

#[test]
fn nothing_is_assembled_from_signatures_that_do_not_fit() {
    let payload = psbt_payload(&every_form(&[]));
    let good = sign_ecdsa(&payload);
    let refused = |signatures: &[Vec<u8>]| {
        finished(&ecdsa(), &payload, signatures, BitcoinForm::Psbt).expect_err("they do not fit")
    };
    assert_eq!(
        refused(&good[..2]),
        FinishError::Count { asked: 3, given: 2 }
    );
    let swapped = [good[1].clone(), good[0].clone(), good[2].clone()];
    assert!(matches!(
        refused(&swapped),
        FinishError::Signature { number: 1, .. }
    ));
    let mut changed = good.clone();
    changed[2][40] ^= 1;
    assert!(matches!(
        refused(&changed),
        FinishError::Signature { number: 3, .. }
    ));
    // From the same key, for another payment.
    let other = sign_ecdsa(&psbt_payload(&payment()));
    assert!(matches!(
        refused(&[&other, &good[1..]].concat()),
        FinishError::Signature { number: 1, .. }
    ));
}

#[test]
fn signatures_of_messages_are_written_as_wallets_write_them() {
    let text = Payload::new(PayloadKind::Eip191, b"hello".to_vec());
    let made = sign_ecdsa(&text);
    let written = finished(&ecdsa(), &text, &made, BitcoinForm::Psbt)
        .unwrap()
        .bytes;
    assert_eq!(written[..64], made[0]);
    let digest = &inputs(&ecdsa(), &text)[0].signed_bytes;
    let id = k256::ecdsa::RecoveryId::from_byte(written[64] - 27).unwrap();
    let signature = k256::ecdsa::Signature::from_slice(&made[0]).unwrap();
    let sender = k256::ecdsa::VerifyingKey::recover_from_prehash(digest, &signature, id).unwrap();
    assert_eq!(
        sender.to_encoded_point(true).as_bytes(),
        ecdsa().root_public_key
    );
    let plain = Payload::new(PayloadKind::Message, b"hello".to_vec());
    let made = sign_ecdsa(&plain);
    assert_eq!(
        finished(&ecdsa(), &plain, &made, BitcoinForm::Psbt)
            .unwrap()
            .bytes,
        made[0]
    );
    assert!(finished(&key_of(Scheme::Taproot), &plain, &made, BitcoinForm::Psbt).is_err());
}

#[test]
fn several_digests_are_not_assembled_and_the_error_says_why() {
    let entry = |path| format!(r#"{{"path":"{path}","digest":"{}"}}"#, "11".repeat(32));
    let list = format!("[{},{}]", entry("m/0/7"), entry("m"));
    let payload = Payload::new(PayloadKind::Digests, list.into());
    let made = sign_ecdsa(&payload);
    let refused = finished(&ecdsa(), &payload, &made, BitcoinForm::Psbt);
    assert_eq!(refused, Err(FinishError::Several(2)));
    let list = format!("[{}]", entry("m/0/7"));
    let payload = Payload::new(PayloadKind::Digests, list.into());
    let made = sign_ecdsa(&payload);
    let written = finished(&ecdsa(), &payload, &made, BitcoinForm::Psbt).unwrap();
    assert_eq!(written.bytes, made[0]);
}

/// The private key of RFC 8032, section 7.1, test 1, signs second of two.
#[test]
fn a_signature_of_solana_stands_in_its_signer_s_place() {
    let message = [
        &[2, 0, 1, 3][..],
        &[0xbb; 32],
        ed25519().root_public_key,
        &[0; 32],
        &[9; 32],
        &[1, 2, 2, 0, 1, 12, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let seed =
        hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
    let signer = ed25519_dalek::SigningKey::from_bytes(&seed.try_into().unwrap());
    let signature = ed25519_dalek::Signer::sign(&signer, &message).to_bytes();
    let payload = Payload::new(PayloadKind::SolanaMessage, message.clone());
    let made = finished(
        &ed25519(),
        &payload,
        &[signature.to_vec()],
        BitcoinForm::Psbt,
    )
    .unwrap();
    assert_eq!(
        made.bytes,
        [&[2][..], &[0; 64], &signature, &message].concat()
    );
    assert_eq!(made.missing, 1);
    let of_nothing = ed25519_dalek::Signer::sign(&signer, b"").to_bytes();
    let refused = finished(
        &ed25519(),
        &payload,
        &[of_nothing.to_vec()],
        BitcoinForm::Psbt,
    );
    assert!(matches!(
        refused,
        Err(FinishError::Signature { number: 1, .. })
    ));
}

/// A signature by another key of `shared_payments`.
fn other_signature(psbt: &Psbt, byte: u8) -> (bitcoin::PublicKey, bitcoin::ecdsa::Signature) {
    let curve = Secp256k1::new();
    let secret = SecretKey::from_slice(&[byte; 32]).unwrap();
    let (digest, sighash_type) = psbt
        .sighash_ecdsa(0, &mut SighashCache::new(&psbt.unsigned_tx))
        .unwrap();
    let made = bitcoin::ecdsa::Signature {
        signature: curve.sign_ecdsa(&digest, &secret),
        sighash_type,
    };
    (bitcoin::PublicKey::new(secret.public_key(&curve)), made)
}

#[test]
fn a_signature_is_added_to_those_of_others() {
    for psbt in shared_payments(2) {
        let payload = psbt_payload(&psbt);
        let made = sign_ecdsa(&payload);
        let whole = finished(&ecdsa(), &payload, &made, BitcoinForm::Transaction);
        assert_eq!(whole, Err(FinishError::Missing(1)));
        let part = finished(&ecdsa(), &payload, &made, BitcoinForm::Psbt).unwrap();
        assert_eq!(part.missing, 1);
        let part = Psbt::deserialize(&part.bytes).unwrap();
        let [(_, signature)] = &part.inputs[0].partial_sigs.iter().collect::<Vec<_>>()[..] else {
            panic!()
        };
        assert_eq!(signature.signature.serialize_compact().to_vec(), made[0]);
        assert_eq!(
            Psbt {
                inputs: psbt.inputs.clone(),
                ..part.clone()
            },
            psbt
        );
        // The others sign after us: a combiner finds our signature.
        assert_eq!(part.inputs[0].witness_script, psbt.inputs[0].witness_script);
    }
}

/// Acceptance by the chain's own library is tried by hand with Bitcoin Core's kernel; here
/// each part is checked.
#[test]
fn the_last_of_several_signatures_unlocks_the_output() {
    for psbt in shared_payments(2) {
        let mut others = psbt.clone();
        // The first in the script does not verify, since another key made it, and is omitted.
        let (key, good) = other_signature(&psbt, 8);
        let (first_key, _) = other_signature(&psbt, 7);
        others.inputs[0].partial_sigs = [(key, good), (first_key, good)].into();
        let payload = psbt_payload(&others);
        let made = sign_ecdsa(&payload);
        let transaction = both_forms(&ecdsa(), &payload, &made);
        let input = &transaction.input[0];
        let parts: Vec<Vec<u8>> = if input.witness.is_empty() {
            input
                .script_sig
                .instructions()
                .map(|it| it.unwrap().push_bytes().unwrap().as_bytes().to_vec())
                .collect()
        } else {
            input.witness.to_vec()
        };
        let [dummy, first, second, script] = &parts[..] else {
            panic!("{parts:?}")
        };
        assert!(dummy.is_empty());
        assert_eq!(*second, good.to_vec());
        let script = bitcoin::ScriptBuf::from_bytes(script.clone());
        let locked = &psbt.inputs[0].witness_utxo.as_ref().unwrap().script_pubkey;
        assert!(
            [
                script.to_p2sh(),
                script.to_p2wsh(),
                script.to_p2wsh().to_p2sh()
            ]
            .contains(locked)
        );
        let ours = bitcoin::ecdsa::Signature::from_slice(first).unwrap();
        assert_eq!(ours.signature.serialize_compact().to_vec(), made[0]);
    }
}

#[test]
fn a_psbt_of_version_2_comes_back_as_one() {
    let mut version_0 = crate::psbt::parse(
        &hex::decode(include_str!("../../fixtures/psbt-v2.hex").trim()).unwrap(),
    )
    .unwrap();
    // Reassigned to the key of these tests.
    let ours = payment();
    version_0.inputs[0] = ours.inputs[0].clone();
    let spent = &ours.unsigned_tx.input[0].previous_output;
    let original = hex::decode(include_str!("../../fixtures/psbt-v2.hex").trim()).unwrap();
    version_0.unsigned_tx.input[0].previous_output = *spent;
    version_0.unsigned_tx.output.truncate(1);
    version_0.outputs.truncate(1);
    let with_count = crate::psbt_v2::tests::as_version_2(&original, &version_0);
    let payload = Payload::new(PayloadKind::Psbt, with_count);
    let made = sign_ecdsa(&payload);
    let back = finished(&ecdsa(), &payload, &made, BitcoinForm::Psbt).unwrap();
    assert_eq!(back.missing, 0);
    let read = crate::psbt::parse(&back.bytes).unwrap();
    assert_ne!(read.serialize(), back.bytes, "it is of version 2");
    assert!(read.inputs[0].final_script_witness.is_some());
    let whole = finished(&ecdsa(), &payload, &made, BitcoinForm::Transaction).unwrap();
    assert_eq!(
        consensus::serialize(&read.extract_tx_unchecked_fee_rate()),
        whole.bytes
    );
}
