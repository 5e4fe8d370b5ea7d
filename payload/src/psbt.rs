//! Partially signed Bitcoin transactions, version 0 (BIP-174, BIP-371).
//!
//! Signed are the inputs whose origin carries the fingerprint of the root key, in the order of the transaction; the origin
//! must lead to the key it names. Keys of `ecdsa-secp256k1` sign P2PKH, P2WPKH and P2SH-P2WPKH with SIGHASH_ALL; keys of
//! `taproot` sign the key path with SIGHASH_DEFAULT or SIGHASH_ALL: of outputs without scripts (BIP-86), and of outputs with
//! scripts where the PSBT has the root of their tree. Only outputs without scripts count as change, since whoever can spend by
//! a script is not known here.
//!
//! Amounts. The fee is a fact only if no amount can be a lie. A taproot signature covers the amounts of all inputs. A segwit
//! v0 signature covers that of its own input, a legacy signature none: with two sessions a requester could have a fee paid
//! that nobody saw (CVE-2020-14199). ECDSA keys therefore want the whole previous transaction of every input.

use bitcoin::hashes::Hash as _;
use bitcoin::psbt::Psbt;
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::{Network, Script, TxOut};
use countersign_protocol::{DerivationPath, Scheme};

use crate::psbt_key::{Form, Owner, op_return_data, script_root};
use crate::{DecodeError, Decoded, Destination, Input, Intent, Key, MAX_INPUTS, Networks, Transaction};

pub(crate) const KIND: &str = "psbt";

pub(crate) fn decode(
    key: &Key,
    path: &DerivationPath,
    bytes: &[u8],
    networks: &Networks,
) -> Result<Decoded, DecodeError> {
    if !matches!(key.scheme, Scheme::EcdsaSecp256k1 | Scheme::Taproot) {
        return Err(DecodeError::Scheme { kind: KIND, scheme: key.scheme });
    }
    let network = network(&networks.bitcoin).ok_or_else(|| DecodeError::Network(networks.bitcoin.clone()))?;
    let owner = Owner::new(key)?;
    read(&owner, path, bytes, network, &networks.bitcoin)
        .map_err(|reason| DecodeError::malformed(KIND, reason))
}

/// Networks by their CAIP-2 ids, as far as their addresses differ.
fn network(id: &str) -> Option<Network> {
    match id.strip_prefix("bip122:")? {
        "000000000019d6689c085ae165831e93" => Some(Network::Bitcoin),
        "000000000933ea01ad0ee984209779ba" => Some(Network::Testnet),
        "00000000da84f2bafbbc53dee25a72ae" => Some(Network::Testnet4),
        "00000008819873e925422c1ff0f99f7c" => Some(Network::Signet),
        "0f9188f13cb7b2c71f2a335e3a4fc328" => Some(Network::Regtest),
        _ => None,
    }
}

fn read(
    owner: &Owner,
    path: &DerivationPath,
    bytes: &[u8],
    network: Network,
    chain: &str,
) -> Result<Decoded, String> {
    if !path.steps().is_empty() {
        return Err("its inputs name their own paths; order it with path m".into());
    }
    let psbt = Psbt::deserialize(bytes).map_err(|error| error.to_string())?;
    // The reader stops where the last map ends.
    if psbt.serialize().len() != bytes.len() {
        return Err("it has bytes behind its end, or is not in its shortest form".into());
    }
    if psbt.version != 0 {
        return Err(format!("version {} is not known here", psbt.version));
    }
    let spent = spent_outputs(owner, &psbt)?;
    let mut signing = Signing { psbt: &psbt, spent: &spent, cache: SighashCache::new(&psbt.unsigned_tx) };
    let (mut inputs, mut sources) = (Vec::new(), Vec::new());
    for (index, output) in spent.iter().enumerate() {
        let Some(input) = signing.input(owner, index)? else { continue };
        inputs.push(input);
        let source = address_of(&output.script_pubkey, network);
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    if inputs.is_empty() || inputs.len() > MAX_INPUTS {
        return Err(format!(
            "{} of its inputs have an origin in this key, not 1 to {MAX_INPUTS}",
            inputs.len()
        ));
    }
    let transaction = Transaction {
        chain: chain.into(),
        sources,
        destinations: destinations(owner, &psbt, network)?,
        calls: vec![],
        grants: vec![],
        fee: Some(fee(&psbt, &spent)?.to_string()),
        unsigned: bitcoin::consensus::serialize(&psbt.unsigned_tx),
        owners: Default::default(),
    };
    Ok(Decoded { inputs, intent: Intent::Transaction(transaction) })
}

/// The output that each input spends, as far as its amount cannot be a lie.
pub(crate) fn spent_outputs(owner: &Owner, psbt: &Psbt) -> Result<Vec<TxOut>, String> {
    let mut seen = std::collections::BTreeSet::new();
    let spent = psbt.unsigned_tx.input.iter().zip(&psbt.inputs).enumerate().map(|(index, (txin, input))| {
        let outpoint = txin.previous_output;
        if !seen.insert(outpoint) {
            return Err(format!("input {index} spends what another input spends"));
        }
        let whole = input.non_witness_utxo.as_ref().map(|previous| {
            let output = previous.output.get(usize::try_from(outpoint.vout).unwrap_or(usize::MAX));
            let found = output.filter(|_| previous.compute_txid() == outpoint.txid).cloned();
            found.ok_or_else(|| format!("the previous transaction of input {index} is another one"))
        });
        match (whole.transpose()?, input.witness_utxo.clone()) {
            (Some(whole), Some(alone)) if whole != alone => {
                Err(format!("the previous transaction and the witness output of input {index} differ"))
            }
            (Some(output), _) => Ok(output),
            (None, Some(output)) if owner.scheme() == Scheme::Taproot => Ok(output),
            _ => Err(format!("input {index} lacks its previous transaction, which alone proves the amount")),
        }
    });
    spent.collect()
}

fn fee(psbt: &Psbt, spent: &[TxOut]) -> Result<u64, String> {
    let sum = |outputs: &[TxOut]| {
        outputs.iter().try_fold(0u64, |sum, output| sum.checked_add(output.value.to_sat()))
    };
    let fee = sum(spent).zip(sum(&psbt.unsigned_tx.output)).and_then(|(from, to)| from.checked_sub(to));
    fee.ok_or_else(|| "it pays out more than it takes in".into())
}

/// What the signatures of one transaction are made of.
struct Signing<'a> {
    psbt: &'a Psbt,
    spent: &'a [TxOut],
    cache: SighashCache<&'a bitcoin::Transaction>,
}

