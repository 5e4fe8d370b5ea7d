use bitcoin::bip32::{ChildNumber, Fingerprint};
use bitcoin::psbt::PsbtSighashType;
use bitcoin::{
    Amount, OutPoint, PubkeyHash, ScriptBuf, Sequence, TapNodeHash, TxIn, WPubkeyHash,
    XOnlyPublicKey, secp256k1,
};
use countersign_protocol::Payload;

use super::*;
use crate::testkit::{decode_as, ecdsa, ed25519, key_of, transaction};
use crate::{PayloadKind, decode as decode_payload};

/// Its address: witness version 0, twenty bytes 7 (BIP-173).
const FOREIGN: &str = "bc1qqurswpc8qurswpc8qurswpc8qurswpc89fe3yv";

fn decode(key: &Key, psbt: &Psbt) -> Result<Decoded, DecodeError> {
    decode_as(key, PayloadKind::Psbt, &psbt.serialize())
}

fn child(key: &Key, steps: &[u32]) -> Vec<u8> {
    countersign_verify::derive_public(key.scheme, key.root_public_key, key.chain_code, steps)
        .unwrap()
        .0
}

fn source(key: &Key, steps: &[u32]) -> bitcoin::bip32::KeySource {
    let identifier = PubkeyHash::hash(key.root_public_key).to_byte_array();
    let fingerprint =
        Fingerprint::from([identifier[0], identifier[1], identifier[2], identifier[3]]);
    let path: Vec<_> = steps
        .iter()
        .map(|index| ChildNumber::Normal { index: *index })
        .collect();
    (fingerprint, path.into())
}

fn point(bytes: &[u8]) -> secp256k1::PublicKey {
    secp256k1::PublicKey::from_slice(bytes).unwrap()
}

fn p2wpkh(key: &Key, steps: &[u32]) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(&child(key, steps)))
}

fn taproot_script(key: &Key, steps: &[u32]) -> ScriptBuf {
    taproot_script_with(key, steps, None)
}

/// Made by the chain's own library, which the code under test does not use.
fn taproot_script_with(key: &Key, steps: &[u32], root: Option<TapNodeHash>) -> ScriptBuf {
    let internal = XOnlyPublicKey::from_slice(&child(key, steps)[1..]).unwrap();
    ScriptBuf::new_p2tr(&secp256k1::Secp256k1::verification_only(), internal, root)
}

fn root(byte: u8) -> TapNodeHash {
    TapNodeHash::from_byte_array([byte; 32])
}

fn output(script: ScriptBuf, sats: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(sats),
        script_pubkey: script,
    }
}

/// An arbitrary funding transaction with these outputs.
fn previous(outputs: Vec<TxOut>) -> bitcoin::Transaction {
    let input = TxIn {
        previous_output: OutPoint {
            vout: 7,
            ..OutPoint::null()
        },
        ..TxIn::default()
    };
    bitcoin::Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![input],
        output: outputs,
    }
}

/// Spends each script, with 1,000 sat in it, to `outputs`. The previous transactions are attached.
fn spend(scripts: &[ScriptBuf], outputs: Vec<TxOut>) -> Psbt {
    let from = previous(
        scripts
            .iter()
            .map(|script| output(script.clone(), 1000))
            .collect(),
    );
    let outpoint = |vout| OutPoint {
        txid: from.compute_txid(),
        vout,
    };
    let input = (0..scripts.len() as u32).map(|vout| TxIn {
        previous_output: outpoint(vout),
        sequence: Sequence::MAX,
        ..TxIn::default()
    });
    let unsigned = bitcoin::Transaction {
        input: input.collect(),
        ..previous(outputs)
    };
    let mut psbt = Psbt::from_unsigned_tx(unsigned).unwrap();
    for (input, spent) in psbt.inputs.iter_mut().zip(&from.output) {
        input.non_witness_utxo = Some(from.clone());
        input.witness_utxo = Some(spent.clone());
    }
    psbt
}

pub(crate) fn foreign() -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([7; 20]))
}

/// One P2WPKH input at m/0/1, one output to another party and one of change at m/1/0.
pub(crate) fn payment() -> Psbt {
    let key = ecdsa();
    let outputs = vec![output(foreign(), 300), output(p2wpkh(&key, &[1, 0]), 600)];
    let mut psbt = spend(&[p2wpkh(&key, &[0, 1])], outputs);
    psbt.inputs[0]
        .bip32_derivation
        .insert(point(&child(&key, &[0, 1])), source(&key, &[0, 1]));
    psbt.outputs[1]
        .bip32_derivation
        .insert(point(&child(&key, &[1, 0])), source(&key, &[1, 0]));
    psbt
}

/// The same payment with a taproot key.
pub(crate) fn taproot_payment() -> (Key<'static>, Psbt) {
    taproot_payment_from(None)
}

