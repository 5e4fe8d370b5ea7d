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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_starts_off_line_sound_and_with_nothing_counted() {
        let counters = Counters::default();
        assert!(!counters.is_online() && !counters.has_failed());
        assert_eq!((counters.swaps(), counters.pushes()), ((0, 0), (0, 0)));
        assert!(counters.tasks().is_empty());
    }

    #[test]
    fn swaps_and_pushes_are_counted_apart_by_whether_they_succeeded() {
        let counters = Counters::default();
        for taken in [true, true, false] {
            counters.swap(taken);
        }
        for written in [false, false, true, false] {
            counters.push(written);
        }
        assert_eq!((counters.swaps(), counters.pushes()), ((2, 1), (1, 3)));
    }

    #[test]
    fn tasks_are_counted_by_kind_and_outcome_and_listed_in_a_fixed_order() {
        let counters = Counters::default();
        counters.task(OperationKind::KeySign, Ended::Failed);
        counters.task(OperationKind::KeySign, Ended::Succeeded);
        counters.task(OperationKind::KeyGen, Ended::Succeeded);
        counters.task(OperationKind::KeySign, Ended::Failed);
        let expected = [
            ("KeyGen", Ended::Succeeded, 1),
            ("KeySign", Ended::Succeeded, 1),
            ("KeySign", Ended::Failed, 2),
        ];
        assert_eq!(counters.tasks(), expected);
    }

    #[test]
    fn a_link_comes_and_goes_and_a_fatal_failure_stays() {
        let counters = Counters::default();
        counters.set_online(true);
        assert!(counters.is_online());
        counters.fail();
        counters.set_online(false);
        assert!(!counters.is_online() && counters.has_failed());
    }

    /// Dashboards and alert rules name them.
    #[test]
    fn the_names_of_outcomes_in_metrics_are_fixed() {
        let all = [
            Ended::Succeeded,
            Ended::Refused,
            Ended::Failed,
            Ended::Alarmed,
        ];
        assert_eq!(
            all.map(Ended::name),
            ["succeeded", "refused", "failed", "alarmed"]
        );
    }
}
