//! BIP-322 messages, signed by a transaction that no network accepts, because its first input
//! spends an output that does not exist.
//!
//! `to_spend` is made of the message and of the script that is to sign it, and has one output of
//! value zero. `to_sign` spends that output and has one output, an empty OP_RETURN, also of value
//! zero. Further inputs are coins whose possession is to be shown ("proof of funds"). So a PSBT of
//! `to_sign` would look like a payment of nothing.
//!
//! Two payload kinds lead here. `bitcoin-message` names the message, and an address or a PSBT. A
//! `psbt` that is a `to_sign` and carries its message (field 0x09, BIP-322) is equivalent. Both
//! give the intent of a message. A `psbt` that looks like a `to_sign`, or spends a `to_spend`, but
//! is not one with its message, is refused.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use bitcoin::psbt::{Psbt, raw};
use bitcoin::script::Builder;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

use crate::malformed::Malformed;

const TAG: &[u8] = b"BIP0322-signed-message";
/// Type of the global field in which a PSBT carries the message.
const SIGNED_MESSAGE: u8 = 0x09;
/// A bare OP_RETURN without data.
const OP_RETURN: [u8; 1] = [0x6a];

/// The message hash as in `to_spend`: SHA-256 under a tag (BIP-340).
fn message_hash(message: &[u8]) -> [u8; 32] {
    let tag = sha256::Hash::hash(TAG).to_byte_array();
    let mut engine = sha256::Hash::engine();
    for part in [&tag[..], &tag, message] {
        engine.input(part);
    }
    sha256::Hash::from_engine(engine).to_byte_array()
}

/// The transaction whose only output is spent by the signatures of `script` over `message`.
pub(crate) fn to_spend(message: &[u8], script: &Script) -> Transaction {
    let script_sig = Builder::new()
        .push_int(0)
        .push_slice(message_hash(message))
        .into_script();
    transaction(OutPoint::null(), script_sig, script.to_owned())
}

/// The transaction to be signed, without further inputs.
pub(crate) fn to_sign(to_spend: &Transaction) -> Transaction {
    let spends = OutPoint {
        txid: to_spend.compute_txid(),
        vout: 0,
    };
    transaction(
        spends,
        ScriptBuf::new(),
        ScriptBuf::from_bytes(OP_RETURN.to_vec()),
    )
}

fn transaction(
    previous_output: OutPoint,
    script_sig: ScriptBuf,
    script_pubkey: ScriptBuf,
) -> Transaction {
    let input = TxIn {
        previous_output,
        script_sig,
        sequence: Sequence::ZERO,
        witness: Witness::new(),
    };
    let output = TxOut {
        value: Amount::ZERO,
        script_pubkey,
    };
    Transaction {
        version: Version(0),
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![output],
    }
}

/// True if the PSBT must be a message, since a payment does not look like it.
pub(crate) fn resembles(psbt: &Psbt) -> bool {
    let transaction = &psbt.unsigned_tx;
    let empty = transaction
        .output
        .iter()
        .any(|output| output.script_pubkey.as_bytes() == OP_RETURN);
    let previous = psbt
        .inputs
        .iter()
        .filter_map(|input| input.non_witness_utxo.as_ref());
    empty || carried(psbt).is_some() || previous.into_iter().any(is_to_spend)
}

/// The message that the PSBT carries.
pub(crate) fn carried(psbt: &Psbt) -> Option<&[u8]> {
    let key = raw::Key {
        type_value: SIGNED_MESSAGE,
        key: Vec::new(),
    };
    psbt.unknown.get(&key).map(Vec::as_slice)
}

/// Checks that the PSBT is a `to_sign` of this message. `spent` are the outputs
/// that its inputs spend.
pub(crate) fn check(psbt: &Psbt, spent: &[TxOut], message: &[u8]) -> Result<(), Malformed> {
    let transaction = &psbt.unsigned_tx;
    let (Some(input), Some(first), [output]) = (
        transaction.input.first(),
        spent.first(),
        &transaction.output[..],
    ) else {
        return Err("a message has one output (BIP-322)".into());
    };
    if output.value != Amount::ZERO || output.script_pubkey.as_bytes() != OP_RETURN {
        return Err(
            "the output of a message is an empty OP_RETURN with nothing in it (BIP-322)".into(),
        );
    }
    if !matches!(transaction.version.0, 0 | 2) {
        return Err("the transaction of a message has version 0 or 2 (BIP-322)".into());
    }
    let to_spend = to_spend(message, &first.script_pubkey);
    if first.value != Amount::ZERO
        || input.previous_output
            != (OutPoint {
                txid: to_spend.compute_txid(),
                vout: 0,
            })
    {
        return Err(
            "its first input is not made of the message and the script that signs it (BIP-322)"
                .into(),
        );
    }
    Ok(())
}

fn is_to_spend(transaction: &Transaction) -> bool {
    let [input] = &transaction.input[..] else {
        return false;
    };
    let hash = input.script_sig.as_bytes();
    transaction.version == Version(0)
        && input.previous_output.is_null()
        && hash.len() == 34
        && hash.starts_with(&[0, 32])
}

#[cfg(test)]
#[path = "bip322_tests.rs"]
mod tests;
