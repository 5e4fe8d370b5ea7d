//! The section `metrics` of a configuration: the address of the listener, the target of the push,
//! and the names of the metrics.

mod influx;

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use influx::{Influx, InfluxInto, Password, RawInflux, Secret};

/// The section as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSettings {
    /// `127.0.0.1:PORT` or `[::1]:PORT` for `/live`, `/ready` and `/metrics`. If
    /// absent, none is served.
    pub listen: Option<String>,
    /// Label `job` of every metric. If absent, there is no such label.
    pub job: Option<String>,
    /// Label `instance` of every metric, a string or a number. If absent, there is no such label.
    pub instance: Option<serde_json::Value>,
    /// Prefix of every metric's name. Default: empty.
    pub name_prefix: Option<String>,
    /// The InfluxDB that metrics are pushed to.
    pub influxdb: Option<RawInflux>,
}

/// The validated `metrics` section of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Address to listen on; always a loopback address.
    pub listen: Option<SocketAddr>,
    /// Names and values of the labels of every metric.
    pub labels: Vec<(String, String)>,
    /// Prefix of every metric's name, possibly empty.
    pub prefix: String,
    /// The InfluxDB to push to, if one is configured.
    pub influx: Option<Influx>,
}

/// Why the section is rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The text is not an address and a port.
    #[error("metrics.listen is `{0}`; write 127.0.0.1:PORT or [::1]:PORT")]
    Listen(String),
    /// Other machines could reach the address.
    #[error(
        "metrics.listen is `{0}`, which other machines may reach, and there is no authentication; write 127.0.0.1:PORT or [::1]:PORT, and let a program on this machine forward it"
    )]
    NotLoopback(String),
    /// The value is neither a text nor a number.
    #[error("metrics.instance must be a string or a number; correct it")]
    Instance,
    /// The text is not a valid beginning of a metric's name.
    #[error(
        "metrics.name_prefix is `{0}`; use letters, digits and _, and do not begin with a digit"
    )]
    Prefix(String),
    /// The target of the metrics push is incomplete or contradictory.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("metrics.influxdb.{key} {what}")]
    Influx {
        key: &'static str,
        what: &'static str,
    },
    /// The interval is out of range.
    #[error("metrics.influxdb.interval_seconds is {0}; choose 1 to 3600")]
    Interval(u64),
    /// The file contains a password, and other users may read it.
    #[error(
        "metrics.influxdb.password is in {file}, which others may read; move it to a file of mode 600 and name that with password_file, or run `chmod 600 {file}`",
        file = .0.display()
    )]
    PasswordExposed(PathBuf),
}

impl Settings {
    /// Validates the section; relative paths start at `base`.
    pub fn from_raw(raw: RawSettings, base: &Path) -> Result<Self, SettingsError> {
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

    /// Refuses a configuration file that contains a password and is readable by others.
    pub fn check_password(&self, file: &Path) -> Result<(), SettingsError> {
        let here = self.influx.as_ref().is_some_and(Influx::has_password_here);
        let private = || std::fs::metadata(file).is_ok_and(|file| file.mode() & 0o077 == 0);
        if here && !private() {
            Err(SettingsError::PasswordExposed(file.into()))
        } else {
            Ok(())
        }
    }

    /// Returns advice for the operator.
    pub fn notes(&self) -> Vec<String> {
        self.influx.iter().flat_map(Influx::notes).collect()
    }
}

/// Accepts only loopback addresses: the metrics are for the operator alone, and
/// there is no authentication.
fn loopback(text: String) -> Result<SocketAddr, SettingsError> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err(SettingsError::NotLoopback(text)),
        Err(_) => Err(SettingsError::Listen(text)),
    }
}

fn instance(value: serde_json::Value) -> Result<String, SettingsError> {
    match value {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        _ => Err(SettingsError::Instance),
    }
}

/// Checks that a prefix yields valid metric names.
fn prefix(text: String) -> Result<String, SettingsError> {
    let starts = text
        .chars()
        .next()
        .is_none_or(|first| first.is_ascii_alphabetic() || first == '_');
    if starts && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(text)
    } else {
        Err(SettingsError::Prefix(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn parse(text: &str) -> Result<Settings, SettingsError> {
        Settings::from_raw(countersign_strict::yaml(text).unwrap(), Path::new("/base"))
    }

    fn metrics(keys: &str) -> Settings {
        parse(&format!("{{{keys}}}\n")).unwrap()
    }

    fn refused(keys: &str) -> String {
        parse(&format!("{{{keys}}}\n")).unwrap_err().to_string()
    }

    #[test]
    fn nothing_is_served_or_pushed_unless_the_file_says_so() {
        assert_eq!(metrics(""), Settings::default());
    }

    #[test]
    fn every_loopback_address_may_be_listened_on() {
        for address in ["127.0.0.1:1", "127.1.2.3:65535", "[::1]:0"] {
            let listen = metrics(&format!("listen: '{address}'")).listen;
            assert_eq!(listen, Some(address.parse().unwrap()));
        }
    }

    #[test]
    fn an_address_that_other_machines_may_reach_is_refused() {
        for address in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[fe80::1]:1"] {
            let told = refused(&format!("listen: '{address}'"));
            assert!(
                told.starts_with(&format!(
                    "metrics.listen is `{address}`, which other machines may reach"
                )),
                "{told}"
            );
            assert!(told.ends_with("on this machine forward it"), "{told}");
        }
    }

    #[test]
    fn an_address_without_a_valid_port_is_refused() {
        for address in ["127.0.0.1", "127.0.0.1:65536", ":1", "localhost:1", ""] {
            let told = refused(&format!("listen: '{address}'"));
            assert_eq!(
                told,
                format!("metrics.listen is `{address}`; write 127.0.0.1:PORT or [::1]:PORT")
            );
        }
    }

    #[test]
    fn labels_are_those_that_are_given() {
        let job = ("job".to_owned(), "tss".to_owned());
        assert_eq!(metrics("job: tss").labels, [job]);
        let instance = ("instance".to_owned(), "a".to_owned());
        assert_eq!(metrics("instance: a").labels, [instance]);
    }

    #[test]
    fn an_instance_may_be_a_number_and_nothing_else_than_that_or_a_text() {
        let number = ("instance".to_owned(), "3".to_owned());
        assert_eq!(metrics("instance: 3").labels, [number]);
        for other in ["true", "[1]", "{a: 1}"] {
            let told = refused(&format!("instance: {other}"));
            assert_eq!(
                told,
                "metrics.instance must be a string or a number; correct it"
            );
        }
    }

    #[test]
    fn a_prefix_begins_the_name_of_a_metric() {
        for prefix in ["", "a", "_", "A1_b"] {
            assert_eq!(metrics(&format!("name_prefix: '{prefix}'")).prefix, prefix);
        }
        for prefix in ["1a", "a-b", "a.b", "a ", "a\u{e9}"] {
            let told = refused(&format!("name_prefix: '{prefix}'"));
            assert!(
                told.starts_with(&format!("metrics.name_prefix is `{prefix}`; use letters")),
                "{told}"
            );
        }
    }
}
