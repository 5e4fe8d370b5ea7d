//! Drafts a bundle from the policy in force.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use countersign_host::{CustodyError, PluginSignature, PluginStore, SignatureError, StoreError};
use countersign_protocol::{Hash, UnixMillis};

use super::file::{Bundle, FormatError, sha256};
use super::folder::{BundleFolder, FolderError};
use super::manifest::{BundleEntry, FORMAT, FileRecord, Manifest};
use crate::config::{PluginConfig, PluginEntry, Policy};

/// Most bytes of a configuration, and of a signature.
const DOCUMENT: u64 = 64 << 20;

/// What a draft is to be called.
#[derive(Debug, Clone)]
pub struct Title {
    /// Name of the policy.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// The bundle that it is drafted from.
    pub previous: Option<Hash>,
    /// The time by the author's clock.
    pub created: UnixMillis,
}

/// Reasons why no bundle can be drafted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum DraftError {
    /// There is no such entry that decides.
    #[error("there is no entry `{0}` that decides; name one of policy.plugins")]
    Unknown(String),
    /// The installed component cannot be found.
    #[error("entry `{entry}`: {source}")]
    Store {
        entry: String,
        source: Box<StoreError>,
    },
    /// A file cannot be read, or somebody else could have written it.
    #[error("entry `{entry}`: cannot read {}: {source}", file.display())]
    File {
        entry: String,
        file: PathBuf,
        source: CustodyError,
    },
    /// The component is not the one that the entry pins.
    #[error("entry `{0}` pins another component than the one that is there; correct its `digest`")]
    Digest(String),
    /// The signature beside the component cannot be used.
    #[error("entry `{entry}`: {source}")]
    Signature {
        entry: String,
        source: SignatureError,
    },
    /// The configuration cannot be written as JSON.
    #[error("entry `{entry}`: its configuration cannot be written: {source}; correct it")]
    Config {
        entry: String,
        source: serde_json::Error,
    },
    /// The parts do not make a bundle.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// The policy that is drafted from. With a bundle in force, these are its entries, and of the
/// operator's own only those that are named: what stands beside a bundle is not for others.
pub fn base(
    folder: &BundleFolder,
    mut policy: Policy,
    present: Option<&Hash>,
    only: &[String],
) -> Result<Policy, FolderError> {
    if present.is_some() {
        policy.plugins.retain(|own| only.contains(&own.name));
    }
    folder.with(policy, present)
}

/// Puts the entries that decide into a bundle, all of them or those that are named. Shadows decide
/// nothing, and are left out. Entries that come from the bundle in force are taken over from
/// `present` as they were signed.
pub fn draft(
    policy: &Policy,
    present: Option<&Bundle>,
    only: &[String],
    title: Title,
) -> Result<Bundle, DraftError> {
    let decides = |entry: &&PluginEntry| entry.shadow.is_none();
    let known = |name: &str| {
        let mut entries = policy.plugins.iter().filter(decides);
        entries.any(|entry| entry.name == name)
    };
    if let Some(unknown) = only.iter().find(|name| !known(name)) {
        return Err(DraftError::Unknown(unknown.clone()));
    }
    let mut files = BTreeMap::new();
    let entries = policy.plugins.iter().filter(decides);
    let entries = entries.filter(|entry| only.is_empty() || only.contains(&entry.name));
    let entries: Vec<BundleEntry> = entries
        .map(|entry| match signed(policy, present, entry) {
            Some((bundle, signed)) => Ok(take_over(bundle, signed, &mut files)),
            None => read(policy, entry, &mut files),
        })
        .collect::<Result<_, _>>()?;
    let named: BTreeSet<Hash> = entries.iter().flat_map(BundleEntry::files).collect();
    let record = |sha256: Hash| FileRecord {
        bytes: files.get(&sha256).map_or(0, Vec::len) as u64,
        sha256,
    };
    let manifest = Manifest {
        format: FORMAT,
        name: title.name,
        version: title.version,
        created: title.created,
        previous: title.previous,
        files: named.into_iter().map(record).collect(),
        entries,
    };
    Ok(Bundle::new(manifest, files)?)
}

/// The entry as it was signed, if it comes from the bundle in force.
fn signed<'b>(
    policy: &Policy,
    present: Option<&'b Bundle>,
    entry: &PluginEntry,
) -> Option<(&'b Bundle, &'b BundleEntry)> {
    let bundle = present.filter(|_| policy.from_bundle.contains(&entry.name))?;
    Some((bundle, bundle.manifest().entry(&entry.name)?))
}

fn take_over(
    bundle: &Bundle,
    entry: &BundleEntry,
    files: &mut BTreeMap<Hash, Vec<u8>>,
) -> BundleEntry {
    for hash in entry.files() {
        if let Some(content) = bundle.file(&hash) {
            files.insert(hash, content.to_vec());
        }
    }
    entry.clone()
}

