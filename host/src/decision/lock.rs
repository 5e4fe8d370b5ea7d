//! One decision at a time where a plugin is stateful: two tasks judged by the same memory could
//! each use up the rest of a limit.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Serialises the decisions that depend on what plugins remember.
#[derive(Debug, Default)]
pub(crate) struct DecisionLock(Arc<Mutex<()>>);

/// The exclusive right to decide by what plugins remember; empty where no plugin is stateful. Keep
/// it until the decision's writes are in [`Services::memory`](crate::Services::memory), or are
/// known never to be.
#[derive(Debug, Default)]
#[must_use = "the lock is released when it is dropped, which must be after the decision is durable"]
pub struct DecisionGuard(Option<OwnedMutexGuard<()>>);

impl DecisionLock {
    /// Waits for the lock; `None` if it is not free before `deadline`.
    pub(crate) async fn acquire(&self, deadline: Instant) -> Option<DecisionGuard> {
        let guard = tokio::time::timeout_at(deadline.into(), self.0.clone().lock_owned()).await;
        guard.ok().map(|guard| DecisionGuard(Some(guard)))
    }
}

impl DecisionGuard {
    /// Lets the next decision begin.
    pub fn release(self) {
        drop(self.0);
    }
}
