//! The double sieve: strikes out candidates q for which q or 2q + 1 has a small factor, before any
//! costly test.
//!
//! Candidates are q, q + 6, q + 12, … from a random start q = 5 mod 6; every safe prime above 7 has
//! such a q. Taking the first hit after a random point favours primes after long gaps a little; a
//! fresh start for each prime is standard practice.

use std::sync::OnceLock;

use rand_core::CryptoRngCore;
use rug::Integer;
use rug::integer::{IsPrime, Order};
use zeroize::Zeroizing;

use super::PrimeError;
use crate::EnvironmentFault;

/// Exclusive bound of the small primes sieved with.
const SIEVE_BOUND: usize = 1 << 22;

/// Candidates per random start. Almost always contains a hit at 1536 bits; otherwise
/// the search starts anew.
const WINDOW: usize = 1 << 18;

/// Miller-Rabin rounds with random bases. A composite number passes one with probability below 1/4
/// whatever its shape, so 64 give 2^-128; FIPS 186-5 table B.1 asks for 4 at this size, trusting
/// the candidates to be random.
const ROUNDS: u32 = 64;

/// Repetitions up to which GMP runs only its Baillie-PSW test (Miller-Rabin base 2 and Lucas).
const BAILLIE_PSW: u32 = 24;

/// Searches for a safe prime of exactly `bits` bits with the two highest bits set, so that a
/// product of two has 2·`bits` bits.
pub(super) fn search(
    bits: u32,
    rng: &mut impl CryptoRngCore,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Integer, PrimeError> {
    loop {
        let start = random_start(bits, rng)?;
        for offset in survivors(&start) {
            if !go_on() {
                return Err(PrimeError::Cancelled);
            }
            let q = Integer::from(&start + offset);
            let p = Integer::from(&q << 1) + 1u32;
            if p.significant_bits() == bits
                && fermat(&q)
                && fermat(&p)
                && is_prime(&q, rng)
                && is_prime(&p, rng)
            {
                return Ok(p);
            }
        }
    }
}

/// A random q of `bits` − 1 bits, 5 mod 6, with the two highest bits set.
fn random_start(bits: u32, rng: &mut impl CryptoRngCore) -> Result<Integer, EnvironmentFault> {
    let mut q = random_bits(bits - 1, rng)?;
    q.set_bit(bits - 2, true).set_bit(bits - 3, true);
    let remainder = q.mod_u(6);
    Ok(q - remainder + 5u32)
}

fn random_bits(bits: u32, rng: &mut impl CryptoRngCore) -> Result<Integer, EnvironmentFault> {
    let mut digits = Zeroizing::new(vec![0; bits.div_ceil(8) as usize]);
    rng.try_fill_bytes(&mut digits)
        .map_err(|_| EnvironmentFault::Randomness)?;
    Ok(Integer::from_digits(&digits, Order::Msf).keep_bits(bits))
}

/// Offsets 6k from `start` at which neither q nor 2q + 1 has a factor among the small primes.
fn survivors(start: &Integer) -> impl Iterator<Item = u32> {
    let mut struck = Zeroizing::new(vec![false; WINDOW]);
    for &prime in small_primes() {
        let r = u64::from(prime);
        let q = u64::from(start.mod_u(prime));
        // Modulo r: q + 6k = 0 at k = −q/6, and 2(q + 6k) + 1 = 0 at k = −(2q + 1)/12.
        let sixth = inverse_of_six(r);
        let twelfth = sixth * r.div_ceil(2) % r;
        strike(&mut struck, (r - q) * sixth % r, prime);
        strike(&mut struck, (r - (2 * q + 1) % r) * twelfth % r, prime);
    }
    (0..WINDOW)
        .filter(move |k| !struck[*k])
        .map(|k| 6 * k as u32)
}

fn strike(struck: &mut [bool], first: u64, step: u32) {
    struck
        .iter_mut()
        .skip(first as usize)
        .step_by(step as usize)
        .for_each(|candidate| *candidate = true);
}

/// 1/6 modulo a prime r above 3: the multiple of r that is 5 mod 6, plus one, over six.
fn inverse_of_six(r: u64) -> u64 {
    if r % 6 == 1 {
        (5 * r + 1) / 6
    } else {
        (r + 1) / 6
    }
}

/// The primes from 5 to [`SIEVE_BOUND`], by Eratosthenes.
fn small_primes() -> &'static [u32] {
    static PRIMES: OnceLock<Vec<u32>> = OnceLock::new();
    PRIMES.get_or_init(|| {
        let mut composite = vec![false; SIEVE_BOUND];
        for n in 2..SIEVE_BOUND.isqrt() + 1 {
            if !composite[n] {
                composite[n * n..]
                    .iter_mut()
                    .step_by(n)
                    .for_each(|multiple| *multiple = true);
            }
        }
        (5..SIEVE_BOUND)
            .filter(|n| !composite[*n])
            .map(|n| n as u32)
            .collect()
    })
}

