//! Translates the operator's plugin entries to the host's specifications, anew at every reload.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_host::{
    CustodyError, EntrySpec, KeyGrant, KeyUsage, PluginSource, PluginSpec, PluginStore,
    PrefixError, Role, Shadow, StoreError, UrlPrefix, Written,
};
use countersign_strict::Document;

use crate::config::{self, Component, PluginConfig, PluginEntry, Policy};
use crate::own_keys::{CALLBACK_KEY, EVENT_KEY};

/// Maximum size in bytes of a file that the policy names, other than a component.
pub(super) const DOCUMENT: u64 = 64 << 20;

/// Reasons why an entry cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum SpecError {
    /// The plugin's own configuration file cannot be read.
    #[error("plugin `{plugin}`: cannot read {}: {why}; correct the file or its path", file.display())]
    ConfigFile {
        plugin: String,
        file: PathBuf,
        why: String,
    },
    /// The content of the plugin's configuration file is not valid.
    #[error("plugin `{plugin}`: {}: {why}", file.display())]
    Document {
        plugin: String,
        file: PathBuf,
        /// The place of the mistake, the reason, and the remedy.
        why: String,
    },
    /// Somebody else could have written the plugin's configuration file.
    #[error("plugin `{plugin}`: {source}")]
    Custody {
        plugin: String,
        source: CustodyError,
    },
    /// The entry is granted a key that is not configured.
    #[error(
        "plugin `{plugin}` is granted the key `{key}`, which is neither `callback` nor under policy.public_keys or policy.secrets; add it there"
    )]
    UnknownKey { plugin: String, key: String },
    /// The installed component cannot be found or used.
    #[error("plugin `{plugin}`: {source}")]
    Store {
        plugin: String,
        source: Box<StoreError>,
    },
    /// The entry is granted a malformed URL prefix.
    #[error("plugin `{plugin}`: {source}")]
    Prefix { plugin: String, source: PrefixError },
}

/// Translates all entries, in the order of the configuration.
pub fn read(policy: &Policy) -> Result<Vec<PluginSpec>, SpecError> {
    policy
        .plugins
        .iter()
        .map(|entry| spec(policy, entry))
        .collect()
}

/// Translates all entries for a running node: an unusable one is marked as such, and everything
/// that it guards is refused.
pub fn configured(policy: &Policy) -> Vec<EntrySpec> {
    let configured = |entry: &PluginEntry| match spec(policy, entry) {
        Ok(spec) => spec.into(),
        Err(error) => EntrySpec::Unusable {
            name: entry.name.clone(),
            role: role(entry),
            reason: error.to_string(),
        },
    };
    policy.plugins.iter().map(configured).collect()
}

/// Translates one entry to the host's specification.
pub fn spec(policy: &Policy, entry: &PluginEntry) -> Result<PluginSpec, SpecError> {
    let (config, written): (_, Option<Arc<dyn Written>>) = match &entry.source {
        PluginConfig::Inline(value) => (value.clone(), None),
        PluginConfig::File(file) => {
            let document = read_document(policy, entry, file)?;
            (document.value(entry)?, Some(Arc::new(document)))
        }
    };
    let located = component(entry).locate(&PluginStore::new(&policy.plugin_dir));
    let (file, digest) = located.map_err(|source| SpecError::Store {
        plugin: entry.name.clone(),
        source: Box::new(source),
    })?;
    let granted = entry.grants.keys.iter();
    let keys = granted
        .map(|key| key_grant(policy, entry, key))
        .collect::<Result<_, _>>()?;
    let prefixes = entry.grants.http.iter().map(|prefix| prefix.parse());
    let http = prefixes
        .collect::<Result<Vec<UrlPrefix>, _>>()
        .map_err(|source| SpecError::Prefix {
            plugin: entry.name.clone(),
            source,
        })?;
    let grants = entry.grants.resolved(keys, http, policy.wall_ms(entry));
    Ok(PluginSpec {
        name: entry.name.clone(),
        file,
        digest,
        config,
        grants,
        role: role(entry),
        written,
    })
}

fn role(entry: &PluginEntry) -> Role {
    let shadow = entry.shadow.clone().map(|shadow| match shadow {
        config::Shadow::Chain => Shadow::Chain,
        config::Shadow::Entry(name) => Shadow::Entry(name),
    });
    Role {
        scope: entry.scope.resolved(),
        shadow,
        monitor: entry.monitor_interval,
    }
}

