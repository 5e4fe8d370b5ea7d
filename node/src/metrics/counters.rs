//! Counters of a running node. For operators only; nothing is decided by them, and
//! they restart at 0.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_metrics::{Counts, Durations, Histogram};
use countersign_protocol::{FailureCode, NodeId, Refusal, RefusalCode, UnixMillis};
use countersign_store::OperationKind;

/// Stands for every code that this version does not know. Peers and plugins can make up codes.
const OTHER: &str = "other";
/// Stands for the codes of plugins.
const PLUGIN: &str = "plugin";

/// The counters of a running node, shared by its parts.
#[derive(Debug, Default)]
pub struct Counters {
    online: AtomicBool,
    failed: AtomicBool,
    swaps_taken: AtomicU64,
    swaps_refused: AtomicU64,
    pushes_written: AtomicU64,
    pushes_failed: AtomicU64,
    tasks: Counts<(&'static str, Ended)>,
    refusals: Counts<&'static str>,
    failures: Counts<&'static str>,
    stages: Durations<(&'static str, Stage)>,
    deliveries: Counts<(String, bool)>,
    delivery_times: Durations<String>,
    offers: AtomicU64,
    offers_dropped: AtomicU64,
    /// Milliseconds by which a peer's clock is ahead.
    skews: Mutex<BTreeMap<NodeId, i64>>,
}

/// An offer that is being handled. Dropping it ends the count.
#[derive(Debug)]
pub struct Offer(Arc<Counters>);

impl Drop for Offer {
    fn drop(&mut self) {
        self.0.offers.fetch_sub(1, Relaxed);
    }
}

/// A part of the time that a task spends at this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The node looks the task up and checks it by itself.
    Checking,
    /// The plugins are asked.
    Approving,
    /// A decision or an outcome is being written.
    Recording,
    /// The others' approvals are waited for.
    Waiting,
    /// The protocol runs.
    Running,
    /// From the offer to the end.
    Total,
}

impl Stage {
    /// The names of all stages, in order.
    pub const NAMES: [&str; 6] = [
        "checking",
        "approving",
        "recording",
        "waiting",
        "running",
        "total",
    ];

    /// The name of the stage in metrics.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
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
        self.tasks.add((kind.title(), ended));
    }

    /// Counts an offer as long as it is handled.
    pub fn offer(self: &Arc<Self>) -> Offer {
        self.offers.fetch_add(1, Relaxed);
        Offer(self.clone())
    }

    /// Counts an offer that was dropped because there were too many.
    pub fn drop_offer(&self) {
        self.offers_dropped.fetch_add(1, Relaxed);
    }

    /// Returns the number of offers that are being handled, and of those that were dropped.
    pub fn offers(&self) -> (u64, u64) {
        (self.offers.load(Relaxed), self.offers_dropped.load(Relaxed))
    }

    /// Counts a refusal of this node. Those of plugins, which have codes of their own, are counted
    /// together.
    pub fn refusal(&self, refusal: &Refusal) {
        let mut known = RefusalCode::EXPLAINED.iter().map(|row| row.code);
        let code = known.find(|known| refusal.code == *known);
        let unknown = if refusal.plugin.is_some() {
            PLUGIN
        } else {
            OTHER
        };
        self.refusals.add(code.unwrap_or(unknown));
    }

    /// Counts a task that failed at this node.
    pub fn failure(&self, code: &FailureCode) {
        let mut known = FailureCode::EXPLAINED.iter().map(|row| row.code);
        let code = known.find(|known| *code == *known);
        self.failures.add(code.unwrap_or(OTHER));
    }

    /// Returns the refusals by code.
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        self.refusals.read()
    }

    /// Returns the failures by code.
    pub fn failures(&self) -> Vec<(&'static str, u64)> {
        self.failures.read()
    }

    /// Notes the time that a task has spent in a stage.
    pub fn stage(&self, kind: OperationKind, stage: Stage, spent: Duration) {
        self.stages.note((kind.name(), stage), spent);
    }

    /// Returns the times that tasks spent, by kind and stage.
    pub fn stages(&self) -> Vec<((&'static str, Stage), Histogram)> {
        self.stages.read()
    }

    /// Counts and times a try to deliver an event to a receiver of the configuration.
    pub fn delivery(&self, receiver: &str, delivered: bool, took: Duration) {
        self.deliveries.add((receiver.into(), delivered));
        self.delivery_times.note(receiver.into(), took);
    }

    /// Returns the number of tries by receiver and success.
    pub fn deliveries(&self) -> Vec<((String, bool), u64)> {
        self.deliveries.read()
    }

    /// Returns the durations of tries by receiver.
    pub fn delivery_times(&self) -> Vec<(String, Histogram)> {
        self.delivery_times.read()
    }

    /// Notes the time that a peer's clock showed when this node's clock showed `now`. Only peers
    /// of the roster are heard.
    pub fn clock(&self, peer: NodeId, shown: UnixMillis, now: UnixMillis) {
        let skew = i128::from(shown.0) - i128::from(now.0);
        let skew = skew.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        self.lock_skews().insert(peer, skew);
    }

    /// Returns the milliseconds by which peers' clocks were ahead when they were last heard.
    pub fn skews(&self) -> BTreeMap<NodeId, i64> {
        self.lock_skews().clone()
    }

    fn lock_skews(&self) -> MutexGuard<'_, BTreeMap<NodeId, i64>> {
        self.skews.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of tasks by kind and outcome.
    pub fn tasks(&self) -> Vec<(&'static str, Ended, u64)> {
        let tasks = self.tasks.read().into_iter();
        tasks
            .map(|((kind, ended), count)| (kind, ended, count))
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

    /// A peer's code, or one of a plugin, must not become a series of its own.
    #[test]
    fn made_up_codes_are_counted_together() {
        let counters = Counters::default();
        let refused = |code: &str, plugin: Option<&str>| {
            counters.refusal(&Refusal {
                code: code.into(),
                reason: String::new(),
                plugin: plugin.map(String::from),
            });
        };
        for number in 0..2_000 {
            refused(&format!("made-up-{number}\"}} 1"), Some("rules"));
            counters.failure(&FailureCode::from(&*format!("of-tomorrow-{number}")));
        }
        refused("of-tomorrow", None);
        refused("requester-unknown", None);
        counters.failure(&FailureCode::Equivocation);
        let expected = [("other", 1), ("plugin", 2_000), ("requester-unknown", 1)];
        assert_eq!(counters.refusals(), expected);
        assert_eq!(counters.failures(), [("equivocation", 1), ("other", 2_000)]);
    }

    #[test]
    fn an_offer_counts_as_long_as_it_is_handled() {
        let counters = Arc::new(Counters::default());
        let one = counters.offer();
        let other = counters.offer();
        drop(one);
        counters.drop_offer();
        assert_eq!(counters.offers(), (1, 1));
        drop(other);
        assert_eq!(counters.offers(), (0, 1));
    }

    #[test]
    fn a_clock_that_shows_anything_is_a_skew_within_bounds() {
        let counters = Counters::default();
        let peer = crate::test_node::node(1);
        for (shown, skew) in [(5_000, 3_000), (1_000, -1_000), (u64::MAX, i64::MAX)] {
            counters.clock(peer, UnixMillis(shown), UnixMillis(2_000));
            assert_eq!(counters.skews()[&peer], skew);
        }
    }
}