/// The same payment from an output with scripts.
pub(crate) fn taproot_payment_with_scripts() -> (Key<'static>, Psbt) {
    taproot_payment_from(Some(root(7)))
}

fn taproot_payment_from(root: Option<TapNodeHash>) -> (Key<'static>, Psbt) {
    let key = key_of(Scheme::Taproot);
    let outputs = vec![
        output(foreign(), 300),
        output(taproot_script(&key, &[1, 0]), 600),
    ];
    let mut psbt = spend(&[taproot_script_with(&key, &[0, 1], root)], outputs);
    psbt.inputs[0].tap_merkle_root = root;
    let x_only = |steps: &[u32]| XOnlyPublicKey::from_slice(&child(&key, steps)[1..]).unwrap();
    psbt.inputs[0]
        .tap_key_origins
        .insert(x_only(&[0, 1]), (vec![], source(&key, &[0, 1])));
    psbt.inputs[0].tap_internal_key = Some(x_only(&[0, 1]));
    psbt.outputs[1]
        .tap_key_origins
        .insert(x_only(&[1, 0]), (vec![], source(&key, &[1, 0])));
    (key, psbt)
}

#[test]
fn a_payment_shows_recipient_change_and_fee() {
    let (taproot, taproot_psbt) = taproot_payment();
    for (key, psbt) in [(ecdsa(), payment()), (taproot, taproot_psbt)] {
        let decoded = decode(&key, &psbt).unwrap();
        assert_eq!(decoded.inputs[0].path.to_string(), "m/0/1");
        assert_eq!(decoded.inputs[0].signed_bytes.len(), 32);
        let seen = transaction(&decoded);
        assert_eq!(
            (seen.fee.as_deref(), seen.sources.len(), seen.calls.len()),
            (Some("100"), 1, 0)
        );
        let outputs: Vec<_> = seen
            .destinations
            .iter()
            .map(|to| (&*to.amount, to.change))
            .collect();
        assert_eq!(outputs, [("300", false), ("600", true)]);
        assert_eq!(seen.destinations[0].address, FOREIGN);
        assert_eq!(
            seen.unsigned,
            bitcoin::consensus::serialize(&psbt.unsigned_tx)
        );
    }
}

/// An input of each form that a single ECDSA key unlocks, at m/0/1 to m/0/3, then `others`.
pub(crate) fn every_form(others: &[ScriptBuf]) -> Psbt {
    let key = ecdsa();
    let nested = p2wpkh(&key, &[0, 2]);
    let ours = [
        p2wpkh(&key, &[0, 1]),
        nested.to_p2sh(),
        ScriptBuf::new_p2pkh(&PubkeyHash::hash(&child(&key, &[0, 3]))),
    ];
    let mut psbt = spend(&[&ours, others].concat(), vec![output(foreign(), 2000)]);
    for index in 0..3 {
        let steps = [0, index as u32 + 1];
        psbt.inputs[index]
            .bip32_derivation
            .insert(point(&child(&key, &steps)), source(&key, &steps));
    }
    psbt.inputs[1].redeem_script = Some(nested);
    psbt.inputs[2].witness_utxo = None;
    psbt
}

#[test]
fn digests_are_those_of_a_signer_that_reads_the_psbt_itself() {
    let key = ecdsa();
    let psbt = every_form(&[foreign()]);
    let decoded = decode(&key, &psbt).unwrap();
    assert_eq!(decoded.inputs.len(), 3);
    let mut cache = SighashCache::new(&psbt.unsigned_tx);
    for (index, input) in decoded.inputs.iter().enumerate() {
        let (expected, _) = psbt.sighash_ecdsa(index, &mut cache).unwrap();
        assert_eq!(input.signed_bytes, expected.as_ref());
        assert_eq!(input.path.to_string(), format!("m/0/{}", index + 1));
    }
    assert_eq!(transaction(&decoded).sources.len(), 3);
}

/// The native P2WPKH example of BIP-143, beside its foreign P2PK input.
#[test]
fn the_example_of_bip_143_has_its_published_sighash() {
    let unsigned = "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac11000000";
    let unsigned: bitcoin::Transaction =
        bitcoin::consensus::deserialize(&hex::decode(unsigned).unwrap()).unwrap();
    let root =
        hex::decode("025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee6357").unwrap();
    let key = Key {
        root_public_key: &root,
        ..ecdsa()
    };
    let spent = output(
        ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(&root)),
        600_000_000,
    );
    assert_eq!(
        hex::encode(spent.script_pubkey.as_bytes()),
        "00141d0f172a0ecb48aee1be1f2687d2963ae33f71a1"
    );
    // The previous transactions are not published, so the amounts are trusted here, bypassing
    // the check of `decode`.
    let mut psbt = Psbt::from_unsigned_tx(unsigned).unwrap();
    psbt.inputs[1]
        .bip32_derivation
        .insert(point(&root), source(&key, &[]));
    let spent = [output(ScriptBuf::new(), 0), spent];
    let owner = Owner::new(&key).unwrap();
    let mut signing = Signing {
        psbt: &psbt,
        spent: &spent,
        cache: SighashCache::new(&psbt.unsigned_tx),
    };
    assert_eq!(signing.input(&owner, 0), Ok(None));
    let (_, input) = signing.input(&owner, 1).unwrap().unwrap();
    let published = "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670";
    assert_eq!(hex::encode(input.signed_bytes), published);
}

