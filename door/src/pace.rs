//! The time that a caller has for taking in what is written to it.
//!
//! A caller may pause for a while, but not take in a byte now and then for ever: waiting uses up an
//! allowance, which only bytes taken in restore. At [`RATE`] or faster it lasts without end.

use std::time::{Duration, Instant};

/// Bytes a second that a caller must take in on average while it is waited for.
const RATE: u32 = 16 * 1024;

/// The allowance of one caller.
#[derive(Debug)]
pub struct Pace {
    whole: Duration,
    left: Duration,
    since: Option<Instant>,
}

impl Pace {
    /// An allowance of this length.
    pub fn new(whole: Duration) -> Self {
        Self {
            whole,
            left: whole,
            since: None,
        }
    }

    /// Begins to wait, if it has not begun, and returns the time at which the allowance is used up.
    pub fn wait(&mut self, now: Instant) -> Instant {
        *self.since.get_or_insert(now) + self.left
    }

    /// So many bytes were taken in.
    pub fn moved(&mut self, bytes: usize, now: Instant) {
        let waited = self
            .since
            .take()
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(RATE));
        self.left = (self.left.saturating_sub(waited) + earned).min(self.whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_allowed_and_drops_are_not() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(4 * second);
        assert_eq!(pace.wait(start), start + 4 * second);
        // Waiting on does not begin anew.
        assert_eq!(pace.wait(start + second), start + 4 * second);
        pace.moved(1, start + 3 * second);
        let left = pace.wait(start + 3 * second) - (start + 3 * second);
        assert!(left < 2 * second, "one byte restores next to nothing");
        pace.moved(1 << 20, start + 3 * second);
        assert_eq!(pace.wait(start), start + 4 * second, "bytes restore it");
    }
}
