//! The one place that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use countersign_protocol::UnixMillis;

/// Returns the current time. A clock before 1970 reads as 0, at which every task
/// is from the future.
pub fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // 64 bits of milliseconds last for half a billion years.
    UnixMillis(since.as_millis() as u64)
}
