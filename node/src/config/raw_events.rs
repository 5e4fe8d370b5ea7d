//! `events`, and `event`, a shorthand of the incumbent co-signer, as written.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::raw_callback::empty_if_null;
use super::raw_policy::{RawGrants, is_default};

/// The section `events` of the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawEvents {
    /// Receivers, each with a state of its own.
    pub receivers: Vec<RawReceiver>,
}

/// An entry of the list `events.receivers`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawReceiver {
    /// The name that the component gives itself, or that name, a colon and a label.
    pub name: String,
    /// Path of the component. If absent, the installed one is used.
    #[serde(skip_serializing_if = "is_default")]
    pub file: Option<PathBuf>,
    /// Name under which the component is installed. Default: `name` up to the colon.
    #[serde(skip_serializing_if = "is_default")]
    pub installed: Option<String>,
    /// SHA-256 of the component, `sha256:<64 hex>`. If absent, any component at
    /// that place is accepted.
    #[serde(skip_serializing_if = "is_default")]
    pub digest: Option<String>,
    /// Configuration of the component, in its own format.
    #[serde(skip_serializing_if = "is_default")]
    pub config: Option<serde_json::Value>,
    /// Permissions and limits. The key `event` is the node's event key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grants: RawGrants,
    /// Types of events to receive, such as `request.keysign.succeeded`. Empty means none.
    #[serde(default)]
    pub event_types: Vec<String>,
    /// Retries after the first attempt; 0 means unlimited. Default: 60.
    #[serde(default = "sixty", skip_serializing_if = "is_sixty")]
    pub retry_times: u64,
    /// Seconds between two attempts to deliver an event. Default: 60.
    #[serde(default = "sixty", skip_serializing_if = "is_sixty")]
    pub sleep_seconds: u64,
    /// Interval between pings of the receiver, such as `10s`, `5m` or `1h`. Empty turns them off.
    #[serde(default, skip_serializing_if = "is_default")]
    pub monitor_interval: String,
}

/// The section `event` of the file, a shorthand.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawEvent {
    /// Receivers. Each may override every other key of this section.
    #[serde(deserialize_with = "empty_if_null")]
    pub server: Vec<RawEventServer>,
    /// Types of events to send. Empty means none.
    #[serde(deserialize_with = "empty_if_null")]
    pub event_types: Vec<String>,
    /// Lifetime of a token in minutes. Default: 2.
    pub token_expire_minutes: u64,
    /// Retries after the first attempt; 0 means unlimited. Default: 60.
    pub retry_times: u64,
    /// Seconds between two attempts. Default: 60.
    pub sleep_seconds: u64,
    /// Seconds within which one attempt must be answered. Default: 10.
    pub request_timeout: u64,
    /// Refused: nodes do not use proxies.
    #[serde(deserialize_with = "empty_if_null")]
    pub proxy: String,
    /// Interval between pings of each server. Empty turns them off.
    #[serde(deserialize_with = "empty_if_null")]
    pub monitor_interval: String,
}

impl Default for RawEvent {
    fn default() -> Self {
        Self {
            server: Vec::new(),
            event_types: Vec::new(),
            token_expire_minutes: 2,
            retry_times: 60,
            sleep_seconds: 60,
            request_timeout: 10,
            proxy: String::new(),
            monitor_interval: String::new(),
        }
    }
}

/// An entry of the list `event.server`. An absent key has the value that it has in `event`.
#[allow(missing_docs, reason = "the fields are documented at `RawEvent`")]
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEventServer {
    /// Full URL of the receiver.
    pub url: String,
    pub event_types: Option<Vec<String>>,
    pub token_expire_minutes: Option<u64>,
    pub retry_times: Option<u64>,
    pub sleep_seconds: Option<u64>,
    pub request_timeout: Option<u64>,
    /// Refused: nodes do not use proxies.
    pub proxy: Option<String>,
    pub monitor_interval: Option<String>,
}

fn sixty() -> u64 {
    60
}

fn is_sixty(value: &u64) -> bool {
    *value == 60
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver(text: &str) -> RawReceiver {
        countersign_strict::yaml(text).unwrap()
    }

    #[test]
    fn the_printed_receiver_leaves_out_what_is_usual() {
        let text = "name: a\nevent_types: []\n";
        let printed = serde_norway::to_string(&receiver("name: a\n")).unwrap();
        assert_eq!(printed, text);
    }

    #[test]
    fn every_setting_of_a_receiver_that_is_not_usual_is_printed() {
        let unusual = receiver(
            "{name: a, file: a.wasm, installed: b, digest: d, config: {c: 1}, grants: {cpu_ms: 1}, \
             event_types: [e], retry_times: 0, sleep_seconds: 61, monitor_interval: 5m}\n",
        );
        let printed = serde_norway::to_string(&unusual).unwrap();
        assert_eq!(receiver(&printed), unusual, "{printed}");
        assert_eq!((unusual.retry_times, unusual.sleep_seconds), (0, 61));
    }

    #[test]
    fn an_event_is_sent_61_times_a_minute_apart_unless_the_file_says_otherwise() {
        let usual = receiver("name: a\n");
        assert_eq!((usual.retry_times, usual.sleep_seconds), (60, 60));
        let shorthand = RawEvent::default();
        assert_eq!((shorthand.retry_times, shorthand.sleep_seconds), (60, 60));
        assert_eq!(shorthand.request_timeout, 10);
        assert_eq!(shorthand.token_expire_minutes, 2);
    }
}
