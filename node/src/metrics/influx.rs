//! Pushes metrics to InfluxDB, version 1 (`/write`) or version 2 (`/api/v2/write`).
//!
//! Pushing never gets in the way: a snapshot is sent or dropped before the next one is taken,
//! nothing is queued, and a misbehaving server costs bounded time and memory. The credentials
//! appear in headers only, never in an error or a log line.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_host::{
    Custody, CustodyError, HttpClient, HttpClientError, HttpError, HttpOptions, HttpRequest,
};
use countersign_protocol::UnixMillis;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use url::Url;
use zeroize::Zeroizing;

use super::lines::lines;
use super::{Look, Snapshot, text};
use crate::config::{Config, Influx, InfluxInto, Metrics, Secret};

/// Time limit for one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum bytes of an answer that are read.
const ANSWER: usize = 16 << 10;
/// Maximum lines per request.
const BATCH: usize = 5_000;
/// Maximum lines of one snapshot. Any more are not sent.
const MOST: usize = 20_000;
/// Maximum size in bytes of a file with a credential.
const CREDENTIAL: u64 = 4 << 10;
/// Maximum size in bytes of a file with authorities.
const AUTHORITIES: u64 = 4 << 20;
/// Interval at which the log repeats a trouble that persists.
const AGAIN: Duration = Duration::from_secs(3600);

/// A client that pushes snapshots to one InfluxDB.
pub struct Pusher {
    influx: Influx,
    names: Metrics,
    write: Url,
    client: HttpClient,
}

/// Reasons why a snapshot was not pushed, or the push cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The HTTP client cannot be created.
    #[error("metrics.influxdb: {0}")]
    Client(#[from] HttpClientError),
    /// The file with further authorities cannot be read.
    #[error("policy.ca_file, {file}, cannot be read: {source}; correct it", file = file.display())]
    Authorities {
        /// The configured path of the authorities.
        file: PathBuf,
        /// The reason from reading the file.
        source: CustodyError,
    },
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
    Http(#[from] HttpError),
    /// The server rejected the request.
    #[error("the server answered {status}: {advice}")]
    Refused {
        /// HTTP status code of the answer.
        status: u16,
        /// Advice on this status, for the operator.
        advice: &'static str,
    },
    /// The metrics could not be encoded as text.
    #[error("the metrics cannot be encoded; report this")]
    Unwritable,
}

impl Pusher {
    /// Creates the pusher of this configuration; `None` if it names no InfluxDB.
    pub fn of(config: &Config) -> Result<Option<Self>, PushError> {
        let Some(influx) = config.metrics.influx.clone() else {
            return Ok(None);
        };
        let authorities = |file: &PathBuf| {
            let read = Custody::Operator.read(file, AUTHORITIES);
            read.map_err(|source| PushError::Authorities {
                file: file.clone(),
                source,
            })
        };
        let extra_ca_pem = config
            .policy
            .ca_file
            .as_ref()
            .map(authorities)
            .transpose()?;
        Self::new(influx, config.metrics.clone(), extra_ca_pem).map(Some)
    }

    /// Creates a pusher. Its credentials must be readable now, although they are read
    /// again for each push.
    pub fn new(
        influx: Influx,
        names: Metrics,
        extra_ca_pem: Option<Vec<u8>>,
    ) -> Result<Self, PushError> {
        let options = HttpOptions {
            extra_ca_pem,
            timeout: PATIENCE,
            body_bytes: ANSWER,
        };
        let client = HttpClient::new(&options)?;
        let write = place(&influx);
        let pusher = Self {
            influx,
            names,
            write,
            client,
        };
        pusher.authorization()?;
        Ok(pusher)
    }

    /// Returns the URL that lines are written to.
    pub fn place(&self) -> &Url {
        &self.write
    }

    /// Pushes a snapshot taken at `now`. Returns the number of samples.
    pub async fn push(&self, snapshot: Snapshot, now: UnixMillis) -> Result<usize, PushError> {
        let text = text::text(snapshot, &self.names).map_err(|_| PushError::Unwritable)?;
        let mut lines = lines(&text, now);
        lines.truncate(MOST);
        let authorization = self.authorization()?;
        for batch in lines.chunks(BATCH) {
            self.send(batch.join("\n").into_bytes(), &authorization)
                .await?;
        }
        Ok(lines.len())
    }

    async fn send(
        &self,
        body: Vec<u8>,
        authorization: &Option<Zeroizing<String>>,
    ) -> Result<(), PushError> {
        let mut headers = vec![(
            "content-type".to_owned(),
            "text/plain; charset=utf-8".to_owned(),
        )];
        headers.extend(
            authorization
                .iter()
                .map(|value| ("authorization".to_owned(), value.to_string())),
        );
        let request = HttpRequest {
            method: "POST".into(),
            url: self.write.clone(),
            headers,
            body,
            timeout: Some(PATIENCE),
        };
        let answer = self.client.send(request).await?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(PushError::Refused {
                status,
                advice: advice(status),
            }),
        }
    }

    /// Returns the value of the `Authorization` header.
    fn authorization(&self) -> Result<Option<Zeroizing<String>>, PushError> {
        Ok(match &self.influx.into {
            InfluxInto::Database { user: None, .. } => None,
            InfluxInto::Database {
                user: Some((name, password)),
                ..
            } => {
                let password = match password {
                    Secret::Here(password) => Zeroizing::new(password.expose().to_owned()),
                    Secret::File(file) => credential(file)?,
                };
                let both = Zeroizing::new(format!("{name}:{}", *password));
                Some(Zeroizing::new(format!(
                    "Basic {}",
                    STANDARD.encode(both.as_bytes())
                )))
            }
            InfluxInto::Bucket { token, .. } => {
                Some(Zeroizing::new(format!("Token {}", *credential(token)?)))
            }
        })
    }
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
    let unreadable = |source| PushError::Credential {
        file: file.into(),
        source,
    };
    let mode = std::fs::metadata(file)
        .map_err(|error| unreadable(error.into()))?
        .mode();
    if mode & 0o077 != 0 {
        return Err(PushError::Exposed { file: file.into() });
    }
    let bytes = Zeroizing::new(
        Custody::Operator
            .read(file, CREDENTIAL)
            .map_err(unreadable)?,
    );
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

/// Pushes a snapshot at each interval until `stop` is cancelled, and counts successes and failures.
pub async fn follow(pusher: Pusher, look: Look, count: impl Fn(bool), stop: CancellationToken) {
    let mut every = interval(pusher.influx.every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trouble = Trouble::default();
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        let push = async { pusher.push(look().await, crate::world::now()).await };
        let Some(pushed) = stop.run_until_cancelled(push).await else {
            return;
        };
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
