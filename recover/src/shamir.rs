//! Shamir's secret sharing over the order of a curve: interpolation at 0, of scalars and of points.
//! No checks of identity.

use generic_ec::curves::{Ed25519, Secp256k1};
use generic_ec::{Point, Scalar, SecretScalar};
use zeroize::Zeroizing;

use crate::secret::bytes_of;
use crate::{Curve, Participant, Secret, ShareId};

/// f(0) from the values of f at `ids`, which are distinct and below the order. `None` if it is zero
/// or they are not.
pub(crate) fn interpolate(curve: Curve, shares: &[(&ShareId, &Secret)]) -> Option<Secret> {
    let sum = match curve {
        Curve::Secp256k1 => interpolate_on::<Secp256k1>(shares),
        Curve::Ed25519 => interpolate_on::<Ed25519>(shares),
    }?;
    Secret::from_be_bytes(curve, &sum[..]).ok()
}

/// f(0)·G from the points f(id)·G of participants. `None` if ids or keys are unusable.
pub(crate) fn interpolate_public(curve: Curve, participants: &[&Participant]) -> Option<Vec<u8>> {
    match curve {
        Curve::Secp256k1 => interpolate_public_on::<Secp256k1>(participants),
        Curve::Ed25519 => interpolate_public_on::<Ed25519>(participants),
    }
}

/// True if the id is below the order of the curve.
pub(crate) fn fits(curve: Curve, id: &ShareId) -> bool {
    match curve {
        Curve::Secp256k1 => coordinate::<Secp256k1>(id).is_some(),
        Curve::Ed25519 => coordinate::<Ed25519>(id).is_some(),
    }
}

fn interpolate_on<E: generic_ec::Curve>(
    shares: &[(&ShareId, &Secret)],
) -> Option<Zeroizing<[u8; 32]>> {
    let ids: Vec<_> = shares
        .iter()
        .map(|(id, _)| coordinate::<E>(id))
        .collect::<Option<_>>()?;
    let mut sum = SecretScalar::<E>::zero();
    for (i, (_, share)) in shares.iter().enumerate() {
        let term = SecretScalar::new(&mut (share.scalar::<E>().as_ref() * lagrange(&ids, i)?));
        sum = SecretScalar::new(&mut (sum.as_ref() + term.as_ref()));
    }
    Some(bytes_of(&sum))
}

fn interpolate_public_on<E: generic_ec::Curve>(participants: &[&Participant]) -> Option<Vec<u8>> {
    let ids: Vec<_> = participants
        .iter()
        .map(|it| coordinate::<E>(&it.share_id))
        .collect::<Option<_>>()?;
    let mut sum = Point::<E>::zero();
    for (i, participant) in participants.iter().enumerate() {
        sum += Point::<E>::from_bytes(&participant.public_key).ok()? * lagrange(&ids, i)?;
    }
    Some(sum.to_bytes(true).as_bytes().to_vec())
}

/// The weight of the share at place `i` at 0: the product of x_j / (x_j - x_i) over all others.
/// `None` if two are equal.
fn lagrange<E: generic_ec::Curve>(ids: &[Scalar<E>], i: usize) -> Option<Scalar<E>> {
    let others = || {
        ids.iter()
            .enumerate()
            .filter(move |(j, _)| *j != i)
            .map(|(_, x)| *x)
    };
    let numerator = others().fold(Scalar::one(), |product, x| product * x);
    let denominator = others().fold(Scalar::one(), |product, x| product * (x - ids[i]));
    Some(numerator * denominator.invert()?)
}

fn coordinate<E: generic_ec::Curve>(id: &ShareId) -> Option<Scalar<E>> {
    Scalar::from_be_bytes(id.to_be_bytes())
        .ok()
        .filter(|x: &Scalar<E>| !x.is_zero())
}
