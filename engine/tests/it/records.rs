//! Primes and auxiliary information at rest.

use countersign_engine::{Aux, DecodeError, Primes, SafePrime};

use crate::fixtures::{aux, aux_bytes, prime, primes};

#[test]
fn primes_survive_storage() {
    let bytes = prime(0).to_bytes();
    assert_eq!(SafePrime::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    let bytes = primes(1).to_bytes();
    assert_eq!(Primes::from_bytes(&bytes).unwrap().to_bytes(), bytes);
}

#[test]
fn a_set_never_holds_a_prime_twice() {
    assert_eq!(
        Primes::new([0, 1, 2, 1].map(prime)).err(),
        Some(DecodeError::Inconsistent)
    );
}

#[test]
fn aux_survives_storage_without_its_tables() {
    let bytes = aux_bytes(3, 1);
    let aux = Aux::from_bytes(bytes).unwrap();
    assert_eq!((aux.parties(), aux.index().0), (3, 1));
    assert_eq!(&*aux.to_bytes(), bytes);
    assert_eq!(format!("{aux:?}"), "Aux(party 1 of 3, ..)");
}

#[test]
fn the_public_digest_is_that_of_the_committee() {
    let digest = aux(3, 0).public_digest();
    assert!((1..3).all(|index| aux(3, index).public_digest() == digest));
    assert_ne!(aux(5, 0).public_digest(), digest);
}

#[test]
fn damaged_or_foreign_records_are_refused() {
    let bytes = aux_bytes(3, 1);
    for byte in (0..bytes.len()).step_by(97) {
        let mut damaged = bytes.to_vec();
        damaged[byte] ^= 1;
        assert!(Aux::from_bytes(&damaged).is_err(), "byte {byte}");
    }
    let mut newer = bytes.to_vec();
    newer[0] = 9;
    assert_eq!(Aux::from_bytes(&newer).err(), Some(DecodeError::Version(9)));
    assert_eq!(
        Aux::from_bytes(&prime(0).to_bytes()).err(),
        Some(DecodeError::Damaged)
    );
    assert_eq!(SafePrime::from_bytes(&[]).err(), Some(DecodeError::Damaged));
    assert_eq!(
        SafePrime::from_bytes(&[1]).err(),
        Some(DecodeError::Damaged)
    );
}
