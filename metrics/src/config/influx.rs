//! `metrics.influxdb`: the database that metrics are pushed to, of version 1 as in the
//! incumbent's files, or of version 2.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::SettingsError;
use crate::plain_http;

/// `metrics.influxdb`. An empty text counts as absent, as in the incumbent's files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawInflux {
    /// `http://HOST:PORT` or `https://HOST:PORT`. If absent, nothing is pushed.
    pub server_addr: Option<String>,
    /// Version 1: name of the database.
    pub database: Option<String>,
    /// Version 1: name of the user. If absent, requests carry no credentials.
    pub username: Option<String>,
    /// Version 1: password of the user. Prefer `password_file`.
    pub password: Option<Password>,
    /// Version 1: path of a file with the password, mode 600.
    pub password_file: Option<PathBuf>,
    /// Version 2: name of the bucket's organisation.
    pub org: Option<String>,
    /// Version 2: name of the bucket.
    pub bucket: Option<String>,
    /// Version 2: path of a file with the token, mode 600.
    pub token_file: Option<PathBuf>,
    /// Seconds between two pushes, from 1 to 3600. Default: 10.
    pub interval_seconds: u64,
}

impl Default for RawInflux {
    fn default() -> Self {
        Self {
            server_addr: None,
            database: None,
            username: None,
            password: None,
            password_file: None,
            org: None,
            bucket: None,
            token_file: None,
            interval_seconds: 10,
        }
    }
}

/// A password from the configuration file. Its `Debug` output is redacted.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Returns the password in clear text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The validated target of the metrics push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Influx {
    /// Base URL of the server; its path ends in a slash.
    pub server: Url,
    /// The destination within the server, and the credentials.
    pub into: InfluxInto,
    /// Interval between two pushes.
    pub every: Duration,
}

/// The destination of metrics within the server, with the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InfluxInto {
    /// A database of InfluxDB version 1.
    Database {
        /// Name of the database.
        name: String,
        /// User name and password, if the server asks for them.
        user: Option<(String, Secret)>,
    },
    /// A bucket of InfluxDB version 2.
    Bucket {
        /// Organisation that the bucket belongs to.
        org: String,
        /// Name of the bucket.
        name: String,
        /// Path of the file with the token.
        token: PathBuf,
    },
}

/// The location of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// Written in the configuration file.
    Here(Password),
    /// In a file of its own, which is read before each push.
    File(PathBuf),
}

impl Influx {
    pub(super) fn from_raw(raw: RawInflux, base: &Path) -> Result<Option<Self>, SettingsError> {
        let Some(address) = text(raw.server_addr) else {
            return Ok(None);
        };
        let server = server(&address)?;
        let every = interval(raw.interval_seconds)?;
        let password = match (
            raw.password
                .filter(|password| !password.expose().is_empty()),
            raw.password_file,
        ) {
            (Some(_), Some(_)) => {
                return wrong("password", "is given twice; keep only password_file");
            }
            (Some(password), None) => Some(Secret::Here(password)),
            (None, file) => file.map(|file| Secret::File(base.join(file))),
        };
        let user = match (text(raw.username), password) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            (Some(_), None) => return wrong("username", "has no password; write password_file"),
            (None, Some(_)) => return wrong("password", "has no user; write username"),
        };
        let token = raw.token_file.map(|file| base.join(file));
        let into = match (text(raw.database), text(raw.bucket), text(raw.org)) {
            (Some(name), None, None) if token.is_none() => InfluxInto::Database { name, user },
            (None, Some(name), Some(org)) => match (user, token) {
                (None, Some(token)) => InfluxInto::Bucket { org, name, token },
                (None, None) => return wrong("bucket", "has no token; write token_file"),
                (Some(_), _) => {
                    return wrong(
                        "username",
                        "is of version 1, and bucket of version 2; write token_file",
                    );
                }
            },
            (None, Some(_), None) => return wrong("bucket", "has no organisation; write org"),
            (None, None, _) => {
                return wrong(
                    "server_addr",
                    "has no destination for the metrics; write database, or org, bucket and token_file",
                );
            }
            (Some(_), _, _) => {
                return wrong(
                    "database",
                    "is of version 1, and org, bucket and token_file of version 2; keep one kind",
                );
            }
        };
        Ok(Some(Self {
            server,
            into,
            every,
        }))
    }

    /// True if the password is written in the configuration file.
    pub fn has_password_here(&self) -> bool {
        matches!(
            &self.into,
            InfluxInto::Database {
                user: Some((_, Secret::Here(_))),
                ..
            }
        )
    }

    /// Returns advice for the operator.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let key = "metrics.influxdb.server_addr";
        notes.extend(plain_http::note(
            key,
            self.server.as_str(),
            "metrics and credentials",
        ));
        if self.has_password_here() {
            notes.push(
                "metrics.influxdb.password is in this file; move it to a file of mode 600 and name that with password_file"
                    .into(),
            );
        }
        notes
    }
}

fn wrong<T>(key: &'static str, what: &'static str) -> Result<T, SettingsError> {
    Err(SettingsError::Influx { key, what })
}

fn text(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}

/// Parses the server's URL and ends its path in a slash, so that paths can be appended.
fn server(address: &str) -> Result<Url, SettingsError> {
    let form = "is not of the form http://HOST:PORT or https://HOST:PORT; correct it";
    let Ok(mut url) = Url::parse(address) else {
        return wrong("server_addr", form);
    };
    if !url.username().is_empty() || url.password().is_some() {
        return wrong(
            "server_addr",
            "has a user in it; write username and password_file",
        );
    }
    if !matches!(url.scheme(), "http" | "https")
        || url.host().is_none()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return wrong("server_addr", form);
    }
    let path = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

