//! Times as people write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_protocol::UnixMillis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "write an age such as 90m, 24h or 7d, a date such as 2026-07-01 or 2026-07-01T12:00:00Z, or milliseconds since 1970"
)]
pub struct TimeError;

/// Reads a point in time: an age, a date, or milliseconds since 1970.
pub fn point(text: &str) -> Result<UnixMillis, TimeError> {
    read(text, now()).ok_or(TimeError)
}

/// The time of this machine's clock; 0 if it shows one before 1970.
pub fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(since.as_millis() as u64)
}

/// Reads a point in time, with ages counted back from `now`.
pub fn read(text: &str, now: UnixMillis) -> Option<UnixMillis> {
    if let Ok(millis) = text.parse::<u64>() {
        return Some(UnixMillis(millis));
    }
    if let Some(age) = age(text) {
        return now.0.checked_sub(age).map(UnixMillis);
    }
    let date = if text.contains('T') {
        text.to_owned()
    } else {
        format!("{text}T00:00:00Z")
    };
    let moment = OffsetDateTime::parse(&date, &Rfc3339).ok()?;
    let millis = moment.unix_timestamp_nanos() / 1_000_000;
    u64::try_from(millis).ok().map(UnixMillis)
}

/// An age in milliseconds.
pub fn age(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds)?.checked_mul(1000)
}

/// A duration in its two largest units, such as `47 h 59 min`.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let hours = seconds / 3600;
    let minutes = seconds / 60 % 60;
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn a_duration_is_told_in_its_two_largest_units() {
        for (seconds, text) in [
            (59, "59 s"),
            (60, "1 min"),
            (3_600, "1 h"),
            (172_740, "47 h 59 min"),
            (172_800, "48 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn times_are_read_in_every_form() {
        for (text, at) in [
            ("1700000000000", 1_700_000_000_000),
            ("90m", NOW.0 - 5_400_000),
            ("30s", NOW.0 - 30_000),
            ("24h", NOW.0 - 86_400_000),
            ("7d", NOW.0 - 604_800_000),
            ("2026-07-01", 1_782_864_000_000),
            ("2026-07-01T12:00:00Z", 1_782_907_200_000),
            ("2026-07-01T12:00:00.5+02:00", 1_782_900_000_500),
        ] {
            assert_eq!(read(text, NOW), Some(UnixMillis(at)), "{text}");
        }
        for text in [
            "",
            "h",
            "-1",
            "1w",
            "1,5h",
            "yesterday",
            "2026-13-01",
            "1960-01-01",
            "99999999999999999999d",
            "18446744073709551615d",
            "30000d",
            "é",
        ] {
            assert_eq!(read(text, NOW), None, "{text}");
        }
    }
}
