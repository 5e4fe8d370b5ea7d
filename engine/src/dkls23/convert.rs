//! Values of our libraries as those of `dkls23-core`, which is built on the next generation of the
//! same crates.

use dkls23_core::protocols::PartyIndex as Member;
use generic_ec::curves::Secp256k1;
use generic_ec::{Point, SecretScalar};
use k256_next::elliptic_curve::ff::PrimeField;
use k256_next::{AffinePoint, FieldBytes, PublicKey, Scalar};
use zeroize::{Zeroize, Zeroizing};

use crate::{EngineError, EnvironmentFault};

/// The library's name for the curve.
pub(super) type Curve = k256_next::Secp256k1;

/// A position in the committee, from 0, as the library counts them: from 1.
pub(super) fn member(position: u16) -> Result<Member, EngineError> {
    u8::try_from(position + 1)
        .ok()
        .and_then(|number| Member::new(number).ok())
        .ok_or_else(|| EngineError::bug("a committee of more than 255 members"))
}

/// A secret scalar. The library wipes its own copy.
pub(super) fn secret(scalar: &SecretScalar<Secp256k1>) -> Result<Zeroizing<Scalar>, EngineError> {
    let mut encoded = scalar.as_ref().to_be_bytes();
    let bytes = <[u8; 32]>::try_from(encoded.as_bytes()).map(Zeroizing::new);
    encoded.as_mut().zeroize();
    let mut repr = FieldBytes::from(*bytes.map_err(EngineError::bug)?);
    let converted: Option<Scalar> = Option::from(Scalar::from_repr(repr));
    repr.as_mut_slice().zeroize();
    converted
        .map(Zeroizing::new)
        .ok_or_else(|| EngineError::bug("a scalar above the order of the curve"))
}

/// A point that is not at infinity.
pub(super) fn point(point: &Point<Secp256k1>) -> Result<AffinePoint, EngineError> {
    PublicKey::from_sec1_bytes(&point.to_bytes(true))
        .map(|key| *key.as_affine())
        .map_err(EngineError::bug)
}

/// Seeds the generator that the library uses from the operating system again, so that a machine
/// that was copied since does not draw the same numbers as its copy.
pub(super) fn reseed() -> Result<(), EngineError> {
    rand_next::rng()
        .reseed()
        .map_err(|_| EnvironmentFault::Randomness.into())
}