/// Reads the files of one entry.
fn read(
    policy: &Policy,
    entry: &PluginEntry,
    files: &mut BTreeMap<Hash, Vec<u8>>,
) -> Result<BundleEntry, DraftError> {
    let read = |file: PathBuf, limit: u64| {
        let bytes = policy.custody.read(&file, limit);
        bytes.map_err(|source| DraftError::File {
            entry: entry.name.clone(),
            file,
            source,
        })
    };
    let config = match &entry.source {
        PluginConfig::File(file) => read(file.clone(), DOCUMENT)?,
        PluginConfig::Inline(value) => {
            serde_json::to_vec(value).map_err(|source| DraftError::Config {
                entry: entry.name.clone(),
                source,
            })?
        }
    };
    let source = crate::risk::component(entry);
    let located = source.locate(&PluginStore::new(&policy.plugin_dir));
    let (file, pinned) = located.map_err(|source| DraftError::Store {
        entry: entry.name.clone(),
        source: Box::new(source),
    })?;
    let component = read(file.clone(), policy.compile.component_bytes)?;
    let digest = sha256(&component);
    if pinned.is_some_and(|pinned| pinned != *digest.as_bytes()) {
        return Err(DraftError::Digest(entry.name.clone()));
    }
    let signature = PathBuf::from(format!("{}.sig", file.display()));
    let signature = if signature.exists() {
        let bytes = read(signature, DOCUMENT)?;
        let signature = PluginSignature::from_json(&bytes);
        Some(signature.map_err(|source| DraftError::Signature {
            entry: entry.name.clone(),
            source,
        })?)
    } else {
        None
    };
    let record = BundleEntry {
        name: entry.name.clone(),
        component: digest,
        config: sha256(&config),
        signature,
        scope: entry.scope.clone(),
        monitor_interval: entry
            .monitor_interval
            .map(|every| format!("{}ms", every.as_millis()))
            .unwrap_or_default(),
        grants: entry.grants.clone(),
    };
    files.insert(record.component, component);
    files.insert(record.config, config);
    Ok(record)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Shadow;
    use crate::specimen::entry;

    fn title() -> Title {
        Title {
            name: "treasury".into(),
            version: 3,
            previous: Some(Hash([1; 32])),
            created: UnixMillis(7),
        }
    }

    fn policy(dir: &Path) -> Policy {
        let file = dir.join("one.wasm");
        std::fs::write(&file, "component").unwrap();
        std::fs::write(dir.join("rules.yaml"), "limit: 5 # a comment").unwrap();
        let mut one = entry("one", &file);
        one.source = PluginConfig::File(dir.join("rules.yaml"));
        one.monitor_interval = Some(std::time::Duration::from_secs(90));
        let mut shadow = entry("shadow", &file);
        shadow.shadow = Some(Shadow::Chain);
        crate::specimen::policy(dir, vec![one, shadow, entry("two", &file)])
    }

    #[test]
    fn a_draft_has_the_entries_that_decide_with_their_files() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = draft(&policy(dir.path()), None, &[], title()).unwrap();
        let manifest = bundle.manifest();
        let names: Vec<&str> = manifest.entries.iter().map(|entry| &*entry.name).collect();
        assert_eq!(names, ["specimen:one", "specimen:two"]);
        let one = &manifest.entries[0];
        assert_eq!(one.monitor_interval, "90000ms");
        assert_eq!(bundle.file(&one.component), Some(&b"component"[..]));
        assert_eq!(bundle.file(&one.config), Some(&b"limit: 5 # a comment"[..]));
        assert_eq!(manifest.version, 3);
        assert_eq!(manifest.files.len(), 3, "one component for both");
        let again = draft(&policy(dir.path()), None, &[], title()).unwrap();
        assert_eq!(again.encode().unwrap(), bundle.encode().unwrap());
    }

    #[test]
    fn only_entries_that_are_named_and_decide_are_drafted() {
        let dir = tempfile::tempdir().unwrap();
        let policy = policy(dir.path());
        let only = |name: &str| draft(&policy, None, &[name.to_owned()], title());
        assert_eq!(only("specimen:two").unwrap().manifest().entries.len(), 1);
        for name in ["specimen:shadow", "specimen:three"] {
            assert!(matches!(only(name), Err(DraftError::Unknown(_))), "{name}");
        }
    }

    #[test]
    fn with_a_bundle_in_force_own_entries_are_drafted_only_if_they_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut policy = policy(dir.path());
        let only = ["specimen:one".to_owned()];
        let present = draft(&policy, None, &only, title()).unwrap();
        let folder = BundleFolder::of(dir.path());
        folder.store(&present).unwrap();
        policy.bundles = Some(super::super::published::tests::settings());
        let drafted = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(ToString::to_string).collect();
            let base = base(&folder, policy.clone(), Some(&present.hash()), &only).unwrap();
            let next = draft(&base, Some(&present), &only, title()).unwrap();
            next.manifest().entries.clone()
        };
        assert_eq!(drafted(&[]), present.manifest().entries);
        let names = |entries: Vec<BundleEntry>| -> Vec<String> {
            entries.into_iter().map(|entry| entry.name).collect()
        };
        assert_eq!(names(drafted(&["specimen:two"])), ["specimen:two"]);
        let without = base(&folder, policy.clone(), None, &[]).unwrap();
        assert_eq!(without.plugins, policy.plugins);
    }

    #[test]
    fn a_component_that_is_not_the_pinned_one_is_not_drafted() {
        let dir = tempfile::tempdir().unwrap();
        let mut policy = policy(dir.path());
        policy.plugins[0].digest = Some([9; 32]);
        let refused = draft(&policy, None, &[], title());
        assert!(matches!(refused, Err(DraftError::Digest(_))));
    }

    #[test]
    fn an_entry_of_the_bundle_in_force_is_drafted_as_it_was_signed() {
        let dir = tempfile::tempdir().unwrap();
        let mut policy = policy(dir.path());
        let present = draft(&policy, None, &[], title()).unwrap();
        policy.from_bundle = ["specimen:one".to_owned()].into();
        policy.plugins[0].source = PluginConfig::Inline(serde_json::json!({ "limit": 5 }));
        let next = draft(&policy, Some(&present), &[], title()).unwrap();
        assert_eq!(next.manifest().entries, present.manifest().entries);
    }
}
