//! Counters of a running node. For operators only; nothing is decided by them, and
//! they restart at 0.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use countersign_store::OperationKind;

/// The counters of a running node, shared by its parts.
#[derive(Debug, Default)]
pub struct Counters {
    online: AtomicBool,
    failed: AtomicBool,
    swaps_taken: AtomicU64,
    swaps_refused: AtomicU64,
    pushes_written: AtomicU64,
    pushes_failed: AtomicU64,
    tasks: Mutex<BTreeMap<(&'static str, Ended), u64>>,
}

/// The outcome of a task at this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// The task ended with a key or with signatures.
    Succeeded,
    /// The node did not take part in the task.
    Refused,
    /// The node took part, but the task failed.
    Failed,
    /// An alarm: nobody was proven to have ordered it, or its id was used before for another task.
    Alarmed,
}

impl Ended {
    /// The name of the outcome in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Alarmed => "alarmed",
        }
    }
}

impl Counters {
    /// Records the presence of a link to the coordinator.
    pub fn set_online(&self, online: bool) {
        self.online.store(online, Relaxed);
    }

    /// True while there is a link to the coordinator.
    pub fn is_online(&self) -> bool {
        self.online.load(Relaxed)
    }

    /// Records a fatal failure: the node is about to stop.
    pub fn fail(&self) {
        self.failed.store(true, Relaxed);
    }

    /// True if the node is about to stop because of a fatal failure.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Counts a reload of changed plugins that was put in force or refused.
    pub fn swap(&self, taken: bool) {
        let counter = if taken {
            &self.swaps_taken
        } else {
            &self.swaps_refused
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Returns the number of changes put in force, and of those refused.
    pub fn swaps(&self) -> (u64, u64) {
        (
            self.swaps_taken.load(Relaxed),
            self.swaps_refused.load(Relaxed),
        )
    }

    /// Counts a push to InfluxDB that succeeded or failed.
    pub fn push(&self, written: bool) {
        let counter = if written {
            &self.pushes_written
        } else {
            &self.pushes_failed
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Returns the number of successful pushes, and of failed ones.
    pub fn pushes(&self) -> (u64, u64) {
        (
            self.pushes_written.load(Relaxed),
            self.pushes_failed.load(Relaxed),
        )
    }

    /// Counts a task that has ended at this node.
    pub fn task(&self, kind: OperationKind, ended: Ended) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        *tasks.entry((kind.title(), ended)).or_default() += 1;
    }

    /// Returns the number of tasks by kind and outcome.
    pub fn tasks(&self) -> Vec<(&'static str, Ended, u64)> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks
            .iter()
            .map(|((kind, ended), count)| (*kind, *ended, *count))
            .collect()
    }
}
