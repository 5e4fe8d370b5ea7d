//! Child keys by public derivation: BIP-32 on secp256k1, and its non-hardened analogue on Ed25519.
//!
//! A child differs from its root by a sum of shifts that anybody with the chain code can compute,
//! so signers derive without communicating. Hardened children do not exist here: they need the
//! private key in one place.

use generic_ec::curves::Ed25519;
use generic_ec::{NonZero, Point, Scalar};
use hd_wallet::{
    DeriveShift, DerivedShift, ExtendedKeyPair, ExtendedPublicKey, HardenedIndex, NonHardenedIndex,
};
use hmac::{Hmac, Mac};
use sha2::Sha512;

use crate::curve::KeyCurve;
use crate::scheme::with_suite;
use crate::sign::Suite;
use crate::{CallerFault, Scheme};

/// The longest path: the depth of an extended key is one byte (BIP-32).
const MAX_DEPTH: usize = 255;

/// A public key with its chain code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildKey {
    /// 33 bytes, compressed, on secp256k1; 32 bytes on Ed25519.
    pub public_key: Vec<u8>,
    /// The chain code for the next step of derivation.
    pub chain_code: [u8; 32],
}

/// The reason a child key cannot be derived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// An index of 2³¹ or above.
    #[error("child index {0} is hardened: use indices below 2147483648")]
    Hardened(u32),
    /// More steps than an extended key can count.
    #[error("a path of {0} steps: use at most {MAX_DEPTH}")]
    TooDeep(usize),
    /// Not the encoding of a point, or the point at infinity.
    #[error("the public key is not a point of the scheme's curve")]
    PublicKey,
    /// A script root for a key that does not have scripts.
    #[error("only a taproot key is tweaked with the root of a script tree: leave the root out")]
    ScriptRoot,
}

/// Derives the child at `path` from a root public key.
/// Source: BIP-32 (by SLIP-10, which is the same for secp256k1); for Ed25519 I = HMAC-SHA512(chain
/// code, 0x00 ‖ A ‖ index), child = A + (I_L mod L)·B with I_L read big-endian, chain code = I_R.
pub fn derive_public(
    scheme: Scheme,
    root_public_key: &[u8],
    chain_code: &[u8; 32],
    path: &[u32],
) -> Result<ChildKey, DeriveError> {
    with_suite!(scheme, S => {
        let root = ExtendedPublicKey {
            public_key: *point::<<S as Suite>::Curve>(root_public_key)?,
            chain_code: *chain_code,
        };
        Ok(derive(root, path)?.into_key())
    })
}

/// Decodes a point that is not at infinity.
pub(crate) fn point<E: KeyCurve>(bytes: &[u8]) -> Result<NonZero<Point<E>>, DeriveError> {
    let point = Point::from_bytes(bytes).map_err(|_| DeriveError::PublicKey)?;
    NonZero::from_point(point).ok_or(DeriveError::PublicKey)
}

/// A child and the distance from its root: child = root + shift·G.
pub(crate) struct Child<E: KeyCurve> {
    pub shift: Scalar<E>,
    pub key: ExtendedPublicKey<E>,
}

impl<E: KeyCurve> Child<E> {
    fn into_key(self) -> ChildKey {
        ChildKey {
            public_key: self.key.public_key.to_bytes(true).to_vec(),
            chain_code: self.key.chain_code,
        }
    }
}

pub(crate) fn derive<E: KeyCurve>(
    root: ExtendedPublicKey<E>,
    path: &[u32],
) -> Result<Child<E>, DeriveError> {
    if path.len() > MAX_DEPTH {
        return Err(DeriveError::TooDeep(path.len()));
    }
    let mut child = Child {
        shift: Scalar::zero(),
        key: root,
    };
    for index in path {
        let index =
            NonHardenedIndex::try_from(*index).map_err(|_| DeriveError::Hardened(*index))?;
        let step = E::Hd::derive_public_shift(&child.key, index);
        child = Child {
            shift: child.shift + step.shift,
            key: step.child_public_key,
        };
    }
    Ok(child)
}

/// The extended public key of a share; every key of ours has a chain code.
pub(crate) fn root<E: KeyCurve>(
    core: &cggmp24::IncompleteKeyShare<E>,
) -> Result<ExtendedPublicKey<E>, CallerFault> {
    core.extended_public_key().ok_or(CallerFault::UnusableShare)
}

/// Non-hardened derivation on Ed25519 scalars, as wallets with `cpub` extended keys
/// do it. `hd_wallet::Edwards` differs only in the position of the zero byte, and
/// leads to other addresses.
pub(crate) struct PublicEdwards;

impl DeriveShift<Ed25519> for PublicEdwards {
    fn derive_public_shift(
        parent: &ExtendedPublicKey<Ed25519>,
        index: NonHardenedIndex,
    ) -> DerivedShift<Ed25519> {
        let mut hmac = keyed(&parent.chain_code);
        hmac.update(&[0]);
        hmac.update(&parent.public_key.to_bytes(true));
        shifted(parent, hmac, &index.to_be_bytes())
    }

    /// Required by the trait and never called: paths are `NonHardenedIndex` throughout. As on
    /// secp256k1, the private key takes the place of the public key.
    fn derive_hardened_shift(
        parent: &ExtendedKeyPair<Ed25519>,
        index: HardenedIndex,
    ) -> DerivedShift<Ed25519> {
        let mut hmac = keyed(parent.chain_code());
        hmac.update(&[0]);
        hmac.update(&parent.secret_key().secret_key.as_ref().to_be_bytes());
        shifted(parent.public_key(), hmac, &index.to_be_bytes())
    }
}

fn keyed(chain_code: &[u8; 32]) -> Hmac<Sha512> {
    Hmac::new_from_slice(chain_code).expect("HMAC takes keys of any length")
}

fn shifted(
    parent: &ExtendedPublicKey<Ed25519>,
    mut hmac: Hmac<Sha512>,
    index: &[u8],
) -> DerivedShift<Ed25519> {
    hmac.update(index);
    let output: [u8; 64] = hmac.finalize().into_bytes().into();
    let (left, right) = output.split_at(32);
    let shift = Scalar::from_be_bytes_mod_order(left);
    let mut chain_code = [0; 32];
    chain_code.copy_from_slice(right);
    let public_key = parent.public_key + Point::generator() * shift;
    DerivedShift {
        shift,
        child_public_key: ExtendedPublicKey {
            public_key,
            chain_code,
        },
    }
}
