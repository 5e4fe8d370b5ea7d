//! Bitcoin: the parts of BIP-174's signer, finaliser and extractor needed for outputs of one key,
//! and for those that it shares with other keys. Inputs of others stay unchanged; where others have
//! to sign too, the signature is added to theirs. A PSBT of version 2 is returned as version 2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::psbt::{self, Psbt};
use bitcoin::script::{Builder, Instruction, PushBytesBuf};
use bitcoin::sighash::{EcdsaSighashType, TapSighashType};
use bitcoin::{Script, ScriptBuf, Witness, consensus, ecdsa, secp256k1, taproot};
use countersign_protocol::{PayloadKind, Scheme};

use super::{BitcoinForm, FinishError, Finished, Made};
use crate::bitcoin_message::ToSign;
use crate::malformed::Malformed;
use crate::psbt::{parse, spent_outputs};
use crate::psbt_key::{Form, Owner};
use crate::psbt_multisig::{Multisig, Wrapping};
use crate::{DecodeError, Key, psbt_v2};

/// Assembles a payment; `bytes` were decoded as a payload, which gave `made`.
pub(super) fn finish(
    key: &Key,
    bytes: &[u8],
    made: &[Made],
    form: BitcoinForm,
) -> Result<Finished, FinishError> {
    let malformed =
        |reason: Malformed| FinishError::from(DecodeError::malformed(PayloadKind::Psbt, reason));
    let mut psbt = parse(bytes).map_err(malformed)?;
    let owned = owned(key, &psbt).map_err(malformed)?;
    let unsigned = psbt.unsigned_tx.clone();
    for ((index, form), made) in owned.iter().zip(made) {
        let input = &mut psbt.inputs[*index];
        *input = finalised(input, form, made).ok_or(FinishError::Changed("input"))?;
    }
    let missing = psbt.inputs.iter().filter(|input| !is_final(input)).count();
    let (bytes, again, inputs) = match form {
        BitcoinForm::Psbt => read_psbt(bytes, &psbt),
        BitcoinForm::Transaction if missing > 0 => return Err(FinishError::Missing(missing)),
        BitcoinForm::Transaction => read_transaction(psbt),
    }
    .ok_or(FinishError::Changed("transaction"))?;
    let unlocked = |((index, form), made): (&(usize, Form), &Made)| match form {
        Form::Multisig(multisig) => {
            shares(&again.input[*index], inputs.get(*index), multisig, made)
        }
        Form::P2pkh | Form::P2wpkh | Form::NestedP2wpkh(_) | Form::Taproot => {
            unlocks(&again.input[*index], form, made)
        }
    };
    let same = stripped(&again) == unsigned
        && owned.len() == made.len()
        && owned.iter().zip(made).all(unlocked);
    if same {
        Ok(Finished { bytes, missing })
    } else {
        Err(FinishError::Changed("transaction"))
    }
}

/// Assembles a message, which was decoded as a payload and gave `made`. Its
/// signature is text (BIP-322).
pub(super) fn finish_message(
    key: &Key,
    to_sign: &ToSign,
    made: &[Made],
    form: BitcoinForm,
) -> Result<Finished, FinishError> {
    let form = if to_sign.by_address {
        BitcoinForm::Transaction
    } else {
        form
    };
    let finished = finish(key, &to_sign.psbt, made, form)?;
    if !to_sign.by_address {
        return Ok(finished);
    }
    let transaction: bitcoin::Transaction =
        consensus::deserialize(&finished.bytes).map_err(|_| FinishError::Changed("message"))?;
    let text = match &transaction.input[..] {
        [input] if !input.witness.is_empty() => BASE64.encode(consensus::serialize(&input.witness)),
        _ => BASE64.encode(&finished.bytes),
    };
    Ok(Finished {
        bytes: text.into_bytes(),
        missing: 0,
    })
}

