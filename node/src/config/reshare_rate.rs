//! `limits.reshares`: the maximum rate of reshares per key.

use countersign_protocol::UnixMillis;

/// Limits the reshares of one key that a node starts within [`ReshareRate::HOURS`]. Each costs
/// every party a new share, a copy of the old one for a while, and its operators a backup; one that
/// a peer breaks off costs just as many minutes of computation. Nobody needs many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReshareRate {
    /// Maximum number of reshares within the window.
    pub count: usize,
}

impl ReshareRate {
    /// Length of the window in hours.
    pub const HOURS: u64 = 24;

    /// Returns the time at which the next reshare is allowed, given the times at which earlier ones
    /// were started; `None` if it is allowed now.
    pub fn next_allowed(
        &self,
        now: UnixMillis,
        started: impl IntoIterator<Item = UnixMillis>,
    ) -> Option<UnixMillis> {
        let window = Self::HOURS * 3_600_000;
        let started = started.into_iter().map(|at| at.0);
        let mut recent: Vec<u64> = started
            .filter(|at| at.saturating_add(window) > now.0)
            .collect();
        recent.sort_unstable();
        let first_that_counts = recent.len().checked_sub(self.count)?;
        recent
            .get(first_that_counts)
            .map(|at| UnixMillis(at.saturating_add(window)))
    }

    /// Returns the start of the window that ends `now`.
    pub fn since(&self, now: UnixMillis) -> UnixMillis {
        UnixMillis(now.0.saturating_sub(Self::HOURS * 3_600_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_the_window_and_the_next_when_the_oldest_that_counts_has_left_it() {
        let hour = |hours: u64| UnixMillis(hours * 3_600_000);
        let rate = ReshareRate { count: 2 };
        let next = |now, started: &[u64]| {
            rate.next_allowed(hour(now), started.iter().map(|hours| hour(*hours)))
        };
        assert_eq!(next(100, &[]), None);
        assert_eq!(next(100, &[99]), None);
        assert_eq!(next(100, &[99, 90]), Some(hour(114)));
        assert_eq!(
            next(100, &[99, 90, 76, 10]),
            Some(hour(114)),
            "what is older does not count"
        );
        assert_eq!(next(100, &[99, 98, 90]), Some(hour(122)));
        assert_eq!(next(114, &[99, 90]), None);
    }

    #[test]
    fn a_reshare_leaves_the_window_to_the_millisecond() {
        let rate = ReshareRate { count: 1 };
        let window = ReshareRate::HOURS * 3_600_000;
        let next = |now| rate.next_allowed(UnixMillis(now), [UnixMillis(1_000)]);
        assert_eq!(next(1_000 + window - 1), Some(UnixMillis(1_000 + window)));
        assert_eq!(next(1_000 + window), None);
    }

    #[test]
    fn the_order_in_which_reshares_are_listed_does_not_matter() {
        let rate = ReshareRate { count: 2 };
        let next = |started: [u64; 3]| rate.next_allowed(UnixMillis(50), started.map(UnixMillis));
        let window = ReshareRate::HOURS * 3_600_000;
        assert_eq!(next([10, 20, 30]), Some(UnixMillis(20 + window)));
        assert_eq!(next([30, 10, 20]), next([10, 20, 30]));
    }

    /// A clock that was wrong once must not lift the limit, nor stop the node.
    #[test]
    fn a_reshare_of_the_far_future_counts() {
        let rate = ReshareRate { count: 1 };
        let never = UnixMillis(u64::MAX);
        assert_eq!(rate.next_allowed(UnixMillis(5), [never]), Some(never));
    }

    #[test]
    fn the_window_begins_a_day_ago_and_not_before_1970() {
        let rate = ReshareRate { count: 1 };
        assert_eq!(rate.since(UnixMillis(86_400_001)), UnixMillis(1));
        assert_eq!(rate.since(UnixMillis(86_399_999)), UnixMillis(0));
    }
}
