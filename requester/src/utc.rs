//! Times as people read them.

use countersign_protocol::UnixMillis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time in UTC, to the second.
pub fn utc(at: UnixMillis) -> String {
    // A time beyond the calendar is shown as its number.
    let seconds = i64::try_from(at.0 / 1000).ok();
    let moment = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let text = moment.and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{} ms", at.0))
}