/// The inputs of this key, in the order of its signatures.
fn owned(key: &Key, psbt: &Psbt) -> Result<Vec<(usize, Form)>, Malformed> {
    let owner = Owner::new(key).map_err(Malformed::by)?;
    let mut owned = Vec::new();
    for (index, (output, input)) in spent_outputs(&owner, psbt)?
        .iter()
        .zip(&psbt.inputs)
        .enumerate()
    {
        let origin = owner.origin(&input.bip32_derivation, &input.tap_key_origins)?;
        let form = origin.and_then(|origin| origin.unlocks(&output.script_pubkey, input));
        owned.extend(form.map(|form| (index, form)));
    }
    Ok(owned)
}

/// The input as a signer leaves it if others have to sign too, otherwise as a finaliser does.
fn finalised(input: &psbt::Input, form: &Form, made: &Made) -> Option<psbt::Input> {
    let Form::Multisig(multisig) = form else {
        let (script, witness) = unlocking(input, form, made)?;
        return Some(sealed(input, script, witness));
    };
    let mut input = input.clone();
    let key = bitcoin::PublicKey::from_slice(&made.child).ok()?;
    input.partial_sigs.insert(key, ecdsa_signature(made)?);
    let Some(signatures) = multisig.enough(&input.partial_sigs, &made.input.signed_bytes) else {
        return Some(input);
    };
    let (script, witness) = unlocking_together(multisig, &signatures)?;
    Some(sealed(&input, script, witness))
}

/// The input's output, its unlocking data, and its unknown fields.
fn sealed(input: &psbt::Input, script: ScriptBuf, witness: Witness) -> psbt::Input {
    psbt::Input {
        non_witness_utxo: input.non_witness_utxo.clone(),
        witness_utxo: input.witness_utxo.clone(),
        final_script_sig: (!script.is_empty()).then_some(script),
        final_script_witness: (!witness.is_empty()).then_some(witness),
        proprietary: input.proprietary.clone(),
        unknown: input.unknown.clone(),
        ..psbt::Input::default()
    }
}

fn ecdsa_signature(made: &Made) -> Option<ecdsa::Signature> {
    let signature = secp256k1::ecdsa::Signature::from_compact(made.signature).ok()?;
    Some(ecdsa::Signature {
        signature,
        sighash_type: EcdsaSighashType::All,
    })
}

/// OP_CHECKMULTISIG takes one element more than it needs, which is empty (BIP-147).
fn unlocking_together(
    multisig: &Multisig,
    signatures: &[ecdsa::Signature],
) -> Option<(ScriptBuf, Witness)> {
    let signatures = signatures.iter().map(|signature| signature.to_vec());
    let parts: Vec<Vec<u8>> = std::iter::once(vec![])
        .chain(signatures)
        .chain([multisig.script.to_bytes()])
        .collect();
    Some(match multisig.wrapping {
        Wrapping::P2wsh => (ScriptBuf::new(), Witness::from_slice(&parts)),
        Wrapping::P2shP2wsh => (
            push(&multisig.script.to_p2wsh())?,
            Witness::from_slice(&parts),
        ),
        Wrapping::P2sh => {
            let push = |builder: Builder, part: &Vec<u8>| {
                Some(builder.push_slice(PushBytesBuf::try_from(part.clone()).ok()?))
            };
            (
                parts.iter().try_fold(Builder::new(), push)?.into_script(),
                Witness::new(),
            )
        }
    })
}

