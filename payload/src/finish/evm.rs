//! Ethereum: the signed transaction in its EIP-2718 envelope.

use alloy_consensus::transaction::{RlpEcdsaDecodableTx, RlpEcdsaEncodableTx};
use alloy_consensus::{
    SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxEnvelope, TxLegacy,
};
use alloy_eips::Decodable2718;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::Signature;
use alloy_rlp::Decodable;

use super::{FinishError, Finished, Made};
use crate::eip7702;
use crate::evm::legacy;

/// Assembles a transaction; `unsigned` was decoded as a payload.
pub(super) fn finish(unsigned: &[u8], made: &Made) -> Result<Finished, FinishError> {
    let changed = || FinishError::Changed("transaction");
    let signature = Signature::from_bytes_and_parity(made.signature, made.odd()? == 1);
    let bytes = assemble(unsigned, &signature).ok_or_else(changed)?;
    let (again, seen) = take_apart(&bytes).ok_or_else(changed)?;
    if again != unsigned || seen != signature {
        return Err(changed());
    }
    Ok(Finished { bytes, missing: 0 })
}

/// Assembles `rlp([chain_id, address, nonce, y_parity, r, s])`.
pub(super) fn finish_authorization(unsigned: &[u8], made: &Made) -> Result<Finished, FinishError> {
    let changed = || FinishError::Changed("authorisation");
    let signature = Signature::from_bytes_and_parity(made.signature, made.odd()? == 1);
    let signed = eip7702::read(unsigned)
        .map_err(|_| changed())?
        .into_signed(signature);
    let bytes = alloy_rlp::encode(&signed);
    let mut rest = bytes.as_slice();
    let again = SignedAuthorization::decode(&mut rest).map_err(|_| changed())?;
    let same = rest.is_empty() && again.signature().is_ok_and(|seen| seen == signature);
    if same && eip7702::encoded(again.inner()) == unsigned {
        Ok(Finished { bytes, missing: 0 })
    } else {
        Err(changed())
    }
}

fn assemble(unsigned: &[u8], signature: &Signature) -> Option<Vec<u8>> {
    match unsigned {
        [1, fields @ ..] => typed::<TxEip2930>(fields, signature),
        [2, fields @ ..] => typed::<TxEip1559>(fields, signature),
        [3, fields @ ..] => typed::<TxEip4844>(fields, signature),
        [4, fields @ ..] => typed::<TxEip7702>(fields, signature),
        _ => Some(sealed::<TxLegacy>(&legacy(unsigned).ok()?, signature)),
    }
}

fn typed<T: RlpEcdsaDecodableTx>(mut fields: &[u8], signature: &Signature) -> Option<Vec<u8>> {
    Some(sealed(&T::rlp_decode(&mut fields).ok()?, signature))
}

fn sealed<T: RlpEcdsaEncodableTx>(transaction: &T, signature: &Signature) -> Vec<u8> {
    let mut bytes = Vec::new();
    transaction.eip2718_encode(signature, &mut bytes);
    bytes
}

/// Splits the signed content from the signature, as any receiver of the transaction would.
fn take_apart(mut bytes: &[u8]) -> Option<(Vec<u8>, Signature)> {
    let envelope = TxEnvelope::decode_2718(&mut bytes)
        .ok()
        .filter(|_| bytes.is_empty())?;
    let unsigned = match &envelope {
        TxEnvelope::Legacy(signed) => signed.tx().encoded_for_signing(),
        TxEnvelope::Eip2930(signed) => signed.tx().encoded_for_signing(),
        TxEnvelope::Eip1559(signed) => signed.tx().encoded_for_signing(),
        TxEnvelope::Eip4844(signed) => signed.tx().encoded_for_signing(),
        TxEnvelope::Eip7702(signed) => signed.tx().encoded_for_signing(),
    };
    Some((unsigned, *envelope.signature()))
}
