//! `public.json`: a node's public record, readable without the passphrase and while the node runs.
//! It is rewritten at every change of a key, so it holds nothing that grows with the keys: these
//! are rows of the journal, which `info` reads ([`describe`]).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use countersign_host::{Anchor, Condition, EntryStatus, Health, rs256};
use countersign_protocol::{KeyDescriptor, NodeId, UnixMillis};
use countersign_verify::DeriveError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::check_ups::{CheckUps, Round};
use crate::risk::Guard;
use crate::vault::{Vault, VaultError};
use crate::world::World;

/// Name of the record's file in the node's folder.
pub const FILE: &str = "public.json";
/// Version of the records written now. Those of version 1 listed the keys.
pub const VERSION: u16 = 2;

/// Maximum size in bytes. Records of version 1 listed all keys.
const MAX_RECORD: u64 = 256 << 20;
/// Member of the file with the SHA-256 of the others in hex. Records of earlier programs lack it.
const DIGEST: &str = "sha256";

/// The public record of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublicRecord {
    /// Format version: [`VERSION`] when written.
    pub version: u16,
    /// Id of the node.
    pub node: NodeId,
    /// RSA public key that verifies callback requests (PEM, SubjectPublicKeyInfo).
    pub callback_public_key: String,
    /// Generation of the secrets file at the time of writing. 0 in records of the first programs.
    #[serde(default)]
    pub generation: u64,
    /// Confirmed keys, oldest first, in records of version 1. Never written, but `restore` still
    /// compares those of an old folder.
    #[serde(default, skip_serializing)]
    pub keys: Vec<PublicKeyRecord>,
    /// Result of the last check-up of all shares. Absent before the first.
    #[serde(default)]
    pub check_up: Option<Round>,
    /// State of the configured plugins, in the order in which they are asked. Absent in records
    /// of the first programs.
    #[serde(default)]
    pub plugins: Vec<PublicPluginRecord>,
}

/// A plugin in the public record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicPluginRecord {
    /// Name of the plugin's configuration entry.
    pub name: String,
    /// One of `in-force`, `shadow` and `broken`.
    pub state: String,
    /// Version by its own description; absent if it is broken, like the digest.
    pub version: Option<String>,
    /// SHA-256 of the component in hex.
    pub digest: Option<String>,
    /// SHA-256 of its configuration in hex.
    pub config: Option<String>,
    /// Keys and authorities granted to it. Absent in records of earlier programs.
    #[serde(default)]
    pub anchors: Vec<Anchor>,
    /// Code and text of the reason why it is broken.
    pub broken: Option<(String, String)>,
    /// Code and text of the dependency that it cannot reach.
    pub ill: Option<(String, String)>,
    /// Time since when the plugin has been in this state.
    pub since: UnixMillis,
}

/// A key as `info` shows it, and as records of version 1 listed it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublicKeyRecord {
    /// The descriptor of the key, flattened into this object.
    #[serde(flatten)]
    pub descriptor: KeyDescriptor,
    /// Serialized as `xpub…` or `cpub…`.
    pub extended_public_key: String,
}

/// Reads a node's record. Fails if it was changed since the node wrote it.
pub fn read(dir: &Path) -> std::io::Result<PublicRecord> {
    let text = countersign_files::read(dir.join(FILE), MAX_RECORD)?;
    let mut record: serde_json::Map<_, _> = serde_json::from_slice(&text)?;
    if let Some(written) = record.remove(DIGEST)
        && written != digest(&record)?
    {
        return Err(std::io::Error::other(
            "it was changed since the node wrote it; start the node, which rewrites it",
        ));
    }
    Ok(serde_json::from_value(record.into())?)
}

/// Replaces a node's record atomically.
pub fn write(dir: &Path, record: &PublicRecord) -> std::io::Result<()> {
    let mut record: serde_json::Map<_, _> = serde_json::from_value(serde_json::to_value(record)?)?;
    record.insert(DIGEST.into(), digest(&record)?.into());
    let mut text = serde_json::to_vec_pretty(&record)?;
    text.push(b'\n');
    countersign_files::replace(dir.join(FILE), &text)
}

/// Covers the members in the order of their names.
fn digest(record: &serde_json::Map<String, serde_json::Value>) -> std::io::Result<String> {
    Ok(hex::encode(Sha256::digest(serde_json::to_vec(record)?)))
}

/// Returns the public half of the node's callback key as PEM.
pub fn callback_pem(vault: &Vault) -> Result<String, VaultError> {
    let unusable = |error: rs256::KeyFormatError| VaultError::Unusable {
        what: "callback key",
        why: error.to_string(),
    };
    let key = rs256::SigningKey::from_pkcs8(&vault.callback_key()?).map_err(unusable)?;
    Ok(key.verifying_key().to_pem())
}

/// Creates the record of a new node, or of one whose record was lost.
pub fn new(node: NodeId, callback_public_key: String) -> PublicRecord {
    PublicRecord {
        version: VERSION,
        node,
        callback_public_key,
        generation: 0,
        keys: Vec::new(),
        check_up: None,
        plugins: Vec::new(),
    }
}

/// The record of a running node.
pub struct PublicFile {
    dir: PathBuf,
    vault: Arc<Vault>,
    guard: Arc<Guard>,
    check_ups: Arc<CheckUps>,
    world: World,
    writing: Mutex<()>,
}

