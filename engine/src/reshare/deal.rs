//! A dealer's part: a polynomial that shares its part of the key, and the public
//! values derived from it.

use generic_ec::{Point, Scalar, SecretScalar};
use generic_ec_zkp::polynomial::Polynomial;
use rand_core::RngCore;
use serde::{Deserialize, Serialize};

use super::fault::ReshareFault;
use super::plan::{Dealer, Plan};
use crate::curve::KeyCurve;
use crate::random::Rng;
use crate::session::labelled_hash;
use crate::{CommitteeIndex, PartyIndex};

/// A random polynomial f of degree t' − 1 with f(0) = λ·x. Wiped when dropped.
pub(super) struct Deal<E: KeyCurve> {
    polynomial: Polynomial<SecretScalar<E>>,
    pub opening: Opening<E>,
}

/// The values that a dealer commits to and then opens: F = f·G,
/// coefficient by coefficient (Feldman).
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Opening<E: KeyCurve> {
    pub coefficients: Vec<Point<E>>,
    /// Hides the coefficients in the commitment.
    nonce: [u8; 32],
}

impl<E: KeyCurve> Deal<E> {
    pub fn new(part: SecretScalar<E>, threshold: u16, rng: &mut Rng) -> Self {
        let degree = usize::from(threshold).saturating_sub(1);
        let polynomial = Polynomial::sample_with_const_term(rng, degree, part);
        let coefficients = polynomial
            .coefs()
            .iter()
            .map(|secret| Point::generator() * secret)
            .collect();
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        Self {
            polynomial,
            opening: Opening {
                coefficients,
                nonce,
            },
        }
    }

    pub fn secrets(&self) -> &[SecretScalar<E>] {
        self.polynomial.coefs()
    }

    /// f at the point of a new member.
    pub fn sub_share(&self, member: CommitteeIndex) -> SecretScalar<E> {
        SecretScalar::new(&mut self.polynomial.value(&at(member)))
    }
}

impl<E: KeyCurve> Opening<E> {
    /// SHA-256 over plan, dealer, nonce and coefficients.
    pub fn commitment(&self, plan: &Plan<E>, dealer: PartyIndex) -> [u8; 32] {
        let fields: [&[u8]; 3] = [&plan.id, &dealer.0.to_be_bytes(), &self.digest()];
        labelled_hash(b"countersign engine reshare commitment v1", &fields)
    }

    /// SHA-256 over nonce and coefficients.
    pub fn digest(&self) -> [u8; 32] {
        let coefficients: Vec<_> = self
            .coefficients
            .iter()
            .map(|point| point.to_bytes(true))
            .collect();
        let mut fields: Vec<&[u8]> = vec![&self.nonce];
        fields.extend(coefficients.iter().map(|point| point.as_bytes()));
        labelled_hash(b"countersign engine reshare opening v1", &fields)
    }

    /// Checks that the dealer may deal this.
    pub fn check(
        &self,
        plan: &Plan<E>,
        dealer: &Dealer<E>,
        commitment: &[u8; 32],
    ) -> Result<(), ReshareFault> {
        let given = self.coefficients.len();
        let needed = plan.threshold;
        if given != usize::from(needed) {
            return Err(ReshareFault::Coefficients { given, needed });
        }
        if self.commitment(plan, dealer.party) != *commitment {
            return Err(ReshareFault::Opening);
        }
        if self.coefficients[0] != dealer.part {
            return Err(ReshareFault::ConstantTerm);
        }
        Ok(())
    }

    /// F at the point of a new member.
    pub fn public_sub_share(&self, member: CommitteeIndex) -> Point<E> {
        evaluate(&self.coefficients, member)
    }
}

/// C₀ + C₁·j + C₂·j² + … at the point j of a new member.
pub(super) fn evaluate<E: KeyCurve>(coefficients: &[Point<E>], member: CommitteeIndex) -> Point<E> {
    let j = at::<E>(member);
    let powers: Vec<_> = std::iter::successors(Some(Scalar::one()), |power| Some(power * j))
        .take(coefficients.len())
        .collect();
    Scalar::multiscalar_mul(powers.iter().zip(coefficients))
}

/// The point of the new member at this position: 1 for the first.
fn at<E: KeyCurve>(member: CommitteeIndex) -> Scalar<E> {
    Scalar::from(member.0) + Scalar::one()
}
