//! Partially signed Bitcoin transactions, version 0 (BIP-174, BIP-371) and version 2 (BIP-370).
//!
//! The signed inputs are those whose origin carries the fingerprint of the root key, in the order
//! of the transaction; the origin must lead to the key it names. Keys of `ecdsa-secp256k1` sign
//! P2PKH, P2WPKH and P2SH-P2WPKH, and as one of several keys `multisig m of n` in P2SH, P2WSH and
//! P2SH-P2WSH, all with SIGHASH_ALL; keys of `taproot` sign the key path with SIGHASH_DEFAULT or
//! SIGHASH_ALL: of outputs without scripts (BIP-86), and of outputs with scripts if the PSBT has
//! the root of their tree. Other scripts, and script paths, are refused. Change is only an output
//! of one key without scripts, or one with exactly the script of a multisig input: other parties
//! that can spend by a script are unknown here.
//!
//! Amounts. The fee is a fact only if no amount can be a lie. A taproot signature covers the
//! amounts of all inputs. A segwit v0 signature covers that of its own input, a legacy signature
//! none: with two sessions a requester could have a fee paid that nobody saw (CVE-2020-14199).
//! ECDSA keys therefore require the whole previous transaction of every input; its witnesses may be
//! omitted, since its id does not cover them.
//!
//! A PSBT that is a message (BIP-322) is treated as one here too: see [`bip322`].

use bitcoin::hashes::Hash as _;
use bitcoin::psbt::Psbt;
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::{Network, Script, TxOut};
use countersign_protocol::{DerivationPath, PayloadKind, Scheme};

use crate::malformed::Malformed;
use crate::psbt_key::{Form, Owner, op_return_data, script_root};
use crate::psbt_multisig::{Multisig, Wrapping};
use crate::{
    Call, DecodeError, Decoded, Destination, Input, Intent, Key, MAX_INPUTS, Networks, Transaction,
};
use crate::{bip322, psbt_v2};

/// Maximum number of inputs, including those of others.
const MOST_SPENT: usize = 256;
/// Maximum number of outputs: as many as fit into a transaction that the network relays.
const MOST_OUTPUTS: usize = 3_000;
/// Maximum number of outputs claimed to be of this key. Each costs a derivation.
const MOST_OWN_OUTPUTS: usize = 256;

pub(crate) fn decode(
    key: &Key,
    path: &DerivationPath,
    bytes: &[u8],
    networks: &Networks,
) -> Result<Decoded, DecodeError> {
    let network = network_for(PayloadKind::Psbt, key, networks)?;
    let owner = Owner::new(key)?;
    read(&owner, path, bytes, network, &networks.bitcoin)
        .map_err(|reason| DecodeError::malformed(PayloadKind::Psbt, reason))
}

/// The network, for a key that signs Bitcoin transactions.
pub(crate) fn network_for(
    kind: PayloadKind,
    key: &Key,
    networks: &Networks,
) -> Result<Network, DecodeError> {
    match key.scheme {
        Scheme::EcdsaSecp256k1 | Scheme::Taproot => {}
        Scheme::Ed25519 | Scheme::SchnorrSecp256k1 => {
            return Err(DecodeError::Scheme {
                kind,
                scheme: key.scheme,
            });
        }
    }
    crate::network::bitcoin(&networks.bitcoin)
        .ok_or_else(|| DecodeError::Network(networks.bitcoin.clone()))
}

