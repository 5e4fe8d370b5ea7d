//! Times as people write and read them.

use countersign_cli_kit::times::{age, read};
pub use countersign_cli_kit::times::{now, point};
pub use countersign_client::utc;
use countersign_protocol::UnixMillis;

/// No time to come.
#[derive(Debug, thiserror::Error)]
pub enum TimeToComeError {
    /// It cannot be read.
    #[error(
        "write how long from now, such as 12h or 90d, a date such as 2027-07-01 or 2027-07-01T12:00:00Z, or milliseconds since 1970"
    )]
    Form,
    /// It is over.
    #[error("this time is over ({}); choose one to come", utc(*.0))]
    Over(UnixMillis),
}

/// Reads a point in time to come: how long from now, a date, or milliseconds since 1970.
pub fn to_come(text: &str) -> Result<UnixMillis, TimeToComeError> {
    let at = end(text)?;
    if at > now() {
        Ok(at)
    } else {
        Err(TimeToComeError::Over(at))
    }
}

/// The same for an end, which may be over.
pub fn end(text: &str) -> Result<UnixMillis, TimeToComeError> {
    let now = now();
    let at = match age(text) {
        Some(span) => now.0.checked_add(span).map(UnixMillis),
        None => read(text, now),
    };
    at.ok_or(TimeToComeError::Form)
}

/// How long ago it was, in the largest unit.
pub fn ago(at: UnixMillis, now: UnixMillis) -> String {
    let seconds = now.0.saturating_sub(at.0) / 1000;
    let (number, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7200 => (seconds / 60, "min"),
        7200..172_800 => (seconds / 3600, "h"),
        172_800.. => (seconds / 86_400, "d"),
    };
    format!("{number} {unit} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn times_are_shown_in_utc_and_ages_in_one_unit() {
        assert_eq!(utc(UnixMillis(1_782_907_200_999)), "2026-07-01T12:00:00Z");
        assert_eq!(utc(UnixMillis(u64::MAX)), format!("{} ms", u64::MAX));
        let ago = |seconds: u64| ago(UnixMillis(NOW.0 - seconds * 1000), NOW);
        assert_eq!(ago(0), "0 s ago");
        assert_eq!(ago(119), "119 s ago");
        assert_eq!(ago(7199), "119 min ago");
        assert_eq!(ago(7200), "2 h ago");
        assert_eq!(ago(172_800), "2 d ago");
        assert_eq!(super::ago(UnixMillis(NOW.0 + 5000), NOW), "0 s ago");
    }
}
