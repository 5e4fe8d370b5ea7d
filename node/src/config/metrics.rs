//! `metrics`: where the node lets itself be looked at, where it pushes what is seen, and what its
//! metrics are called.

use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;

use super::error::ConfigError;
use super::influx::{Influx, RawInflux};

/// `metrics`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMetrics {
    /// `127.0.0.1:PORT` or `[::1]:PORT` for `/live`, `/ready` and `/metrics`. Absent: none of it.
    pub listen: Option<String>,
    /// Label `job` of every metric. Absent: no such label.
    pub job: Option<String>,
    /// Label `instance` of every metric, a text or a number. Absent: no such label.
    pub instance: Option<serde_json::Value>,
    /// What the name of every metric begins with.
    pub name_prefix: Option<String>,
    /// Where metrics are pushed to.
    pub influxdb: Option<RawInflux>,
}

/// What is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Where to listen, on this machine only.
    pub listen: Option<SocketAddr>,
    /// Labels of every metric.
    pub labels: Vec<(String, String)>,
    /// What the name of every metric begins with.
    pub prefix: String,
    /// Where metrics are pushed to.
    pub influx: Option<Influx>,
}

impl Metrics {
    pub(super) fn from_raw(raw: RawMetrics, base: &Path) -> Result<Self, ConfigError> {
        let instance = raw.instance.map(instance).transpose()?;
        let labels = [("job", raw.job), ("instance", instance)];
        Ok(Self {
            listen: raw.listen.map(loopback).transpose()?,
            labels: labels
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
            prefix: prefix(raw.name_prefix.unwrap_or_default())?,
            influx: Influx::from_raw(raw.influxdb.unwrap_or_default(), base)?,
        })
    }
}

/// What is shown is meant for the operator alone, and nothing asks who looks.
fn loopback(text: String) -> Result<SocketAddr, ConfigError> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err(ConfigError::NotLoopback(text)),
        Err(_) => Err(ConfigError::Listen(text)),
    }
}

fn instance(value: serde_json::Value) -> Result<String, ConfigError> {
    match value {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        _ => Err(ConfigError::MetricsInstance),
    }
}

/// Letters of the names of metrics.
fn prefix(text: String) -> Result<String, ConfigError> {
    let starts = text
        .chars()
        .next()
        .is_none_or(|first| first.is_ascii_alphabetic() || first == '_');
    if starts && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(text)
    } else {
        Err(ConfigError::MetricsPrefix(text))
    }
}
