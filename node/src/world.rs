//! Time and randomness, injected so that a node can be simulated.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_protocol::UnixMillis;
use rand::{CryptoRng, RngCore};

/// A cryptographic random number generator that can move to another thread.
pub trait Entropy: RngCore + CryptoRng + Send {}

impl<R: RngCore + CryptoRng + Send> Entropy for R {}

/// The clock and the randomness that a node uses.
#[derive(Clone)]
pub struct World {
    clock: Arc<dyn Fn() -> UnixMillis + Send + Sync>,
    entropy: Arc<dyn Fn() -> Box<dyn Entropy> + Send + Sync>,
}

impl World {
    /// Uses the clock and the randomness of the operating system.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(now),
            entropy: Arc::new(|| Box::new(rand::rngs::OsRng)),
        }
    }

    /// Replaces the clock by a fixed time and keeps the randomness.
    #[cfg(test)]
    pub fn at(self, now: UnixMillis) -> Self {
        Self {
            clock: Arc::new(move || now),
            ..self
        }
    }

    /// Replaces the clock by one that shows a millisecond more each time, and keeps the randomness.
    #[cfg(test)]
    pub fn ticking(self, from: UnixMillis) -> Self {
        let next = std::sync::atomic::AtomicU64::new(from.0);
        Self {
            clock: Arc::new(move || {
                UnixMillis(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
            }),
            ..self
        }
    }

    /// Returns the current Unix time in milliseconds.
    pub fn now(&self) -> UnixMillis {
        (self.clock)()
    }

    /// Returns a random number generator for a single use.
    pub fn rng(&self) -> Box<dyn Entropy> {
        (self.entropy)()
    }

    /// Returns an array of random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng().fill_bytes(&mut bytes);
        bytes
    }
}

/// Returns the system's Unix time in milliseconds. A clock set before 1970 reads 0, and every task
/// then appears to come from the future.
pub fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(since.as_millis() as u64)
}

/// Formats an instant as RFC 3339 in UTC, or as milliseconds if it is out of range.
pub fn rfc3339(at: UnixMillis) -> String {
    use time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000);
    time.ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{} ms", at.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_was_passed_in_is_the_one_that_is_read() {
        assert_eq!(World::system().at(UnixMillis(7)).now(), UnixMillis(7));
        let before = now();
        assert!(World::system().now() >= before);
        assert_ne!(World::system().random::<16>(), World::system().random());
    }

    #[test]
    fn an_instant_is_shown_in_utc() {
        assert_eq!(rfc3339(UnixMillis(0)), "1970-01-01T00:00:00Z");
        let shown = rfc3339(UnixMillis(1_700_000_000_123));
        assert_eq!(shown, "2023-11-14T22:13:20.123Z");
    }

    #[test]
    fn an_instant_beyond_the_calendar_is_shown_in_milliseconds() {
        let never = UnixMillis(u64::MAX);
        assert_eq!(rfc3339(never), "18446744073709551615 ms");
    }

    #[test]
    fn a_fixed_clock_leaves_the_randomness_alone() {
        let world = World::system().at(UnixMillis(7));
        assert_ne!(world.random::<16>(), world.random());
    }
}
