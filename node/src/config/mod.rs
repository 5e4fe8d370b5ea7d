//! The configuration as it is meant: paths resolved against the file, names unique, ranges proven.

mod error;
mod raw;

pub use error::ConfigError;
pub use raw::{RawConfig, RawGrants};

use countersign_protocol::session::Limits;
use countersign_protocol::{CoordinatorId, KeyId, NodeId, RequesterId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the node runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of secrets, journal, identity and public records.
    pub dir: PathBuf,
    /// File with the passphrase.
    pub key_file: Option<PathBuf>,
    /// Further age recipients of the secrets.
    pub recipients: Vec<String>,
    /// `host:port` of the coordinator.
    pub coordinator_address: String,
    /// Its identity.
    pub coordinator: CoordinatorId,
    /// Names of those who may order tasks.
    pub requesters: BTreeMap<RequesterId, String>,
    /// Names of the nodes this one works with.
    pub roster: BTreeMap<NodeId, String>,
    /// Keys that may sign what the node does not understand.
    pub allow_blind: BTreeSet<KeyId>,
    /// Risk control.
    pub policy: Policy,
    /// Deadlines of the stages of a session.
    pub session: Limits,
    /// Deadlines of the engines.
    pub engines: EngineLimits,
    /// Tasks at a time.
    pub tasks: usize,
    /// Prime sets kept ready.
    pub prime_sets: usize,
    /// Log filter; `None` is silence.
    pub log_level: Option<tracing::Level>,
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

/// Risk control.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Take part without plugins.
    pub allow_unguarded: bool,
    /// Plugins must have answered by then.
    pub deadline: Duration,
    /// Files of public keys by name.
    pub public_keys: BTreeMap<String, PathBuf>,
    /// Extra CA certificates for https.
    pub ca_file: Option<PathBuf>,
    /// In the order of the file.
    pub plugins: Vec<PluginEntry>,
}

/// One configured plugin.
#[derive(Debug, Clone)]
pub struct PluginEntry {
    /// Its name.
    pub name: String,
    /// The component.
    pub file: PathBuf,
    /// The only component that is accepted.
    pub digest: Option<[u8; 32]>,
    /// Where its configuration comes from.
    pub source: PluginConfig,
    /// What it may do.
    pub grants: RawGrants,
}

/// Where the configuration of a plugin comes from.
#[derive(Debug, Clone)]
pub enum PluginConfig {
    /// The node's own file.
    Inline(serde_json::Value),
    /// A file of its own, read again when it changes.
    File(PathBuf),
}

impl Config {
    /// Reads and checks a file.
    pub fn load(file: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Unreadable { file: file.into(), source })?;
        let base = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Config::parse(&text, base).map_err(|error| error.in_file(file))
    }

    /// Checks a text whose relative paths start at `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Config, ConfigError> {
        let raw: RawConfig =
            serde_norway::from_str(text).map_err(|error| ConfigError::from_yaml(&error, text))?;
        Config::from_raw(raw, base)
    }

    fn from_raw(raw: RawConfig, base: &Path) -> Result<Config, ConfigError> {
        Ok(Config {
            dir: store_dir(&base.join(&raw.db.path))?,
            key_file: raw.db.key_file.map(|file| base.join(file)),
            recipients: raw.db.recipients,
            coordinator_address: raw.coordinator.address,
            coordinator: raw.coordinator.id,
            requesters: named("requesters", raw.requesters.into_iter().map(|entry| (entry.id, entry.name)))?,
            roster: named("roster", raw.roster.into_iter().map(|entry| (entry.id, entry.name)))?,
            allow_blind: raw.keys.allow_blind.into_iter().collect(),
            policy: Policy::from_raw(raw.policy, base)?,
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
            prime_sets: count("limits.prime_sets", raw.limits.prime_sets, 0, 100)?,
            log_level: log_level(&raw.log.std)?,
        })
    }
}

