//! Retry times: exponential back-off with full jitter. Reads no clock and no random
//! source of its own.

use std::time::{Duration, Instant};

/// Upper bound of the first delay.
const FIRST: Duration = Duration::from_millis(100);
/// Upper bound of every delay before a link is dialled again.
const LINK: Duration = Duration::from_secs(30);
/// The same for a tunnel. It costs one stream in an existing link, and while a peer's process
/// restarts repeatedly, every second counts in which nobody can sign with it.
const TUNNEL: Duration = Duration::from_secs(3);
/// A connection that lasted this long was healthy: the next loss starts from the first delay.
const HEALTHY: Duration = Duration::from_secs(60);

/// Delay before retry number `attempt` (0 is the first): uniform between zero and
/// `min(last, 0.1 s * 2^attempt)`, with `random` uniform over all of `u64`. Full jitter keeps a
/// thousand nodes from returning in one instant.
fn full_jitter(attempt: u32, last: Duration, random: u64) -> Duration {
    let ceiling = match 1u32.checked_shl(attempt) {
        Some(factor) => FIRST.saturating_mul(factor).min(last),
        None => last,
    };
    let share = (ceiling.as_nanos() * u128::from(random)) >> 64;
    Duration::from_nanos(share as u64)
}

/// Counts attempts for one peer. The caller reports events with their times.
#[derive(Debug)]
pub struct Reconnect {
    attempt: u32,
    connected_at: Option<Instant>,
    last: Duration,
}

impl Reconnect {
    /// Creates the back-off of a link: delays of up to 30 s.
    pub fn link() -> Self {
        Self {
            attempt: 0,
            connected_at: None,
            last: LINK,
        }
    }

    /// Creates the back-off of a tunnel: delays of up to 3 s.
    pub(crate) fn tunnel() -> Self {
        Self {
            last: TUNNEL,
            ..Self::link()
        }
    }

    /// Records that a connection is up and confirmed by an application message.
    pub fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
    }

    /// Records a failed attempt or a lost connection. Returns the delay before the next attempt.
    pub fn lost(&mut self, now: Instant, random: u64) -> Duration {
        let held = self
            .connected_at
            .take()
            .map(|since| now.saturating_duration_since(since));
        if held.is_some_and(|held| held >= HEALTHY) {
            self.attempt = 0;
        }
        let delay = full_jitter(self.attempt, self.last, random);
        self.attempt = self.attempt.saturating_add(1);
        delay
    }
}

/// Returns a uniform `u64`. Should the system's source ever fail, it yields the longest delay.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u64::from_be_bytes(bytes),
        Err(_) => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_from_a_tenth_to_thirty_seconds() {
        let longest = |attempt| full_jitter(attempt, LINK, u64::MAX).as_millis();
        assert_eq!((longest(0), longest(1), longest(3)), (99, 199, 799));
        assert_eq!(
            (longest(9), longest(31), longest(32), longest(u32::MAX)),
            (29999, 29999, 29999, 29999)
        );
        assert_eq!(full_jitter(9, LINK, 0), Duration::ZERO);
        assert_eq!(full_jitter(9, LINK, 1 << 63), Duration::from_secs(15));
    }

    #[test]
    fn a_tunnel_is_tried_again_within_seconds() {
        let mut reconnect = Reconnect::tunnel();
        let delays = (0..40).map(|_| reconnect.lost(Instant::now(), u64::MAX));
        assert!(
            delays
                .max()
                .is_some_and(|longest| longest.as_millis() == 2999)
        );
    }

    #[test]
    fn only_a_healthy_minute_resets_the_delay() {
        let start = Instant::now();
        let mut reconnect = Reconnect::link();
        let delays: Vec<_> = (0..4)
            .map(|_| reconnect.lost(start, u64::MAX).as_millis())
            .collect();
        assert_eq!(delays, [99, 199, 399, 799]);
        reconnect.connected(start);
        assert_eq!(
            reconnect
                .lost(start + Duration::from_secs(59), u64::MAX)
                .as_millis(),
            1599
        );
        reconnect.connected(start);
        assert_eq!(
            reconnect
                .lost(start + Duration::from_secs(60), u64::MAX)
                .as_millis(),
            99
        );
    }
}
