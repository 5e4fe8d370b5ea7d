//! Requests to a coordinator.

use std::collections::BTreeMap;

use countersign_protocol::{CoordinatorId, UnixMillis};
use countersign_requester::request::Sent;
use serde::Deserialize;

use crate::failure::Failure;
use crate::order::Secret;

/// A request as it is sent, and the key that signs it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    key: Secret,
    coordinator: CoordinatorId,
    method: String,
    path: String,
    /// Without the question mark.
    #[serde(default)]
    query: String,
    #[serde(default)]
    body: String,
    time: UnixMillis,
    /// A random value that was never used before.
    nonce: String,
}

/// The headers of a signed request, by name in lower case.
pub fn sign(parts: Parts) -> Result<BTreeMap<&'static str, String>, Failure> {
    let sent = Sent {
        coordinator: parts.coordinator,
        method: &parts.method,
        path: &parts.path,
        query: &parts.query,
        body: parts.body.as_bytes(),
        time: parts.time,
        nonce: &parts.nonce,
    };
    let headers = sent.headers(&parts.key.key()?).map_err(Failure::usage)?;
    Ok(headers.into_iter().collect())
}
