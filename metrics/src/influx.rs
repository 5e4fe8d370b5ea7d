//! Pushes metrics to InfluxDB, version 1 (`/write`) or version 2 (`/api/v2/write`).
//!
//! Pushing never gets in the way: a report is sent or dropped before the next one is taken, nothing
//! is queued, and a misbehaving server costs bounded time and memory. The credentials appear in
//! headers only, never in an error or a log line.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_files::custody::read_secret;
use countersign_files::{Custody, CustodyError};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;
use zeroize::Zeroizing;

use crate::config::{Influx, InfluxInto, Secret, Settings};
use crate::lines::lines;
use crate::sheet::Sheet;
use crate::table::Table;
use crate::{Look, Report};

/// Time limit for taking one report and pushing it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum lines per request.
const BATCH: usize = 5_000;
/// Maximum lines of one report. Any more are not sent.
const MOST: usize = 20_000;
/// Maximum size in bytes of a file with a credential.
const CREDENTIAL: u64 = 4 << 10;
/// Maximum size in bytes of a file with authorities.
const AUTHORITIES: u64 = 4 << 20;
/// Interval at which the log repeats a trouble that persists.
const AGAIN: Duration = Duration::from_secs(3600);

/// A client that pushes reports to one InfluxDB.
#[derive(Debug)]
pub struct Pusher {
    table: &'static Table,
    influx: Influx,
    settings: Settings,
    write: Url,
    client: reqwest::Client,
}

/// Reasons why a report was not pushed, or the push cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The HTTP client cannot be created.
    #[error(
        "metrics.influxdb: cannot set up TLS: {0}; check the system's CA certificates (package ca-certificates)"
    )]
    Client(String),
    /// The file with further authorities cannot be read.
    #[error("policy.ca_file, {file}, cannot be read: {source}; correct it", file = file.display())]
    Authorities {
        /// The configured path of the authorities.
        file: PathBuf,
        /// The reason from reading the file.
        source: CustodyError,
    },
    /// The file with further authorities has no certificate.
    #[error("policy.ca_file, {file}, holds no valid PEM certificate; export the authority as PEM", file = .0.display())]
    NoAuthority(PathBuf),
    /// A file with a credential cannot be read.
    #[error("the credential of metrics.influxdb in {file} cannot be read: {source}; correct the file", file = file.display())]
    Credential {
        /// The configured path of the credential.
        file: PathBuf,
        /// The reason from reading the file.
        source: CustodyError,
    },
    /// Other users may read the file with the credential.
    #[error(
        "others may read the credential of metrics.influxdb; run `chmod 600 {file}`, and change it if somebody did",
        file = file.display()
    )]
    Exposed {
        /// The configured path of the credential.
        file: PathBuf,
    },
    /// The file holds nothing that can be sent in a header.
    #[error("the credential of metrics.influxdb in {file} is empty or not a line of text; write it again", file = file.display())]
    Unfit {
        /// The configured path of the credential.
        file: PathBuf,
    },
    /// The server cannot be reached, or does not answer.
    #[error("{0}; check that the InfluxDB of metrics.influxdb is running and reachable")]
    Unreached(String),
    /// The report was not taken and pushed in time.
    #[error(
        "a report was not taken and pushed within {} s; check the disk, and whether the InfluxDB of metrics.influxdb is overloaded", .0.as_secs()
    )]
    Late(Duration),
    /// The server rejected the request.
    #[error("the server answered {status}: {advice}")]
    Refused {
        /// HTTP status code of the answer.
        status: u16,
        /// Advice on this status, for the operator.
        advice: &'static str,
    },
}

