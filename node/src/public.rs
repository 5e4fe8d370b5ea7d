//! `public.json`: what anybody may know of a node, readable without the passphrase and while the node runs.

use crate::core::Core;
use crate::vault::{Vault, VaultError};
use countersign_host::{Condition, EntryStatus, rs256};
use countersign_protocol::{Announcement, NodeId, UnixMillis};
use countersign_store::KeyStatus;
use countersign_verify::DeriveError;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;
use std::sync::PoisonError;

/// The file's name in the node's folder.
pub const FILE: &str = "public.json";

/// The record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublicRecord {
    /// Version of this format: 1.
    pub version: u16,
    /// The node.
    pub node: NodeId,
    /// RSA key that verifies callback requests, PEM (SubjectPublicKeyInfo).
    pub callback_public_key: String,
    /// Confirmed keys, oldest first.
    pub keys: Vec<PublicKeyRecord>,
    /// How the configured plugins fare, in the order in which they are asked. Absent in records of the first programs.
    #[serde(default)]
    pub plugins: Vec<PublicPluginRecord>,
}

/// A plugin in the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicPluginRecord {
    /// Its entry.
    pub name: String,
    /// `in-force`, `shadow` or `broken`.
    pub state: String,
    /// By its own description; absent if it is broken, as is the digest.
    pub version: Option<String>,
    /// SHA-256 of the component, hex.
    pub digest: Option<String>,
    /// SHA-256 of its configuration, hex.
    pub config: Option<String>,
    /// Why it is broken: code and text.
    pub broken: Option<(String, String)>,
    /// What it misses of what it depends on: code and text.
    pub ill: Option<(String, String)>,
    /// Since when all of this is so.
    pub since: UnixMillis,
}

/// A key in the record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublicKeyRecord {
    /// Everything announced of it.
    #[serde(flatten)]
    pub announcement: Announcement,
    /// `xpub…` or `cpub…`.
    pub extended_public_key: String,
}

/// Reads a node's record.
pub fn read(dir: &Path) -> std::io::Result<PublicRecord> {
    serde_json::from_slice(&std::fs::read(dir.join(FILE))?).map_err(std::io::Error::other)
}

/// Replaces a node's record atomically.
pub fn write(dir: &Path, record: &PublicRecord) -> std::io::Result<()> {
    let temporary = dir.join(".public.json.tmp");
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(record)?)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&temporary, dir.join(FILE))?;
    std::fs::File::open(dir)?.sync_all()
}

/// The public half of the node's callback key.
pub fn callback_pem(vault: &Vault) -> Result<String, VaultError> {
    let unusable =
        |error: rs256::KeyFormatError| VaultError::Unusable { what: "callback key", why: error.to_string() };
    let key = rs256::SigningKey::from_pkcs8(&vault.callback_key()?).map_err(unusable)?;
    Ok(key.verifying_key().to_pem())
}

/// Writes the journal's confirmed keys into the record.
pub fn update(core: &Core) -> std::io::Result<()> {
    let _alone = core.publishing.lock().unwrap_or_else(PoisonError::into_inner);
    let mut record = read(&core.config.dir)?;
    let keys = core.journal.keys().map_err(std::io::Error::other)?;
    let mut active: Vec<_> = keys.into_iter().filter(|key| key.status == KeyStatus::Active).collect();
    active.sort_by_key(|key| (key.created, key.announcement.key));
    record.keys = active
        .into_iter()
        .map(|key| describe(key.announcement))
        .collect::<Result<_, _>>()
        .map_err(std::io::Error::other)?;
    record.plugins = since(plugins(core), &record.plugins);
    write(&core.config.dir, &record)
}

/// How the plugins fare now.
pub fn plugins(core: &Core) -> Vec<PublicPluginRecord> {
    let now = core.now();
    let describe = |entry: EntryStatus| {
        let (state, broken) = match entry.condition {
            Condition::InForce => ("in-force", None),
            Condition::Shadow => ("shadow", None),
            Condition::Broken { code, reason } => ("broken", Some((code.to_string(), reason))),
        };
        let ill = entry.health.and_then(|health| health.result.err());
        PublicPluginRecord {
            name: entry.name,
            state: state.into(),
            version: entry.version,
            digest: entry.digest.map(hex::encode),
            config: entry.revision.map(hex::encode),
            broken,
            ill: ill.map(|(code, reason)| (code.to_string(), reason)),
            since: now,
        }
    };
    core.guard.status().into_iter().map(describe).collect()
}

/// What was so before has been so since then.
fn since(now: Vec<PublicPluginRecord>, before: &[PublicPluginRecord]) -> Vec<PublicPluginRecord> {
    let known = |plugin: &PublicPluginRecord| {
        let same = |old: &&PublicPluginRecord| {
            PublicPluginRecord { since: plugin.since, ..(*old).clone() } == *plugin
        };
        before.iter().find(same).map(|old| old.since)
    };
    now.into_iter()
        .map(|plugin| PublicPluginRecord { since: known(&plugin).unwrap_or(plugin.since), ..plugin })
        .collect()
}

fn describe(announcement: Announcement) -> Result<PublicKeyRecord, DeriveError> {
    let extended_public_key = countersign_verify::extended_public_key(
        announcement.scheme,
        &announcement.root_public_key,
        announcement.chain_code.as_bytes(),
    )?;
    Ok(PublicKeyRecord { announcement, extended_public_key })
}
