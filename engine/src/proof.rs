//! Proofs of knowledge of the secrets behind points: Schnorr's, made non-interactive, for any
//! number of secrets at once.
//!
//! The protocol: with secrets c₀, c₁, … behind points C₀, C₁, … the prover sends A = a·G for a
//! fresh a, receives a challenge e, and answers z = a + e·c₀ + e²·c₁ + …; the verifier checks
//! z·G = A + e·C₀ + e²·C₁ + … (Gennaro, Leigh, Sundaram, Yerazunis: "Batching Schnorr
//! identification scheme", ASIACRYPT 2004). Here e is a hash over everything, so a proof holds
//! for one context only.

use generic_ec::{Point, Scalar, SecretScalar};
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};

use crate::curve::KeyCurve;
use crate::session::labelled_scalar;

/// A proof, of the same size for any number of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Proof<E: KeyCurve> {
    pub commitment: Point<E>,
    pub response: Scalar<E>,
}

impl<E: KeyCurve> Proof<E> {
    /// Proves knowledge of `secrets`, whose `points` are in the same order; `context` is a labelled
    /// hash over all else that the proof is bound to.
    pub fn new(
        secrets: &[SecretScalar<E>],
        points: &[Point<E>],
        context: &[u8; 32],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Self {
        let nonce = SecretScalar::random(rng);
        let commitment = Point::generator() * &nonce;
        let powers = powers(challenge(points, context, &commitment));
        let response = powers
            .zip(secrets)
            .fold(nonce.as_ref() + Scalar::zero(), |sum, (power, secret)| {
                sum + power * secret
            });
        Self {
            commitment,
            response,
        }
    }

    /// True if the prover knew the secrets behind `points`, in this context.
    pub fn holds(&self, points: &[Point<E>], context: &[u8; 32]) -> bool {
        let powers: Vec<_> = powers(challenge(points, context, &self.commitment))
            .take(points.len())
            .collect();
        let combined = Scalar::multiscalar_mul(powers.iter().zip(points));
        Point::generator() * self.response == self.commitment + combined
    }
}

fn challenge<E: KeyCurve>(
    points: &[Point<E>],
    context: &[u8; 32],
    commitment: &Point<E>,
) -> Scalar<E> {
    let points: Vec<_> = points
        .iter()
        .chain([commitment])
        .map(|point| point.to_bytes(true))
        .collect();
    let mut fields = vec![E::CURVE_NAME.as_bytes(), context];
    fields.extend(points.iter().map(|point| point.as_bytes()));
    labelled_scalar(b"countersign engine proof of knowledge v1", &fields)
}

/// The powers e, e², e³, …
fn powers<E: KeyCurve>(e: Scalar<E>) -> impl Iterator<Item = Scalar<E>> {
    std::iter::successors(Some(e), move |power| Some(power * e))
}

#[cfg(test)]
mod tests {
    use generic_ec::curves::{Ed25519, Secp256k1};
    use rand_core::OsRng;

    use super::*;

    fn proofs_hold_for_what_they_are_about<E: KeyCurve>() {
        let secrets = [(); 3].map(|()| SecretScalar::<E>::random(&mut OsRng));
        let points = secrets.each_ref().map(|secret| Point::generator() * secret);
        let context = [1; 32];
        let proof = Proof::new(&secrets, &points, &context, &mut OsRng);
        assert!(proof.holds(&points, &context));

        assert!(!proof.holds(&points, &[2; 32]), "another context");
        assert!(!proof.holds(&points[..2], &context), "fewer points");
        assert!(
            !proof.holds(&[points[1], points[0], points[2]], &context),
            "another order"
        );
        let other = Proof {
            response: proof.response + Scalar::one(),
            ..proof.clone()
        };
        assert!(!other.holds(&points, &context));
        let other = Proof {
            commitment: proof.commitment + Point::generator(),
            ..proof
        };
        assert!(!other.holds(&points, &context));
    }

    #[test]
    fn on_both_curves() {
        proofs_hold_for_what_they_are_about::<Secp256k1>();
        proofs_hold_for_what_they_are_about::<Ed25519>();
    }

    #[test]
    fn one_wrong_secret_among_many_is_noticed() {
        let secrets = [(); 3].map(|()| SecretScalar::<Ed25519>::random(&mut OsRng));
        let mut points = secrets.each_ref().map(|secret| Point::generator() * secret);
        points[2] += Point::generator();
        let proof = Proof::new(&secrets, &points, &[0; 32], &mut OsRng);
        assert!(!proof.holds(&points, &[0; 32]));
    }
}