/// Input 4 of the key path example of BIP-341, with SIGHASH_DEFAULT. Its output has scripts, so
/// this calls the hash function directly, bypassing the check that refuses it; and input 0, whose
/// output has none, is refused for its open sighash type.
#[test]
fn the_example_of_bip_341_has_its_published_sighash() {
    let unsigned = "02000000097de20cbff686da83a54981d2b9bab3586f4ca7e48f57f5b55963115f3b334e9c010000000000000000d7b7cab57b1393ace2d064f4d4a2cb8af6def61273e127517d44759b6dafdd990000000000fffffffff8e1f583384333689228c5d28eac13366be082dc57441760d957275419a418420000000000fffffffff0689180aa63b30cb162a73c6d2a38b7eeda2a83ece74310fda0843ad604853b0100000000feffffffaa5202bdf6d8ccd2ee0f0202afbbb7461d9264a25e5bfd3c5a52ee1239e0ba6c0000000000feffffff956149bdc66faa968eb2be2d2faa29718acbfe3941215893a2a3446d32acd050000000000000000000e664b9773b88c09c32cb70a2a3e4da0ced63b7ba3b22f848531bbb1d5d5f4c94010000000000000000e9aa6b8e6c9de67619e6a3924ae25696bb7b694bb677a632a74ef7eadfd4eabf0000000000ffffffffa778eb6a263dc090464cd125c466b5a99667720b1c110468831d058aa1b82af10100000000ffffffff0200ca9a3b000000001976a91406afd46bcdfd22ef94ac122aa11f241244a37ecc88ac807840cb0000000020ac9a87f5594be208f8532db38cff670c450ed2fea8fcdefcc9a663f78bab962b0065cd1d";
    let spent = [
        (
            "512053a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343",
            420_000_000,
        ),
        (
            "5120147c9c57132f6e7ecddba9800bb0c4449251c92a1e60371ee77557b6620f3ea3",
            462_000_000,
        ),
        (
            "76a914751e76e8199196d454941c45d1b3a323f1433bd688ac",
            294_000_000,
        ),
        (
            "5120e4d810fd50586274face62b8a807eb9719cef49c04177cc6b76a9a4251d5450e",
            504_000_000,
        ),
        (
            "512091b64d5324723a985170e4dc5a0f84c041804f2cd12660fa5dec09fc21783605",
            630_000_000,
        ),
        ("00147dd65592d0ab2fe0d0257d571abf032cd9db93dc", 378_000_000),
        (
            "512075169f4001aa68f15bbed28b218df1d0a62cbbcf1188c6665110c293c907b831",
            672_000_000,
        ),
        (
            "5120712447206d7a5238acc7ff53fbe94a3b64539ad291c7cdbc490b7577e4b17df5",
            546_000_000,
        ),
        (
            "512077e30a5522dd9f894c3f8b8bd4c4b2cf82ca7da8a3ea6a239655c39c050ab220",
            588_000_000,
        ),
    ];
    let spent = spent
        .map(|(script, sats)| output(ScriptBuf::from_bytes(hex::decode(script).unwrap()), sats));
    let unsigned: bitcoin::Transaction =
        bitcoin::consensus::deserialize(&hex::decode(unsigned).unwrap()).unwrap();
    let mut psbt = Psbt::from_unsigned_tx(unsigned).unwrap();
    let internal = "02d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d";
    let internal = hex::decode(internal).unwrap();
    let key = Key {
        root_public_key: &internal,
        ..key_of(Scheme::Taproot)
    };
    let x_only = XOnlyPublicKey::from_slice(&internal[1..]).unwrap();
    psbt.inputs[0]
        .tap_key_origins
        .insert(x_only, (vec![], source(&key, &[])));
    psbt.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(3));
    let mut signing = Signing {
        psbt: &psbt,
        spent: &spent,
        cache: SighashCache::new(&psbt.unsigned_tx),
    };
    let published = "4f900a0bae3f1446fd48490c2958b5a023228f01661cda3496a11da502a7f7ef";
    assert_eq!(hex::encode(signing.taproot(4).unwrap()), published);
    let open = signing.input(&Owner::new(&key).unwrap(), 0).unwrap_err();
    assert!(open.to_string().contains("sighash"), "{open}");
}

