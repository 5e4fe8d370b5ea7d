//! Bitcoin: the parts of BIP-174's finaliser and extractor that the outputs of one key need. Inputs of others stay as they
//! are.

use bitcoin::psbt::{self, Psbt};
use bitcoin::script::{Builder, Instruction, PushBytesBuf};
use bitcoin::sighash::{EcdsaSighashType, TapSighashType};
use bitcoin::{Script, ScriptBuf, Witness, consensus, ecdsa, secp256k1, taproot};
use countersign_protocol::Scheme;

use super::{BitcoinForm, FinishError, Finished, Made};
use crate::psbt::{KIND, spent_outputs};
use crate::psbt_key::{Form, Owner, script_root};
use crate::{DecodeError, Key};

/// `bytes` were decoded as a payload, which gave `made`.
pub(super) fn finish(
    key: &Key,
    bytes: &[u8],
    made: &[Made],
    form: BitcoinForm,
) -> Result<Finished, FinishError> {
    let malformed = |reason: String| FinishError::from(DecodeError::malformed(KIND, reason));
    let mut psbt = Psbt::deserialize(bytes).map_err(|error| malformed(error.to_string()))?;
    let owned = owned(key, &psbt).map_err(malformed)?;
    let unsigned = psbt.unsigned_tx.clone();
    for ((index, form), made) in owned.iter().zip(made) {
        let input = &mut psbt.inputs[*index];
        *input = finalised(input, form, made).ok_or(FinishError::Changed("input"))?;
    }
    let missing = psbt.inputs.iter().filter(|input| !is_final(input)).count();
    let (bytes, again) = match form {
        BitcoinForm::Psbt => read_psbt(&psbt),
        BitcoinForm::Transaction if missing > 0 => return Err(FinishError::Missing(missing)),
        BitcoinForm::Transaction => read_transaction(psbt),
    }
    .ok_or(FinishError::Changed("transaction"))?;
    let same = stripped(&again) == unsigned
        && owned.len() == made.len()
        && owned.iter().zip(made).all(|((index, form), made)| unlocks(&again.input[*index], form, made));
    if same { Ok(Finished { bytes, missing }) } else { Err(FinishError::Changed("transaction")) }
}

/// The inputs of this key, in the order of its signatures.
fn owned(key: &Key, psbt: &Psbt) -> Result<Vec<(usize, Form)>, String> {
    let owner = Owner::new(key).map_err(|error| error.to_string())?;
    let mut owned = Vec::new();
    for (index, (output, input)) in spent_outputs(&owner, psbt)?.iter().zip(&psbt.inputs).enumerate() {
        let origin = owner.origin(&input.bip32_derivation, &input.tap_key_origins)?;
        let form =
            origin.and_then(|origin| origin.form_beside(&output.script_pubkey, script_root(input).as_ref()));
        owned.extend(form.map(|form| (index, form)));
    }
    Ok(owned)
}

/// The input as a finaliser leaves it: what it spends, what unlocks that, and what is not known here.
fn finalised(input: &psbt::Input, form: &Form, made: &Made) -> Option<psbt::Input> {
    let (script, witness) = unlocking(input, form, made)?;
    Some(psbt::Input {
        non_witness_utxo: input.non_witness_utxo.clone(),
        witness_utxo: input.witness_utxo.clone(),
        final_script_sig: (!script.is_empty()).then_some(script),
        final_script_witness: (!witness.is_empty()).then_some(witness),
        proprietary: input.proprietary.clone(),
        unknown: input.unknown.clone(),
        ..psbt::Input::default()
    })
}

fn unlocking(input: &psbt::Input, form: &Form, made: &Made) -> Option<(ScriptBuf, Witness)> {
    if *form == Form::Taproot {
        let signature = secp256k1::schnorr::Signature::from_slice(made.signature).ok()?;
        let sighash_type = match input.sighash_type {
            None => TapSighashType::Default,
            Some(stated) => stated.taproot_hash_ty().ok()?,
        };
        let signature = taproot::Signature { signature, sighash_type };
        return Some((ScriptBuf::new(), Witness::p2tr_key_spend(&signature)));
    }
    let signature = secp256k1::ecdsa::Signature::from_compact(made.signature).ok()?;
    let signature = ecdsa::Signature { signature, sighash_type: EcdsaSighashType::All };
    let key = secp256k1::PublicKey::from_slice(&made.child).ok()?;
    Some(match form {
        Form::P2pkh => {
            let builder = Builder::new().push_slice(signature.serialize()).push_slice(key.serialize());
            (builder.into_script(), Witness::new())
        }
        Form::NestedP2wpkh(redeem) => (push(redeem)?, Witness::p2wpkh(&signature, &key)),
        Form::P2wpkh | Form::Taproot => (ScriptBuf::new(), Witness::p2wpkh(&signature, &key)),
    })
}

/// A script that pushes `redeem`.
fn push(redeem: &Script) -> Option<ScriptBuf> {
    let bytes = PushBytesBuf::try_from(redeem.to_bytes()).ok()?;
    Some(Builder::new().push_slice(bytes).into_script())
}

fn is_final(input: &psbt::Input) -> bool {
    input.final_script_sig.is_some() || input.final_script_witness.is_some()
}

/// The file, and the transaction that whoever reads it finds in it.
fn read_psbt(psbt: &Psbt) -> Option<(Vec<u8>, bitcoin::Transaction)> {
    let bytes = psbt.serialize();
    // The fee is known: `decode` computed it.
    let again = Psbt::deserialize(&bytes).ok()?.extract_tx_unchecked_fee_rate();
    Some((bytes, again))
}

fn read_transaction(psbt: Psbt) -> Option<(Vec<u8>, bitcoin::Transaction)> {
    let bytes = consensus::serialize(&psbt.extract_tx_unchecked_fee_rate());
    let again = consensus::deserialize(&bytes).ok()?;
    Some((bytes, again))
}

fn stripped(signed: &bitcoin::Transaction) -> bitcoin::Transaction {
    let mut unsigned = signed.clone();
    for input in &mut unsigned.input {
        (input.script_sig, input.witness) = (ScriptBuf::new(), Witness::new());
    }
    unsigned
}

/// Whether the input has in it, in the place for its form, a signature that verifies and the key.
fn unlocks(input: &bitcoin::TxIn, form: &Form, made: &Made) -> bool {
    let parts = match form {
        Form::P2pkh => pushes(&input.script_sig),
        _ => Some(input.witness.iter().map(<[u8]>::to_vec).collect()),
    };
    let script = match form {
        Form::P2pkh => true,
        Form::NestedP2wpkh(redeem) => pushes(&input.script_sig) == Some(vec![redeem.to_bytes()]),
        Form::P2wpkh | Form::Taproot => input.script_sig.is_empty(),
    };
    let signed = match parts.as_deref() {
        Some([signature]) => taproot::Signature::from_slice(signature)
            .is_ok_and(|found| made.verifies(Scheme::Taproot, found.signature.as_ref())),
        Some([signature, key]) => ecdsa::Signature::from_slice(signature).is_ok_and(|found| {
            *key == made.child && made.verifies(Scheme::EcdsaSecp256k1, &found.signature.serialize_compact())
        }),
        _ => false,
    };
    script && signed
}

/// What a script pushes, if it does nothing else.
fn pushes(script: &Script) -> Option<Vec<Vec<u8>>> {
    let push = |instruction| match instruction {
        Ok(Instruction::PushBytes(bytes)) => Some(bytes.as_bytes().to_vec()),
        _ => None,
    };
    script.instructions_minimal().map(push).collect()
}
