//! One decision at a time where a plugin remembers something: two tasks that were judged by the
//! same memory could each use up what is left of a limit.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Gives out turns, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<()>>);

/// The right to decide by what plugins remember. Nobody else has it until this one ends, which is
/// when the decision's writes are in [`Services::memory`](crate::Services::memory), or never will
/// be.
#[derive(Debug, Default)]
#[must_use = "the turn ends when it is dropped, which must be after the decision is durable"]
pub struct Turn(Option<OwnedMutexGuard<()>>);

impl Turns {
    /// Waits for the turn; `None` if it does not come before `deadline`.
    pub(crate) async fn next(&self, deadline: Instant) -> Option<Turn> {
        let turn = tokio::time::timeout_at(deadline.into(), self.0.clone().lock_owned()).await;
        turn.ok().map(|turn| Turn(Some(turn)))
    }
}

impl Turn {
    /// Lets the next decision begin.
    pub fn end(self) {
        drop(self.0);
    }
}
