//! Measures how long a task stays in each stage. For metrics; nothing is decided by it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::metrics::Stage;

/// The time that one task has spent in each stage so far.
#[derive(Debug)]
pub(super) struct Stopwatch {
    began: Instant,
    stage: Stage,
    since: Instant,
    spent: BTreeMap<Stage, Duration>,
}

impl Stopwatch {
    /// Starts in the first stage.
    pub(super) fn start(now: Instant) -> Self {
        Self {
            began: now,
            stage: Stage::Checking,
            since: now,
            spent: BTreeMap::new(),
        }
    }

    /// The task enters this stage.
    pub(super) fn enter(&mut self, stage: Stage, now: Instant) {
        *self.spent.entry(self.stage).or_default() += now - self.since;
        self.stage = stage;
        self.since = now;
    }

    /// The time spent in each stage until `now`, and altogether. Empty if no plugin was asked yet.
    pub(super) fn spent(&self, now: Instant) -> Vec<(Stage, Duration)> {
        let mut spent = self.spent.clone();
        *spent.entry(self.stage).or_default() += now - self.since;
        if !spent.contains_key(&Stage::Approving) {
            return Vec::new();
        }
        spent.insert(Stage::Total, now - self.began);
        spent.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_the_stages_add_up_to_the_whole() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut stopwatch = Stopwatch::start(start);
        stopwatch.enter(Stage::Approving, at(1));
        stopwatch.enter(Stage::Recording, at(3));
        stopwatch.enter(Stage::Waiting, at(6));
        stopwatch.enter(Stage::Running, at(10));
        stopwatch.enter(Stage::Recording, at(15));
        let expected = [
            (Stage::Checking, 1),
            (Stage::Approving, 2),
            (Stage::Recording, 9),
            (Stage::Waiting, 4),
            (Stage::Running, 5),
            (Stage::Total, 21),
        ];
        let expected = expected.map(|(stage, seconds)| (stage, Duration::from_secs(seconds)));
        assert_eq!(stopwatch.spent(at(21)), expected);
    }

    #[test]
    fn a_task_of_which_no_plugin_was_asked_is_not_timed() {
        let start = Instant::now();
        let mut stopwatch = Stopwatch::start(start);
        stopwatch.enter(Stage::Recording, start);
        assert!(stopwatch.spent(start + Duration::from_secs(1)).is_empty());
    }
}
