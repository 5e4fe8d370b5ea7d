//! A second engine for threshold ECDSA, from the same shares: DKLs23
//! (<https://eprint.iacr.org/2023/765>), a hundred times cheaper than CGGMP24 and not audited.
//!
//! Each pair of members makes a [`Setup`] once: oblivious transfers whose secrets every signature
//! uses again. **A check of a transfer that fails tells the peer about these secrets, and 256 such
//! answers give away the key.** So a caller must keep the pair rule, of which `Journal` of
//! countersign-store keeps the records:
//!
//! * `begin_runs` counts each run before a message of a peer reaches its engine.
//! * At every end the caller asks [`EngineError::verdict`], and burns the set-ups with the culprits
//!   before anybody learns of a failed check. A failed check without a culprit, and an engine that
//!   was dropped while it computed, are unknown ends.
//! * Then it drops the engines of all `tasks_to_drop`, which answer nothing.
//!
//! The library draws its randomness from the generator of the thread, which is seeded by the
//! operating system; nobody can give it another. It is seeded again at the start of every round.

#[cfg(test)]
mod attack;
mod convert;
mod judge;
mod setup;
mod signing;
mod stored;
#[cfg(test)]
mod tests;

use countersign_protocol::session::Room;

use crate::adapter::RoundMessage;
use crate::batch::longest;
use crate::{CallerFault, Engine, EngineError, Signature};
pub use setup::{SetupParams, setup};
pub use signing::{Counted, SetupOf, sign};
pub use stored::Setup;

/// The library and its version, which every id covers: another version may hash other things, and
/// a difference must not look like a check that failed.
pub const LIBRARY: &str = "dkls23-core 0.6.2";

/// The maximum number of runs of a [`batch()`]. The second messages of 18 could be too long for a
/// body, which would show only after the checks, and the journal has room for 16 beside the ends
/// that nobody recorded.
pub const MAX_RUNS_OF_A_BATCH: usize = 16;

/// Combines runs of [`sign`] like [`batch`](crate::batch()), which must not be used for them. More
/// than [`MAX_RUNS_OF_A_BATCH`], or none, are [`CallerFault::BatchSize`].
pub fn batch(
    runs: Vec<Box<dyn Engine<Output = Signature>>>,
) -> Result<Box<dyn Engine<Output = Vec<Signature>>>, EngineError> {
    check_batch(runs.len())?;
    Ok(crate::batch(runs))
}

fn check_batch(runs: usize) -> Result<(), CallerFault> {
    if (1..=MAX_RUNS_OF_A_BATCH).contains(&runs) {
        return Ok(());
    }
    Err(CallerFault::BatchSize {
        given: runs,
        most: MAX_RUNS_OF_A_BATCH,
    })
}

/// The room of [`setup()`].
pub fn setup_room() -> Room {
    Room::of(setup::Msg::LIMITS.iter().map(|(_, limit)| *limit))
}

/// The room of a [`batch()`] of this many runs, at most [`MAX_RUNS_OF_A_BATCH`].
pub fn sign_room(runs: usize) -> Result<Room, EngineError> {
    check_batch(runs)?;
    let of_batch = |limit| longest(std::iter::repeat_n(limit, runs));
    let limits = signing::Msg::LIMITS.iter();
    Ok(Room::of(limits.map(|(_, limit)| of_batch(*limit))))
}