fn refused(key: &Key, change: impl FnOnce(&mut Psbt)) -> DecodeError {
    let mut psbt = if key.scheme == Scheme::Taproot {
        taproot_payment().1
    } else {
        payment()
    };
    assert!(decode(key, &psbt).is_ok());
    change(&mut psbt);
    decode(key, &psbt).unwrap_err()
}

#[test]
fn amounts_that_could_be_lies_are_refused() {
    let key = ecdsa();
    refused(&key, |psbt| psbt.inputs[0].non_witness_utxo = None);
    refused(&key, |psbt| {
        psbt.inputs[0].witness_utxo.as_mut().unwrap().value = Amount::from_sat(999)
    });
    refused(&key, |psbt| {
        psbt.inputs[0].non_witness_utxo.as_mut().unwrap().output[0].value = Amount::from_sat(2000);
        psbt.inputs[0].witness_utxo = None;
    });
    refused(&key, |psbt| {
        psbt.unsigned_tx.output[0].value = Amount::from_sat(401)
    });
    let taproot = key_of(Scheme::Taproot);
    refused(&taproot, |psbt| {
        psbt.inputs[0].non_witness_utxo = None;
        psbt.inputs[0].witness_utxo = None;
    });
    let mut psbt = taproot_payment().1;
    let whole = decode(&taproot, &psbt).unwrap();
    psbt.inputs[0].non_witness_utxo = None;
    assert_eq!(decode(&taproot, &psbt).unwrap(), whole);
    // The signature covers the amount, so a lie about it gives another digest.
    psbt.inputs[0].witness_utxo.as_mut().unwrap().value = Amount::from_sat(999);
    assert_ne!(decode(&taproot, &psbt).unwrap().inputs, whole.inputs);
}

#[test]
fn open_sighash_types_are_refused() {
    let open = [0x02, 0x03, 0x81, 0x82, 0x83, 0x04, 0x1ff];
    for (key, more) in [(ecdsa(), 0), (key_of(Scheme::Taproot), 0xff)] {
        for number in open.into_iter().chain([more]) {
            let stated = Some(PsbtSighashType::from_u32(number));
            let error = refused(&key, |psbt| psbt.inputs[0].sighash_type = stated);
            assert!(error.to_string().contains("sighash"), "{error}");
        }
    }
    let mut psbt = payment();
    psbt.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(1));
    assert_eq!(decode(&ecdsa(), &psbt), decode(&ecdsa(), &payment()));
    let (key, mut psbt) = taproot_payment();
    let default = decode(&key, &psbt).unwrap();
    psbt.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(1));
    assert_ne!(decode(&key, &psbt).unwrap().inputs, default.inputs);
}

#[test]
fn an_origin_that_does_not_lead_to_its_key_is_refused() {
    let key = ecdsa();
    let wrong = point(&child(&key, &[5]));
    refused(&key, |psbt| {
        psbt.inputs[0].bip32_derivation = [(wrong, source(&key, &[0, 1]))].into();
    });
    refused(&key, |psbt| {
        psbt.outputs[1].bip32_derivation = [(wrong, source(&key, &[1, 0]))].into();
    });
    // A second key of ours, as in a multisig with ourselves, at any place in the list.
    for step in 5..15 {
        refused(&key, |psbt| {
            let second = point(&child(&key, &[step]));
            psbt.inputs[0]
                .bip32_derivation
                .insert(second, source(&key, &[step]));
        });
    }
    // The output is not locked to the key that is named.
    refused(&key, |psbt| {
        psbt.inputs[0].bip32_derivation = [(wrong, source(&key, &[5]))].into();
    });
    refused(&key, |psbt| {
        let hardened = (
            source(&key, &[]).0,
            vec![ChildNumber::Hardened { index: 0 }].into(),
        );
        psbt.inputs[0]
            .bip32_derivation
            .values_mut()
            .for_each(|origin| *origin = hardened.clone());
    });
    refused(&key, |psbt| psbt.inputs[0].bip32_derivation.clear());
    refused(&key, |psbt| {
        psbt.inputs[0].witness_script = Some(ScriptBuf::new())
    });
    refused(&key, |psbt| {
        psbt.inputs[0].redeem_script = Some(ScriptBuf::new())
    });
    let taproot = key_of(Scheme::Taproot);
    refused(&taproot, |psbt| {
        psbt.inputs[0].tap_merkle_root = Some(root(1));
    });
    let script = || {
        (
            ScriptBuf::from_bytes(vec![0x51]),
            bitcoin::taproot::LeafVersion::TapScript,
        )
    };
    // The minimal control block: leaf version and internal key.
    let block =
        || bitcoin::taproot::ControlBlock::decode(&[&[0xc0], &[2; 32][..]].concat()).unwrap();
    refused(&taproot, |psbt| {
        drop(psbt.inputs[0].tap_scripts.insert(block(), script()))
    });
    refused(&key, |psbt| {
        drop(psbt.inputs[0].tap_scripts.insert(block(), script()))
    });
    refused(&key, |psbt| psbt.inputs[0].tap_merkle_root = Some(root(1)));
    refused(&taproot, |psbt| {
        let leaf = bitcoin::TapLeafHash::from_byte_array([1; 32]);
        psbt.inputs[0]
            .tap_key_origins
            .values_mut()
            .for_each(|(leaves, _)| leaves.push(leaf));
    });
}

