//! What a node counts of itself while it runs. For operators; nothing is decided by it, and a
//! restart begins at 0.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use countersign_store::OperationKind;

/// The counters of a node.
#[derive(Debug, Default)]
pub struct Tally {
    online: AtomicBool,
    failed: AtomicBool,
    swaps_taken: AtomicU64,
    swaps_refused: AtomicU64,
    pushes_written: AtomicU64,
    pushes_failed: AtomicU64,
    tasks: Mutex<BTreeMap<(&'static str, Ended), u64>>,
}

/// How a task ended at this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// With a key or with signatures.
    Succeeded,
    /// The node did not take part.
    Refused,
    /// The node took part, and it came to nothing.
    Failed,
    /// Nobody proved to have ordered it, or its id was used before for another: an alarm.
    Alarmed,
}

impl Ended {
    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Alarmed => "alarmed",
        }
    }
}

impl Tally {
    /// Whether there is a link to the coordinator from now on.
    pub fn set_online(&self, online: bool) {
        self.online.store(online, Relaxed);
    }

    /// Whether there is a link to the coordinator.
    pub fn is_online(&self) -> bool {
        self.online.load(Relaxed)
    }

    /// Something has failed without which the node cannot go on: it is about to stop.
    pub fn fail(&self) {
        self.failed.store(true, Relaxed);
    }

    /// Whether the node is about to stop because something has failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Changed plugins were looked at, and put in force or refused.
    pub fn swap(&self, taken: bool) {
        let counter = if taken {
            &self.swaps_taken
        } else {
            &self.swaps_refused
        };
        counter.fetch_add(1, Relaxed);
    }

    /// How many changes were put in force, and how many refused.
    pub fn swaps(&self) -> (u64, u64) {
        (
            self.swaps_taken.load(Relaxed),
            self.swaps_refused.load(Relaxed),
        )
    }

    /// A look was pushed to the InfluxDB, or could not be.
    pub fn push(&self, written: bool) {
        let counter = if written {
            &self.pushes_written
        } else {
            &self.pushes_failed
        };
        counter.fetch_add(1, Relaxed);
    }

    /// How many looks were pushed, and how many could not be.
    pub fn pushes(&self) -> (u64, u64) {
        (
            self.pushes_written.load(Relaxed),
            self.pushes_failed.load(Relaxed),
        )
    }

    /// A task is over at this node.
    pub fn task(&self, kind: OperationKind, ended: Ended) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        *tasks.entry((kind.title(), ended)).or_default() += 1;
    }

    /// How many tasks of each kind ended how.
    pub fn tasks(&self) -> Vec<(&'static str, Ended, u64)> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks
            .iter()
            .map(|((kind, ended), count)| (*kind, *ended, *count))
            .collect()
    }
}
