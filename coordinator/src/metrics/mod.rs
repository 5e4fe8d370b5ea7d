//! The coordinator's metrics. They are read-only, and hold no key, no wallet and no content of a
//! task.

mod counters;
mod report;
mod table;

use countersign_metrics::influx::{PushError, Pusher};

use crate::config::Config;
pub use counters::Counters;
pub use report::Sources;
pub use table::TABLE;

/// Creates the pusher of this configuration; `None` if it names no InfluxDB.
pub fn pusher(config: &Config) -> Result<Option<Pusher>, PushError> {
    Pusher::new(TABLE, &config.metrics, None)
}
