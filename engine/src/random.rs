//! The internal form of randomness; it always comes from the caller.

use rand_core::{CryptoRngCore, RngCore};

use crate::{EngineError, EnvironmentFault};

pub(crate) type Rng = Box<dyn CryptoRngCore>;

/// Boxes the caller's generator after one trial: protocols cannot report a
/// generator that fails later.
pub(crate) fn tried(rng: impl CryptoRngCore + 'static) -> Result<Rng, EngineError> {
    let mut rng: Rng = Box::new(rng);
    let mut trial = [0; 16];
    rng.try_fill_bytes(&mut trial)
        .map_err(|_| EnvironmentFault::Randomness)?;
    Ok(rng)
}
