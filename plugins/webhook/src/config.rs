//! The plugin's configuration.

use serde::Deserialize;

/// Root of the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// URL of the approval server. `https`, or `http` on this machine.
    pub url: String,
    /// Name of the secret that authenticates requests.
    pub secret: String,
    /// Name of the secret that authenticates answers; by default the same.
    pub answer_secret: Option<String>,
    /// Time limit of one try, in seconds.
    #[serde(default = "ten")]
    pub request_timeout: u32,
    /// Number of retries after the first try; 0: none.
    #[serde(default = "two")]
    pub retry_times: u64,
    /// Pause between tries, in seconds.
    #[serde(default = "fifteen")]
    pub sleep_seconds: u64,
}

impl Config {
    /// Validates the values beyond their syntax.
    pub fn validate(&self) -> Result<(), String> {
        if !self.url.starts_with("https://") && !is_local(&self.url) {
            return Err("`url` must begin with https:// (http:// is for this machine only)".into());
        }
        if self.request_timeout == 0 {
            return Err("request_timeout must not be 0".into());
        }
        Ok(())
    }

    /// Returns the name of the secret that authenticates answers.
    pub(crate) fn answer_secret(&self) -> &str {
        self.answer_secret.as_deref().unwrap_or(&self.secret)
    }
}

fn is_local(url: &str) -> bool {
    ["http://127.0.0.1", "http://[::1]", "http://localhost"]
        .iter()
        .any(|origin| {
            url.strip_prefix(origin)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
        })
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