#[test]
fn an_output_with_scripts_is_spent_by_its_key_if_its_root_is_there() {
    let (key, mut psbt) = taproot_payment_with_scripts();
    let decoded = decode(&key, &psbt).unwrap();
    assert_eq!(decoded.inputs[0].script_root, Some([7; 32]));
    let (_, without) = taproot_payment();
    assert_eq!(decode(&key, &without).unwrap().inputs[0].script_root, None);

    for wrong in [None, Some(root(8))] {
        psbt.inputs[0].tap_merkle_root = wrong;
        assert_eq!(decode(&key, &psbt).unwrap_err().code(), "payload-malformed");
    }
    // A holder of a script's keys could take it, so it is not change.
    let (_, mut psbt) = taproot_payment();
    psbt.unsigned_tx.output[1].script_pubkey = taproot_script_with(&key, &[1, 0], Some(root(7)));
    let decoded = decode(&key, &psbt).unwrap();
    assert!(
        transaction(&decoded)
            .destinations
            .iter()
            .all(|to| !to.change)
    );
}

#[test]
fn change_is_only_what_was_derived_again() {
    let key = ecdsa();
    let mut psbt = payment();
    // Claims the recipient's output as change.
    psbt.outputs[0]
        .bip32_derivation
        .insert(point(&child(&key, &[1, 1])), source(&key, &[1, 1]));
    let foreign_source = (Fingerprint::from([1; 4]), source(&key, &[1, 0]).1);
    psbt.outputs[1]
        .bip32_derivation
        .values_mut()
        .for_each(|origin| *origin = foreign_source.clone());
    let decoded = decode(&key, &psbt).unwrap();
    assert!(
        transaction(&decoded)
            .destinations
            .iter()
            .all(|to| !to.change)
    );
}

#[test]
fn scripts_without_address_are_shown() {
    let key = ecdsa();
    let data = ScriptBuf::new_op_return(b"note");
    let bare = ScriptBuf::from_bytes(vec![0x51]);
    let mut psbt = spend(
        &[p2wpkh(&key, &[])],
        vec![output(data, 0), output(bare, 900)],
    );
    psbt.inputs[0]
        .bip32_derivation
        .insert(point(&child(&key, &[])), source(&key, &[]));
    let decoded = decode(&key, &psbt).unwrap();
    let [note, bare] = &transaction(&decoded).destinations[..] else {
        panic!()
    };
    assert_eq!(
        (&*note.address, note.memo.as_deref()),
        ("", Some("6e6f7465"))
    );
    assert_eq!((&*bare.address, &bare.memo), ("script:51", &None));
}

#[test]
fn network_path_scheme_and_bytes_are_checked() {
    let bytes = payment().serialize();
    let payload = Payload::new(PayloadKind::Psbt, bytes.clone());
    let on = |id: &str| {
        let networks = Networks {
            bitcoin: id.into(),
            ..Networks::default()
        };
        decode_payload(&ecdsa(), &Default::default(), &payload, &networks)
    };
    let address = |id| {
        transaction(&on(id).unwrap()).destinations[0]
            .address
            .clone()
    };
    assert!(address("bip122:00000008819873e925422c1ff0f99f7c").starts_with("tb1"));
    assert!(address("bip122:0f9188f13cb7b2c71f2a335e3a4fc328").starts_with("bcrt1"));
    assert_eq!(
        on("bip122:00000000000000000000000000000000")
            .unwrap_err()
            .code(),
        "payload-network"
    );
    let elsewhere = decode_payload(
        &ecdsa(),
        &"m/0".parse().unwrap(),
        &payload,
        &Networks::default(),
    );
    assert_eq!(elsewhere.unwrap_err().code(), "payload-malformed");
    assert_eq!(
        decode_as(&ed25519(), PayloadKind::Psbt, &bytes)
            .unwrap_err()
            .code(),
        "payload-scheme"
    );
    assert!(decode_as(&ecdsa(), PayloadKind::Psbt, &[&bytes[..], &[0]].concat()).is_err());
    assert!(decode_as(&ecdsa(), PayloadKind::Psbt, &bytes[..bytes.len() - 1]).is_err());
}