impl PublicFile {
    /// Manages the record in `dir`, the folder of the node's secrets.
    pub fn new(
        dir: PathBuf,
        vault: Arc<Vault>,
        guard: Arc<Guard>,
        check_ups: Arc<CheckUps>,
        world: World,
    ) -> Self {
        Self {
            dir,
            vault,
            guard,
            check_ups,
            world,
            writing: Mutex::default(),
        }
    }

    /// Updates the record: the generation of the secrets, the state of the plugins, and the result
    /// of the last check-up.
    pub fn update(&self) -> std::io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let record = read(&self.dir)?;
        let record = PublicRecord {
            version: VERSION,
            plugins: since(self.plugins(), &record.plugins),
            check_up: self.check_ups.last().or(record.check_up),
            generation: self.vault.generation().map_err(std::io::Error::other)?,
            ..record
        };
        write(&self.dir, &record)
    }

    /// Returns the state of the plugins. `since` is set to the current time; use [`Self::live`]
    /// for the actual value.
    pub fn plugins(&self) -> Vec<PublicPluginRecord> {
        self.described()
            .into_iter()
            .map(|plugin| plugin.shown)
            .collect()
    }

    /// Returns the state of the plugins with the actual `since`. Reads the record, so it may block.
    pub fn live(&self) -> std::io::Result<Vec<LivePlugin>> {
        let record = read(&self.dir)?;
        let mut plugins = self.described();
        let shown = plugins.iter().map(|plugin| plugin.shown.clone()).collect();
        for (plugin, shown) in plugins.iter_mut().zip(since(shown, &record.plugins)) {
            plugin.shown = shown;
        }
        Ok(plugins)
    }

    fn described(&self) -> Vec<LivePlugin> {
        let now = self.world.now();
        self.guard
            .status()
            .into_iter()
            .map(|entry| describe_plugin(entry, now))
            .collect()
    }
}

/// A plugin as the running node knows it: its entry in the record, and counters
/// since the node's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivePlugin {
    /// The plugin's entry in the record.
    #[serde(flatten)]
    pub shown: PublicPluginRecord,
    /// Number of evaluations since the start.
    pub asked: u64,
    /// Number of evaluations that approved.
    pub approved: u64,
    /// Number of evaluations that rejected.
    pub rejected: u64,
    /// Number of evaluations without a usable answer.
    pub failed: u64,
    /// As a shadow: number of decisions with which it disagreed.
    pub differed: u64,
    /// As a shadow: number of decisions for which it was skipped.
    pub skipped: u64,
    /// Code of its last refusal, if any.
    pub last_code: Option<String>,
    /// Mean duration of an evaluation in microseconds; absent if there was none.
    pub mean_micros: Option<u64>,
    /// Duration of the slowest evaluation in microseconds; absent if there was none.
    pub slowest_micros: Option<u64>,
    /// Time of the last probe of its dependencies; absent if there was none.
    pub probed: Option<UnixMillis>,
}

fn describe_plugin(entry: EntryStatus, now: UnixMillis) -> LivePlugin {
    let (state, broken) = match entry.condition {
        Condition::InForce => ("in-force", None),
        Condition::Shadow => ("shadow", None),
        Condition::Broken { code, reason } => ("broken", Some((code.to_string(), reason))),
    };
    let probed = entry.health.as_ref().map(probed_at);
    let ill = entry.health.and_then(|health| health.result.err());
    let counts = entry.counts;
    let asked = counts.asked();
    LivePlugin {
        shown: PublicPluginRecord {
            name: entry.name,
            state: state.into(),
            version: entry.version,
            digest: entry.digest.map(hex::encode),
            config: entry.revision.map(hex::encode),
            anchors: entry.anchors,
            broken,
            ill: ill.map(|(code, reason)| (code.to_string(), reason)),
            since: now,
        },
        asked,
        approved: counts.approved,
        rejected: counts.rejected,
        failed: counts.failed,
        differed: counts.differed,
        skipped: counts.skipped,
        last_code: entry.last_code,
        mean_micros: counts.micros.checked_div(asked),
        slowest_micros: (asked > 0).then_some(counts.slowest),
        probed,
    }
}

fn probed_at(health: &Health) -> UnixMillis {
    let since = health
        .at
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(since.as_millis() as u64)
}

/// Keeps the `since` of every plugin whose state has not changed.
fn since(now: Vec<PublicPluginRecord>, before: &[PublicPluginRecord]) -> Vec<PublicPluginRecord> {
    let known = |plugin: &PublicPluginRecord| {
        let same = |old: &&PublicPluginRecord| {
            PublicPluginRecord {
                since: plugin.since,
                ..(*old).clone()
            } == *plugin
        };
        before.iter().find(same).map(|old| old.since)
    };
    now.into_iter()
        .map(|plugin| PublicPluginRecord {
            since: known(&plugin).unwrap_or(plugin.since),
            ..plugin
        })
        .collect()
}

/// Adds the extended public key to a key descriptor.
pub fn describe(descriptor: KeyDescriptor) -> Result<PublicKeyRecord, DeriveError> {
    let extended_public_key = countersign_verify::extended_public_key(
        descriptor.scheme,
        &descriptor.root_public_key,
        descriptor.chain_code.as_bytes(),
    )?;
    Ok(PublicKeyRecord {
        descriptor,
        extended_public_key,
    })
}

#[cfg(test)]
#[path = "public_tests.rs"]
mod tests;
