//! Lets this party learn the exponent λ that the library chose for its own parameters s = t^λ
//! and does not expose: the first of the randomness that the library draws is recorded, and
//! drawn from once more.

use std::cell::RefCell;
use std::rc::Rc;

use cggmp24::backend::Integer;
use rand_core::{CryptoRng, Error, RngCore};
use zeroize::Zeroizing;

use super::parameters::Witness;
use crate::random::Rng;

/// Recording limit in bytes: twenty times the size of r and λ.
const LONGEST: usize = 16 << 10;

/// Passes randomness on. Handles share one generator.
#[derive(Clone)]
pub(super) struct Recorder {
    inner: Rc<RefCell<Rng>>,
    /// The recorded bytes; absent once recording has ended.
    record: Rc<RefCell<Option<Zeroizing<Vec<u8>>>>>,
}

impl Recorder {
    pub(super) fn new(inner: Rng) -> Self {
        // Reserved at once, so that growing does not leave copies behind.
        let record = Some(Zeroizing::new(Vec::with_capacity(LONGEST)));
        Self {
            inner: Rc::new(RefCell::new(inner)),
            record: Rc::new(RefCell::new(record)),
        }
    }

    /// Ends the record, and draws from it as the library did for the modulus of these primes, in
    /// the same order: a residue r with t = r², then λ (`utils::generate_pedersen_params`). The
    /// caller must check that the result matches.
    pub(super) fn witness(&self, [p, q]: &[Integer; 2]) -> Option<Witness> {
        let record = self.record.borrow_mut().take()?;
        let mut drawn = Drawn {
            record: &record,
            at: 0,
        };
        let phi = (p - 1u8) * (q - 1u8);
        let _r = Integer::sample_in_mult_group_of(&mut drawn, &(p * q));
        let lambda = Integer::random_below(phi.clone() >> 2, &mut drawn);
        (drawn.at <= record.len()).then_some(Witness { lambda, phi })
    }

    fn note(&self, bytes: &[u8]) {
        if let Some(record) = &mut *self.record.borrow_mut()
            && record.len() + bytes.len() <= LONGEST
        {
            record.extend_from_slice(bytes);
        }
    }
}

impl RngCore for Recorder {
    fn next_u32(&mut self) -> u32 {
        let drawn = self.inner.borrow_mut().next_u32();
        self.note(&drawn.to_le_bytes());
        drawn
    }

    fn next_u64(&mut self) -> u64 {
        let drawn = self.inner.borrow_mut().next_u64();
        self.note(&drawn.to_le_bytes());
        drawn
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.inner.borrow_mut().fill_bytes(bytes);
        self.note(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.inner.borrow_mut().try_fill_bytes(bytes)?;
        self.note(bytes);
        Ok(())
    }
}

impl CryptoRng for Recorder {}

/// Replays the recorded bytes.
struct Drawn<'a> {
    record: &'a [u8],
    at: usize,
}

impl RngCore for Drawn<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut drawn = [0; 4];
        self.fill_bytes(&mut drawn);
        u32::from_le_bytes(drawn)
    }

    fn next_u64(&mut self) -> u64 {
        let mut drawn = [0; 8];
        self.fill_bytes(&mut drawn);
        u64::from_le_bytes(drawn)
    }

    /// Yields ones past the end, so that rejection sampling terminates.
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        let end = self.at + bytes.len();
        match self.record.get(self.at..end) {
            Some(drawn) => bytes.copy_from_slice(drawn),
            None => bytes.fill(1),
        }
        self.at = end;
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}
