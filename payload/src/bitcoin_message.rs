//! Messages signed for a Bitcoin address (BIP-322): the payload is a JSON document with the message
//! and either the signing address, a child of the key, or a PSBT of the transaction to be signed
//! (`full`, and proofs of funds).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::address::NetworkUnchecked;
use bitcoin::psbt::Psbt;
use bitcoin::{Address, Network, TapSighashType};
use countersign_protocol::{DerivationPath, PayloadKind};
use serde::Deserialize;

use crate::malformed::Malformed;
use crate::psbt_key::{Form, Owner};
use crate::{DecodeError, Decoded, Key, Networks, bip322, psbt};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    message: String,
    address: Option<String>,
    /// The PSBT in Base64.
    psbt: Option<String>,
}

/// The transaction to be signed, as a PSBT.
pub(crate) struct ToSign {
    pub(crate) psbt: Vec<u8>,
    message: Vec<u8>,
    /// True if everything but the signature follows from message and address.
    pub(crate) by_address: bool,
}

pub(crate) fn decode(
    key: &Key,
    path: &DerivationPath,
    bytes: &[u8],
    networks: &Networks,
) -> Result<Decoded, DecodeError> {
    let to_sign = read(key, path, bytes, networks)?;
    let owner = Owner::new(key)?;
    let malformed = |reason: Malformed| DecodeError::malformed(PayloadKind::BitcoinMessage, reason);
    let psbt = psbt::parse(&to_sign.psbt).map_err(malformed)?;
    psbt::read_message(&owner, &psbt, to_sign.message).map_err(malformed)
}

pub(crate) fn read(
    key: &Key,
    path: &DerivationPath,
    bytes: &[u8],
    networks: &Networks,
) -> Result<ToSign, DecodeError> {
    let network = psbt::network_for(PayloadKind::BitcoinMessage, key, networks)?;
    let malformed = |reason: Malformed| DecodeError::malformed(PayloadKind::BitcoinMessage, reason);
    let written: Written =
        serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string().into()))?;
    let owner = Owner::new(key)?;
    match written {
        Written {
            message,
            address: Some(address),
            psbt: None,
        } => by_address(&owner, path, network, message, &address).map_err(malformed),
        Written {
            message,
            address: None,
            psbt: Some(text),
        } => by_psbt(path, message, &text).map_err(malformed),
        _ => Err(malformed(
            "it names an address or a PSBT, and not both".into(),
        )),
    }
}

fn by_address(
    owner: &Owner,
    path: &DerivationPath,
    network: Network,
    message: String,
    address: &str,
) -> Result<ToSign, Malformed> {
    let address: Address<NetworkUnchecked> = address
        .parse()
        .map_err(|_| "its address is not a Bitcoin address")?;
    let address = address
        .require_network(network)
        .map_err(|_| "its address is of another network")?;
    let script = address.script_pubkey();
    let child = owner.child(path).map_err(Malformed::by)?;
    let form = child
        .form_of(&script)
        .ok_or_else(|| format!("its address is not one of the child at {path}"))?;
    let message = message.into_bytes();
    let to_spend = bip322::to_spend(&message, &script);
    let mut psbt = Psbt::from_unsigned_tx(bip322::to_sign(&to_spend)).map_err(Malformed::by)?;
    let input = psbt.inputs.first_mut().ok_or("a message has an input")?;
    owner.mark(input, &child)?;
    // "All signatures must use the SIGHASH_ALL flag."
    input.sighash_type = (form == Form::Taproot).then(|| TapSighashType::All.into());
    input.witness_utxo = to_spend
        .output
        .first()
        .cloned()
        .filter(|_| form != Form::P2pkh);
    input.non_witness_utxo = Some(to_spend);
    Ok(ToSign {
        psbt: psbt.serialize(),
        message,
        by_address: true,
    })
}

/// The transaction that is spent follows from message and script, so the PSBT need not include it.
fn by_psbt(path: &DerivationPath, message: String, text: &str) -> Result<ToSign, Malformed> {
    if !path.steps().is_empty() {
        return Err("the inputs of its PSBT name their own paths; order it with path m".into());
    }
    let bytes = BASE64
        .decode(text)
        .map_err(|_| "its PSBT is not base64 text")?;
    let mut psbt = psbt::parse(&bytes)?;
    let message = message.into_bytes();
    if bip322::carried(&psbt).is_some_and(|carried| carried != message) {
        return Err("its PSBT carries another message".into());
    }
    let input = psbt.inputs.first_mut().ok_or("its PSBT has no input")?;
    if let (None, Some(spent)) = (&input.non_witness_utxo, &input.witness_utxo) {
        input.non_witness_utxo = Some(bip322::to_spend(&message, &spent.script_pubkey));
    }
    Ok(ToSign {
        psbt: psbt.serialize(),
        message,
        by_address: false,
    })
}
