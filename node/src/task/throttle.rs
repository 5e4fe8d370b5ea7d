//! Keeps events that strangers can cause at will from filling the audit log and the terminal.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one event pass per interval and counts the others.
pub(crate) struct Throttle {
    /// The least time between two passes.
    pause: Duration,
    passed: Mutex<Passed>,
}

#[derive(Default)]
struct Passed {
    last: Option<Instant>,
    suppressed: u64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::every(Duration::from_secs(1))
    }
}

impl Throttle {
    pub(crate) fn every(pause: Duration) -> Self {
        Self {
            pause,
            passed: Mutex::default(),
        }
    }

    /// Returns the number of events suppressed since the last pass, or `None` if this
    /// one is suppressed too.
    pub(crate) fn pass(&self, now: Instant) -> Option<u64> {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        if passed
            .last
            .is_some_and(|last| now.duration_since(last) < self.pause)
        {
            passed.suppressed += 1;
            return None;
        }
        passed.last = Some(now);
        Some(std::mem::take(&mut passed.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_passes_each_second_and_tells_of_the_others() {
        let throttle = Throttle::default();
        let start = Instant::now();
        let pass = |millis| throttle.pass(start + Duration::from_millis(millis));
        assert_eq!(pass(0), Some(0));
        assert_eq!((1..1000).filter_map(pass).count(), 0);
        assert_eq!(pass(1000), Some(999));
        assert_eq!(pass(2500), Some(0));
    }

    #[test]
    fn the_pause_is_counted_from_the_last_that_passed() {
        let throttle = Throttle::every(Duration::from_millis(10));
        let start = Instant::now();
        let pass = |millis| throttle.pass(start + Duration::from_millis(millis));
        assert_eq!(pass(0), Some(0));
        assert_eq!(pass(9), None, "one short of the pause");
        assert_eq!(pass(10), Some(1));
        assert_eq!(pass(19), None, "not counted from those left out");
        assert_eq!(pass(20), Some(1));
    }

    /// Callers read the clock before they get the lock.
    #[test]
    fn an_event_that_comes_out_of_order_is_left_out_and_counted() {
        let throttle = Throttle::default();
        let start = Instant::now() + Duration::from_secs(10);
        assert_eq!(throttle.pass(start), Some(0));
        assert_eq!(throttle.pass(start - Duration::from_secs(5)), None);
        assert_eq!(throttle.pass(start + Duration::from_secs(1)), Some(1));
    }
}
