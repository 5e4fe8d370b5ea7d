//! Unsigned Ethereum transactions: legacy with a chain id (EIP-155), EIP-2930, EIP-1559, EIP-4844
//! and EIP-7702.
//!
//! The payload is the hashed encoding: `rlp(nonce, price, gas, to, value, data, chain id, 0, 0)`,
//! or the type byte and the RLP of the fields without signature. It is parsed, re-encoded and
//! compared, so that only one encoding of a transaction is accepted. A legacy transaction without a
//! chain id would be valid on every chain and is refused; a blob transaction comes without its
//! blobs, as the signature does not cover them.

use alloy_consensus::transaction::RlpEcdsaDecodableTx;
use alloy_consensus::{
    SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxEnvelope, TxLegacy,
};
use alloy_eips::Decodable2718;
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, keccak256};
use alloy_rlp::{Decodable, Header};
use countersign_protocol::{DerivationPath, PayloadKind};

use crate::malformed::Malformed;
use crate::{
    Call, DecodeError, Decoded, Destination, Grant, Input, Intent, Key, Transaction, evm_call,
    must_be_ecdsa,
};

pub(crate) fn decode(
    key: &Key,
    path: &DerivationPath,
    bytes: &[u8],
) -> Result<Decoded, DecodeError> {
    must_be_ecdsa(key, PayloadKind::EvmTransaction)?;
    let sender = sender(key, path)?;
    let fields = read(bytes)
        .map_err(|reason| DecodeError::malformed(PayloadKind::EvmTransaction, reason))?;
    let intent = meaning(fields, sender, bytes)
        .map_err(|reason| DecodeError::malformed(PayloadKind::EvmTransaction, reason))?;
    let signed_bytes = keccak256(bytes).to_vec();
    Ok(Decoded {
        inputs: vec![Input::new(path.clone(), signed_bytes)],
        intent,
    })
}

/// The account of a child: the last 20 bytes of the hash of its uncompressed point.
pub(crate) fn sender(key: &Key, path: &DerivationPath) -> Result<Address, DecodeError> {
    let child = key.child(path)?;
    let point = bitcoin::secp256k1::PublicKey::from_slice(&child)
        .map_err(|_| DecodeError::Derive(countersign_verify::DeriveError::PublicKey))?;
    Ok(Address::from_raw_public_key(
        &point.serialize_uncompressed()[1..],
    ))
}

/// The relevant fields of a transaction of any type.
struct Fields {
    chain: u64,
    nonce: u64,
    to: TxKind,
    value: U256,
    data: Bytes,
    fee: U256,
    delegates: Vec<Address>,
}

fn read(bytes: &[u8]) -> Result<Fields, Malformed> {
    let unsigned = read_unsigned(bytes);
    if unsigned.is_err() && is_signed(bytes) {
        Err("it is signed already; send it to the network, or take its signature off to sign it anew"
                .into())
    } else {
        unsigned
    }
}

/// True if the network would accept it as a transaction, signed by anybody.
fn is_signed(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    TxEnvelope::decode_2718(&mut rest).is_ok() && rest.is_empty()
}

fn read_unsigned(bytes: &[u8]) -> Result<Fields, Malformed> {
    let (first, rest) = bytes.split_first().ok_or("it is empty")?;
    match first {
        1 => typed::<TxEip2930>(rest, bytes),
        2 => typed::<TxEip1559>(rest, bytes),
        3 => typed::<TxEip4844>(rest, bytes),
        4 => typed::<TxEip7702>(rest, bytes),
        0xc0.. => canonical(legacy(bytes)?, bytes),
        5 => Err("it is an authorisation of EIP-7702; send it as eip7702".into()),
        b'0' => Err("it is hexadecimal text; send the bytes that it stands for".into()),
        other => Err(format!("0x{other:02x} begins no transaction type that is known here").into()),
    }
}

fn typed<T>(mut rest: &[u8], bytes: &[u8]) -> Result<Fields, Malformed>
where
    T: RlpEcdsaDecodableTx + SignableTransaction<Signature>,
{
    let transaction = T::rlp_decode(&mut rest).map_err(Malformed::by)?;
    canonical(transaction, bytes)
}

