//! The plugin's configuration.

use countersign_sdk::AssetNames;
use serde::Deserialize;

/// Root of the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Base URL of the handler, without `/v2/...`, e.g. `https://risk.example.com/handler`.
    pub url: String,
    /// Name under which the node holds the handler's public key.
    pub key: String,
    /// Name of the node's key that signs requests.
    #[serde(default = "callback")]
    pub signing_key: String,
    /// Time limit of one exchange in seconds, 1 to 30: the protocol gives a handler 30 seconds.
    #[serde(default = "thirty")]
    pub request_timeout: u32,
    /// Number of times that the handler may answer RETRY; 0: never.
    #[serde(default = "twenty")]
    pub retry_times: u64,
    /// Pause after a RETRY, in seconds. Fireblocks waits 180, but here other signers wait too.
    #[serde(default = "fifteen")]
    pub retry_seconds: u64,
    /// The handler's names for assets, by CAIP-2 id for a chain's native asset and by CAIP-19 id
    /// for others. An unlisted asset is named by that id, with amounts in the smallest unit.
    #[serde(default)]
    pub assets: AssetNames,
}

impl Config {
    /// Validates the values beyond their syntax.
    pub fn validate(&self) -> Result<(), String> {
        if self.url.is_empty() || self.url.contains(['?', '#']) {
            return Err("`url` is the handler's base URL, without query".into());
        }
        if !(1..=30).contains(&self.request_timeout) {
            return Err("request_timeout must be 1 to 30 seconds: no handler is given more".into());
        }
        if self.retry_times > 0 && self.retry_seconds == 0 {
            return Err("retry_seconds must not be 0".into());
        }
        if self.key == self.signing_key {
            return Err("`key` must be the handler's key, not the node's own".into());
        }
        self.assets.validate().map_err(|error| error.to_string())
    }

    /// Builds the whole URL of an endpoint, e.g. `tx_sign_request`.
    pub(crate) fn endpoint(&self, name: &str) -> String {
        format!("{}/v2/{name}", self.url.trim_end_matches('/'))
    }
}

fn callback() -> String {
    "callback".into()
}

fn thirty() -> u32 {
    30
}

fn twenty() -> u64 {
    20
}

fn fifteen() -> u64 {
    15
}
