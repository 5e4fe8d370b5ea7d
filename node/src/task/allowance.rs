//! How often each requester may ask for something that costs the node little.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_protocol::RequesterId;

const MINUTE: Duration = Duration::from_secs(60);

/// So many a minute for each requester, in any rhythm. Only listed requesters ask, so their number
/// is bounded.
pub(super) struct Allowance {
    /// The share of a minute that one takes, in ns.
    each: AtomicU64,
    /// The end of the time that each requester has used up (the generic cell rate algorithm).
    used_until: Mutex<HashMap<RequesterId, Instant>>,
}

impl Allowance {
    pub(super) fn per_minute(count: usize) -> Self {
        Self {
            each: AtomicU64::new(share(count)),
            used_until: Mutex::default(),
        }
    }

    /// So many a minute from now on.
    pub(super) fn set(&self, count: usize) {
        self.each.store(share(count), Ordering::Relaxed);
    }

    /// Takes one; false if the requester has none left.
    pub(super) fn take(&self, requester: RequesterId, now: Instant) -> bool {
        let mut used = self
            .used_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let until = used.entry(requester).or_insert(now);
        let each = Duration::from_nanos(self.each.load(Ordering::Relaxed));
        let next = (*until).max(now) + each;
        let allowed = next <= now + MINUTE;
        if allowed {
            *until = next;
        }
        allowed
    }
}

fn share(count: usize) -> u64 {
    let each = MINUTE / u32::try_from(count).unwrap_or(u32::MAX).max(1);
    each.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_node::node;

    fn requester(seed: u8) -> RequesterId {
        RequesterId::from_bytes(*node(seed).as_bytes()).unwrap()
    }

    #[test]
    fn a_minutes_worth_passes_at_once_and_then_one_by_one() {
        let allowance = Allowance::per_minute(6);
        let start = Instant::now();
        let take = |seconds| allowance.take(requester(1), start + Duration::from_secs(seconds));
        assert_eq!((0..10).filter(|_| take(0)).count(), 6);
        assert!(!take(9));
        assert!(take(10));
        assert!(!take(10), "those that were refused cost nothing");
        assert!(take(20));
    }

    #[test]
    fn one_requester_uses_up_nothing_of_anothers() {
        let allowance = Allowance::per_minute(1);
        let now = Instant::now();
        assert!(allowance.take(requester(1), now) && !allowance.take(requester(1), now));
        assert!(allowance.take(requester(2), now));
    }

    #[test]
    fn time_without_questions_is_not_saved_up() {
        let allowance = Allowance::per_minute(2);
        let start = Instant::now();
        assert!(allowance.take(requester(1), start));
        let later = start + Duration::from_secs(3600);
        let taken = (0..9).filter(|_| allowance.take(requester(1), later));
        assert_eq!(taken.count(), 2);
    }

    #[test]
    fn another_count_holds_for_those_who_come_after() {
        let allowance = Allowance::per_minute(1);
        let now = Instant::now();
        let taken = |seed| {
            (0..10)
                .filter(|_| allowance.take(requester(seed), now))
                .count()
        };
        assert_eq!(taken(1), 1);
        allowance.set(5);
        assert_eq!(taken(2), 5);
    }
}
