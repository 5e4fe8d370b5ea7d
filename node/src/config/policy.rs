//! Risk control as it is meant: paths resolved, names unique, every entry with one component and
//! one configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_host::Custody;

use super::error::ConfigError;
use super::raw_policy::{RawCompile, RawGrants, RawPlugin, RawPolicy, RawScope};
use super::{duration, seconds};
use crate::events::EVENT_KEY;
use crate::risk::CALLBACK_KEY;

/// Risk control.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Take part without plugins.
    pub allow_unguarded: bool,
    /// Plugins must have answered by then.
    pub deadline: Duration,
    /// Files of public keys by name.
    pub public_keys: BTreeMap<String, PathBuf>,
    /// Files of secrets by name.
    pub secrets: BTreeMap<String, PathBuf>,
    /// Extra CA certificates for https.
    pub ca_file: Option<PathBuf>,
    /// Where installed components lie.
    pub plugin_dir: PathBuf,
    /// Ed25519 public keys by the publisher's name.
    pub trusted_publishers: BTreeMap<String, [u8; 32]>,
    /// What compiling a component may take.
    pub compile: RawCompile,
    /// In the order of the file, those of shorthands first.
    pub plugins: Vec<PluginEntry>,
    /// What is demanded of the files that are named here.
    pub custody: Custody,
}

/// One configured plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginEntry {
    /// Its name.
    pub name: String,
    /// Its component.
    pub component: Component,
    /// The only component that is accepted.
    pub digest: Option<[u8; 32]>,
    /// Where its configuration comes from.
    pub source: PluginConfig,
    /// Which tasks it guards.
    pub scope: RawScope,
    /// Given: it decides nothing, and this is what it is compared with.
    pub shadow: Option<Shadow>,
    /// How often it is asked whether what it needs is in reach.
    pub monitor_interval: Option<Duration>,
    /// What it may do.
    pub grants: RawGrants,
}

/// What an entry that decides nothing is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shadow {
    /// The verdict of all entries that decide.
    Chain,
    /// The entry of this name.
    Entry(String),
}

/// Where a component lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Component {
    /// A file that the operator keeps.
    File(PathBuf),
    /// Installed under this name.
    Installed(String),
}

/// Where the configuration of a plugin comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum PluginConfig {
    /// The node's own file.
    Inline(serde_json::Value),
    /// A file of its own, read again when it changes.
    File(PathBuf),
}

impl Default for Policy {
    /// No plugin, and no leave to do without: for authors who try something out.
    fn default() -> Self {
        let policy = Self::from_raw(RawPolicy::default(), Path::new("."))
            .expect("the defaults are in range");
        Self {
            custody: Custody::Anyone,
            ..policy
        }
    }
}

impl Policy {
    pub(super) fn from_raw(raw: RawPolicy, base: &Path) -> Result<Self, ConfigError> {
        check_shadows(&raw.plugins)?;
        let mut names = BTreeSet::new();
        if let Some(twice) = raw
            .plugins
            .iter()
            .find(|plugin| !names.insert(&plugin.name))
        {
            return Err(ConfigError::Duplicate {
                section: "policy.plugins",
                name: twice.name.clone(),
            });
        }
        if let Some(both) = raw
            .secrets
            .keys()
            .find(|name| raw.public_keys.contains_key(*name))
        {
            return Err(ConfigError::Duplicate {
                section: "policy.public_keys and policy.secrets",
                name: both.clone(),
            });
        }
        check_key_names("policy.public_keys", &raw.public_keys)?;
        check_key_names("policy.secrets", &raw.secrets)?;
        // What a plugin could sign with it would pass for the node's word to receivers.
        let of_events = "which signs what event receivers are told and nothing else";
        raw.plugins.iter().try_for_each(|plugin| {
            refuse_key("plugin", &plugin.name, &plugin.grants, EVENT_KEY, of_events)
        })?;
        let resolve = |files: BTreeMap<String, PathBuf>| {
            files
                .into_iter()
                .map(|(name, file)| (name, base.join(file)))
                .collect()
        };
        let publishers = raw
            .trusted_publishers
            .into_iter()
            .map(|(name, key)| publisher(name, &key));
        let plugins = raw
            .plugins
            .into_iter()
            .map(|plugin| PluginEntry::from_raw(plugin, base));
        Ok(Self {
            allow_unguarded: raw.allow_unguarded,
            deadline: seconds("policy.deadline_seconds", raw.deadline_seconds)?,
            public_keys: resolve(raw.public_keys),
            secrets: resolve(raw.secrets),
            ca_file: raw.ca_file.map(|file| base.join(file)),
            plugin_dir: base.join(raw.plugin_dir),
            trusted_publishers: publishers.collect::<Result<_, _>>()?,
            compile: raw.compile,
            plugins: plugins.collect::<Result<_, _>>()?,
            custody: Custody::Operator,
        })
    }

