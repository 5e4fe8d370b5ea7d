//! Safe primes for auxiliary information: four per run, a second of CPU each.
//!
//! With the `gmp` feature the generator is the double sieve below; with `pure-rust` it is the
//! scheme library's, which takes some fifteen times longer. Neither runs in constant time.

use std::fmt;

use cggmp24::PregeneratedPrimes;
use cggmp24::backend::Integer;
use cggmp24::security_level::{SecurityLevel, SecurityLevel128};
use rand_core::CryptoRngCore;
use serde_bytes::{ByteBuf, Bytes};
use zeroize::Zeroizing;

use crate::sealed::{DecodeError, Kind, open, seal};
use crate::{EngineError, EnvironmentFault};

#[cfg(feature = "gmp")]
mod sieve;

/// Bits of a safe prime: half of the Paillier modulus at 128-bit security.
pub const PRIME_BITS: u32 = SecurityLevel128::RSA_PRIME_BITLEN;

const PRIME: Kind = Kind {
    name: "safe prime",
    version: 1,
};
const SET: Kind = Kind {
    name: "prime set",
    version: 1,
};

/// Upper bound of a record of four primes of 192 bytes, in bytes.
const CAPACITY: usize = 1024;

/// A secret prime p of 1536 bits for which (p − 1) / 2 is prime too.
pub struct SafePrime(Integer);

/// The four primes of one auxiliary-information run: two for the Paillier key, two for the
/// ring-Pedersen parameters. Never used twice.
pub struct Primes([SafePrime; 4]);

/// The reason a search or a set of primes failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrimeError {
    /// The callback `go_on` returned false.
    #[error("the search for a prime was cancelled")]
    Cancelled,
    /// The generator of randomness failed.
    #[error(transparent)]
    Environment(#[from] EnvironmentFault),
}

/// Searches for a safe prime. `go_on` is called every few milliseconds (with `pure-rust`: only
/// before the search), and ends the search by returning false.
pub fn generate_safe_prime(
    rng: &mut impl CryptoRngCore,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<SafePrime, PrimeError> {
    crate::wipe_gmp_memory();
    #[cfg(feature = "gmp")]
    return sieve::search(PRIME_BITS, rng, go_on).map(|prime| SafePrime(Integer::from_rug(prime)));
    #[cfg(feature = "pure-rust")]
    if go_on() {
        Ok(SafePrime(Integer::generate_safe_prime(rng, PRIME_BITS)))
    } else {
        Err(PrimeError::Cancelled)
    }
}

impl SafePrime {
    /// Encodes it as secret bytes for an encrypted store: version, CBOR, checksum.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let digits = self.digits();
        seal(PRIME, &Bytes::new(&digits), CAPACITY)
    }

    /// Reads the output of [`to_bytes`](Self::to_bytes), and tests the prime once more.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let digits = Zeroizing::new(open::<ByteBuf>(PRIME, bytes)?.into_vec());
        Self::from_digits(&digits)
    }

    fn digits(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_bytes_msf())
    }

    fn from_digits(digits: &[u8]) -> Result<Self, DecodeError> {
        crate::wipe_gmp_memory();
        let prime = Integer::from_bytes_msf(digits);
        // Every safe prime above 7 is 11 mod 12. One Fermat test each finds anything but an attack
        // on the store, and a composite number would still fail in the proofs of the protocol.
        let half = &prime >> 1;
        let sound = prime.significant_bits() == u64::from(PRIME_BITS) && prime.mod_u(12) == 11;
        (sound && fermat(&half) && fermat(&prime))
            .then_some(Self(prime))
            .ok_or(DecodeError::Inconsistent)
    }
}

impl Primes {
    /// Creates a set of four. Refused if two are equal: the modulus would be a square.
    pub fn new(primes: [SafePrime; 4]) -> Result<Self, DecodeError> {
        let distinct = (1..4).all(|i| primes[..i].iter().all(|earlier| earlier.0 != primes[i].0));
        distinct
            .then_some(Self(primes))
            .ok_or(DecodeError::Inconsistent)
    }

    /// Encodes it as secret bytes for an encrypted store: version, CBOR, checksum.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let digits = self.0.each_ref().map(SafePrime::digits);
        seal(
            SET,
            &digits.each_ref().map(|digits| Bytes::new(digits)),
            CAPACITY,
        )
    }

    /// Reads the output of [`to_bytes`](Self::to_bytes), and tests the primes once more.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let [a, b, c, d] =
            open::<[ByteBuf; 4]>(SET, bytes)?.map(|digits| Zeroizing::new(digits.into_vec()));
        let prime = |digits: Zeroizing<Vec<u8>>| SafePrime::from_digits(&digits);
        Self::new([prime(a)?, prime(b)?, prime(c)?, prime(d)?])
    }

    pub(crate) fn into_pregenerated(self) -> Result<PregeneratedPrimes, EngineError> {
        let primes = self.0.map(|prime| prime.0);
        PregeneratedPrimes::try_from(primes)
            .map_err(|_| EngineError::bug("a safe prime is too short"))
    }
}

impl fmt::Debug for SafePrime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SafePrime(..)")
    }
}

impl fmt::Debug for Primes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Primes(..)")
    }
}

/// True if 2^(n − 1) = 1 mod n, for odd n.
fn fermat(n: &Integer) -> bool {
    let exponent = n - 1;
    Integer::from(2)
        .pow_mod(&exponent, n)
        .is_some_and(|power| power.is_one())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first of the repository's test primes, plus `difference`, with a valid checksum.
    fn near_prime(difference: u32) -> Result<SafePrime, DecodeError> {
        let list = include_str!("../../tests/fixtures/primes/safe-primes.json");
        let list: Vec<String> = serde_json::from_str(list).unwrap();
        let prime = SafePrime::from_bytes(&hex::decode(&list[0]).unwrap()).unwrap();
        let digits = (prime.0 + difference).to_bytes_msf();
        SafePrime::from_bytes(&seal(PRIME, &Bytes::new(&digits), CAPACITY))
    }

    #[test]
    fn a_number_with_a_good_checksum_is_still_tested() {
        assert!(near_prime(0).is_ok());
        assert_eq!(near_prime(1).err(), Some(DecodeError::Inconsistent), "even");
        assert_eq!(
            near_prime(12).err(),
            Some(DecodeError::Inconsistent),
            "of the right shape"
        );
        let short = SafePrime::from_bytes(&seal(PRIME, &Bytes::new(&[11]), CAPACITY));
        assert_eq!(
            short.err(),
            Some(DecodeError::Inconsistent),
            "a safe prime, but not of 1536 bits"
        );
    }
}
