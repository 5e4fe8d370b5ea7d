//! `metrics`: the address of the metrics listener, the target of the push, and the
//! names of the metrics.

use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;

use super::error::ConfigError;
use super::influx::{Influx, RawInflux};

/// The section `metrics` of the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMetrics {
    /// `127.0.0.1:PORT` or `[::1]:PORT` for `/live`, `/ready` and `/metrics`. If
    /// absent, none is served.
    pub listen: Option<String>,
    /// Label `job` of every metric. If absent, there is no such label.
    pub job: Option<String>,
    /// Label `instance` of every metric, a text or a number. If absent, there is no such label.
    pub instance: Option<serde_json::Value>,
    /// Prefix of every metric's name. Default: empty.
    pub name_prefix: Option<String>,
    /// The InfluxDB that metrics are pushed to.
    pub influxdb: Option<RawInflux>,
}

/// The validated section `metrics`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Address to listen on; always a loopback address.
    pub listen: Option<SocketAddr>,
    /// Names and values of the labels of every metric.
    pub labels: Vec<(String, String)>,
    /// Prefix of every metric's name, possibly empty.
    pub prefix: String,
    /// The InfluxDB to push to, if one is configured.
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

/// Accepts only loopback addresses: the metrics are for the operator alone, and
/// there is no authentication.
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

/// Checks that a prefix yields valid metric names.
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