/// Two inputs that spend one output: adding the amounts up would count it twice.
#[test]
fn an_output_is_spent_once() {
    let (taproot, taproot_psbt) = taproot_payment();
    for (key, mut psbt) in [(ecdsa(), payment()), (taproot, taproot_psbt)] {
        psbt.unsigned_tx
            .input
            .push(psbt.unsigned_tx.input[0].clone());
        psbt.inputs.push(psbt.inputs[0].clone());
        let error = decode(&key, &psbt).unwrap_err().to_string();
        assert!(
            error.contains("spends what another input spends"),
            "{error}"
        );
    }
}

/// The id of a transaction does not cover its witnesses, so they may be omitted.
#[test]
fn previous_transactions_need_no_witnesses() {
    let with = payment();
    let mut without = with.clone();
    let previous = without.inputs[0].non_witness_utxo.as_mut().unwrap();
    previous.input[0].witness = bitcoin::Witness::from_slice(&[[7; 70]]);
    assert!(without.serialize().len() > with.serialize().len());
    assert_eq!(
        decode(&ecdsa(), &without).unwrap(),
        decode(&ecdsa(), &with).unwrap()
    );
}

#[test]
fn version_2_is_read_as_version_0_is() {
    let text: String = include_str!("../fixtures/psbt-base64-76-columns.txt")
        .split_whitespace()
        .collect();
    let version_0 =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
    let version_2 = hex::decode(include_str!("../fixtures/psbt-v2.hex").trim()).unwrap();
    // The files belong to a key that signed nothing here; its input and its change
    // are reassigned to ours.
    let ours = |bytes: &[u8]| {
        let mut psbt = parse(bytes).unwrap();
        let root = psbt.inputs[0]
            .bip32_derivation
            .keys()
            .next()
            .unwrap()
            .serialize();
        let key = Key {
            root_public_key: &root,
            ..ecdsa()
        };
        psbt.inputs[0]
            .bip32_derivation
            .values_mut()
            .for_each(|origin| *origin = source(&key, &[]));
        decode(&key, &psbt).unwrap()
    };
    let decoded = ours(&version_2);
    assert_eq!(decoded, ours(&version_0));
    let seen = transaction(&decoded);
    assert_eq!(seen.fee.as_deref(), Some("9000"));
    let amounts: Vec<_> = seen.destinations.iter().map(|to| &*to.amount).collect();
    assert_eq!(amounts, ["0", "10000", "1000", "30000"]);
    assert_eq!(
        seen.destinations[0].memo.as_deref(),
        Some(&*hex::encode("swap:ETH:0xabcde"))
    );
}

#[test]
fn text_in_the_place_of_bytes_is_said_to_be_text() {
    for text in [
        include_bytes!("../fixtures/psbt-base64-76-columns.txt").to_vec(),
        b"70736274ff0100".to_vec(),
    ] {
        let error = decode_as(&ecdsa(), PayloadKind::Psbt, &text)
            .unwrap_err()
            .to_string();
        assert!(error.contains("it is text"), "{error}");
    }
}

/// A real file: P2WSH, 2 of 3, with one key replaced by ours.
fn shared_payment() -> (Vec<u8>, Psbt) {
    let mut psbt = parse(include_bytes!("../fixtures/psbt-p2wsh-2of3.psbt")).unwrap();
    let root = psbt.inputs[0]
        .bip32_derivation
        .keys()
        .next()
        .unwrap()
        .serialize()
        .to_vec();
    let key = Key {
        root_public_key: &root,
        ..ecdsa()
    };
    psbt.inputs[0]
        .bip32_derivation
        .values_mut()
        .for_each(|origin| *origin = source(&key, &[]));
    (root, psbt)
}

#[test]
fn one_of_several_keys_signs_and_the_script_is_shown() {
    let (root, psbt) = shared_payment();
    let key = Key {
        root_public_key: &root,
        ..ecdsa()
    };
    let decoded = decode(&key, &psbt).unwrap();
    let seen = transaction(&decoded);
    // The chain's own library reads the script from the PSBT itself.
    let expected = psbt
        .sighash_ecdsa(0, &mut SighashCache::new(&psbt.unsigned_tx))
        .unwrap()
        .0;
    assert_eq!(decoded.inputs[0].signed_bytes, expected.as_ref());
    assert_eq!(
        (seen.fee.as_deref(), &*seen.destinations[0].amount),
        (Some("10000"), "80000")
    );
    let [script] = &seen.calls[..] else { panic!() };
    assert_eq!(
        (script.method.as_deref(), &script.contract),
        (Some("multisig 2 of 3"), &seen.sources[0])
    );
    assert_eq!(
        script.data,
        psbt.inputs[0].witness_script.clone().unwrap().to_bytes()
    );
    assert_eq!(script.fields.len(), 3);
    assert!(script.fields.contains(&("key", hex::encode(&root))));
}