fn read(
    owner: &Owner,
    path: &DerivationPath,
    bytes: &[u8],
    network: Network,
    chain: &str,
) -> Result<Decoded, Malformed> {
    if !path.steps().is_empty() {
        return Err("its inputs name their own paths; order it with path m".into());
    }
    let psbt = parse(bytes)?;
    if bip322::resembles(&psbt) {
        let message = bip322::carried(&psbt).map(<[u8]>::to_vec).ok_or(
            "it looks like a message (BIP-322) but does not carry its text; send it as bitcoin-message with the message",
        )?;
        return read_message(owner, &psbt, message);
    }
    let spent = spent_outputs(owner, &psbt)?;
    let signed = sign(owner, &psbt, &spent)?;
    let mut sources: Vec<String> = Vec::new();
    for output in signed.iter().map(|(index, ..)| &spent[*index]) {
        let source = address_of(&output.script_pubkey, network);
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    let transaction = Transaction {
        chain: chain.into(),
        sources,
        destinations: destinations(owner, &psbt, &shared_scripts(&signed, &spent), network)?,
        calls: scripts_shown(&signed, &spent, network),
        grants: vec![],
        fee: Some(fee(&psbt, &spent)?.to_string()),
        unsigned: bitcoin::consensus::serialize(&psbt.unsigned_tx),
        owners: Default::default(),
    };
    let inputs = signed.into_iter().map(|(_, _, input)| input).collect();
    Ok(Decoded {
        inputs,
        intent: Intent::Transaction(transaction),
    })
}

/// Parses all of `bytes`, of either version.
pub(crate) fn parse(bytes: &[u8]) -> Result<Psbt, Malformed> {
    if bytes.starts_with(b"cHNidP") || bytes.starts_with(b"70736274") {
        return Err(
            "it is text; send the bytes that the text stands for, which begin with `psbt`".into(),
        );
    }
    let converted = psbt_v2::to_version_0(bytes)?;
    let bytes = converted.as_deref().unwrap_or(bytes);
    let psbt = Psbt::deserialize(bytes).map_err(Malformed::by)?;
    // The parser stops at the end of the last map.
    if psbt.serialize().len() != bytes.len() {
        return Err("it has bytes behind its end, or is not in its shortest form".into());
    }
    if psbt.version != 0 {
        return Err(format!("version {} is not known here", psbt.version).into());
    }
    let inputs = psbt.inputs.len();
    let outputs = psbt.outputs.len();
    if inputs > MOST_SPENT || outputs > MOST_OUTPUTS {
        return Err(format!(
            "it has {inputs} inputs and {outputs} outputs, and may have {MOST_SPENT} and {MOST_OUTPUTS}; make several"
        ).into());
    }
    Ok(psbt)
}

/// Reads a message instead of a payment. Its transaction moves nothing and has no fee.
pub(crate) fn read_message(
    owner: &Owner,
    psbt: &Psbt,
    message: Vec<u8>,
) -> Result<Decoded, Malformed> {
    let spent = spent_outputs(owner, psbt)?;
    bip322::check(psbt, &spent, &message)?;
    let signed = sign(owner, psbt, &spent)?;
    if signed.first().is_none_or(|(index, ..)| *index != 0) {
        return Err("its first input, which is the message's, is of another key".into());
    }
    let inputs = signed.into_iter().map(|(_, _, input)| input).collect();
    Ok(Decoded {
        inputs,
        intent: Intent::Message(message),
    })
}

/// The inputs of this key: their indices, their forms, and the bytes to be signed.
fn sign(
    owner: &Owner,
    psbt: &Psbt,
    spent: &[TxOut],
) -> Result<Vec<(usize, Form, Input)>, Malformed> {
    let mut signing = Signing {
        psbt,
        spent,
        cache: SighashCache::new(&psbt.unsigned_tx),
    };
    let mut signed = Vec::new();
    for index in 0..spent.len() {
        if let Some((form, input)) = signing.input(owner, index)? {
            signed.push((index, form, input));
        }
    }
    match signed.len() {
        1..=MAX_INPUTS => Ok(signed),
        count => Err(format!(
            "{count} of its inputs have an origin in this key, not 1 to {MAX_INPUTS}"
        )
        .into()),
    }
}

/// The scripts of outputs that this key unlocks with others.
fn shared_scripts<'a>(signed: &[(usize, Form, Input)], spent: &'a [TxOut]) -> Vec<&'a Script> {
    let shared = signed
        .iter()
        .filter(|(_, form, _)| matches!(form, Form::Multisig(_)));
    shared
        .map(|(index, ..)| spent[*index].script_pubkey.as_script())
        .collect()
}

/// The multisig scripts of signed inputs, each once, shown as calls of the
/// addresses that they lock.
fn scripts_shown(signed: &[(usize, Form, Input)], spent: &[TxOut], network: Network) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for (index, form, _) in signed {
        let Form::Multisig(multisig) = form else {
            continue;
        };
        let contract = address_of(&spent[*index].script_pubkey, network);
        if calls.iter().any(|call| call.contract == contract) {
            continue;
        }
        calls.push(Call {
            contract,
            selector: vec![],
            method: Some(multisig.name()),
            fields: multisig
                .keys
                .iter()
                .map(|key| ("key", key.to_string()))
                .collect(),
            amount: "0".into(),
            data: multisig.script.to_bytes(),
        });
    }
    calls
}