impl Signing<'_> {
    /// `None`: the input is not ours.
    fn input(&mut self, owner: &Owner, index: usize) -> Result<Option<Input>, String> {
        let input = &self.psbt.inputs[index];
        let Some(origin) = owner.origin(&input.bip32_derivation, &input.tap_key_origins)? else {
            return Ok(None);
        };
        let (script, script_root) = (&self.spent[index].script_pubkey, script_root(input));
        let form = origin.form_beside(script, script_root.as_ref()).ok_or_else(|| {
            format!("input {index} is no P2PKH, P2WPKH, P2SH-P2WPKH or taproot output of the key and the script root it names")
        })?;
        self.fitting_scripts(&form, index)?;
        let signed_bytes = match form {
            Form::Taproot => self.taproot(index)?,
            _ => self.ecdsa(index, &form)?,
        };
        Ok(Some(Input { path: origin.path, script_root, signed_bytes }))
    }

    /// What a PSBT says about scripts must be what the output is. The scripts below a root that was proven do not matter to
    /// the key path.
    fn fitting_scripts(&self, form: &Form, index: usize) -> Result<(), String> {
        let input = &self.psbt.inputs[index];
        let redeem = match form {
            Form::NestedP2wpkh(redeem) => input.redeem_script.as_ref().is_none_or(|script| script == redeem),
            _ => input.redeem_script.is_none(),
        };
        let tree = match form {
            Form::Taproot => input.tap_merkle_root.is_some() || input.tap_scripts.is_empty(),
            _ => input.tap_merkle_root.is_none() && input.tap_scripts.is_empty(),
        };
        if redeem && tree && input.witness_script.is_none() {
            Ok(())
        } else {
            Err(format!("input {index} has scripts that its output has not, or that are not supported"))
        }
    }

    fn ecdsa(&mut self, index: usize, form: &Form) -> Result<Vec<u8>, String> {
        let all = EcdsaSighashType::All;
        match self.psbt.inputs[index].sighash_type {
            Some(other) if other.to_u32() != all.to_u32() => return Err(sighash_type(index)),
            _ => {}
        }
        let script = &self.spent[index].script_pubkey;
        match form {
            Form::P2pkh => {
                let hash = self.cache.legacy_signature_hash(index, script, all.to_u32());
                hash.map(|hash| hash.to_byte_array().to_vec()).map_err(|error| error.to_string())
            }
            Form::NestedP2wpkh(redeem) => self.segwit(index, redeem),
            _ => self.segwit(index, script),
        }
    }

    /// BIP-143.
    fn segwit(&mut self, index: usize, script: &Script) -> Result<Vec<u8>, String> {
        let value = self.spent[index].value;
        let hash = self.cache.p2wpkh_signature_hash(index, script, value, EcdsaSighashType::All);
        hash.map(|hash| hash.to_byte_array().to_vec()).map_err(|error| error.to_string())
    }

    /// BIP-341.
    fn taproot(&mut self, index: usize) -> Result<Vec<u8>, String> {
        let stated = self.psbt.inputs[index].sighash_type.map(|stated| stated.taproot_hash_ty());
        let kind = match stated {
            None | Some(Ok(TapSighashType::Default)) => TapSighashType::Default,
            Some(Ok(TapSighashType::All)) => TapSighashType::All,
            _ => return Err(sighash_type(index)),
        };
        let hash = self.cache.taproot_key_spend_signature_hash(index, &Prevouts::All(self.spent), kind);
        hash.map(|hash| hash.to_byte_array().to_vec()).map_err(|error| error.to_string())
    }
}

fn sighash_type(index: usize) -> String {
    format!("input {index} asks for a sighash type that leaves inputs or outputs open; only ALL is signed")
}

fn destinations(owner: &Owner, psbt: &Psbt, network: Network) -> Result<Vec<Destination>, String> {
    let outputs = psbt.unsigned_tx.output.iter().zip(&psbt.outputs);
    let destination = |(output, map): (&TxOut, &bitcoin::psbt::Output)| {
        let origin = owner.origin(&map.bip32_derivation, &map.tap_key_origins)?;
        let script = &output.script_pubkey;
        Ok(Destination {
            address: if script.is_op_return() { String::new() } else { address_of(script, network) },
            asset: String::new(),
            amount: output.value.to_sat().to_string(),
            memo: script.is_op_return().then(|| hex::encode(op_return_data(script))),
            change: origin.is_some_and(|origin| origin.form_of(script).is_some()),
        })
    };
    outputs.map(destination).collect()
}

/// The address, or `script:` and the script in hexadecimal if there is none.
fn address_of(script: &Script, network: Network) -> String {
    match bitcoin::Address::from_script(script, network) {
        Ok(address) => address.to_string(),
        Err(_) => format!("script:{}", hex::encode(script.as_bytes())),
    }
}

#[cfg(test)]
#[path = "psbt_tests.rs"]
pub(crate) mod tests;
