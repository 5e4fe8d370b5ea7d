//! Length bounds for the integers of threshold ECDSA.
//!
//! The libraries check lower bounds of moduli and some ranges of responses, and compute with
//! anything else they are sent: the cost of an exponentiation grows with the cube of the length, so
//! one long number would keep a processor busy for days. Here every integer of every message is
//! held to the bounds of an honest sender, derived from the security level. Messages are decoded
//! into the types below only for these checks, before anything computes with them. Field names are
//! those of the library's messages; an unknown field is refused.
//!
//! Integers travel as signed hexadecimal text. A negative modulus or residue is refused too: the
//! library's hashes omit signs.

use cggmp24::security_level::{SecurityLevel, SecurityLevel128 as Level};
use serde::de::{DeserializeOwned, Error, IgnoredAny};
use serde::{Deserialize, Deserializer};

/// Bits of a modulus: a product of two primes of full length has this many or one less.
const MODULUS: u32 = 2 * Level::RSA_PRIME_BITLEN;
/// A random residue is shorter than its modulus by this many bits with a probability of 2⁻²⁵⁶.
const SLACK: u32 = 256;
/// Bits of ±2^(ℓ+ε), the range in which a proof hides a scalar.
const SCALAR: u32 = (Level::ELL + Level::EPSILON) as u32;
/// Bits of ±2^(ℓ′+ε), the range in which a proof hides a mask.
const MASK: u32 = (Level::ELL_PRIME + Level::EPSILON) as u32;

/// True if all integers of a signing message have honest lengths.
pub(crate) fn signing(body: &[u8]) -> bool {
    fits::<Signing>(body)
}

/// True if all integers of an auxiliary-information message have honest lengths.
pub(crate) fn aux_info(body: &[u8]) -> bool {
    fits::<AuxInfo>(body)
}

/// Ignores trailing bytes, which the message's own decoding refuses.
fn fits<T: DeserializeOwned>(body: &[u8]) -> bool {
    ciborium::from_reader::<T, _>(body).is_ok()
}