/// The output that each input spends, with an amount that cannot be a lie.
pub(crate) fn spent_outputs(owner: &Owner, psbt: &Psbt) -> Result<Vec<TxOut>, Malformed> {
    let mut seen = std::collections::BTreeSet::new();
    let spent = psbt
        .unsigned_tx
        .input
        .iter()
        .zip(&psbt.inputs)
        .enumerate()
        .map(|(index, (txin, input))| {
            let outpoint = txin.previous_output;
            if !seen.insert(outpoint) {
                return Err(Malformed::by(format_args!(
                    "input {index} spends what another input spends"
                )));
            }
            let whole = input.non_witness_utxo.as_ref().map(|previous| {
                let output = previous
                    .output
                    .get(usize::try_from(outpoint.vout).unwrap_or(usize::MAX));
                let found = output
                    .filter(|_| previous.compute_txid() == outpoint.txid)
                    .cloned();
                found.ok_or_else(|| {
                    Malformed::by(format_args!(
                        "the previous transaction of input {index} is another one"
                    ))
                })
            });
            match (whole.transpose()?, input.witness_utxo.clone()) {
                (Some(whole), Some(alone)) if whole != alone => Err(Malformed::by(format_args!(
                    "the previous transaction and the witness output of input {index} differ"
                ))),
                (Some(output), _) => Ok(output),
                (None, Some(output)) if owner.scheme() == Scheme::Taproot => Ok(output),
                _ => Err(Malformed::by(format_args!(
                    "input {index} lacks its previous transaction, which alone proves the amount"
                ))),
            }
        });
    spent.collect()
}

fn fee(psbt: &Psbt, spent: &[TxOut]) -> Result<u64, Malformed> {
    let sum = |outputs: &[TxOut]| {
        outputs
            .iter()
            .try_fold(0u64, |sum, output| sum.checked_add(output.value.to_sat()))
    };
    let fee = sum(spent)
        .zip(sum(&psbt.unsigned_tx.output))
        .and_then(|(from, to)| from.checked_sub(to));
    fee.ok_or_else(|| "it pays out more than it takes in".into())
}

/// The context for the signatures of one transaction.
struct Signing<'a> {
    psbt: &'a Psbt,
    spent: &'a [TxOut],
    cache: SighashCache<&'a bitcoin::Transaction>,
}