/// EIP-155: six fields, the chain id, and two zeros in the place of the signature.
pub(crate) fn legacy(mut rest: &[u8]) -> Result<TxLegacy, Malformed> {
    let mut items = Header::decode_bytes(&mut rest, true).map_err(Malformed::by)?;
    let mut transaction = TxLegacy::rlp_decode_fields(&mut items).map_err(Malformed::by)?;
    if items.is_empty() {
        return Err("it names no chain and would be valid on every chain (EIP-155)".into());
    }
    transaction.chain_id = Some(u64::decode(&mut items).map_err(Malformed::by)?);
    Ok(transaction)
}

/// Refuses every encoding except the one that the transaction serialises to.
fn canonical<T: SignableTransaction<Signature>>(
    transaction: T,
    bytes: &[u8],
) -> Result<Fields, Malformed> {
    if transaction.encoded_for_signing() != bytes {
        return Err(
            "it is not the one encoding of this transaction, or carries a signature or blobs"
                .into(),
        );
    }
    let chain = transaction
        .chain_id()
        .filter(|chain| *chain != 0)
        .ok_or("it names no chain (EIP-155)")?;
    let gas = U256::from(transaction.gas_limit()) * U256::from(transaction.max_fee_per_gas());
    let blobs = transaction.blob_versioned_hashes().map_or(0, <[_]>::len);
    let blob_gas = U256::from(blobs) * U256::from(DATA_GAS_PER_BLOB);
    let delegates = transaction.authorization_list().unwrap_or_default();
    Ok(Fields {
        chain,
        nonce: transaction.nonce(),
        to: transaction.kind(),
        value: transaction.value(),
        data: transaction.input().clone(),
        fee: gas + blob_gas * U256::from(transaction.max_fee_per_blob_gas().unwrap_or_default()),
        delegates: delegates.iter().map(|signed| signed.address).collect(),
    })
}

fn meaning(fields: Fields, sender: Address, bytes: &[u8]) -> Result<Intent, Malformed> {
    let chain = format!("eip155:{}", fields.chain);
    let mut destinations = Vec::new();
    let mut grants: Vec<Grant> = fields.delegates.iter().map(delegation).collect();
    let mut method = None;
    let called = fields.to.is_create() || !fields.data.is_empty();
    // A recipient of no value and no data still runs code: it is shown.
    if !fields.value.is_zero() || !called {
        let recipient = fields
            .to
            .to()
            .copied()
            .unwrap_or_else(|| sender.create(fields.nonce));
        destinations.push(Destination {
            address: recipient.to_string(),
            asset: String::new(),
            amount: fields.value.to_string(),
            memo: None,
            change: recipient == sender,
        });
    }
    if let Some(contract) = fields.to.to()
        && let Some(known) = evm_call::understand(&chain, contract, &sender, &fields.data)?
    {
        destinations.extend(known.destinations);
        grants.extend(known.grants);
        method = Some(known.method.to_string());
    }
    let call = called.then(|| Call {
        contract: fields.to.to().map(Address::to_string).unwrap_or_default(),
        selector: if fields.to.is_create() {
            vec![]
        } else {
            fields.data.iter().take(4).copied().collect()
        },
        method,
        fields: vec![],
        amount: fields.value.to_string(),
        data: fields.data.to_vec(),
    });
    Ok(Intent::Transaction(Transaction {
        chain,
        sources: vec![sender.to_string()],
        destinations,
        calls: call.into_iter().collect(),
        grants,
        fee: Some(fields.fee.to_string()),
        unsigned: bytes.to_vec(),
        owners: Default::default(),
    }))
}

/// An account that delegates its code to a contract can lose everything; delegating to the
/// zero address revokes that.
pub(crate) fn delegation(to: &Address) -> Grant {
    let amount = to.is_zero().then(|| "0".to_string());
    Grant {
        spender: to.to_string(),
        asset: String::new(),
        amount,
    }
}

#[cfg(test)]
#[path = "evm_tests.rs"]
mod tests;