impl Pusher {
    /// Creates the pusher of these settings; `None` if they name no InfluxDB. `ca_file` has
    /// authorities that count besides those of the operating system. Credentials must be readable
    /// now, although they are read again for each push.
    pub fn new(
        table: &'static Table,
        settings: &Settings,
        ca_file: Option<&Path>,
    ) -> Result<Option<Self>, PushError> {
        let Some(influx) = settings.influx.clone() else {
            return Ok(None);
        };
        let pusher = Self {
            table,
            write: place(&influx),
            client: client(ca_file)?,
            settings: settings.clone(),
            influx,
        };
        pusher.authorization()?;
        Ok(Some(pusher))
    }

    /// Returns the URL that lines are written to.
    pub fn place(&self) -> &Url {
        &self.write
    }

    /// Pushes a sheet of `now`, in milliseconds since 1970. Returns the number of samples.
    pub async fn push(&self, sheet: &Sheet, now: u64) -> Result<usize, PushError> {
        let mut lines = lines(self.table, sheet, &self.settings, now);
        lines.truncate(MOST);
        let authorization = self.authorization()?;
        for batch in lines.chunks(BATCH) {
            self.send(batch.join("\n"), authorization.as_ref()).await?;
        }
        Ok(lines.len())
    }

    /// Sends some lines. The answer's body is not read.
    async fn send(
        &self,
        lines: String,
        authorization: Option<&HeaderValue>,
    ) -> Result<(), PushError> {
        let mut request = self
            .client
            .post(self.write.clone())
            .header(CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(lines);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let answer = request.send().await;
        let status = answer
            .map_err(|error| PushError::Unreached(cause(&error)))?
            .status();
        match status.as_u16() {
            200..=299 => Ok(()),
            status => Err(PushError::Refused {
                status,
                advice: advice(status),
            }),
        }
    }

    /// Returns the value of the `Authorization` header.
    fn authorization(&self) -> Result<Option<HeaderValue>, PushError> {
        let (value, file) = match &self.influx.into {
            InfluxInto::Database { user: None, .. } => return Ok(None),
            InfluxInto::Database {
                user: Some((name, password)),
                ..
            } => {
                let (password, file) = match password {
                    Secret::Here(password) => (Zeroizing::new(password.expose().to_owned()), None),
                    Secret::File(file) => (credential(file)?, Some(file)),
                };
                let both = Zeroizing::new(format!("{name}:{}", *password));
                let both = Zeroizing::new(STANDARD.encode(both.as_bytes()));
                (Zeroizing::new(format!("Basic {}", *both)), file)
            }
            InfluxInto::Bucket { token, .. } => {
                let value = format!("Token {}", *credential(token)?);
                (Zeroizing::new(value), Some(token))
            }
        };
        // A credential is printable ASCII, and so is Base64.
        let mut header = HeaderValue::from_str(&value).map_err(|_| PushError::Unfit {
            file: file.cloned().unwrap_or_default(),
        })?;
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

/// Follows no redirect, uses no proxy and nothing of the environment.
fn client(ca_file: Option<&Path>) -> Result<reqwest::Client, PushError> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .http1_only()
        .timeout(PATIENCE)
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
    if let Some(file) = ca_file {
        builder = builder.tls_certs_merge(authorities(file)?);
    }
    builder
        .build()
        .map_err(|error| PushError::Client(cause(&error)))
}

fn authorities(file: &Path) -> Result<Vec<reqwest::Certificate>, PushError> {
    let read = Custody::Operator.read(file, AUTHORITIES);
    let pem = read.map_err(|source| PushError::Authorities {
        file: file.into(),
        source,
    })?;
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(PushError::NoAuthority(file.into())),
    }
}

/// The innermost cause, which says what happened and shows no URL.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("there was no answer within {} s", PATIENCE.as_secs());
    }
    let mut cause = error.source();
    let mut text = "the request could not be sent".to_owned();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

