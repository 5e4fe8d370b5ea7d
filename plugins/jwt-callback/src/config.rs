//! The plugin's configuration, with the incumbent's names and defaults.

use serde::Deserialize;

/// Root of the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Servers, all of which must approve.
    pub servers: Vec<Server>,
    /// Life of a request's token.
    #[serde(default = "two")]
    pub token_expire_minutes: u64,
    /// Further tries after the first; 0: none.
    #[serde(default = "two")]
    pub retry_times: u64,
    /// Pause between tries.
    #[serde(default = "fifteen")]
    pub sleep_seconds: u64,
    /// Limit of one try, in seconds.
    #[serde(default = "ten")]
    pub request_timeout: u64,
    /// Name of the node's key that signs requests.
    #[serde(default = "callback")]
    pub signing_key: String,
}

/// One callback server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Whole URL, e.g. `https://risk.example.com/v2/check`.
    pub url: String,
    /// Name under which the node holds the server's public key.
    pub key: String,
    /// Which vocabulary `extra_info` has.
    #[serde(default)]
    pub version: Version,
}

/// Vocabulary of `extra_info`. Both speak the same envelope.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// Flat members.
    V1,
    /// Objects of the later API.
    #[default]
    V2,
}

impl Config {
    /// What the form alone does not show.
    pub fn validate(&self) -> Result<(), String> {
        if self.servers.is_empty() {
            return Err("`servers` is empty: list a callback server, or remove this plugin's entry".into());
        }
        if self.token_expire_minutes == 0 || self.request_timeout == 0 {
            return Err("token_expire_minutes and request_timeout must not be 0".into());
        }
        if let Some(server) = self.servers.iter().find(|server| server.key == self.signing_key) {
            return Err(format!("{}: the server's key must not be the node's own", server.url));
        }
        Ok(())
    }
}

fn two() -> u64 {
    2
}

fn ten() -> u64 {
    10
}

fn fifteen() -> u64 {
    15
}

fn callback() -> String {
    "callback".into()
}
