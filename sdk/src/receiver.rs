//! The trait that the author of an event receiver implements. It holds no state: every call may run
//! in a new instance.

use serde::de::DeserializeOwned;

use crate::{Event, Failure, Host};

/// A receiver of events. Export it with [`export_event_receiver!`](crate::export_event_receiver).
pub trait EventReceiver {
    /// The receiver's configuration, read from the
    /// node's JSON. Use `#[serde(deny_unknown_fields)]`.
    type Config: DeserializeOwned;

    /// Name by which configuration refers to the receiver, e.g. `jwt-events`.
    const NAME: &'static str;

    /// One line about the receiver, for operators.
    const DESCRIPTION: &'static str;

    /// JSON Schema of [`Config`](Self::Config), if there is one.
    const CONFIG_SCHEMA: Option<&'static str> = None;

    /// Checks the configuration beyond its form. Called before it takes effect.
    fn check(config: &Self::Config, host: &impl Host) -> Result<(), Failure> {
        let _ = (config, host); // The form was checked when `config` was parsed.
        Ok(())
    }

    /// Delivers the event, once: the node keeps it, and tries again after a failure. An event may
    /// come twice, with the same id.
    fn deliver(config: &Self::Config, event: &Event, host: &impl Host) -> Result<(), Failure>;
}