fn unlocking(input: &psbt::Input, form: &Form, made: &Made) -> Option<(ScriptBuf, Witness)> {
    if *form == Form::Taproot {
        let signature = secp256k1::schnorr::Signature::from_slice(made.signature).ok()?;
        let sighash_type = match input.sighash_type {
            None => TapSighashType::Default,
            Some(stated) => stated.taproot_hash_ty().ok()?,
        };
        let signature = taproot::Signature {
            signature,
            sighash_type,
        };
        return Some((ScriptBuf::new(), Witness::p2tr_key_spend(&signature)));
    }
    let signature = ecdsa_signature(made)?;
    let key = secp256k1::PublicKey::from_slice(&made.child).ok()?;
    Some(match form {
        Form::P2pkh => {
            let builder = Builder::new()
                .push_slice(signature.serialize())
                .push_slice(key.serialize());
            (builder.into_script(), Witness::new())
        }
        Form::NestedP2wpkh(redeem) => (push(redeem)?, Witness::p2wpkh(&signature, &key)),
        Form::P2wpkh => (ScriptBuf::new(), Witness::p2wpkh(&signature, &key)),
        Form::Taproot | Form::Multisig(_) => return None,
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

/// Bytes, and their content as read back: the transaction, and the inputs of a PSBT.
type Read = (Vec<u8>, bitcoin::Transaction, Vec<psbt::Input>);

/// The PSBT file, in the version of `original`.
fn read_psbt(original: &[u8], psbt: &Psbt) -> Option<Read> {
    let bytes = psbt_v2::like(original, psbt.serialize())?;
    let again = parse(&bytes).ok()?;
    let inputs = again.inputs.clone();
    // The fee is known: `decode` computed it.
    Some((bytes, again.extract_tx_unchecked_fee_rate(), inputs))
}

fn read_transaction(psbt: Psbt) -> Option<Read> {
    let bytes = consensus::serialize(&psbt.extract_tx_unchecked_fee_rate());
    let again = consensus::deserialize(&bytes).ok()?;
    Some((bytes, again, Vec::new()))
}

fn stripped(signed: &bitcoin::Transaction) -> bitcoin::Transaction {
    let mut unsigned = signed.clone();
    for input in &mut unsigned.input {
        (input.script_sig, input.witness) = (ScriptBuf::new(), Witness::new());
    }
    unsigned
}

/// True if the input contains, in the place for its form, a signature that verifies, and the key.
fn unlocks(input: &bitcoin::TxIn, form: &Form, made: &Made) -> bool {
    let witness = || Some(input.witness.iter().map(<[u8]>::to_vec).collect());
    let (script, parts) = match form {
        Form::P2pkh => (true, pushes(&input.script_sig)),
        Form::NestedP2wpkh(redeem) => (
            pushes(&input.script_sig) == Some(vec![redeem.to_bytes()]),
            witness(),
        ),
        Form::P2wpkh | Form::Taproot => (input.script_sig.is_empty(), witness()),
        Form::Multisig(_) => return false,
    };
    let signed = match parts.as_deref() {
        Some([signature]) => taproot::Signature::from_slice(signature)
            .is_ok_and(|found| made.verifies(Scheme::Taproot, found.signature.as_ref())),
        Some([signature, key]) => ecdsa::Signature::from_slice(signature).is_ok_and(|found| {
            *key == made.child
                && made.verifies(Scheme::EcdsaSecp256k1, &found.signature.serialize_compact())
        }),
        _ => false,
    };
    script && signed
}

/// True if the signature is among those of a PSBT that others have to sign, or enough
/// signatures unlock the input.
fn shares(
    input: &bitcoin::TxIn,
    partial: Option<&psbt::Input>,
    multisig: &Multisig,
    made: &Made,
) -> bool {
    let added = partial.and_then(|input| {
        let key = bitcoin::PublicKey::from_slice(&made.child).ok()?;
        input.partial_sigs.get(&key)
    });
    if let Some(added) = added {
        return made.verifies(Scheme::EcdsaSecp256k1, &added.signature.serialize_compact());
    }
    let (nested, parts) = match multisig.wrapping {
        Wrapping::P2sh => (true, pushes(&input.script_sig)),
        Wrapping::P2wsh => (
            input.script_sig.is_empty(),
            Some(input.witness.iter().map(<[u8]>::to_vec).collect()),
        ),
        Wrapping::P2shP2wsh => {
            let redeem = multisig.script.to_p2wsh().to_bytes();
            let parts = input.witness.iter().map(<[u8]>::to_vec).collect();
            (pushes(&input.script_sig) == Some(vec![redeem]), Some(parts))
        }
    };
    let Some([dummy, signatures @ .., script]) = parts.as_deref() else {
        return false;
    };
    nested
        && dummy.is_empty()
        && *script == multisig.script.to_bytes()
        && multisig.verifies(signatures, &made.input.signed_bytes)
}

/// The pushed values, if the script does nothing else.
fn pushes(script: &Script) -> Option<Vec<Vec<u8>>> {
    let push = |instruction| match instruction {
        Ok(Instruction::PushBytes(bytes)) => Some(bytes.as_bytes().to_vec()),
        _ => None,
    };
    script.instructions_minimal().map(push).collect()
}
