//! Validated risk control: paths resolved, names unique, and one component and one
//! configuration for every entry.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_host::Custody;

use super::bundles::Bundles;
use super::duration::{self, seconds};
use super::error::ConfigError;
use super::raw_policy::{RawCompile, RawGrants, RawPlugin, RawPolicy, RawScope};
use crate::own_keys::{CALLBACK_KEY, EVENT_KEY};

/// Risk control by plugins.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Take part in tasks without any plugin.
    pub allow_unguarded: bool,
    /// Time within which all plugins must have answered.
    pub deadline: Duration,
    /// Paths of public keys (PEM), by name.
    pub public_keys: BTreeMap<String, PathBuf>,
    /// Paths of secrets for HMAC, by name.
    pub secrets: BTreeMap<String, PathBuf>,
    /// Additional CA certificates (PEM) for https.
    pub ca_file: Option<PathBuf>,
    /// Folder of the installed components.
    pub plugin_dir: PathBuf,
    /// Ed25519 public keys of trusted publishers, by name.
    pub trusted_publishers: BTreeMap<String, [u8; 32]>,
    /// Limits on compiling a component.
    pub compile: RawCompile,
    /// Entries in the order of the file, those of shorthands first, then those of the bundle in
    /// force.
    pub plugins: Vec<PluginEntry>,
    /// Whose bundles are taken; `None` if nobody's are.
    pub bundles: Option<Bundles>,
    /// Names of the entries that come from a bundle.
    pub from_bundle: BTreeSet<String>,
    /// Custody demanded of the files that are named here.
    pub custody: Custody,
}

/// A configured plugin, also used for receivers of events.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginEntry {
    /// Name of the entry, unique within its section.
    pub name: String,
    /// Location of the component.
    pub component: Component,
    /// SHA-256 of the only component that is accepted.
    pub digest: Option<[u8; 32]>,
    /// Source of the plugin's configuration.
    pub source: PluginConfig,
    /// Tasks that the plugin guards.
    pub scope: RawScope,
    /// Makes the entry a shadow, which decides nothing, and says what it is compared with.
    pub shadow: Option<Shadow>,
    /// Interval between probes of its dependencies; `None` turns them off.
    pub monitor_interval: Option<Duration>,
    /// Permissions and limits of the plugin.
    pub grants: RawGrants,
}

/// The decision that a shadow is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shadow {
    /// The combined verdict of all entries that decide.
    Chain,
    /// The verdict of the entry of this name.
    Entry(String),
}

/// The location of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Component {
    /// A file that the operator maintains.
    File(PathBuf),
    /// The component installed under this name.
    Installed(String),
}

/// The source of a plugin's configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum PluginConfig {
    /// Written in the node's configuration file.
    Inline(serde_json::Value),
    /// A file of its own, reloaded when it changes.
    File(PathBuf),
}

impl Default for Policy {
    /// A policy without plugins, for authors who try something out. It is not
    /// allowed to run unguarded.
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
    /// True if a running node can replace `present` by this policy: the sandbox keeps its limits,
    /// its place and its publishers, and shares with a guard keep one.
    pub fn can_follow(&self, present: &Self) -> bool {
        let fixed = |policy: &Self| Self {
            deadline: Duration::ZERO,
            public_keys: BTreeMap::new(),
            secrets: BTreeMap::new(),
            plugins: Vec::new(),
            from_bundle: BTreeSet::new(),
            ..policy.clone()
        };
        fixed(self) == fixed(present) && self.plugins.is_empty() == present.plugins.is_empty()
    }

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
        // Anything a plugin signed with it would pass for the node's word to receivers.
        let of_events = "which only signs events for receivers";
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
            bundles: raw.bundles.map(Bundles::from_raw).transpose()?,
            from_bundle: BTreeSet::new(),
            custody: Custody::Operator,
        })
    }

    /// This policy with the entries of another bundle, or of none. The operator's own entries stay,
    /// also in place of an entry of the same name in the bundle: no bundle loosens them.
    #[must_use]
    pub fn with_bundle(mut self, entries: Vec<PluginEntry>) -> Self {
        self.plugins
            .retain(|entry| !self.from_bundle.contains(&entry.name));
        let own: BTreeSet<String> = self.plugins.iter().map(|own| own.name.clone()).collect();
        let added = entries
            .into_iter()
            .filter(|entry| !own.contains(&entry.name));
        let added: Vec<PluginEntry> = added.collect();
        self.from_bundle = added.iter().map(|entry| entry.name.clone()).collect();
        self.plugins.extend(added);
        self
    }

    /// Checks that a plugin decides, or that the operator explicitly allows that none does.
    pub fn check_guarded(&self) -> Result<(), ConfigError> {
        let guarded = self.plugins.iter().any(|plugin| plugin.shadow.is_none());
        if guarded || self.allow_unguarded {
            Ok(())
        } else {
            Err(ConfigError::Unguarded)
        }
    }

    /// Returns the wall-clock limit in milliseconds for one call of `entry`.
    pub fn wall_ms(&self, entry: &PluginEntry) -> u64 {
        entry
            .grants
            .wall_ms
            .unwrap_or(self.deadline.as_millis() as u64)
    }
}

impl PluginEntry {
    pub(crate) fn from_raw(raw: RawPlugin, base: &Path) -> Result<Self, ConfigError> {
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

/// Checks that every shadow refers to an existing entry that decides.
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

/// Refuses the names of the node's own keys, which would be mistaken for these keys.
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

/// Refuses the grant of one of the node's own keys to an entry that it is not meant for.
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
    match publisher_key(text) {
        Some(key) => Ok((name, key)),
        None => Err(ConfigError::Publisher {
            name,
            text: text.into(),
        }),
    }
}

/// The 32 bytes of a publisher's key, which is written in hexadecimal.
pub(super) fn publisher_key(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key).ok().map(|()| key)
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

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
