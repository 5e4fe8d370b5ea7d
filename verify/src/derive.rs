//! Child keys of a root public key: BIP-32 on secp256k1, its non-hardened analogue on Ed25519.

use countersign_protocol::Scheme;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::IsIdentity;
use curve25519_dalek::{EdwardsPoint, Scalar as EdwardsScalar};
use hmac::{Hmac, Mac};
use secp256k1::{Scalar, Secp256k1};
use sha2::Sha512;

use crate::ExtendedPublicKey;
use crate::ecdsa::public_key;

/// First hardened index.
const HARDENED: u32 = 1 << 31;

/// The reason a child key cannot be derived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// An index of 2^31 or above.
    #[error(
        "child index {0} is hardened, which needs the private key: use indices below 2147483648"
    )]
    Hardened(u32),
    /// A path deeper than 255 steps, the most that an extended key can count.
    #[error("the path has more than 255 steps: use a shorter one")]
    TooDeep,
    /// Not a point of the curve in its one encoding.
    #[error(
        "the public key is not a point of the scheme's curve: compare it with the wallet's record"
    )]
    PublicKey,
    /// A script root for a key that does not have scripts.
    #[error("only a taproot key is tweaked with the root of a script tree: leave the root out")]
    ScriptRoot,
    /// The one value in 2^127 that BIP-32 and BIP-341 exclude.
    #[error("this child does not exist: use the next index")]
    OutOfRange,
}

/// Derives the child public key and chain code at `path` below a root, without a private key.
/// secp256k1 schemes: BIP-32, keys of 33 bytes. `ed25519`: I = HMAC-SHA512(chain code, 0x00 ‖ A ‖
/// index), child = A + (I_L mod L)·B with I_L read big-endian, chain code = I_R, keys of 32 bytes.
/// For `taproot` this is the internal key.
pub fn derive_public(
    scheme: Scheme,
    root_key: &[u8],
    chain_code: &[u8; 32],
    path: &[u32],
) -> Result<(Vec<u8>, [u8; 32]), DeriveError> {
    let child = ExtendedPublicKey::root(scheme, root_key, chain_code)?.derive(path)?;
    Ok((child.public_key().to_vec(), *child.chain_code()))
}

/// Derives one step on secp256k1 (BIP-32, CKDpub): key and chain code of child `index`.
pub(crate) fn secp256k1_child(
    key: &[u8],
    chain_code: &[u8; 32],
    index: u32,
) -> Result<(Vec<u8>, [u8; 32]), DeriveError> {
    let (left, right) = split_mac(chain_code, &[], key, index)?;
    let tweak = Scalar::from_be_bytes(left).map_err(|_| DeriveError::OutOfRange)?;
    let parent = public_key(key).ok_or(DeriveError::PublicKey)?;
    let child = parent.add_exp_tweak(&Secp256k1::verification_only(), &tweak);
    Ok((
        child
            .map_err(|_| DeriveError::OutOfRange)?
            .serialize()
            .to_vec(),
        right,
    ))
}

/// Derives one step on Ed25519. The only place where this crate adds points of that curve.
/// `key` is in the prime-order group, as in every [`ExtendedPublicKey`]; so is the addend, and so
/// is the sum. Checking again, at the cost of the step itself, would find nothing but the identity.
pub(crate) fn ed25519_child(
    key: &[u8],
    chain_code: &[u8; 32],
    index: u32,
) -> Result<(Vec<u8>, [u8; 32]), DeriveError> {
    let (mut left, right) = split_mac(chain_code, &[0], key, index)?;
    left.reverse();
    let shift = EdwardsPoint::mul_base(&EdwardsScalar::from_bytes_mod_order(left));
    let parent = CompressedEdwardsY::from_slice(key)
        .ok()
        .and_then(|key| key.decompress());
    let child = parent.ok_or(DeriveError::PublicKey)? + shift;
    if child.is_identity() {
        return Err(DeriveError::OutOfRange);
    }
    Ok((child.compress().to_bytes().to_vec(), right))
}

/// HMAC-SHA512(chain code, prefix ‖ key ‖ index), in two halves.
fn split_mac(
    chain_code: &[u8; 32],
    prefix: &[u8],
    key: &[u8],
    index: u32,
) -> Result<([u8; 32], [u8; 32]), DeriveError> {
    if index >= HARDENED {
        return Err(DeriveError::Hardened(index));
    }
    // HMAC takes keys of any length.
    let mac = Hmac::<Sha512>::new_from_slice(chain_code).map_err(|_| DeriveError::OutOfRange)?;
    let bytes = mac
        .chain_update(prefix)
        .chain_update(key)
        .chain_update(index.to_be_bytes())
        .finalize()
        .into_bytes();
    Ok((
        std::array::from_fn(|i| bytes[i]),
        std::array::from_fn(|i| bytes[32 + i]),
    ))
}