/// The script of `m of n` with the child at m/0/1 and two keys of others.
fn shared_script(required: usize) -> ScriptBuf {
    let curve = secp256k1::Secp256k1::new();
    let other = |byte| {
        secp256k1::SecretKey::from_slice(&[byte; 32])
            .unwrap()
            .public_key(&curve)
    };
    let keys = [other(7), point(&child(&ecdsa(), &[0, 1])), other(8)];
    let builder = bitcoin::script::Builder::new().push_int(required as i64);
    let builder = keys
        .iter()
        .fold(builder, |builder, key| builder.push_slice(key.serialize()));
    builder
        .push_int(3)
        .push_opcode(bitcoin::opcodes::all::OP_CHECKMULTISIG)
        .into_script()
}

/// Payments by the same script in each wrapping, with change that goes back to it.
pub(crate) fn shared_payments(required: usize) -> [Psbt; 3] {
    let key = ecdsa();
    let script = shared_script(required);
    let witness = script.to_p2wsh();
    let wrapped = [
        (script.to_p2sh(), Some(script.clone()), None),
        (witness.clone(), None, Some(script.clone())),
        (witness.to_p2sh(), Some(witness), Some(script)),
    ];
    wrapped.map(|(locked, redeem, witness)| {
        let outputs = vec![output(foreign(), 300), output(locked.clone(), 600)];
        let mut psbt = spend(&[locked], outputs);
        psbt.inputs[0]
            .bip32_derivation
            .insert(point(&child(&key, &[0, 1])), source(&key, &[0, 1]));
        (psbt.inputs[0].redeem_script, psbt.inputs[0].witness_script) = (redeem, witness);
        psbt
    })
}

#[test]
fn every_wrapping_of_a_shared_script_is_signed_as_the_chain_does() {
    for psbt in shared_payments(2) {
        let decoded = decode(&ecdsa(), &psbt).unwrap();
        let expected = psbt
            .sighash_ecdsa(0, &mut SighashCache::new(&psbt.unsigned_tx))
            .unwrap()
            .0;
        assert_eq!(decoded.inputs[0].signed_bytes, expected.as_ref());
        let kept: Vec<_> = transaction(&decoded)
            .destinations
            .iter()
            .map(|to| to.change)
            .collect();
        assert_eq!(kept, [false, true]);
    }
}

#[test]
fn shared_scripts_that_are_not_those_of_the_output_are_refused() {
    for good in shared_payments(2) {
        let refused = |change: &dyn Fn(&mut bitcoin::psbt::Input)| {
            let mut psbt = good.clone();
            change(&mut psbt.inputs[0]);
            assert_eq!(
                decode(&ecdsa(), &psbt).unwrap_err().code(),
                "payload-malformed"
            );
        };
        refused(&|input| input.witness_script = Some(shared_script(1)));
        refused(&|input| input.redeem_script = Some(shared_script(1)));
        refused(&|input| (input.redeem_script, input.witness_script) = (None, None));
        refused(&|input| input.tap_merkle_root = Some(root(1)));
        refused(&|input| input.sighash_type = Some(PsbtSighashType::from_u32(0x81)));
        refused(&|input| input.non_witness_utxo = None);
        // A key of ours that is not among the script's.
        refused(&|input| {
            input.bip32_derivation =
                [(point(&child(&ecdsa(), &[5])), source(&ecdsa(), &[5]))].into();
        });
    }
    // A script that is not a multisig, though the key is in it.
    let key = ecdsa();
    let script = bitcoin::script::Builder::new()
        .push_slice(point(&child(&key, &[0, 1])).serialize())
        .push_opcode(bitcoin::opcodes::all::OP_CHECKSIG)
        .into_script();
    let mut psbt = spend(&[script.to_p2wsh()], vec![output(foreign(), 300)]);
    psbt.inputs[0]
        .bip32_derivation
        .insert(point(&child(&key, &[0, 1])), source(&key, &[0, 1]));
    psbt.inputs[0].witness_script = Some(script);
    assert_eq!(decode(&key, &psbt).unwrap_err().code(), "payload-malformed");
}

