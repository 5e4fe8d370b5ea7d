//! The trait that the author of an event receiver implements. It holds no state: every call may run
//! in a new instance.

use serde::de::DeserializeOwned;

use crate::{Event, Failure, Host};

/// An event receiver. Export it with [`export_event_receiver!`](crate::export_event_receiver).
pub trait EventReceiver {
    /// The receiver's configuration, parsed from the node's JSON. Use
    /// `#[serde(deny_unknown_fields)]` so that no misspelt member is ignored.
    type Config: DeserializeOwned;

    /// Name by which configuration refers to the receiver, e.g. `jwt-events`.
    const NAME: &'static str;

    /// One line about the receiver, for operators.
    const DESCRIPTION: &'static str;

    /// JSON Schema of [`Config`](Self::Config), if there is one.
    const CONFIG_SCHEMA: Option<&'static str> = None;

    /// Validates the configuration beyond its syntax. Called before it takes effect.
    fn check(config: &Self::Config, host: &impl Host) -> Result<(), Failure> {
        let _ = (config, host); // The form was checked when `config` was parsed.
        Ok(())
    }

    /// Tries once to deliver the event: the node keeps it, and retries after a failure. An event
    /// may come twice, with the same id.
    fn deliver(config: &Self::Config, event: &Event, host: &impl Host) -> Result<(), Failure>;
}
