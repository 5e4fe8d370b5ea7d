//! `public.json`: what anybody may know of a node, readable without the passphrase and while the
//! node runs. It is written anew at every change of a key, so nothing is in it that grows with
//! them: the keys themselves are rows of the journal, which `info` reads ([`describe`]).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use countersign_host::{Anchor, Condition, EntryStatus, Health, rs256};
use countersign_protocol::{Announcement, NodeId, UnixMillis};
use countersign_verify::DeriveError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::check_ups::Round;
use crate::core::Core;
use crate::vault::{Vault, VaultError};

/// The file's name in the node's folder.
pub const FILE: &str = "public.json";
/// What is written. Records of version 1 listed the keys.
pub const VERSION: u16 = 2;

/// The largest record, in bytes. Those of version 1 listed all keys.
const MAX_RECORD: u64 = 256 << 20;
/// The member of the file that is the SHA-256 of the others, hex. Records of earlier programs have
/// none.
const DIGEST: &str = "sha256";

/// The record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublicRecord {
    /// Version of this format: [`VERSION`].
    pub version: u16,
    /// The node.
    pub node: NodeId,
    /// RSA key that verifies callback requests, PEM (SubjectPublicKeyInfo).
    pub callback_public_key: String,
    /// Generation of the secrets file when this was written. 0 in records of the first programs.
    #[serde(default)]
    pub generation: u64,
    /// Confirmed keys, oldest first, in records of version 1. Never written: `restore` still
    /// compares an old folder's.
    #[serde(default, skip_serializing)]
    pub keys: Vec<PublicKeyRecord>,
    /// What the last check-up of all shares found. Absent before the first.
    #[serde(default)]
    pub check_up: Option<Round>,
    /// How the configured plugins fare, in the order in which they are asked. Absent in records of
    /// the first programs.
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
    /// Keys and authorities that it was granted. Absent in records of earlier programs.
    #[serde(default)]
    pub anchors: Vec<Anchor>,
    /// Why it is broken: code and text.
    pub broken: Option<(String, String)>,
    /// What it misses of what it depends on: code and text.
    pub ill: Option<(String, String)>,
    /// Since when all of this is so.
    pub since: UnixMillis,
}

/// A key as `info` shows it, and as it was in records of version 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublicKeyRecord {
    /// Everything announced of it.
    #[serde(flatten)]
    pub announcement: Announcement,
    /// `xpub…` or `cpub…`.
    pub extended_public_key: String,
}

/// Reads a node's record, as the node wrote it.
pub fn read(dir: &Path) -> std::io::Result<PublicRecord> {
    let text = countersign_files::read(dir.join(FILE), MAX_RECORD)?;
    let mut record: serde_json::Map<_, _> = serde_json::from_slice(&text)?;
    if let Some(written) = record.remove(DIGEST)
        && written != digest(&record)?
    {
        return Err(std::io::Error::other(
            "it was changed since the node wrote it; start the node, which writes it anew",
        ));
    }
    Ok(serde_json::from_value(record.into())?)
}

/// Replaces a node's record atomically.
pub fn write(dir: &Path, record: &PublicRecord) -> std::io::Result<()> {
    let temporary = dir.join(".public.json.tmp");
    let mut file = std::fs::File::create(&temporary)?;
    let mut record: serde_json::Map<_, _> = serde_json::from_value(serde_json::to_value(record)?)?;
    record.insert(DIGEST.into(), digest(&record)?.into());
    file.write_all(&serde_json::to_vec_pretty(&record)?)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&temporary, dir.join(FILE))?;
    std::fs::File::open(dir)?.sync_all()
}

/// Over the members in the order of their names.
fn digest(record: &serde_json::Map<String, serde_json::Value>) -> std::io::Result<String> {
    Ok(hex::encode(Sha256::digest(serde_json::to_vec(record)?)))
}

/// The public half of the node's callback key.
pub fn callback_pem(vault: &Vault) -> Result<String, VaultError> {
    let unusable = |error: rs256::KeyFormatError| VaultError::Unusable {
        what: "callback key",
        why: error.to_string(),
    };
    let key = rs256::SigningKey::from_pkcs8(&vault.callback_key()?).map_err(unusable)?;
    Ok(key.verifying_key().to_pem())
}

