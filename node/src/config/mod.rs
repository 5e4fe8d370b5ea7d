//! The validated configuration: paths resolved against the file, names unique, numbers in range.

mod bundles;
mod duration;
mod error;
mod events;
#[cfg(test)]
mod example_tests;
mod expanded;
mod incumbent;
mod live;
mod passkeys;
mod plain_http;
mod policy;
mod preflights;
mod raw;
mod raw_bundles;
mod raw_callback;
mod raw_events;
mod raw_policy;
mod reshare_rate;
mod shorthand;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_host::{Custody, CustodyError};
pub use countersign_metrics::config::{Influx, InfluxInto, Secret, Settings as Metrics};
use countersign_payload::Networks;
use countersign_protocol::session::Limits;
use countersign_protocol::{CoordinatorId, KeyId, NodeId, Passkeys, RequesterId, Task};
use countersign_vote::RelyingParty;
use sha2::{Digest, Sha256};

use crate::bundle::BundleFolder;
pub use bundles::Bundles;
use duration::seconds;
pub use error::ConfigError;
pub use events::ReceiverEntry;
pub use live::{LIVE_SECTIONS, LiveConfig};
pub use policy::{Component, PluginConfig, PluginEntry, Policy, Shadow};
pub use preflights::Preflights;
pub use raw::RawConfig;
use raw::RawCoordinator;
pub use raw_bundles::{RawBundles, RawPublisher};
pub use raw_events::{RawEvent, RawEventServer, RawEvents, RawReceiver};
pub use raw_policy::{RawCompile, RawGrants, RawPlugin, RawPolicy, RawScope};
pub use reshare_rate::ReshareRate;

/// The file of a new node: every key with a comment. Keys that need facts from other operators are
/// commented out.
pub const EXAMPLE: &str = include_str!("example.yaml");
/// Maximum size of the file in bytes.
const LARGEST: u64 = 4 << 20;
/// No task lives longer.
const LONGEST_TASK_HOURS: u64 = Task::MAX_COLLECTING_LIFE_MS / 3_600_000;

/// The configuration that a node runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the secrets, the journal, the identity and the public record.
    pub dir: PathBuf,
    /// File with the passphrase; if absent, the operator is asked for it.
    pub key_file: Option<PathBuf>,
    /// Additional age recipients of the secrets.
    pub recipients: Vec<String>,
    /// The coordinator that the node dials. May be absent, except in a node that runs.
    pub coordinator: Option<Coordinator>,
    /// Names of the requesters whose tasks are considered.
    pub requesters: BTreeMap<RequesterId, String>,
    /// The pages that may ask requesters' passkeys to sign.
    pub passkeys: Option<RelyingParty>,
    /// The preflights that are answered.
    pub preflights: Preflights,
    /// Names of the nodes that this one works with.
    pub roster: BTreeMap<NodeId, String>,
    /// Keys that may sign payloads that the node does not understand.
    pub allow_blind: BTreeSet<KeyId>,
    /// Keys that may sign messages that are not text.
    pub allow_binary: BTreeSet<KeyId>,
    /// Networks of transactions that do not name theirs.
    pub networks: Networks,
    /// Risk control by plugins.
    pub policy: Policy,
    /// Receivers of events about tasks.
    pub receivers: Vec<ReceiverEntry>,
    /// Deadlines for the stages of a session.
    pub session: Limits,
    /// Deadlines for the computations of the engines.
    pub engines: EngineLimits,
    /// Maximum number of concurrent tasks.
    pub tasks: usize,
    /// Maximum rate of reshares per key.
    pub reshares: ReshareRate,
    /// Hours for which a task may wait for people or nodes.
    pub task_hours: u64,
    /// Number of prime sets kept ready.
    pub prime_sets: usize,
    /// Interval between check-ups of all shares; `None` turns them off.
    pub check_up: Option<Duration>,
    /// Age at which records of tasks are deleted; `None` keeps them.
    pub retention: Option<Duration>,
    /// Metrics, and the listener that serves them.
    pub metrics: Metrics,
    /// Outputs of the log, with their levels and formats.
    pub log: countersign_log::Settings,
    /// Notes for the operator, one sentence each: keys without effect, schedules that do not fit.
    pub notes: Vec<String>,
    /// The sections that result from shorthands, as YAML; `None` if there are no shorthands.
    pub expansion: Option<String>,
    /// The file that the configuration was read from.
    pub source: Source,
}

