//! Bitcoin transactions, and the preimages of their signature hashes: legacy, BIP-143 and BIP-341.

use bitcoin::consensus::encode::{VarInt, deserialize, deserialize_partial};
use sha2::{Digest, Sha256};

use super::bytes::Rest;

pub(super) fn is_psbt(bytes: &[u8]) -> bool {
    bytes.starts_with(b"psbt\xff")
}

/// True with or without witnesses and signatures, but not without inputs.
pub(super) fn is_transaction(bytes: &[u8]) -> bool {
    deserialize::<bitcoin::Transaction>(bytes)
        .is_ok_and(|transaction| !transaction.input.is_empty())
}

pub(super) fn is_preimage(bytes: &[u8]) -> bool {
    is_legacy(bytes) || is_segwit(bytes).is_some() || is_taproot(bytes)
}

/// The transaction with the script in its place, and the sighash type in four bytes.
fn is_legacy(bytes: &[u8]) -> bool {
    let read = deserialize_partial::<bitcoin::Transaction>(bytes);
    read.is_ok_and(|(transaction, length)| {
        !transaction.input.is_empty() && bytes.len() == length + 4
    })
}

/// Version, two hashes, outpoint, script, amount, sequence, a hash, lock time, sighash type.
fn is_segwit(bytes: &[u8]) -> Option<()> {
    let mut rest = Rest(bytes);
    let version = u32::from_le_bytes(*rest.take(4)?.first_chunk()?);
    rest.take(32 + 32 + 36)?;
    let (VarInt(script), length) = deserialize_partial(rest.0).ok()?;
    rest.take(length.checked_add(usize::try_from(script).ok()?)?)?;
    rest.take(8 + 4 + 32 + 4)?;
    let kind = u32::from_le_bytes(*rest.take(4)?.first_chunk()?);
    // Forks set further bits in the sighash type.
    let fits = rest.0.is_empty() && (1..=3).contains(&version) && (1..=3).contains(&(kind & 0x1f));
    fits.then_some(())
}

/// BIP-340: the preimage of a tagged hash begins with the tag's hash, twice.
fn is_taproot(bytes: &[u8]) -> bool {
    ["TapSighash", "TapLeaf", "TapTweak"].iter().any(|tag| {
        let tag = Sha256::digest(tag);
        bytes.starts_with(&[tag, tag].concat())
    })
}