/// The record of a node that has just been made, or whose record was lost.
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

/// The record of a node that runs.
pub struct PublicFile {
    dir: PathBuf,
    writing: Mutex<()>,
}

impl PublicFile {
    /// In the folder of the node's secrets.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            writing: Mutex::default(),
        }
    }
}

/// Writes into the record how far the secrets have come, how the plugins fare, and what the last
/// check-up found.
pub fn update(core: &Core) -> std::io::Result<()> {
    let PublicFile { dir, writing } = &core.public;
    let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
    let record = read(dir)?;
    let record = PublicRecord {
        version: VERSION,
        plugins: since(plugins(core), &record.plugins),
        check_up: core.check_ups.last().or(record.check_up),
        generation: core.vault.generation().map_err(std::io::Error::other)?,
        ..record
    };
    write(dir, &record)
}

/// A plugin as the node that runs knows it: what the record shows, and what was counted since the
/// node started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivePlugin {
    /// What the record shows.
    #[serde(flatten)]
    pub shown: PublicPluginRecord,
    /// How often it was asked.
    pub asked: u64,
    /// How often it approved.
    pub approved: u64,
    /// How often it rejected.
    pub rejected: u64,
    /// How often it gave no usable answer.
    pub failed: u64,
    /// As a shadow: how often it would have decided otherwise.
    pub differed: u64,
    /// As a shadow: how often it was left out.
    pub skipped: u64,
    /// Code of its last refusal.
    pub last_code: Option<String>,
    /// Mean duration of an evaluation in microseconds; absent if there was none, as is the slowest.
    pub mean_micros: Option<u64>,
    /// Duration of the slowest.
    pub slowest_micros: Option<u64>,
    /// When it was last asked whether what it depends on is in reach; absent: never.
    pub probed: Option<UnixMillis>,
}

/// How the plugins fare now. All of it is so since now; [`live`] knows better.
pub fn plugins(core: &Core) -> Vec<PublicPluginRecord> {
    described(core)
        .into_iter()
        .map(|plugin| plugin.shown)
        .collect()
}

/// How the plugins fare now, and since when. Reads the record: call it where that may block.
pub fn live(core: &Core) -> std::io::Result<Vec<LivePlugin>> {
    let record = read(&core.config.dir)?;
    let mut plugins = described(core);
    let shown = plugins.iter().map(|plugin| plugin.shown.clone()).collect();
    for (plugin, shown) in plugins.iter_mut().zip(since(shown, &record.plugins)) {
        plugin.shown = shown;
    }
    Ok(plugins)
}

fn described(core: &Core) -> Vec<LivePlugin> {
    let now = core.now();
    core.guard
        .status()
        .into_iter()
        .map(|entry| describe_plugin(entry, now))
        .collect()
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

/// What was so before has been so since then.
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

/// A key as `info` shows it.
pub fn describe(announcement: Announcement) -> Result<PublicKeyRecord, DeriveError> {
    let extended_public_key = countersign_verify::extended_public_key(
        announcement.scheme,
        &announcement.root_public_key,
        announcement.chain_code.as_bytes(),
    )?;
    Ok(PublicKeyRecord {
        announcement,
        extended_public_key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a program of version 1 left it.
    const OLD: &str = include_str!("fixtures/public-1.json");

    #[test]
    fn a_record_of_version_1_is_read_with_its_keys_and_what_is_written_lists_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), OLD).unwrap();
        let old = read(dir.path()).unwrap();
        assert_eq!((old.version, old.keys.len(), old.generation), (1, 2, 21));
        let key = &old.keys[0];
        let described = describe(key.announcement.clone()).unwrap();
        assert_eq!(described.extended_public_key, key.extended_public_key);
        write(
            dir.path(),
            &PublicRecord {
                version: VERSION,
                ..old
            },
        )
        .unwrap();
        let written = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(
            !written.contains("\"keys\"") && written.contains("\"version\": 2"),
            "{written}"
        );
        assert_eq!(read(dir.path()).unwrap().generation, 21);
    }
}