/// The coordinator that the node dials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coordinator {
    /// Address as `host:port`.
    pub address: String,
    /// Expected identity. The node does not talk to any other.
    pub id: CoordinatorId,
}

/// The file that a configuration was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Path of the file; empty if the text did not come from a file.
    pub file: PathBuf,
    /// Contents of the file at the time of reading.
    pub text: String,
}

/// Time limits of the engines' computations.
#[allow(
    missing_docs,
    reason = "the fields are named for the computation that they limit"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineLimits {
    pub frost: Duration,
    pub ecdsa: Duration,
    pub keygen: Duration,
    pub aux: Duration,
}

impl Config {
    /// Reads and validates a file, which only its operator may be able to write, and adds the
    /// entries of the policy bundle in force. Settings that only a running node needs may still be
    /// missing: see [`check_complete`](Self::check_complete).
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::load_own(file)?;
        config.policy = BundleFolder::of(&config.dir)
            .complete(config.policy)
            .map_err(|error| ConfigError::Bundle(Box::new(error)).in_file(file))?;
        Ok(config)
    }

    /// Reads and validates a file without the entries of the policy bundle in force, which may be
    /// damaged or lost. For commands that look after bundles.
    pub fn load_own(file: &Path) -> Result<Self, ConfigError> {
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
        config.metrics.check_password(file)?;
        Ok(config)
    }

    /// Validates a text in which relative paths start at `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = countersign_strict::yaml(text)?;
        Self::from_raw(raw, text, base)
    }

    /// Checks the settings that a running node needs: a coordinator, and something
    /// that guards its shares.
    pub fn check_complete(&self) -> Result<&Coordinator, ConfigError> {
        self.policy.check_guarded()?;
        self.coordinator.as_ref().ok_or(ConfigError::NoCoordinator)
    }

    /// The pages that may ask requesters' passkeys to sign, as orders are checked by them.
    pub fn passkeys(&self) -> Option<&dyn Passkeys> {
        self.passkeys.as_ref().map(|pages| pages as &dyn Passkeys)
    }

    /// Returns the SHA-256 of the file's contents.
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
        notes.extend(metrics.notes());
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
            passkeys: passkeys::pages(raw.passkeys, &raw.requesters)?,
            preflights: Preflights::from_raw(&raw.preflight, &raw.requesters)?,
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
            task_hours: count(
                "limits.task_hours",
                raw.limits.task_hours,
                1,
                LONGEST_TASK_HOURS,
            )? as u64,
            check_up: check_up(raw.check_up.hours)?,
            retention: retention(raw.journal.retention_days)?,
            metrics,
            log: raw.log.settings(base, "countersign-node")?,
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

fn check_up(hours: u64) -> Result<Option<Duration>, ConfigError> {
    unless_zero("check_up.hours", hours, 24 * 366, 3600)
}

fn retention(days: u64) -> Result<Option<Duration>, ConfigError> {
    unless_zero("journal.retention_days", days, 36_600, 24 * 3600)
}

/// A number of units that last so many seconds; 0 means never.
fn unless_zero(
    key: &'static str,
    value: u64,
    to: u64,
    unit: u64,
) -> Result<Option<Duration>, ConfigError> {
    if value > to {
        return Err(ConfigError::Range {
            key,
            value,
            from: 0,
            to,
        });
    }
    Ok((value > 0).then(|| Duration::from_secs(value * unit)))
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

#[cfg(test)]
mod tests;
