//! Counters by key, from 0 at each start of the service. The number of keys is bounded.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sheet::MAX_SERIES;

/// Upper ends of the classes of a [`Histogram`], in seconds; the last class has none.
pub const SECONDS: [f64; 14] = [
    0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0,
];

/// Event counts by key.
#[derive(Debug)]
pub struct Counts<K>(Mutex<BTreeMap<K, u64>>);

/// Distributions of durations by key.
#[derive(Debug)]
pub struct Durations<K>(Mutex<BTreeMap<K, Histogram>>);

/// A distribution of durations.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Upper ends of the classes, in seconds, without that of the last.
    pub ends: Vec<f64>,
    /// The number of durations in each class, one more than there are ends.
    pub counts: Vec<u64>,
    /// All durations together, in seconds.
    pub sum: f64,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K> Default for Durations<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone> Counts<K> {
    /// Counts one more. A new key beyond [`MAX_SERIES`] is not counted.
    pub fn add(&self, key: K) {
        let mut counts = lock(&self.0);
        if counts.len() < MAX_SERIES || counts.contains_key(&key) {
            *counts.entry(key).or_default() += 1;
        }
    }

    /// Returns the counts, by key.
    pub fn read(&self) -> Vec<(K, u64)> {
        let counts = lock(&self.0);
        counts
            .iter()
            .map(|(key, count)| (key.clone(), *count))
            .collect()
    }
}

impl<K: Ord + Clone> Durations<K> {
    /// Adds a duration to its key's distribution, unless the key is new and beyond [`MAX_SERIES`].
    pub fn note(&self, key: K, duration: Duration) {
        let mut known = lock(&self.0);
        if known.len() < MAX_SERIES || known.contains_key(&key) {
            known.entry(key).or_default().note(duration);
        }
    }

    /// Forgets the keys of which this is false.
    pub fn retain(&self, keep: impl Fn(&K) -> bool) {
        lock(&self.0).retain(|key, _| keep(key));
    }

    /// Returns the distributions, by key.
    pub fn read(&self) -> Vec<(K, Histogram)> {
        let known = lock(&self.0);
        known
            .iter()
            .map(|(key, one)| (key.clone(), one.clone()))
            .collect()
    }
}

impl Default for Histogram {
    /// An empty distribution over [`SECONDS`].
    fn default() -> Self {
        Self {
            ends: SECONDS.to_vec(),
            counts: vec![0; SECONDS.len() + 1],
            sum: 0.0,
        }
    }
}

impl Histogram {
    /// Notes a duration.
    pub fn note(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let class = self.ends.partition_point(|end| *end < seconds);
        self.counts[class] += 1;
        self.sum += seconds;
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The upper end of each class, infinity included, with the number of durations up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let ends = self.ends.iter().copied().chain([f64::INFINITY]);
        ends.zip(&self.counts).scan(0, |sum, (end, count)| {
            *sum += count;
            Some((end, *sum))
        })
    }
}

/// No code panics while holding the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_counted_by_key_and_listed_in_a_fixed_order() {
        let counts = Counts::default();
        for key in ["b", "a", "b"] {
            counts.add(key);
        }
        assert_eq!(counts.read(), [("a", 1), ("b", 2)]);
    }

    #[test]
    fn keys_beyond_the_limit_are_not_kept_and_the_known_ones_still_count() {
        let counts = Counts::default();
        let durations = Durations::default();
        for key in 0..MAX_SERIES + 10 {
            counts.add(key);
            durations.note(key, Duration::from_secs(1));
        }
        counts.add(0);
        assert_eq!(counts.read().len(), MAX_SERIES);
        assert_eq!(counts.read()[0], (0, 2));
        assert_eq!(durations.read().len(), MAX_SERIES);
    }

    #[test]
    fn a_duration_belongs_to_the_first_class_that_it_does_not_exceed() {
        let mut histogram = Histogram::default();
        for millis in [1, 2, 5, 600_000, 600_001] {
            histogram.note(Duration::from_millis(millis));
        }
        let last = SECONDS.len();
        assert_eq!(histogram.counts[..2], [1, 2]);
        assert_eq!(histogram.counts[last - 1..], [1, 1]);
        assert_eq!(histogram.count(), 5);
        let ends: Vec<_> = histogram.cumulative().collect();
        assert_eq!(ends[0], (0.001, 1));
        assert_eq!(ends[1], (0.005, 3));
        assert_eq!(ends[last], (f64::INFINITY, 5));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let durations = Durations::default();
        durations.note("a", Duration::ZERO);
        durations.note("b", Duration::ZERO);
        durations.retain(|key| *key == "b");
        let left: Vec<_> = durations.read().into_iter().map(|(key, _)| key).collect();
        assert_eq!(left, ["b"]);
    }
}