#[test]
fn inputs_and_outputs_are_bounded() {
    let key = ecdsa();
    let many = |own: usize, others: usize, outputs: usize| {
        let scripts: Vec<_> = (0..own)
            .map(|_| p2wpkh(&key, &[0, 1]))
            .chain((0..others).map(|_| foreign()))
            .collect();
        let mut psbt = spend(&scripts, vec![output(foreign(), 1); outputs]);
        for input in &mut psbt.inputs {
            // Otherwise each has all of them again.
            input.non_witness_utxo.as_mut().unwrap().input[0].witness = bitcoin::Witness::new();
        }
        for input in &mut psbt.inputs[..own] {
            input
                .bip32_derivation
                .insert(point(&child(&key, &[0, 1])), source(&key, &[0, 1]));
        }
        decode(&key, &psbt)
    };
    assert_eq!(many(MAX_INPUTS, 2, 1).unwrap().inputs.len(), MAX_INPUTS);
    assert!(many(MAX_INPUTS + 1, 0, 1).is_err());
    assert!(many(1, MOST_SPENT - 1, 1).is_ok());
    assert!(many(1, MOST_SPENT, 1).is_err());
    assert!(many(4, 0, MOST_OUTPUTS).is_ok());
    assert!(many(4, 0, MOST_OUTPUTS + 1).is_err());
}

/// Each origin costs a derivation.
#[test]
fn outputs_that_are_said_to_be_of_this_key_are_bounded() {
    let key = ecdsa();
    let with = |count: usize| {
        let mut psbt = payment();
        psbt.unsigned_tx.output = vec![output(p2wpkh(&key, &[1, 0]), 1); count];
        psbt.outputs = vec![psbt.outputs[1].clone(); count];
        decode(&key, &psbt)
    };
    assert!(
        transaction(&with(MOST_OWN_OUTPUTS).unwrap())
            .destinations
            .iter()
            .all(|to| to.change)
    );
    assert!(with(MOST_OWN_OUTPUTS + 1).is_err());
}

#[test]
fn scripts_beside_an_output_of_one_key_are_its_own() {
    let key = ecdsa();
    let nested = |change: &dyn Fn(&mut bitcoin::psbt::Input)| {
        let mut psbt = every_form(&[]);
        change(&mut psbt.inputs[1]);
        decode(&key, &psbt)
    };
    assert!(nested(&|_| ()).is_ok());
    assert!(
        nested(&|input| input.redeem_script = None).is_ok(),
        "it follows from the key"
    );
    assert!(nested(&|input| input.redeem_script = Some(p2wpkh(&ecdsa(), &[0, 3]))).is_err());
    assert!(nested(&|input| input.witness_script = Some(ScriptBuf::new())).is_err());
    assert!(nested(&|input| input.tap_merkle_root = Some(root(1))).is_err());
    let taproot = key_of(Scheme::Taproot);
    refused(&taproot, |psbt| {
        psbt.inputs[0].redeem_script = Some(ScriptBuf::new())
    });
    refused(&taproot, |psbt| {
        psbt.inputs[0].witness_script = Some(ScriptBuf::new())
    });
}

#[test]
fn versions_that_are_not_known_are_refused() {
    for version in [1, 3] {
        let error = refused(&ecdsa(), |psbt| psbt.version = version);
        assert!(error.to_string().contains("version"), "{error}");
    }
}

/// A key signs only by its wallet's algorithm, even if an output of the other one is locked to it.
#[test]
fn outputs_of_another_scheme_are_refused() {
    let ecdsa = ecdsa();
    let taproot = key_of(Scheme::Taproot);
    let x_only = XOnlyPublicKey::from_slice(&child(&ecdsa, &[0, 1])[1..]).unwrap();
    let mut schnorr = spend(
        &[taproot_script(&ecdsa, &[0, 1])],
        vec![output(foreign(), 300)],
    );
    schnorr.inputs[0]
        .tap_key_origins
        .insert(x_only, (vec![], source(&ecdsa, &[0, 1])));
    assert!(decode(&taproot, &schnorr).is_ok());
    assert_eq!(
        decode(&ecdsa, &schnorr).unwrap_err().code(),
        "payload-malformed"
    );
    let mut segwit = spend(&[p2wpkh(&ecdsa, &[0, 1])], vec![output(foreign(), 300)]);
    segwit.inputs[0]
        .bip32_derivation
        .insert(point(&child(&ecdsa, &[0, 1])), source(&ecdsa, &[0, 1]));
    assert!(decode(&ecdsa, &segwit).is_ok());
    assert_eq!(
        decode(&taproot, &segwit).unwrap_err().code(),
        "payload-malformed"
    );
    for mut shared in shared_payments(2) {
        shared.inputs[0].bip32_derivation.clear();
        shared.inputs[0]
            .tap_key_origins
            .insert(x_only, (vec![], source(&ecdsa, &[0, 1])));
        assert_eq!(
            decode(&taproot, &shared).unwrap_err().code(),
            "payload-malformed"
        );
    }
}
