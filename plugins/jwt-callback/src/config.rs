//! The plugin's configuration, with the incumbent's names and defaults.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use countersign_sdk::AssetNames;
use serde::Deserialize;

/// The maximum number of requests per call that the node allows.
const REQUESTS: u64 = 256;

/// Root of the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The servers, all of which must approve. They are asked at the same time.
    pub servers: Vec<Server>,
    /// Lifetime of a request's token: 1 to 1440 minutes.
    #[serde(default = "two")]
    pub token_expire_minutes: u64,
    /// Number of retries for each server that gave no valid answer; 0: none. Tries also end if the
    /// task's deadline leaves no time for another.
    #[serde(default = "two")]
    pub retry_times: u64,
    /// Pause before a retry: 0 to 86400 seconds.
    #[serde(default = "fifteen")]
    pub sleep_seconds: u64,
    /// Time limit of one try: 1 to 60 seconds.
    #[serde(default = "ten")]
    pub request_timeout: u32,
    /// Name of the node's key that signs requests.
    #[serde(default = "callback")]
    pub signing_key: String,
    /// If true, requests carry a nonce and a digest, and answers must repeat both and name this
    /// node, for servers that know this mode. If false, as servers in the field expect.
    #[serde(default)]
    pub strict: bool,
    /// The servers' names for assets. An unlisted asset has no `coin` and no `token_id`,
    /// which some servers require.
    #[serde(default)]
    pub assets: AssetNames,
}

/// A callback server of an operator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Whole URL, e.g. `https://risk.example.com/v2/check`.
    pub url: String,
    /// Name under which the node holds the server's public key.
    pub key: String,
    /// The vocabulary of `extra_info` that the server understands.
    #[serde(default)]
    pub version: Version,
}

/// The vocabulary of `extra_info`. The envelope is the same in both.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// Flat members, as in the incumbent's first API.
    V1,
    /// Objects, as in the incumbent's later API.
    #[default]
    V2,
}

impl Config {
    /// Validates the values beyond their syntax.
    pub fn validate(&self) -> Result<(), String> {
        if self.servers.is_empty() {
            return Err(
                "`servers` is empty: list a callback server, or remove this plugin's entry".into(),
            );
        }
        within("token_expire_minutes", self.token_expire_minutes, 1..=1440)?;
        within("sleep_seconds", self.sleep_seconds, 0..=86_400)?;
        within("request_timeout", self.request_timeout.into(), 1..=60)?;
        let tries = self.retry_times.saturating_add(1);
        if tries.saturating_mul(self.servers.len() as u64) > REQUESTS {
            return Err(format!(
                "{tries} tries for each of {} servers: a task has {REQUESTS} requests in all; lower `retry_times`",
                self.servers.len()
            ));
        }
        self.assets.validate().map_err(|error| error.to_string())?;
        let mut seen = BTreeSet::new();
        for server in &self.servers {
            let url = canonical(&server.url).map_err(|why| format!("`{}`: {why}", server.url))?;
            if !seen.insert(url) {
                return Err(format!(
                    "{} is listed twice: remove one of the two",
                    server.url
                ));
            }
            if server.key == self.signing_key {
                return Err(format!(
                    "{}: the server's key must not be the node's own; name the server's",
                    server.url
                ));
            }
        }
        Ok(())
    }
}

fn within(name: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), String> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(format!(
            "`{name}` is {value}: choose a number from {} to {}",
            range.start(),
            range.end()
        ))
    }
}

/// Normalises `url`. The host decides on URLs; this reports mistakes before the first task.
fn canonical(url: &str) -> Result<String, &'static str> {
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.contains('#') {
        return Err("a URL is plain ASCII without spaces and fragment");
    }
    let (scheme, default_port, rest) = match url.split_once("://") {
        Some(("https", rest)) => ("https", ":443", rest),
        Some(("http", rest)) => ("http", ":80", rest),
        _ => return Err("write a URL that begins with https:// or http://"),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.is_empty() || authority.contains('@') {
        return Err("write the server's host, without user and password");
    }
    let authority = authority.to_ascii_lowercase();
    let authority = authority.strip_suffix(default_port).unwrap_or(&authority);
    let path = if path.is_empty() { "/" } else { path };
    Ok(format!("{scheme}://{authority}{path}"))
}

fn two() -> u64 {
    2
}

fn ten() -> u32 {
    10
}

fn fifteen() -> u64 {
    15
}

fn callback() -> String {
    "callback".into()
}