type Modulus = Natural<{ Level::RSA_PUBKEY_BITLEN }, MODULUS>;
/// A random element modulo N or N^.
type Residue = Natural<{ Level::RSA_PUBKEY_BITLEN - SLACK }, MODULUS>;
/// A random element modulo N².
type Ciphertext = Natural<{ 2 * Level::RSA_PUBKEY_BITLEN - SLACK }, { 2 * MODULUS }>;
/// A response that hides an exponent of a ring-Pedersen commitment: ±2^(ℓ+ε)·N^.
type Opening = Whole<{ SCALAR + MODULUS }>;

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoded for its checks alone")]
enum Signing {
    Round1a(Round1a),
    Round1b(Round1b),
    ReliabilityCheck(IgnoredAny),
    Round2(Box<Round2>),
    Round3(IgnoredAny),
    Round4(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    non_snake_case,
    reason = "decoded for its checks alone; names as in the library"
)]
struct Round1a {
    K: Ciphertext,
    G: Ciphertext,
    Y: IgnoredAny,
    A1: IgnoredAny,
    A2: IgnoredAny,
    B1: IgnoredAny,
    B2: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct Round1b {
    psi0: Proven<RangeCommitment, RangeResponse>,
    psi1: Proven<RangeCommitment, RangeResponse>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    non_snake_case,
    reason = "decoded for its checks alone; names as in the library"
)]
struct Round2 {
    Gamma: IgnoredAny,
    D: Ciphertext,
    F: Ciphertext,
    hat_D: Ciphertext,
    hat_F: Ciphertext,
    tilde_psi: IgnoredAny,
    psi_j: Proven<AffineCommitment, AffineResponse>,
    hat_psi_j: Proven<AffineCommitment, AffineResponse>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct Proven<C, R> {
    commitment: C,
    proof: R,
}

/// Πenc-elg of round 1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct RangeCommitment {
    s: Residue,
    t: Residue,
    d: Ciphertext,
    y: IgnoredAny,
    z: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct RangeResponse {
    z1: Whole<SCALAR>,
    z2: Residue,
    z3: Opening,
    w: IgnoredAny,
}

/// Πaff-g of round 2.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct AffineCommitment {
    a: Ciphertext,
    b_x: IgnoredAny,
    b_y: Ciphertext,
    e: Residue,
    s: Residue,
    f: Residue,
    t: Residue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct AffineResponse {
    z1: Whole<SCALAR>,
    z2: Whole<MASK>,
    z3: Opening,
    z4: Opening,
    w: Residue,
    w_y: Residue,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoded for its checks alone")]
enum AuxInfo {
    Round1(IgnoredAny),
    ReliabilityCheck(IgnoredAny),
    Round2(Box<Parameters>),
    Round3(Box<Proofs>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    non_snake_case,
    reason = "decoded for its checks alone; names as in the library"
)]
struct Parameters {
    N: Modulus,
    hat_N: Modulus,
    s: Residue,
    t: Residue,
    params_proof: PedersenProof,
    rho_bytes: IgnoredAny,
    decommit: IgnoredAny,
}

/// Πprm of round 2.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct PedersenProof {
    commitment: Vec<Residue>,
    zs: Vec<Residue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct Proofs {
    mod_proof: Proven<BlumCommitment, BlumResponse>,
    fac_proof: Proven<FactorCommitment, FactorResponse>,
}

/// Πmod of round 3.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct BlumCommitment {
    w: Residue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct BlumResponse {
    points: Vec<BlumPoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct BlumPoint {
    x: Residue,
    a: bool,
    b: bool,
    z: Residue,
}

/// Πfac of round 3.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct FactorCommitment {
    p: Residue,
    q: Residue,
    a: Residue,
    b: Residue,
    t: Residue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "decoded for its checks alone")]
struct FactorResponse {
    /// ±2^(ℓ+ε)·√N.
    z1: Whole<{ SCALAR + MODULUS / 2 }>,
    z2: Whole<{ SCALAR + MODULUS / 2 }>,
    w1: Opening,
    w2: Opening,
    /// ±2^(ℓ+ε)·N·N^.
    v: Whole<{ SCALAR + 2 * MODULUS }>,
}

/// A non-negative integer of `MIN` to `MAX` bits.
struct Natural<const MIN: u32, const MAX: u32>;

/// An integer of either sign of at most `MAX` bits.
struct Whole<const MAX: u32>;

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Natural<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Digits { negative, bits } = Digits::deserialize(deserializer)?;
        let fits = !negative && (MIN..=MAX).contains(&bits);
        fits.then_some(Self)
            .ok_or_else(|| D::Error::custom("an integer of another length"))
    }
}

impl<'de, const MAX: u32> Deserialize<'de> for Whole<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Digits { bits, .. } = Digits::deserialize(deserializer)?;
        (bits <= MAX)
            .then_some(Self)
            .ok_or_else(|| D::Error::custom("an integer of another length"))
    }
}

/// The checked parts of an integer.
struct Digits {
    negative: bool,
    bits: u32,
}

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Encoded {
            radix: u16,
            value: String,
        }
        let Encoded { radix, value } = Encoded::deserialize(deserializer)?;
        let digits = value.strip_prefix('-').unwrap_or(&value);
        let bits = (radix == 16).then(|| bits(digits)).flatten();
        let bits = bits.ok_or_else(|| D::Error::custom("not an integer in its one form"))?;
        Ok(Self {
            negative: digits.len() < value.len(),
            bits,
        })
    }
}

/// Significant bits of hexadecimal digits without leading zeros.
fn bits(digits: &str) -> Option<u32> {
    let hexadecimal = digits
        .bytes()
        .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let first = digits
        .chars()
        .next()
        .filter(|_| hexadecimal)?
        .to_digit(16)?;
    match (first, digits.len()) {
        (0, 1) => Some(0),
        (0, _) => None,
        (first, length) => {
            let rest = u32::try_from(length - 1).ok()?.checked_mul(4)?;
            rest.checked_add(first.ilog2() + 1)
        }
    }
}