/// Returns the entries that use the component installed as `installed`.
pub fn users<'a>(policy: &'a Policy, installed: &'a str) -> impl Iterator<Item = &'a PluginEntry> {
    let uses = move |entry: &&PluginEntry| matches!(&entry.component, Component::Installed(name) if name == installed);
    policy.plugins.iter().filter(uses)
}

/// The source of an entry's component, for the host.
pub(crate) fn component(entry: &PluginEntry) -> PluginSource {
    match &entry.component {
        Component::File(path) => PluginSource::File {
            path: path.clone(),
            digest: entry.digest,
        },
        Component::Installed(name) => PluginSource::Installed {
            name: name.clone(),
            digest: entry.digest,
        },
    }
}

/// Returns the files on which only this entry depends: when one changes, the entry is reloaded.
pub(crate) fn own_files(policy: &Policy, entry: &PluginEntry) -> Vec<PathBuf> {
    let store = PluginStore::new(&policy.plugin_dir);
    let mut files = vec![match &entry.component {
        Component::File(file) => file.clone(),
        Component::Installed(name) => store.folder().join(format!("{name}.json")),
    }];
    // A signature may be added after its component.
    if let (Component::File(file), false) = (&entry.component, policy.trusted_publishers.is_empty())
    {
        files.push(PathBuf::from(format!("{}.sig", file.display())));
    }
    if let PluginConfig::File(file) = &entry.source {
        files.push(file.clone());
    }
    files
}

/// Returns the files that plugins and receivers share: keys and authorities of the servers that
/// they contact, each with its place in the configuration.
pub(crate) fn shared_files(policy: &Policy) -> impl Iterator<Item = (String, PathBuf)> {
    let named = |section: &'static str| {
        move |(name, file): (&String, &PathBuf)| (format!("policy.{section}.{name}"), file.clone())
    };
    let authorities = policy
        .ca_file
        .iter()
        .map(|file| ("policy.ca_file".to_owned(), file.clone()));
    let keys = policy.public_keys.iter().map(named("public_keys"));
    keys.chain(policy.secrets.iter().map(named("secrets")))
        .chain(authorities)
}

/// A plugin's configuration in a separate file, as YAML or JSON.
#[derive(Debug)]
struct ConfigFile {
    file: PathBuf,
    document: Document,
}

impl ConfigFile {
    fn value(&self, entry: &PluginEntry) -> Result<serde_json::Value, SpecError> {
        self.document
            .read()
            .map_err(|error| mistake(entry, &self.file, error.to_string()))
    }
}

impl Written for ConfigFile {
    fn place(&self, path: &str) -> String {
        format!("{}, {}", self.file.display(), self.document.place(path))
    }
}

fn read_document(
    policy: &Policy,
    entry: &PluginEntry,
    file: &Path,
) -> Result<ConfigFile, SpecError> {
    let bytes = policy
        .custody
        .read(file, DOCUMENT)
        .map_err(|error| match error {
            CustodyError::Io(error) => SpecError::ConfigFile {
                plugin: entry.name.clone(),
                file: file.into(),
                why: error.to_string(),
            },
            source => SpecError::Custody {
                plugin: entry.name.clone(),
                source,
            },
        })?;
    let text = str::from_utf8(&bytes).map_err(|_| {
        mistake(
            entry,
            file,
            "it is not UTF-8; write it as plain text".into(),
        )
    })?;
    let document =
        Document::parse(text).map_err(|error| mistake(entry, file, error.to_string()))?;
    Ok(ConfigFile {
        file: file.into(),
        document,
    })
}

fn mistake(entry: &PluginEntry, file: &Path, why: String) -> SpecError {
    SpecError::Document {
        plugin: entry.name.clone(),
        file: file.into(),
        why,
    }
}

/// Grants a key for its kind of use: the node's own keys sign tokens, public keys verify, and
/// shared secrets make and check MACs.
fn key_grant(policy: &Policy, entry: &PluginEntry, key: &str) -> Result<KeyGrant, SpecError> {
    let usage = match key {
        CALLBACK_KEY | EVENT_KEY => KeyUsage::SignJwt,
        _ if policy.public_keys.contains_key(key) => KeyUsage::Verify,
        _ if policy.secrets.contains_key(key) => KeyUsage::Mac,
        _ => {
            return Err(SpecError::UnknownKey {
                plugin: entry.name.clone(),
                key: key.into(),
            });
        }
    };
    Ok(KeyGrant {
        name: key.into(),
        usage,
    })
}

#[cfg(test)]
#[path = "specs_tests.rs"]
mod tests;