/// True if 2^(n − 1) = 1 mod n.
fn fermat(n: &Integer) -> bool {
    power(Integer::from(2), &Integer::from(n - 1u32), n).is_some_and(|power| power == 1)
}

fn is_prime(n: &Integer, rng: &mut impl CryptoRngCore) -> bool {
    n.is_probably_prime(BAILLIE_PSW) != IsPrime::No && (0..ROUNDS).all(|_| miller_rabin(n, rng))
}

/// Runs a round with a random base in 2..n − 1 (FIPS 186-5, B.3.1). A failing
/// generator fails the test.
fn miller_rabin(n: &Integer, rng: &mut impl CryptoRngCore) -> bool {
    let minus_one = Integer::from(n - 1u32);
    let twos = minus_one.find_one(0).unwrap_or(0);
    let odd = Integer::from(&minus_one >> twos);
    let Ok(base) = random_bits(n.significant_bits(), rng) else {
        return false;
    };
    if base < 2 || base >= minus_one {
        return miller_rabin(n, rng);
    }
    let Some(mut x) = power(base, &odd, n) else {
        return false;
    };
    if x == 1 || x == minus_one {
        return true;
    }
    for _ in 1..twos {
        x = x.square() % n;
        if x == minus_one {
            return true;
        }
    }
    false
}

fn power(base: Integer, exponent: &Integer, modulus: &Integer) -> Option<Integer> {
    base.pow_mod(exponent, modulus).ok()
}

#[cfg(test)]
mod tests {
    use rand::rngs::OsRng;

    use super::*;

    #[test]
    fn finds_safe_primes_of_the_exact_shape() {
        for bits in [128, 192, 256] {
            let p = search(bits, &mut OsRng, &mut || true).unwrap();
            assert_eq!(p.significant_bits(), bits);
            assert!(p.get_bit(bits - 2));
            assert_ne!(p.is_probably_prime(40), IsPrime::No);
            assert_ne!(Integer::from(&p >> 1).is_probably_prime(40), IsPrime::No);
        }
    }

    #[test]
    fn the_sieve_strikes_exactly_the_candidates_with_a_small_factor() {
        let start = random_start(96, &mut OsRng).unwrap();
        let mut left = survivors(&start).peekable();
        for offset in (0..2000u32).map(|k| 6 * k) {
            let q = Integer::from(&start + offset);
            let p = Integer::from(&q << 1) + 1u32;
            let clean = small_primes()
                .iter()
                .all(|prime| q.mod_u(*prime) != 0 && p.mod_u(*prime) != 0);
            assert_eq!(left.next_if_eq(&offset).is_some(), clean, "{q}");
        }
    }

    #[test]
    fn composites_that_fool_simpler_tests_are_found() {
        // A Carmichael number, and strong pseudoprimes to the first 4, 12 and 13 primes (Sorenson
        // and Webster, 2015).
        for composite in [
            "561",
            "3215031751",
            "318665857834031151167461",
            "3317044064679887385961981",
        ] {
            let n: Integer = composite.parse().unwrap();
            assert!(!is_prime(&n, &mut OsRng));
            assert!((0..40).any(|_| !miller_rabin(&n, &mut OsRng)));
        }
    }

    #[test]
    fn a_search_can_be_cancelled() {
        // Called before the first candidate: a search that goes on may find a prime at any.
        assert_eq!(
            search(1536, &mut OsRng, &mut || false),
            Err(PrimeError::Cancelled)
        );
    }
}