impl Signing<'_> {
    /// Returns `None` if the input is not ours.
    fn input(&mut self, owner: &Owner, index: usize) -> Result<Option<(Form, Input)>, Malformed> {
        let input = &self.psbt.inputs[index];
        let Some(origin) = owner.origin(&input.bip32_derivation, &input.tap_key_origins)? else {
            return Ok(None);
        };
        let form = origin.unlocks(&self.spent[index].script_pubkey, input).ok_or_else(|| {
            format!(
                "input {index} is not a P2PKH, P2WPKH, P2SH-P2WPKH or taproot output of the key and the script root it names, \
                 and no multisig in which the key is one of several"
            )
        })?;
        self.fitting_scripts(&form, index)?;
        let signed_bytes = match &form {
            Form::Taproot => self.taproot(index)?,
            Form::P2pkh | Form::P2wpkh | Form::NestedP2wpkh(_) | Form::Multisig(_) => {
                self.ecdsa(index, &form)?
            }
        };
        let script_root = script_root(input);
        Ok(Some((
            form,
            Input {
                path: origin.path,
                script_root,
                signed_bytes,
            },
        )))
    }

    /// Checks that the PSBT's claims about scripts match the output. The scripts below a proven
    /// root do not matter to the key path.
    fn fitting_scripts(&self, form: &Form, index: usize) -> Result<(), Malformed> {
        let input = &self.psbt.inputs[index];
        let redeem = input.redeem_script.as_ref();
        let witness = input.witness_script.as_ref();
        let tree = input.tap_merkle_root.is_some() || !input.tap_scripts.is_empty();
        let fits = match form {
            Form::P2pkh | Form::P2wpkh => redeem.is_none() && witness.is_none() && !tree,
            Form::NestedP2wpkh(expected) => {
                redeem.is_none_or(|script| script == expected) && witness.is_none() && !tree
            }
            // Its scripts were compared with the output.
            Form::Multisig(_) => !tree,
            Form::Taproot => {
                let proven = input.tap_merkle_root.is_some() || input.tap_scripts.is_empty();
                redeem.is_none() && witness.is_none() && proven
            }
        };
        if fits {
            Ok(())
        } else {
            Err(format!(
                "input {index} has scripts that its output does not have, or that are not supported"
            )
            .into())
        }
    }

    fn ecdsa(&mut self, index: usize, form: &Form) -> Result<Vec<u8>, Malformed> {
        let all = EcdsaSighashType::All;
        match self.psbt.inputs[index].sighash_type {
            Some(other) if other.to_u32() != all.to_u32() => return Err(sighash_type(index).into()),
            _ => {}
        }
        let script = &self.spent[index].script_pubkey;
        match form {
            Form::P2pkh => self.legacy(index, script),
            Form::NestedP2wpkh(redeem) => self.segwit(index, redeem),
            Form::P2wpkh => self.segwit(index, script),
            Form::Multisig(Multisig {
                script,
                wrapping: Wrapping::P2sh,
                ..
            }) => self.legacy(index, script),
            Form::Multisig(Multisig { script, .. }) => self.segwit_script(index, script),
            Form::Taproot => Err("a taproot output is not signed with ECDSA".into()),
        }
    }

    /// The legacy sighash, as before BIP-143.
    fn legacy(&self, index: usize, script: &Script) -> Result<Vec<u8>, Malformed> {
        let hash = self
            .cache
            .legacy_signature_hash(index, script, EcdsaSighashType::All.to_u32());
        hash.map(|hash| hash.to_byte_array().to_vec())
            .map_err(Malformed::by)
    }

    /// The sighash of BIP-143, with a witness script.
    fn segwit_script(&mut self, index: usize, script: &Script) -> Result<Vec<u8>, Malformed> {
        let value = self.spent[index].value;
        let hash = self
            .cache
            .p2wsh_signature_hash(index, script, value, EcdsaSighashType::All);
        hash.map(|hash| hash.to_byte_array().to_vec())
            .map_err(Malformed::by)
    }

    /// The sighash of BIP-143.
    fn segwit(&mut self, index: usize, script: &Script) -> Result<Vec<u8>, Malformed> {
        let value = self.spent[index].value;
        let hash = self
            .cache
            .p2wpkh_signature_hash(index, script, value, EcdsaSighashType::All);
        hash.map(|hash| hash.to_byte_array().to_vec())
            .map_err(Malformed::by)
    }

    /// The sighash of BIP-341.
    fn taproot(&mut self, index: usize) -> Result<Vec<u8>, Malformed> {
        let stated = self.psbt.inputs[index]
            .sighash_type
            .map(|stated| stated.taproot_hash_ty());
        let kind = match stated {
            None | Some(Ok(TapSighashType::Default)) => TapSighashType::Default,
            Some(Ok(TapSighashType::All)) => TapSighashType::All,
            _ => return Err(sighash_type(index).into()),
        };
        let hash =
            self.cache
                .taproot_key_spend_signature_hash(index, &Prevouts::All(self.spent), kind);
        hash.map(|hash| hash.to_byte_array().to_vec())
            .map_err(Malformed::by)
    }
}

fn sighash_type(index: usize) -> String {
    format!(
        "input {index} asks for a sighash type that leaves inputs or outputs open; only ALL is signed"
    )
}

/// `shared`: scripts of inputs of which this key is one of several. Outputs that pay back to one
/// of them are change.
fn destinations(
    owner: &Owner,
    psbt: &Psbt,
    shared: &[&Script],
    network: Network,
) -> Result<Vec<Destination>, Malformed> {
    let outputs = psbt.unsigned_tx.output.iter().zip(&psbt.outputs);
    let mut own = 0;
    let destination = |(output, map): (&TxOut, &bitcoin::psbt::Output)| {
        let origin = owner.origin(&map.bip32_derivation, &map.tap_key_origins)?;
        own += usize::from(origin.is_some());
        if own > MOST_OWN_OUTPUTS {
            return Err(Malformed::by(format_args!(
                "more than {MOST_OWN_OUTPUTS} of its outputs have an origin in this key"
            )));
        }
        let script = &output.script_pubkey;
        let back = shared.contains(&script.as_script());
        Ok(Destination {
            address: if script.is_op_return() {
                String::new()
            } else {
                address_of(script, network)
            },
            asset: String::new(),
            amount: output.value.to_sat().to_string(),
            memo: script
                .is_op_return()
                .then(|| hex::encode(op_return_data(script))),
            change: back || origin.is_some_and(|origin| origin.form_of(script).is_some()),
        })
    };
    outputs.map(destination).collect()
}

/// The address, or `script:` followed by the script in hexadecimal if it has no address.
fn address_of(script: &Script, network: Network) -> String {
    match bitcoin::Address::from_script(script, network) {
        Ok(address) => address.to_string(),
        Err(_) => format!("script:{}", hex::encode(script.as_bytes())),
    }
}

#[cfg(test)]
#[path = "psbt_tests.rs"]
pub(crate) mod tests;
