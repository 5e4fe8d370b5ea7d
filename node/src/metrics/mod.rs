//! The node's metrics. They are read-only, and hold no secret, no key id and no content of a task.

mod counters;
mod report;
mod snapshot;
mod table;

use countersign_metrics::influx::{PushError, Pusher};

use crate::config::Config;
pub use counters::{Counters, Ended, Offer, Stage};
pub use snapshot::{Files, JournalSnapshot, Peer, Snapshot, Sources};
pub use table::TABLE;

/// Creates the pusher of this configuration; `None` if it names no InfluxDB.
pub fn pusher(config: &Config) -> Result<Option<Pusher>, PushError> {
    Pusher::new(TABLE, &config.metrics, config.policy.ca_file.as_deref())
}

#[cfg(test)]
pub(crate) mod tests;
