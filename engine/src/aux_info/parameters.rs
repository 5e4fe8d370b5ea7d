//! That s is a power of t modulo N^: Πprm of CGGMP24 (<https://eprint.iacr.org/2021/060>), with a
//! challenge of 128 bits.
//!
//! What is committed to under s and t is hidden only if that holds. Whoever chose an s outside of
//! the group that t generates reads the secrets of all who prove something to it: the factors of
//! their moduli first, their shares of keys next. The library makes and verifies such a proof, but
//! draws 32 bits of its challenge and leaves the other 96 zero (`cggmp24` 0.7.0-alpha.3,
//! `derive_challenge` in `zk/ring_pedersen_parameters.rs`: the number of bits is never counted up).
//! So 2³² trials, hours of one processor, find a proof of a false statement. This one is verified
//! in front of it.

use cggmp24::backend::Integer;
use cggmp24::security_level::{SecurityLevel, SecurityLevel128 as Level};
use rand_core::RngCore;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::session::labelled_hash;

/// Bits of the challenge, each with a response: a false statement is proven with a probability of
/// 2⁻¹²⁸.
const BITS: usize = 128;
/// Bytes of a residue modulo N^.
const LENGTH: usize = (2 * Level::RSA_PRIME_BITLEN).div_ceil(8) as usize;

/// What is proven, and by whom in which run.
pub(super) struct Statement<'a> {
    /// Execution id of the run.
    pub id: &'a [u8; 32],
    /// Position of the prover.
    pub prover: u16,
    /// N^, odd and within its bounds.
    pub modulus: &'a Integer,
    pub s: &'a Integer,
    pub t: &'a Integer,
}

/// Why s is a power of t: λ, and φ(N^), which only the owner of the modulus knows.
pub(super) struct Witness {
    pub lambda: Integer,
    pub phi: Integer,
}

/// The challenge, and a response for each of its bits: z with t^z = A or t^z = A·s. The commitments
/// A follow from them.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    challenge: ByteBuf,
    responses: Vec<ByteBuf>,
}

impl Statement<'_> {
    /// Computes for a second. `None` if the statement or the witness is none.
    pub(super) fn prove(&self, witness: &Witness, rng: &mut impl RngCore) -> Option<Proof> {
        let Witness { lambda, phi } = witness;
        let masks: Vec<Integer> = (0..BITS).map(|_| phi.random_below_ref(rng)).collect();
        let commitments = masks
            .iter()
            .map(|mask| self.t.pow_mod_ref(mask, self.modulus));
        let challenge = self.challenge(&commitments.collect::<Option<Vec<_>>>()?)?;
        let response = |(bit, mask): (bool, &Integer)| {
            if bit {
                fixed(&(mask + lambda).modulo(phi))
            } else {
                fixed(mask)
            }
        };
        let responses = bits(&challenge)
            .zip(&masks)
            .map(response)
            .map(|response| response.map(ByteBuf::from))
            .collect::<Option<_>>()?;
        Some(Proof {
            challenge: ByteBuf::from(challenge),
            responses,
        })
    }

    /// Whether the proof shows it. Computes for a second.
    pub(super) fn is_shown_by(&self, proof: &Proof) -> bool {
        self.verify(proof).unwrap_or(false)
    }

    fn verify(&self, proof: &Proof) -> Option<bool> {
        let lengths = proof
            .responses
            .iter()
            .all(|response| response.len() == LENGTH);
        let units = [self.s, self.t]
            .iter()
            .all(|value| value.in_mult_group_of(self.modulus));
        if proof.challenge.len() != BITS / 8 || proof.responses.len() != BITS || !lengths || !units
        {
            return None;
        }
        let inverse = self.s.invert_ref(self.modulus)?;
        let commitment = |(bit, response): (bool, &ByteBuf)| {
            let response = Integer::from_bytes_msf(response);
            if response >= *self.modulus {
                return None;
            }
            let power = self.t.pow_mod_ref(&response, self.modulus)?;
            Some(if bit {
                (power * &inverse).modulo(self.modulus)
            } else {
                power
            })
        };
        let commitments = bits(&proof.challenge).zip(&proof.responses).map(commitment);
        let challenge = self.challenge(&commitments.collect::<Option<Vec<_>>>()?)?;
        Some(challenge == *proof.challenge)
    }

    /// The first bits of a hash over the whole statement and all commitments.
    fn challenge(&self, commitments: &[Integer]) -> Option<Vec<u8>> {
        let numbers = [self.modulus, self.s, self.t].map(fixed);
        let [modulus, s, t] = &numbers;
        let all = commitments
            .iter()
            .map(fixed)
            .collect::<Option<Vec<_>>>()?
            .concat();
        let prover = self.prover.to_be_bytes();
        let fields: [&[u8]; 6] = [
            self.id,
            &prover,
            modulus.as_deref()?,
            s.as_deref()?,
            t.as_deref()?,
            &all,
        ];
        let hash = labelled_hash(b"countersign engine ring-pedersen parameters v1", &fields);
        Some(hash[..BITS / 8].to_vec())
    }
}

fn bits(challenge: &[u8]) -> impl Iterator<Item = bool> {
    challenge
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1))
}

/// Big-endian, with leading zeros. `None` if it is too long.
fn fixed(value: &Integer) -> Option<Vec<u8>> {
    let bytes = value.to_bytes_msf();
    let mut padded = vec![0; LENGTH.checked_sub(bytes.len())?];
    padded.extend(bytes);
    Some(padded)
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