/// Builds the URL that lines are written to.
fn place(influx: &Influx) -> Url {
    let mut url = influx.server.clone();
    let (path, query) = match &influx.into {
        InfluxInto::Database { name, .. } => ("write", vec![("db", name)]),
        InfluxInto::Bucket { org, name, .. } => {
            ("api/v2/write", vec![("org", org), ("bucket", name)])
        }
    };
    url.set_path(&format!("{}{path}", influx.server.path()));
    url.query_pairs_mut()
        .extend_pairs(query)
        .append_pair("precision", "ms");
    url
}

/// Reads one line of printable ASCII from a file that only its owner may read.
fn credential(file: &Path) -> Result<Zeroizing<String>, PushError> {
    let bytes = Zeroizing::new(read_secret(file, CREDENTIAL).map_err(|error| match error {
        CustodyError::Readable { .. } => PushError::Exposed { file: file.into() },
        source => PushError::Credential {
            file: file.into(),
            source,
        },
    })?);
    let line = std::str::from_utf8(bytes.trim_ascii()).ok();
    let line = line
        .filter(|line| !line.is_empty() && line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    line.map(|line| Zeroizing::new(line.to_owned()))
        .ok_or_else(|| PushError::Unfit { file: file.into() })
}

/// Translates a status into advice. The server's own words are not shown: they could be anything.
fn advice(status: u16) -> &'static str {
    match status {
        300..=399 => {
            "it redirects, and redirects are not followed; correct metrics.influxdb.server_addr"
        }
        400 => "it cannot read the lines or has values of another type; see its log",
        401 | 403 => "it does not let this user or token write; check its permissions",
        404 => {
            "there is no such database, organisation or bucket; create it, or correct metrics.influxdb"
        }
        413 => "it does not accept requests of this size; raise its limit",
        429 | 503 => "it is overloaded; raise metrics.influxdb.interval_seconds",
        _ => "see its log",
    }
}

/// Pushes a report at each interval until `stop` is cancelled, and counts successes and failures.
pub async fn follow(pusher: Pusher, look: Look, count: impl Fn(bool), stop: CancellationToken) {
    follow_within(PATIENCE, pusher, look, count, stop).await;
}

async fn follow_within(
    patience: Duration,
    pusher: Pusher,
    look: Look,
    count: impl Fn(bool),
    stop: CancellationToken,
) {
    let mut every = interval(pusher.influx.every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trouble = Trouble::default();
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        let push = async {
            let Report { sheet, .. } = look().await;
            pusher.push(&sheet, now()).await
        };
        let in_time = timeout(patience, push);
        let Some(pushed) = stop.run_until_cancelled(in_time).await else {
            return;
        };
        let pushed = pushed.unwrap_or(Err(PushError::Late(patience)));
        count(pushed.is_ok());
        match trouble.note(pushed.as_ref().err(), Instant::now()) {
            Say::Nothing => {}
            Say::Fails { times, why } => {
                tracing::warn!(times, %why, "metrics do not reach InfluxDB");
            }
            Say::Well { times } => tracing::info!(times, "metrics reach InfluxDB again"),
        }
    }
}

/// Milliseconds since 1970, 0 before.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as u64
}

/// State of the log lines about a persisting trouble.
#[derive(Default)]
struct Trouble {
    times: u64,
    said: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Say {
    Nothing,
    Fails { times: u64, why: String },
    Well { times: u64 },
}

impl Trouble {
    /// Logs one line when it begins, one per hour while it persists, and one when it is over.
    fn note(&mut self, error: Option<&PushError>, now: Instant) -> Say {
        let Some(error) = error else {
            let before = std::mem::take(self);
            return if before.times > 0 {
                Say::Well {
                    times: before.times,
                }
            } else {
                Say::Nothing
            };
        };
        self.times += 1;
        if self
            .said
            .is_some_and(|said| now.duration_since(said) < AGAIN)
        {
            return Say::Nothing;
        }
        self.said = Some(now);
        Say::Fails {
            times: self.times,
            why: error.to_string(),
        }
    }
}

#[cfg(test)]
#[path = "influx_tests.rs"]
mod tests;
