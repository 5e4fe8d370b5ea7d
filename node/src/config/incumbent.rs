//! Sections in files of the incumbent, the co-signer that operators used before. Those with a
//! meaning here are expanded into plugin entries (`shorthand`); the others are named in a warning,
//! or refused if ignoring them would mislead.

use super::error::ConfigError;
use super::raw::RawConfig;
use super::raw_callback::RawCallback;

/// Returns a note on each key that has no effect here.
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
        "there are no environments; coordinator.address and coordinator.id name the coordinator that the node dials",
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
