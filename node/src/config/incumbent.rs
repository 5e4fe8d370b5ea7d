//! Sections that operators bring along in the file of the co-signer that they used before. What
//! means something here is expanded into plugin entries (`shorthand`); what does not is named in a
//! warning, or refused where ignoring it would mislead.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use super::error::ConfigError;
use super::raw::RawConfig;

/// `callback`: servers that must all approve, and how they are asked. The same for both lists.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCallback {
    /// Servers that are sent flat members (v1).
    #[serde(deserialize_with = "empty_if_null")]
    pub cb_server: Vec<RawCallbackServer>,
    /// Servers that are sent the objects of the later API (v2).
    #[serde(deserialize_with = "empty_if_null")]
    pub cb_server_v2: Vec<RawCallbackServer>,
    /// Life of a request's token.
    pub token_expire_minutes: u64,
    /// Further tries after the first; 0: none.
    pub retry_times: u64,
    /// Pause between tries.
    pub sleep_seconds: u64,
    /// Limit of one try, in seconds.
    pub request_timeout: u64,
    /// How often each server is pinged, such as `10s`, `5m` or `1h`. Empty: never.
    #[serde(deserialize_with = "empty_if_null")]
    pub monitor_interval: String,
    /// Refused: nothing public says what it means.
    pub policy: Option<serde_json::Value>,
    /// Likewise.
    pub check_policy: Option<serde_json::Value>,
}

impl Default for RawCallback {
    fn default() -> Self {
        Self {
            cb_server: Vec::new(),
            cb_server_v2: Vec::new(),
            token_expire_minutes: 2,
            retry_times: 2,
            sleep_seconds: 15,
            request_timeout: 10,
            monitor_interval: String::new(),
            policy: None,
            check_policy: None,
        }
    }
}

/// An entry of `callback.cb_server` or `callback.cb_server_v2`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCallbackServer {
    /// Whole URL.
    pub service_address: String,
    /// PEM file with the server's RSA public key (SubjectPublicKeyInfo).
    pub pubkey_path: PathBuf,
}

/// A key whose value is left out stands for nothing, as in the files that are brought along.
fn empty_if_null<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// What an operator must know of keys that do nothing here.
pub(super) fn review(raw: &RawConfig) -> Result<Vec<String>, ConfigError> {
    refuse(raw)?;
    let mut notes = Vec::new();
    let mut ignore = |there: bool, key: &str, instead: &str| {
        if there {
            notes.push(format!("{key} is ignored: {instead}"));
        }
    };
    ignore(
        raw.env.is_some(),
        "env",
        "there are no environments; coordinator.address and coordinator.id say whom the node dials",
    );
    ignore(
        raw.log
            .file
            .as_ref()
            .is_some_and(|file| file["enable"] != false),
        "log.file",
        "the node logs to its standard error; let the service manager or a redirection keep it",
    );
    Ok(notes)
}

fn refuse(raw: &RawConfig) -> Result<(), ConfigError> {
    let says = |section: &Option<serde_json::Value>, key: &str| {
        section
            .as_ref()
            .is_some_and(|section| section[key].as_str().is_some_and(|text| !text.is_empty()))
    };
    let callback = |get: fn(&RawCallback) -> &Option<serde_json::Value>| {
        raw.callback
            .as_ref()
            .is_some_and(|callback| get(callback).is_some())
    };
    let refused = |key, instead| Err(ConfigError::Refused { key, instead });
    if says(&raw.websocket, "url") {
        return refused(
            "websocket.url",
            "write coordinator.address and coordinator.id, which a node dials over QUIC",
        );
    }
    if callback(|callback| &callback.policy) || callback(|callback| &callback.check_policy) {
        let instead =
            "write the entry under policy.plugins instead of `callback` and give it a `scope`";
        return refused("callback.policy", instead);
    }
    Ok(())
}
