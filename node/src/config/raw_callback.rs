//! `callback`, a shorthand of the incumbent co-signer, as written.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

/// `callback`: servers that must all approve, with settings that both lists share.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCallback {
    /// Servers that receive a flat object (v1).
    #[serde(deserialize_with = "empty_if_null")]
    pub cb_server: Vec<RawCallbackServer>,
    /// Servers that receive the nested objects of the later API (v2).
    #[serde(deserialize_with = "empty_if_null")]
    pub cb_server_v2: Vec<RawCallbackServer>,
    /// Lifetime of a request's token in minutes. Default: 2.
    pub token_expire_minutes: u64,
    /// Retries after the first attempt; 0 turns them off. Default: 2.
    pub retry_times: u64,
    /// Seconds between two attempts. Default: 15.
    pub sleep_seconds: u64,
    /// Seconds within which one attempt must be answered. Default: 10.
    pub request_timeout: u64,
    /// Interval between pings of each server, such as `10s`, `5m` or `1h`. Empty turns them off.
    #[serde(deserialize_with = "empty_if_null")]
    pub monitor_interval: String,
    /// Refused: its meaning is not publicly documented.
    pub policy: Option<serde_json::Value>,
    /// Refused for the same reason as `policy`.
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
    /// Full URL of the server.
    pub service_address: String,
    /// PEM file with the server's RSA public key (SubjectPublicKeyInfo).
    pub pubkey_path: PathBuf,
}

/// Treats a key without a value as absent, as in the incumbent's files.
pub(super) fn empty_if_null<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> RawCallback {
        countersign_strict::yaml(text).unwrap()
    }

    #[test]
    fn a_key_without_a_value_counts_as_absent() {
        let callback = read("cb_server:\ncb_server_v2:\nmonitor_interval:\npolicy:\n");
        assert!(callback.cb_server.is_empty() && callback.cb_server_v2.is_empty());
        assert_eq!(
            (callback.monitor_interval, callback.policy),
            (String::new(), None)
        );
    }

    #[test]
    fn a_server_has_an_address_and_a_key() {
        for (server, missing) in [
            ("{pubkey_path: a.pem}", "service_address"),
            ("{service_address: 'http://a'}", "pubkey_path"),
        ] {
            let text = format!("cb_server_v2: [{server}]\n");
            let error = countersign_strict::yaml::<RawCallback>(&text).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains(&format!("missing field `{missing}`")),
                "{error}"
            );
        }
    }
}