impl Policy {
    fn from_raw(raw: raw::RawPolicy, base: &Path) -> Result<Policy, ConfigError> {
        if raw.plugins.is_empty() && !raw.allow_unguarded {
            return Err(ConfigError::Unguarded);
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = raw.plugins.iter().find(|plugin| !names.insert(&plugin.name)) {
            return Err(ConfigError::Duplicate { section: "policy.plugins", name: twice.name.clone() });
        }
        let plugins = raw.plugins.into_iter().map(|plugin| PluginEntry::from_raw(plugin, base));
        Ok(Policy {
            allow_unguarded: raw.allow_unguarded,
            deadline: seconds("policy.deadline_seconds", raw.deadline_seconds)?,
            public_keys: raw.public_keys.into_iter().map(|(name, file)| (name, base.join(file))).collect(),
            ca_file: raw.ca_file.map(|file| base.join(file)),
            plugins: plugins.collect::<Result<_, _>>()?,
        })
    }
}

impl PluginEntry {
    fn from_raw(raw: raw::RawPlugin, base: &Path) -> Result<PluginEntry, ConfigError> {
        let source = match (raw.config, raw.config_file) {
            (Some(_), Some(_)) => return Err(ConfigError::TwoConfigs(raw.name)),
            (_, Some(file)) => PluginConfig::File(base.join(file)),
            (inline, None) => PluginConfig::Inline(inline.unwrap_or_else(|| serde_json::json!({}))),
        };
        let digest = raw.digest.map(|text| digest(&raw.name, &text)).transpose()?;
        Ok(PluginEntry { file: base.join(raw.file), name: raw.name, digest, source, grants: raw.grants })
    }
}

fn store_dir(path: &Path) -> Result<PathBuf, ConfigError> {
    match (path.file_name().and_then(|name| name.to_str()), path.parent()) {
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
            return Err(ConfigError::Duplicate { section, name: text });
        }
    }
    Ok(map)
}

fn seconds(key: &'static str, value: u64) -> Result<Duration, ConfigError> {
    let in_range = (1..=86_400).contains(&value);
    in_range.then(|| Duration::from_secs(value)).ok_or(ConfigError::Range { key, value, from: 1, to: 86_400 })
}

fn count(key: &'static str, value: usize, from: u64, to: u64) -> Result<usize, ConfigError> {
    let in_range = (from..=to).contains(&(value as u64));
    in_range.then_some(value).ok_or(ConfigError::Range { key, value: value as u64, from, to })
}

fn digest(plugin: &str, text: &str) -> Result<[u8; 32], ConfigError> {
    let mut bytes = [0; 32];
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex::decode_to_slice(hex, &mut bytes)
        .map_err(|_| ConfigError::Digest { plugin: plugin.into(), text: text.into() })?;
    Ok(bytes)
}

fn log_level(log: &raw::RawLogStd) -> Result<Option<tracing::Level>, ConfigError> {
    if !log.enable {
        return Ok(None);
    }
    log.level.parse().map(Some).map_err(|_| ConfigError::LogLevel(log.level.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COORDINATOR: &str = "coordinator: {address: 'localhost:7443', id: CSC}\n";

    fn parse(rest: &str) -> Result<Config, ConfigError> {
        let key = [
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
            0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
        ];
        let id = CoordinatorId::from_bytes(key).unwrap().to_string();
        Config::parse(&format!("{}{rest}", COORDINATOR.replace("CSC", &id)), Path::new("/base"))
    }

    #[test]
    fn paths_start_at_the_file_and_defaults_hold() {
        let config = parse("policy: {allow_unguarded: true}\n").unwrap();
        assert_eq!(config.dir, Path::new("/base/db"));
        assert_eq!(config.session.ready, Duration::from_secs(5));
    }

    #[test]
    fn no_plugin_and_no_override_is_refused() {
        let error = parse("").unwrap_err();
        assert!(matches!(error, ConfigError::Unguarded));
        assert!(error.to_string().contains("allow_unguarded"));
    }

    #[test]
    fn an_unknown_key_is_named_with_line_and_nearest_key() {
        let error = parse("policy:\n  allow_ungarded: true\n").unwrap_err().to_string();
        assert!(error.contains("line 3"), "{error}");
        assert!(error.contains("`allow_ungarded`") && error.contains("`allow_unguarded`"), "{error}");
    }

    #[test]
    fn values_out_of_range_name_their_key() {
        let error =
            parse("policy: {allow_unguarded: true}\nlimits: {ready_seconds: 0}\n").unwrap_err().to_string();
        assert!(error.contains("limits.ready_seconds"), "{error}");
        let error =
            parse("policy: {allow_unguarded: true}\nlog: {std: {level: loud}}\n").unwrap_err().to_string();
        assert!(error.contains("loud"), "{error}");
    }

    #[test]
    fn a_plugin_has_one_config_one_name_and_a_whole_digest() {
        let plugins = |text: &str| parse(&format!("policy:\n  plugins:\n{text}")).unwrap_err().to_string();
        let two = plugins("  - {name: a, file: a.wasm, config: {}, config_file: b.yaml}\n");
        assert!(two.contains("config_file"), "{two}");
        let twice = plugins("  - {name: a, file: a.wasm}\n  - {name: a, file: b.wasm}\n");
        assert!(twice.contains("`a`"), "{twice}");
        let digest = plugins("  - {name: a, file: a.wasm, digest: 'sha256:00'}\n");
        assert!(digest.contains("sha256:"), "{digest}");
    }
}
