//! The preflights that the node answers.

use std::collections::BTreeSet;

use countersign_protocol::RequesterId;

use super::raw::{RawPreflight, RawRequester};
use super::{ConfigError, count};

/// The requesters that are told how the node would decide, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflights {
    /// Requesters whose preflights are answered.
    pub allowed: BTreeSet<RequesterId>,
    /// Preflights of each requester in a minute.
    pub per_minute: usize,
}

impl Preflights {
    pub(super) fn from_raw(
        raw: &RawPreflight,
        requesters: &[RawRequester],
    ) -> Result<Self, ConfigError> {
        let allowed = |entry: &&RawRequester| entry.preflight.unwrap_or(raw.allow);
        let allowed = requesters.iter().filter(allowed).map(|entry| entry.id);
        Ok(Self {
            allowed: allowed.collect(),
            per_minute: count("preflight.per_minute", raw.per_minute, 1, 60_000)?,
        })
    }
}