    /// Whether something decides, or the operator allows in writing that nothing does.
    pub fn check_guarded(&self) -> Result<(), ConfigError> {
        let guarded = self.plugins.iter().any(|plugin| plugin.shadow.is_none());
        if guarded || self.allow_unguarded {
            Ok(())
        } else {
            Err(ConfigError::Unguarded)
        }
    }

    /// How long `entry` may take for one call.
    pub fn wall_ms(&self, entry: &PluginEntry) -> u64 {
        entry
            .grants
            .wall_ms
            .unwrap_or(self.deadline.as_millis() as u64)
    }
}

impl PluginEntry {
    pub(super) fn from_raw(raw: RawPlugin, base: &Path) -> Result<Self, ConfigError> {
        let component = component(&raw, base)?;
        let source = match (raw.config, raw.config_file) {
            (Some(_), Some(_)) => return Err(ConfigError::TwoConfigs(raw.name)),
            (_, Some(file)) => PluginConfig::File(base.join(file)),
            (inline, None) => PluginConfig::Inline(inline.unwrap_or_else(|| serde_json::json!({}))),
        };
        let digest = raw
            .digest
            .map(|text| digest(&raw.name, &text))
            .transpose()?;
        let monitor_interval = interval(&raw.name, &raw.monitor_interval)?;
        let shadow = match raw.shadows {
            Some(entry) => Some(Shadow::Entry(entry)),
            None => raw.shadow.then_some(Shadow::Chain),
        };
        Ok(Self {
            name: raw.name,
            component,
            digest,
            source,
            scope: raw.scope,
            shadow,
            monitor_interval,
            grants: raw.grants,
        })
    }
}

fn component(raw: &RawPlugin, base: &Path) -> Result<Component, ConfigError> {
    match (&raw.file, &raw.installed) {
        (Some(_), Some(_)) => Err(ConfigError::TwoComponents(raw.name.clone())),
        (Some(file), None) => Ok(Component::File(base.join(file))),
        (None, Some(installed)) => Ok(Component::Installed(installed.clone())),
        (None, None) => Ok(Component::Installed(
            raw.name.split(':').next().unwrap_or_default().into(),
        )),
    }
}

/// What a shadow is compared with must be there and decide.
fn check_shadows(plugins: &[RawPlugin]) -> Result<(), ConfigError> {
    let decides = |name: &str| {
        plugins
            .iter()
            .any(|other| other.name == name && !other.is_shadow())
    };
    let lost = |plugin: &&RawPlugin| {
        plugin
            .shadows
            .as_ref()
            .is_some_and(|shadowed| !decides(shadowed))
    };
    match plugins.iter().find(lost) {
        Some(plugin) => Err(ConfigError::Shadow {
            plugin: plugin.name.clone(),
            shadowed: plugin.shadows.clone().unwrap_or_default(),
        }),
        None => Ok(()),
    }
}

/// A name of the node's own keys would be taken for that key.
fn check_key_names(
    section: &'static str,
    files: &BTreeMap<String, PathBuf>,
) -> Result<(), ConfigError> {
    match [CALLBACK_KEY, EVENT_KEY]
        .into_iter()
        .find(|own| files.contains_key(*own))
    {
        Some(name) => Err(ConfigError::OwnKey { section, name }),
        None => Ok(()),
    }
}

/// Refuses the grant of one of the node's own keys to an entry that it is not for.
pub(super) fn refuse_key(
    section: &'static str,
    name: &str,
    grants: &RawGrants,
    key: &'static str,
    purpose: &'static str,
) -> Result<(), ConfigError> {
    if grants.keys.iter().any(|granted| granted == key) {
        Err(ConfigError::ForeignKey {
            section,
            name: name.into(),
            key,
            purpose,
        })
    } else {
        Ok(())
    }
}

fn publisher(name: String, text: &str) -> Result<(String, [u8; 32]), ConfigError> {
    let mut key = [0; 32];
    match hex::decode_to_slice(text, &mut key) {
        Ok(()) => Ok((name, key)),
        Err(_) => Err(ConfigError::Publisher {
            name,
            text: text.into(),
        }),
    }
}

fn interval(plugin: &str, text: &str) -> Result<Option<Duration>, ConfigError> {
    let wrong = || ConfigError::Interval {
        plugin: plugin.into(),
        text: text.into(),
    };
    match text {
        "" => Ok(None),
        _ => duration::parse(text)
            .filter(|every| *every >= Duration::from_secs(1))
            .map(Some)
            .ok_or_else(wrong),
    }
}

fn digest(plugin: &str, text: &str) -> Result<[u8; 32], ConfigError> {
    let mut bytes = [0; 32];
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex::decode_to_slice(hex, &mut bytes).map_err(|_| ConfigError::Digest {
        plugin: plugin.into(),
        text: text.into(),
    })?;
    Ok(bytes)
}