fn interval(seconds: u64) -> Result<Duration, SettingsError> {
    let in_range = (1..=3_600).contains(&seconds);
    in_range
        .then(|| Duration::from_secs(seconds))
        .ok_or(SettingsError::Interval(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::parse;

    const DATABASE: &str = "server_addr: 'http://localhost:8086', database: d";

    fn influx(keys: &str) -> Influx {
        let settings = parse(&format!("influxdb: {{{keys}}}\n")).unwrap();
        settings.influx.expect("it is configured")
    }

    fn refused(keys: &str) -> String {
        let refused = parse(&format!("influxdb: {{{keys}}}\n"));
        refused.unwrap_err().to_string()
    }

    #[test]
    fn metrics_are_pushed_every_second_to_every_hour() {
        for seconds in [1, 3_600] {
            let every = influx(&format!("{DATABASE}, interval_seconds: {seconds}")).every;
            assert_eq!(every, Duration::from_secs(seconds));
        }
        for seconds in [0, 3_601] {
            let told = refused(&format!("{DATABASE}, interval_seconds: {seconds}"));
            assert!(told.ends_with("choose 1 to 3600"), "{told}");
        }
        assert_eq!(influx(DATABASE).every, Duration::from_secs(10));
    }

    #[test]
    fn the_path_of_the_server_ends_in_one_slash() {
        for (address, path) in [
            ("http://h:1", "/"),
            ("http://h:1/", "/"),
            ("http://h:1/a", "/a/"),
            ("http://h:1/a/b//", "/a/b/"),
        ] {
            let server = influx(&format!("server_addr: '{address}', database: d")).server;
            assert_eq!(server.path(), path, "{address}");
        }
    }

    #[test]
    fn an_address_that_paths_cannot_be_appended_to_is_refused() {
        for address in [
            "ftp://h:1",
            "unix:/run/influx",
            "h:1",
            "http://h:1?db=a",
            "http://h:1#a",
            "http://",
        ] {
            let told = refused(&format!("server_addr: '{address}', database: d"));
            assert_eq!(
                told,
                "metrics.influxdb.server_addr is not of the form http://HOST:PORT or https://HOST:PORT; correct it"
            );
        }
    }

    #[test]
    fn credentials_in_the_address_are_refused_and_not_repeated() {
        for address in ["http://bob@h:1", "http://:hunter2@h:1"] {
            let told = refused(&format!("server_addr: '{address}', database: d"));
            assert_eq!(
                told,
                "metrics.influxdb.server_addr has a user in it; write username and password_file"
            );
        }
    }

    #[test]
    fn secrets_in_files_are_sought_from_the_configuration_file() {
        let user = influx(&format!("{DATABASE}, username: u, password_file: p")).into;
        let InfluxInto::Database {
            user: Some((_, password)),
            ..
        } = user
        else {
            panic!("{user:?}")
        };
        assert_eq!(password, Secret::File("/base/p".into()));
        let bucket = influx("server_addr: 'http://h:1', org: o, bucket: b, token_file: /t").into;
        let InfluxInto::Bucket { token, .. } = bucket else {
            panic!("{bucket:?}")
        };
        assert_eq!(token, Path::new("/t"));
    }

    #[test]
    fn a_database_without_user_is_pushed_to_without_credentials() {
        let name = "d".into();
        let user = None;
        assert_eq!(influx(DATABASE).into, InfluxInto::Database { name, user });
    }

    #[test]
    fn an_organisation_without_a_bucket_is_not_a_destination() {
        let told = refused("server_addr: 'http://h:1', org: o, token_file: t");
        assert_eq!(
            told,
            "metrics.influxdb.server_addr has no destination for the metrics; write database, or org, bucket and token_file"
        );
    }

    #[test]
    fn an_empty_password_counts_as_none() {
        let told = refused(&format!("{DATABASE}, username: u, password: ''"));
        assert_eq!(
            told,
            "metrics.influxdb.username has no password; write password_file"
        );
        let user = influx(&format!("{DATABASE}, username: '', password: ''")).into;
        assert!(matches!(user, InfluxInto::Database { user: None, .. }));
    }

    #[test]
    fn only_a_password_in_the_configuration_file_counts_as_here() {
        let here = format!("{DATABASE}, username: u, password: p");
        let file = format!("{DATABASE}, username: u, password_file: p");
        let has = |keys: &str| influx(keys).has_password_here();
        assert!(has(&here));
        assert!(!has(&file) && !has(DATABASE));
    }

    #[test]
    fn a_password_here_and_a_server_without_tls_are_noted() {
        let notes = influx("server_addr: 'http://h:1', database: d, username: u, password: p");
        let notes = notes.notes();
        assert!(notes[0].ends_with("in transit; use https"), "{notes:?}");
        assert!(notes[1].ends_with("with password_file"), "{notes:?}");
        let quiet = influx("server_addr: 'https://h:1', database: d").notes();
        assert!(quiet.is_empty(), "{quiet:?}");
    }

    #[test]
    fn a_password_is_not_in_the_debug_output_of_the_section() {
        let raw = RawInflux {
            password: Some("hunter2".to_owned().into()),
            ..RawInflux::default()
        };
        let shown = format!("{raw:?}");
        assert!(
            shown.contains("Password(..)") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
