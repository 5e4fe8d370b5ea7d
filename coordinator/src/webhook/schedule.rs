//! When a delivery is tried again.

use std::time::Duration;

/// Pauses between attempts; about 24 hours in all.
const PAUSES: [Duration; 11] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(3600),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(4 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(6 * 3600),
];
/// The longest pause that a receiver may ask for.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// The pause after so many failed attempts, at least as long as the receiver asked for; `None` if
/// there is no further attempt. `jitter` of 0 to 1 spreads receivers that failed together.
pub fn pause(failed: usize, asked: Option<Duration>, jitter: f64) -> Option<Duration> {
    let pause = PAUSES.get(failed.checked_sub(1)?)?;
    let spread = pause.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 10.0);
    let asked = asked.unwrap_or_default().min(LONGEST);
    Some(spread.max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_go_on_for_a_day_and_then_end() {
        let total: Duration = (1..).map_while(|failed| pause(failed, None, 0.0)).sum();
        let day = Duration::from_secs(24 * 3600);
        assert!(total >= day.mul_f64(0.95) && total <= day, "{total:?}");
        assert_eq!(pause(PAUSES.len() + 1, None, 0.0), None);
        assert_eq!(pause(0, None, 0.0), None);
    }

    #[test]
    fn a_receiver_can_ask_for_a_longer_pause_but_not_for_ever() {
        let asked = |seconds| pause(1, Some(Duration::from_secs(seconds)), 0.0);
        assert_eq!(asked(60), Some(Duration::from_secs(60)));
        assert_eq!(asked(1), Some(Duration::from_secs(5)));
        assert_eq!(asked(u64::MAX), Some(LONGEST));
    }
}
