//! The configuration as it is meant: paths resolved against the file, names unique, ranges proven.

mod duration;
mod error;
mod events;
mod incumbent;
mod influx;
mod metrics;
mod plain_http;
mod policy;
mod raw;
mod raw_policy;
mod reshare_rate;
mod shorthand;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_host::{Custody, CustodyError};
use countersign_payload::Networks;
use countersign_protocol::session::Limits;
use countersign_protocol::{CoordinatorId, KeyId, NodeId, RequesterId};
use sha2::{Digest, Sha256};

pub use error::ConfigError;
pub use events::{RawEvent, RawEventServer, RawEvents, RawReceiver, ReceiverEntry};
pub use influx::{Influx, InfluxInto, Password, RawInflux, Secret};
pub use metrics::{Metrics, RawMetrics};
pub use policy::{Component, PluginConfig, PluginEntry, Policy, Shadow};
pub use raw::RawConfig;
use raw::RawCoordinator;
pub use raw_policy::{RawCompile, RawGrants, RawPlugin, RawPolicy, RawScope};
pub use reshare_rate::ReshareRate;

/// Most bytes of the file.
const LARGEST: u64 = 4 << 20;

/// What the node runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of secrets, journal, identity and public records.
    pub dir: PathBuf,
    /// File with the passphrase.
    pub key_file: Option<PathBuf>,
    /// Further age recipients of the secrets.
    pub recipients: Vec<String>,
    /// Whom the node dials; `None` as long as nobody wrote it, which only `start` minds.
    pub coordinator: Option<Coordinator>,
    /// Names of those who may order tasks.
    pub requesters: BTreeMap<RequesterId, String>,
    /// Names of the nodes this one works with.
    pub roster: BTreeMap<NodeId, String>,
    /// Keys that may sign what the node does not understand.
    pub allow_blind: BTreeSet<KeyId>,
    /// Keys that may sign messages that are no text.
    pub allow_binary: BTreeSet<KeyId>,
    /// What transactions mean that do not name their network.
    pub networks: Networks,
    /// Risk control.
    pub policy: Policy,
    /// Who is told what becomes of tasks.
    pub receivers: Vec<ReceiverEntry>,
    /// Deadlines of the stages of a session.
    pub session: Limits,
    /// Deadlines of the engines.
    pub engines: EngineLimits,
    /// Tasks at a time.
    pub tasks: usize,
    /// How often one key may be handed over.
    pub reshares: ReshareRate,
    /// Prime sets kept ready.
    pub prime_sets: usize,
    /// How often every share is checked; `None`: never.
    pub check_up: Option<Duration>,
    /// Where the node lets itself be looked at.
    pub metrics: Metrics,
    /// Log filter; `None` is silence.
    pub log_level: Option<tracing::Level>,
    /// What the operator must know of the file: keys that do nothing, schedules that do not fit.
    /// Sentences.
    pub notes: Vec<String>,
    /// The sections that shorthands of the file stand for, as YAML; `None` if there are none.
    pub expansion: Option<String>,
    /// The file.
    pub source: Source,
}

/// Whom the node dials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coordinator {
    /// `host:port`.
    pub address: String,
    /// Its identity. Another one is not talked to.
    pub id: CoordinatorId,
}

/// The file that a configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it lies; empty if the text came from nowhere.
    pub file: PathBuf,
    /// What it said when it was read.
    pub text: String,
}

/// How long each engine may take.
#[derive(Debug, Clone, Copy)]
pub struct EngineLimits {
    /// A FROST signature.
    pub frost: Duration,
    /// A CGGMP24 signature.
    pub ecdsa: Duration,
    /// A key.
    pub keygen: Duration,
    /// Auxiliary information.
    pub aux: Duration,
}

