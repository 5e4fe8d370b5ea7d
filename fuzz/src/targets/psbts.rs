//! Bitcoin payments and messages for the published key: seeds in every form that is signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::absolute::LockTime;
use bitcoin::bip32::ChildNumber;
use bitcoin::hashes::Hash;
use bitcoin::opcodes::all::{OP_CHECKMULTISIG, OP_PUSHNUM_1, OP_PUSHNUM_2};
use bitcoin::psbt::Psbt;
use bitcoin::script::Builder;
use bitcoin::taproot::TapNodeHash;
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, CompressedPublicKey, Network, OutPoint, PublicKey, ScriptBuf, Sequence,
    Transaction, TxIn, TxOut, secp256k1,
};
use countersign_protocol::Scheme;

use super::signer;

const STEPS: [u32; 2] = [0, 7];

/// The script type of an output of the key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lock {
    KeyHash,
    Witness,
    Nested,
    Multisig,
    NestedMultisig,
    OldMultisig,
    Taproot(Option<[u8; 32]>),
}

fn point() -> secp256k1::PublicKey {
    let path = "m/0/7".parse().expect("a path");
    signer::child(&path).public_key(&signer::CURVE)
}

fn multisig() -> ScriptBuf {
    let other = signer::child(&"m/9".parse().expect("a path")).public_key(&signer::CURVE);
    let keys = Builder::new()
        .push_opcode(OP_PUSHNUM_1)
        .push_key(&PublicKey::new(point()));
    keys.push_key(&PublicKey::new(other))
        .push_opcode(OP_PUSHNUM_2)
        .push_opcode(OP_CHECKMULTISIG)
        .into_script()
}

impl Lock {
    fn script(self) -> ScriptBuf {
        let key = CompressedPublicKey(point());
        match self {
            Self::KeyHash => ScriptBuf::new_p2pkh(&key.pubkey_hash()),
            Self::Witness => ScriptBuf::new_p2wpkh(&key.wpubkey_hash()),
            Self::Nested => ScriptBuf::new_p2sh(&Self::Witness.script().script_hash()),
            Self::Multisig => ScriptBuf::new_p2wsh(&multisig().wscript_hash()),
            Self::NestedMultisig => ScriptBuf::new_p2sh(&Self::Multisig.script().script_hash()),
            Self::OldMultisig => ScriptBuf::new_p2sh(&multisig().script_hash()),
            Self::Taproot(root) => {
                let root = root.map(TapNodeHash::from_byte_array);
                ScriptBuf::new_p2tr(&signer::CURVE, point().x_only_public_key().0, root)
            }
        }
    }

    /// Adds the fields of a PSBT for such an input.
    fn describe(self, input: &mut bitcoin::psbt::Input) {
        let steps: Vec<_> = STEPS
            .iter()
            .map(|index| ChildNumber::Normal { index: *index })
            .collect();
        let source = (signer::fingerprint(), steps.into());
        match self {
            Self::Taproot(root) => {
                let key = point().x_only_public_key().0;
                input.tap_internal_key = Some(key);
                input.tap_merkle_root = root.map(TapNodeHash::from_byte_array);
                input.tap_key_origins.insert(key, (vec![], source));
            }
            Self::KeyHash
            | Self::Witness
            | Self::Nested
            | Self::Multisig
            | Self::NestedMultisig
            | Self::OldMultisig => {
                input.bip32_derivation.insert(point(), source);
            }
        }
        match self {
            Self::Nested => input.redeem_script = Some(Self::Witness.script()),
            Self::Multisig => input.witness_script = Some(multisig()),
            Self::NestedMultisig => {
                input.redeem_script = Some(Self::Multisig.script());
                input.witness_script = Some(multisig());
            }
            Self::OldMultisig => input.redeem_script = Some(multisig()),
            Self::KeyHash | Self::Witness | Self::Taproot(_) => {}
        }
    }
}

/// A transaction that pays to `scripts` from an arbitrary input.
fn previous(scripts: &[ScriptBuf]) -> Transaction {
    let source = TxIn {
        previous_output: OutPoint {
            vout: 7,
            ..OutPoint::null()
        },
        ..TxIn::default()
    };
    let output = |script: &ScriptBuf| TxOut {
        value: Amount::from_sat(50_000),
        script_pubkey: script.clone(),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![source],
        output: scripts.iter().map(output).collect(),
    }
}

