//! Verifies deliveries of webhooks.

use countersign_api::WebhookFormat;
use countersign_protocol::UnixMillis;
use countersign_requester::webhook::{self, Delivery, Given, Verified, WebhookKey};
use serde::Deserialize;

use crate::failure::Failure;

/// A delivery, and what it is compared with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrived {
    headers: Vec<(String, String)>,
    /// The exact bytes, in hexadecimal.
    body: String,
    keys: Vec<Given>,
    format: WebhookFormat,
    now: UnixMillis,
    tolerance_ms: u64,
}

/// Verifies a delivery and reads its event.
pub fn verify(arrived: Arrived) -> Result<Verified, Failure> {
    let body = hex::decode(&arrived.body).map_err(Failure::usage)?;
    let keys = WebhookKey::all(&arrived.keys).map_err(Failure::usage)?;
    let delivery = Delivery {
        headers: &arrived.headers,
        body: &body,
    };
    let Arrived {
        format,
        now,
        tolerance_ms,
        ..
    } = arrived;
    webhook::verify(delivery, &keys, format, now, tolerance_ms)
        .map_err(|error| Failure::new(error.code(), error))
}