impl Config {
    /// Reads and checks a file, which must be its operator's alone. What only a node that runs
    /// cannot do without may still be missing: see [`check_complete`](Self::check_complete).
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let bytes = Custody::Operator
            .read(file, LARGEST)
            .map_err(|error| match error {
                CustodyError::Io(source) => ConfigError::Unreadable {
                    file: file.into(),
                    source,
                },
                unsafe_place => ConfigError::Custody(unsafe_place),
            })?;
        let text = String::from_utf8(bytes).map_err(|_| ConfigError::NotText.in_file(file))?;
        let base = file
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut config = Self::parse(&text, base).map_err(|error| error.in_file(file))?;
        config.source.file = file.into();
        config.check_password()?;
        Ok(config)
    }

    /// A file that holds a password is for its owner's eyes alone.
    fn check_password(&self) -> Result<(), ConfigError> {
        let file = &self.source.file;
        let unreadable = |source| ConfigError::Unreadable {
            file: file.clone(),
            source,
        };
        let here = self
            .metrics
            .influx
            .as_ref()
            .is_some_and(Influx::has_password_here);
        if here && std::fs::metadata(file).map_err(unreadable)?.mode() & 0o077 != 0 {
            Err(ConfigError::PasswordExposed { file: file.clone() })
        } else {
            Ok(())
        }
    }

    /// Checks a text whose relative paths start at `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = countersign_strict::yaml(text)?;
        Self::from_raw(raw, text, base)
    }

    /// What a node that runs cannot do without: somebody to dial, and something that guards its
    /// shares.
    pub fn check_complete(&self) -> Result<&Coordinator, ConfigError> {
        self.policy.check_guarded()?;
        self.coordinator.as_ref().ok_or(ConfigError::NoCoordinator)
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.source.text).into()
    }

    fn from_raw(raw: RawConfig, text: &str, base: &Path) -> Result<Self, ConfigError> {
        let mut notes = incumbent::review(&raw)?;
        let expansion = shorthand::expand(&raw, base)?;
        let expanded = expansion.to_yaml();
        let events = expansion.events.section;
        notes.extend(expansion.notes);
        let metrics = Metrics::from_raw(raw.metrics.unwrap_or_default(), base)?;
        notes.extend(metrics.influx.iter().flat_map(Influx::notes));
        let policy = Policy::from_raw(expansion.policy.section, base)?;
        let receivers = events::receivers(events, base)?;
        let plugins = policy
            .plugins
            .iter()
            .chain(receivers.iter().map(|receiver| &receiver.plugin));
        notes.extend(plugins.flat_map(plain_http::notes));
        Ok(Self {
            dir: store_dir(&base.join(&raw.db.path))?,
            key_file: raw.db.key_file.map(|file| base.join(file)),
            recipients: raw.db.recipients,
            coordinator: raw
                .coordinator
                .map(|RawCoordinator { address, id }| Coordinator { address, id }),
            requesters: named(
                "requesters",
                raw.requesters
                    .into_iter()
                    .map(|entry| (entry.id, entry.name)),
            )?,
            roster: named(
                "roster",
                raw.roster.into_iter().map(|entry| (entry.id, entry.name)),
            )?,
            allow_blind: raw.keys.allow_blind.into_iter().collect(),
            allow_binary: raw.keys.allow_binary.into_iter().collect(),
            networks: Networks::named(&raw.chains.bitcoin, &raw.chains.solana)?,
            expansion: expanded,
            policy,
            notes,
            receivers,
            session: Limits {
                ready: seconds("limits.ready_seconds", raw.limits.ready_seconds)?,
                storing: seconds("limits.storing_seconds", raw.limits.storing_seconds)?,
            },
            engines: EngineLimits {
                frost: seconds("limits.frost_seconds", raw.limits.frost_seconds)?,
                ecdsa: seconds("limits.ecdsa_seconds", raw.limits.ecdsa_seconds)?,
                keygen: seconds("limits.keygen_seconds", raw.limits.keygen_seconds)?,
                aux: seconds("limits.aux_seconds", raw.limits.aux_seconds)?,
            },
            tasks: count("limits.tasks", raw.limits.tasks, 1, 10_000)?,
            reshares: ReshareRate {
                count: count("limits.reshares", raw.limits.reshares, 1, 10_000)?,
            },
            prime_sets: count("limits.prime_sets", raw.limits.prime_sets, 0, 100)?,
            check_up: check_up(raw.check_up.hours)?,
            metrics,
            log_level: log_level(&raw.log.std)?,
            source: Source {
                file: PathBuf::new(),
                text: text.into(),
            },
        })
    }
}

fn store_dir(path: &Path) -> Result<PathBuf, ConfigError> {
    match (
        path.file_name().and_then(|name| name.to_str()),
        path.parent(),
    ) {
        (Some("secrets.redb.age"), Some(dir)) => Ok(dir.to_path_buf()),
        _ => Err(ConfigError::DbPath(path.to_path_buf())),
    }
}

fn named<I: Ord + std::fmt::Display>(
    section: &'static str,
    entries: impl Iterator<Item = (I, String)>,
) -> Result<BTreeMap<I, String>, ConfigError> {
    let mut map = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (id, name) in entries {
        if !names.insert(name.clone()) {
            return Err(ConfigError::Duplicate { section, name });
        }
        let text = id.to_string();
        if map.insert(id, name).is_some() {
            return Err(ConfigError::Duplicate {
                section,
                name: text,
            });
        }
    }
    Ok(map)
}

fn seconds(key: &'static str, value: u64) -> Result<Duration, ConfigError> {
    let in_range = (1..=86_400).contains(&value);
    in_range
        .then(|| Duration::from_secs(value))
        .ok_or(ConfigError::Range {
            key,
            value,
            from: 1,
            to: 86_400,
        })
}

fn check_up(hours: u64) -> Result<Option<Duration>, ConfigError> {
    let key = "check_up.hours";
    let to = 24 * 366;
    let in_range = (0..=to).contains(&hours);
    let every = (hours > 0).then(|| Duration::from_secs(hours * 3600));
    in_range.then_some(every).ok_or(ConfigError::Range {
        key,
        value: hours,
        from: 0,
        to,
    })
}

fn count(key: &'static str, value: usize, from: u64, to: u64) -> Result<usize, ConfigError> {
    let in_range = (from..=to).contains(&(value as u64));
    in_range.then_some(value).ok_or(ConfigError::Range {
        key,
        value: value as u64,
        from,
        to,
    })
}

fn log_level(log: &raw::RawLogStd) -> Result<Option<tracing::Level>, ConfigError> {
    if !log.enable {
        return Ok(None);
    }
    log.level
        .parse()
        .map(Some)
        .map_err(|_| ConfigError::LogLevel(log.level.clone()))
}