/// Spends outputs with these locks.
fn payment(locks: &[Lock]) -> Vec<u8> {
    let before = previous(&locks.iter().map(|lock| lock.script()).collect::<Vec<_>>());
    let txid = before.compute_txid();
    let input = |vout| TxIn {
        previous_output: OutPoint { txid, vout },
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        ..TxIn::default()
    };
    let outputs = [
        Lock::Witness.script(),
        Lock::Taproot(None).script(),
        ScriptBuf::new_op_return(b"memo"),
    ];
    let values = [40_000, 3_000, 0];
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::from_consensus(800_000),
        input: (0..locks.len() as u32).map(input).collect(),
        output: outputs
            .into_iter()
            .zip(values)
            .map(|(script_pubkey, sats)| TxOut {
                value: Amount::from_sat(sats),
                script_pubkey,
            })
            .collect(),
    };
    let mut psbt = Psbt::from_unsigned_tx(transaction).expect("unsigned");
    for (index, lock) in locks.iter().enumerate() {
        psbt.inputs[index].non_witness_utxo = Some(before.clone());
        lock.describe(&mut psbt.inputs[index]);
    }
    psbt.serialize()
}

/// Payments, and the scheme that signs each.
pub(super) fn all() -> Vec<(Scheme, Vec<u8>)> {
    let ecdsa = [
        Lock::KeyHash,
        Lock::Witness,
        Lock::Nested,
        Lock::Multisig,
        Lock::NestedMultisig,
        Lock::OldMultisig,
    ];
    let taproot = [Lock::Taproot(None), Lock::Taproot(Some([3; 32]))];
    let alone = ecdsa
        .iter()
        .map(|lock| (Scheme::EcdsaSecp256k1, payment(&[*lock])));
    let alone = alone.chain(
        taproot
            .iter()
            .map(|lock| (Scheme::Taproot, payment(&[*lock]))),
    );
    alone
        .chain([
            (Scheme::EcdsaSecp256k1, payment(&ecdsa[..3])),
            (Scheme::Taproot, payment(&taproot)),
        ])
        .collect()
}

/// Addresses of a child of the key, with the scheme and the number of the child's path.
pub(super) fn addresses() -> [(Scheme, u8, String); 4] {
    let address = |lock: Lock| {
        Address::from_script(&lock.script(), Network::Bitcoin)
            .expect("an address")
            .to_string()
    };
    [
        (Scheme::EcdsaSecp256k1, 1, address(Lock::Witness)),
        (Scheme::EcdsaSecp256k1, 1, address(Lock::Nested)),
        (Scheme::EcdsaSecp256k1, 1, address(Lock::KeyHash)),
        (Scheme::Taproot, 1, address(Lock::Taproot(None))),
    ]
}

/// The PSBT by which a message is signed (BIP-322, `to_sign`) for the segwit address, in Base64.
pub(super) fn message() -> String {
    let tag = bitcoin::hashes::sha256::Hash::hash(b"BIP0322-signed-message").to_byte_array();
    let hash = bitcoin::hashes::sha256::Hash::hash(&[&tag[..], &tag, b"Hello World"].concat())
        .to_byte_array();
    let challenge = TxIn {
        script_sig: ScriptBuf::from([&[0x00, 0x20][..], &hash].concat()),
        sequence: Sequence::ZERO,
        ..TxIn::default()
    };
    let empty = |input, script_pubkey| Transaction {
        version: Version(0),
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey,
        }],
    };
    let to_spend = empty(challenge, Lock::Witness.script());
    let spends = TxIn {
        previous_output: OutPoint {
            txid: to_spend.compute_txid(),
            vout: 0,
        },
        sequence: Sequence::ZERO,
        ..TxIn::default()
    };
    let mut psbt =
        Psbt::from_unsigned_tx(empty(spends, ScriptBuf::new_op_return([]))).expect("unsigned");
    psbt.inputs[0].non_witness_utxo = Some(to_spend);
    Lock::Witness.describe(&mut psbt.inputs[0]);
    STANDARD.encode(psbt.serialize())
}
