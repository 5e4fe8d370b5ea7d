//! The folder `bundles` beside the secrets: the state, and the bundles that it names, unpacked.
//!
//! | file | what it is |
//! |---|---|
//! | `state.json` | the [`Schedule`] |
//! | `<hash>/head` | a line with the manifest of this hash, a line with its signatures |
//! | `<hash>/<sha256>` | a component or a configuration, with `.sig` beside it if there is one |
//!
//! Everything but the state is named by its hash, and checked against it when it is read. No bundle
//! shares a file with another one, so whatever happens to one changes nothing about another.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use countersign_files::{Custody, CustodyError, replace};
use countersign_host::BundleSignature;
use countersign_protocol::Hash;
use countersign_store::{Journal, ReadJournalError};
use countersign_strict::Document;

use super::ceiling::{self, CeilingError};
use super::file::{Bundle, FormatError, LARGEST, sha256};
use super::manifest::{BundleEntry, Manifest};
use super::schedule::Schedule;
use crate::config::{Component, ConfigError, PluginConfig, PluginEntry, Policy, RawPlugin};

/// The folder, beside the secrets.
const FOLDER: &str = "bundles";
const STATE: &str = "state.json";
const HEAD: &str = "head";
/// Most bytes of the state, and of a manifest with its signatures.
const DOCUMENT: u64 = 2 << 20;

/// The bundles of a node, on its disk.
#[derive(Debug, Clone)]
pub struct BundleFolder(PathBuf);

/// Reasons why the folder, or a bundle in it, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum FolderError {
    /// A file cannot be read or written.
    #[error("cannot use {}: {source}; correct its owner or mode, or restore it", file.display())]
    Io { file: PathBuf, source: io::Error },
    /// Somebody else could have written a file.
    #[error(transparent)]
    Custody(CustodyError),
    /// The state cannot be understood.
    #[error(
        "{} is damaged or of a later version: {why}; restore it, or move the folder away and take the bundle again",
        file.display()
    )]
    State { file: PathBuf, why: String },
    /// A bundle was in force, and nobody knows which one.
    #[error(
        "a policy bundle was in force here, and {} is gone, as after a restore; take the bundle with `policy take` while the node is stopped. Without policy.bundles the node would start too, but approve what only the bundle's entries refuse",
        .0.display()
    )]
    Lost(PathBuf),
    /// Another bundle is in force than the journal knows of.
    #[error(
        "the bundle {present} is in force in {}, and the journal knows of {noted}, as after older files were put back; move the folder away, and take the bundle with `policy take` while the node is stopped",
        folder.display()
    )]
    Other {
        folder: PathBuf,
        present: Hash,
        noted: Hash,
    },
    /// A bundle was taken after the node had read its configuration.
    #[error("the policy bundle in force was changed while the node started; start it again")]
    Overtaken,
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] ReadJournalError),
    /// A bundle is not what it was.
    #[error("the bundle {bundle} is damaged: {source}; take it again")]
    Bundle { bundle: Hash, source: FormatError },
    /// An entry asks for more than the operator grants.
    #[error(transparent)]
    Ceiling(#[from] CeilingError),
    /// An entry that decides nothing would stand in the place of one that decides.
    #[error(
        "its entry `{0}` has the name of a shadow under policy.plugins; give the shadow another label"
    )]
    Shadow(String),
    /// There is no such entry.
    #[error("it has no entry `{0}`; take it again")]
    NoEntry(String),
    /// A configuration cannot be read.
    #[error("its entry `{entry}` has a configuration that cannot be read: {why}")]
    Document { entry: String, why: String },
    /// An entry is not valid.
    #[error("its entry `{entry}` cannot be used: {source}")]
    Entry {
        entry: String,
        source: Box<ConfigError>,
    },
}

/// A manifest with its signatures.
struct Head {
    manifest: Manifest,
    signatures: Vec<BundleSignature>,
}

impl FolderError {
    /// True if the bundle itself is at fault, or what is left of it.
    pub fn is_of_the_bundle(&self) -> bool {
        match self {
            Self::Bundle { .. }
            | Self::Ceiling(_)
            | Self::Shadow(_)
            | Self::NoEntry(_)
            | Self::Document { .. }
            | Self::Entry { .. } => true,
            Self::Io { .. }
            | Self::Custody(_)
            | Self::State { .. }
            | Self::Lost(_)
            | Self::Other { .. }
            | Self::Overtaken
            | Self::Journal(_) => false,
        }
    }
}

impl BundleFolder {
    /// The folder of the node whose secrets are in `dir`.
    pub fn of(dir: &Path) -> Self {
        Self(dir.join(FOLDER))
    }

    /// Reads the state. Without a file, no bundle has been taken yet.
    pub fn schedule(&self) -> Result<Schedule, FolderError> {
        let file = self.0.join(STATE);
        let bytes = match self.read(&file, DOCUMENT) {
            Err(FolderError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(Schedule::default());
            }
            read => read?,
        };
        let state = |why: String| FolderError::State {
            file: file.clone(),
            why,
        };
        let schedule: Schedule =
            serde_json::from_slice(&bytes).map_err(|error| state(error.to_string()))?;
        if schedule.is_known() {
            Ok(schedule)
        } else {
            Err(state("its format is not known".into()))
        }
    }

    /// Reads the state of a node with this journal, which says whether there must be a bundle in
    /// force. A backup has the journal, and not this folder.
    pub fn expected(&self, journal: &Journal) -> Result<Schedule, FolderError> {
        let schedule = self.schedule()?;
        let Some(noted) = journal.bundle_mark()? else {
            return Ok(schedule);
        };
        match &schedule.present {
            None => Err(FolderError::Lost(self.0.join(STATE))),
            Some(_) if schedule.fits(&noted) => Ok(schedule),
            Some(present) => Err(FolderError::Other {
                folder: self.0.clone(),
                present: present.bundle,
                noted: noted.bundle,
            }),
        }
    }

    /// Writes the state. After a crash it is the old one or the new one.
    pub fn keep(&self, schedule: &Schedule) -> Result<(), FolderError> {
        let file = self.0.join(STATE);
        let json = serde_json::to_vec_pretty(schedule).map_err(|error| FolderError::State {
            file: file.clone(),
            why: error.to_string(),
        })?;
        self.write(&file, &json)
    }

    /// Checks that a bundle that is not stored asks for nothing beyond what the operator grants,
    /// and that the operator's policy can have its entries.
    pub fn admits(&self, policy: &Policy, bundle: &Bundle) -> Result<(), FolderError> {
        let hash = bundle.hash();
        let entries = bundle.manifest().entries.iter().map(|entry| {
            let config = bundle.file(&entry.config).unwrap_or_default();
            self.entry(policy, &hash, entry, config.to_vec())
        });
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        combined(policy.clone(), entries).map(drop)
    }

    /// Stores a bundle, files first.
    pub fn store(&self, bundle: &Bundle) -> Result<(), FolderError> {
        let hash = bundle.hash();
        let damaged = |source| FolderError::Bundle {
            bundle: hash,
            source,
        };
        let manifest = bundle.manifest();
        for record in &manifest.files {
            let content = bundle.file(&record.sha256);
            let content = content.ok_or_else(|| damaged(FormatError::File(record.sha256)))?;
            self.write(&self.content(&hash, &record.sha256), content)?;
        }
        for entry in &manifest.entries {
            if let Some(signature) = &entry.signature {
                let file = self.signature(&hash, &entry.component);
                self.write(&file, &signature.to_json())?;
            }
        }
        let manifest = manifest
            .to_json()
            .map_err(FormatError::from)
            .map_err(damaged)?;
        let signatures = serde_json::to_vec(bundle.signatures());
        let signatures = signatures
            .map_err(FormatError::Signatures)
            .map_err(damaged)?;
        let head = [&manifest[..], b"\n", &signatures, b"\n"].concat();
        self.write(&self.head_file(&hash), &head)
    }

    /// Reads a whole bundle.
    pub fn bundle(&self, hash: &Hash) -> Result<Bundle, FolderError> {
        let Head {
            manifest,
            signatures,
        } = self.head(hash)?;
        let mut files = BTreeMap::new();
        for record in &manifest.files {
            let content = self.read(&self.content(hash, &record.sha256), LARGEST)?;
            files.insert(record.sha256, content);
        }
        let bundle = Bundle::new(manifest, files).map_err(|source| FolderError::Bundle {
            bundle: *hash,
            source,
        })?;
        Ok(bundle.signed(signatures))
    }

    /// Reads the manifest of a bundle.
    pub fn manifest(&self, hash: &Hash) -> Result<Manifest, FolderError> {
        Ok(self.head(hash)?.manifest)
    }

    /// The operator's policy with the entries of the bundle in force, if the operator follows any.
    pub fn complete(&self, policy: Policy) -> Result<Policy, FolderError> {
        if policy.bundles.is_none() {
            return Ok(policy);
        }
        let schedule = self.schedule()?;
        let present = schedule.present.map(|present| present.bundle);
        self.with(policy, present.as_ref())
    }

    /// The operator's policy with the entries of this bundle, or of none.
    pub fn with(&self, policy: Policy, bundle: Option<&Hash>) -> Result<Policy, FolderError> {
        let entries = match bundle {
            Some(bundle) => self.entries(&policy, bundle)?,
            None => Vec::new(),
        };
        combined(policy, entries)
    }

    /// The entries of a bundle whose files are here. Fails if one asks for more than the operator
    /// grants to bundles.
    pub fn entries(&self, policy: &Policy, hash: &Hash) -> Result<Vec<PluginEntry>, FolderError> {
        let manifest = self.manifest(hash)?;
        let entries = manifest.entries.iter().map(|entry| {
            let config = self.read(&self.content(hash, &entry.config), LARGEST)?;
            self.entry(policy, hash, entry, config)
        });
        entries.collect()
    }

    /// An entry of the bundle with this hash, whose configuration has this text.
    fn entry(
        &self,
        policy: &Policy,
        hash: &Hash,
        entry: &BundleEntry,
        config: Vec<u8>,
    ) -> Result<PluginEntry, FolderError> {
        // Without the section, nothing is granted.
        let ceiling = policy
            .bundles
            .as_ref()
            .map(|bundles| bundles.grants.clone());
        ceiling::check(entry, &ceiling.unwrap_or_default(), policy.deadline)?;
        let unreadable = |why: String| FolderError::Document {
            entry: entry.name.clone(),
            why,
        };
        if sha256(&config) != entry.config {
            return Err(unreadable(
                "it is not the one that was signed; take it again".into(),
            ));
        }
        let text = String::from_utf8(config)
            .map_err(|_| unreadable("it is not UTF-8; have it published anew".into()))?;
        let document = Document::parse(&text).map_err(|error| unreadable(error.to_string()))?;
        let config: serde_json::Value = document
            .read()
            .map_err(|error| unreadable(error.to_string()))?;
        let raw = RawPlugin {
            scope: entry.scope.clone(),
            monitor_interval: entry.monitor_interval.clone(),
            grants: entry.grants.clone(),
            ..RawPlugin::named(&entry.name)
        };
        let plain = PluginEntry::from_raw(raw, &self.0).map_err(|source| FolderError::Entry {
            entry: entry.name.clone(),
            source: Box::new(source),
        })?;
        Ok(PluginEntry {
            component: Component::File(self.content(hash, &entry.component)),
            digest: Some(*entry.component.as_bytes()),
            source: PluginConfig::Inline(config),
            ..plain
        })
    }

    /// Removes the bundles that the state does not name. A failure only costs disk space.
    pub fn sweep(&self, schedule: &Schedule) -> Result<(), FolderError> {
        let needed = schedule.needed();
        let mut kept: BTreeSet<PathBuf> = needed.iter().map(|hash| self.place(hash)).collect();
        kept.insert(self.0.join(STATE));
        let failed = |source| FolderError::Io {
            file: self.0.clone(),
            source,
        };
        let found = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.map_err(failed)?,
        };
        for found in found {
            let found = found.map_err(failed)?;
            let path = found.path();
            if kept.contains(&path) {
                continue;
            }
            let removed = if found.file_type().map_err(failed)?.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            removed.map_err(failed)?;
        }
        Ok(())
    }

    fn head(&self, hash: &Hash) -> Result<Head, FolderError> {
        let bytes = self.read(&self.head_file(hash), DOCUMENT)?;
        let damaged = |source| FolderError::Bundle {
            bundle: *hash,
            source,
        };
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let short = || damaged(FormatError::Short);
        let manifest = lines.next().ok_or_else(short)?;
        let signatures = lines.next().ok_or_else(short)?;
        let manifest = Manifest::parse(manifest)
            .map_err(FormatError::from)
            .map_err(damaged)?;
        let actual = manifest
            .hash()
            .map_err(FormatError::from)
            .map_err(damaged)?;
        if actual != *hash {
            return Err(damaged(FormatError::File(*hash)));
        }
        let signatures = serde_json::from_slice(signatures)
            .map_err(FormatError::Signatures)
            .map_err(damaged)?;
        Ok(Head {
            manifest,
            signatures,
        })
    }

    fn place(&self, bundle: &Hash) -> PathBuf {
        self.0.join(bundle.to_string())
    }

    fn head_file(&self, bundle: &Hash) -> PathBuf {
        self.place(bundle).join(HEAD)
    }

    fn content(&self, bundle: &Hash, sha256: &Hash) -> PathBuf {
        self.place(bundle).join(sha256.to_string())
    }

    fn signature(&self, bundle: &Hash, component: &Hash) -> PathBuf {
        self.place(bundle).join(format!("{component}.sig"))
    }

    fn read(&self, file: &Path, limit: u64) -> Result<Vec<u8>, FolderError> {
        Custody::Operator
            .read(file, limit)
            .map_err(|error| match error {
                CustodyError::Io(source) => FolderError::Io {
                    file: file.into(),
                    source,
                },
                unsafe_place => FolderError::Custody(unsafe_place),
            })
    }

    fn write(&self, file: &Path, bytes: &[u8]) -> Result<(), FolderError> {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(file.parent().unwrap_or(&self.0));
        made.and_then(|()| replace(file, bytes))
            .map_err(|source| FolderError::Io {
                file: file.into(),
                source,
            })
    }
}

/// The operator's policy with these entries of a bundle.
fn combined(policy: Policy, entries: Vec<PluginEntry>) -> Result<Policy, FolderError> {
    let mut own = policy.plugins.iter();
    let shadow =
        own.find(|own| own.shadow.is_some() && entries.iter().any(|entry| entry.name == own.name));
    match shadow {
        Some(shadow) => Err(FolderError::Shadow(shadow.name.clone())),
        None => Ok(policy.with_bundle(entries)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use countersign_protocol::UnixMillis;

    use super::super::file::tests::{bundle, sign};
    use super::super::judge::Judgement;
    use super::super::published::tests::settings;
    use super::*;

    const NOW: UnixMillis = UnixMillis(5);

    fn policy() -> Policy {
        Policy {
            bundles: Some(settings()),
            ..Policy::default()
        }
    }

    /// A folder with the bundle in force.
    fn with_in_force(bundle: &Bundle) -> (tempfile::TempDir, BundleFolder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = BundleFolder::of(dir.path());
        folder.store(bundle).unwrap();
        let mut schedule = Schedule::default();
        let hash = bundle.hash();
        let manifest = bundle.manifest();
        schedule
            .take(hash, manifest, &[], Duration::ZERO, NOW)
            .unwrap();
        assert!(schedule.judged(hash, None, Judgement::Tightens));
        assert!(schedule.put_in_force(NOW));
        folder.keep(&schedule).unwrap();
        (dir, folder)
    }

    /// The bundle with another first entry that has the same files.
    fn with_entry(bundle: &Bundle, change: impl Fn(&mut BundleEntry)) -> Bundle {
        let mut manifest = bundle.manifest().clone();
        change(&mut manifest.entries[0]);
        let contents = manifest.files.iter().map(|record| record.sha256);
        let contents = contents.map(|hash| (hash, bundle.file(&hash).unwrap().to_vec()));
        let contents: BTreeMap<Hash, Vec<u8>> = contents.collect();
        Bundle::new(manifest, contents).unwrap()
    }

    #[test]
    fn bundle_and_state_are_read_as_they_were_written() {
        let bundle = bundle(1, &[("rules", "component", "limit: 5")]);
        let signatures = [sign(&bundle, 1), sign(&bundle, 2)];
        let bundle = bundle.signed(signatures);
        let (_dir, folder) = with_in_force(&bundle);
        assert_eq!(folder.bundle(&bundle.hash()).unwrap(), bundle);
        let present = folder.schedule().unwrap().present.unwrap();
        assert_eq!(present.bundle, bundle.hash());
    }

    #[test]
    fn the_entries_in_force_come_after_the_operators_own() {
        let bundle = bundle(1, &[("rules", "component", "limit: 5")]);
        let (_dir, folder) = with_in_force(&bundle);
        let own = crate::specimen::entry("own", Path::new("own.wasm"));
        let policy = Policy {
            plugins: vec![own.clone()],
            ..policy()
        };
        let complete = folder.complete(policy.clone()).unwrap();
        assert_eq!(complete.plugins[0], own);
        let entry = &complete.plugins[1];
        assert_eq!(entry.name, "rules");
        let digest = bundle.manifest().entries[0].component;
        assert_eq!(entry.digest.as_ref(), Some(digest.as_bytes()));
        let config = serde_json::json!({ "limit": 5 });
        assert_eq!(entry.source, PluginConfig::Inline(config));
        assert_eq!(complete.clone().with_bundle(Vec::new()), policy);
        assert_eq!(folder.complete(complete.clone()).unwrap(), complete);
    }

    #[test]
    fn an_entry_of_the_operator_stands_in_place_of_the_bundles() {
        let (_dir, folder) = with_in_force(&bundle(1, &[("specimen:a", "component", "{}")]));
        let own = crate::specimen::entry("a", Path::new("own.wasm"));
        let policy = Policy {
            plugins: vec![own.clone()],
            ..policy()
        };
        assert_eq!(folder.complete(policy).unwrap().plugins, [own]);
    }

    #[test]
    fn a_shadow_does_not_stand_in_place_of_an_entry_that_decides() {
        let (_dir, folder) = with_in_force(&bundle(1, &[("specimen:a", "component", "{}")]));
        let mut shadow = crate::specimen::entry("a", Path::new("own.wasm"));
        shadow.shadow = Some(crate::config::Shadow::Chain);
        let policy = Policy {
            plugins: vec![shadow],
            ..policy()
        };
        let refused = folder.complete(policy).unwrap_err();
        assert!(matches!(refused, FolderError::Shadow(_)), "{refused}");
    }

    #[test]
    fn without_the_section_no_bundle_counts() {
        let (_dir, folder) = with_in_force(&bundle(1, &[("rules", "component", "{}")]));
        let complete = folder.complete(Policy::default()).unwrap();
        assert_eq!(complete, Policy::default());
    }

    #[test]
    fn an_entry_that_asks_for_more_than_is_granted_is_an_error() {
        let greedy = with_entry(&bundle(1, &[("rules", "component", "{}")]), |entry| {
            entry.grants.keys = vec!["approver".into()];
        });
        let (_dir, folder) = with_in_force(&greedy);
        let refused = folder.complete(policy()).unwrap_err();
        assert!(matches!(refused, FolderError::Ceiling(_)), "{refused}");
    }

    #[test]
    fn what_was_changed_on_the_disk_is_refused() {
        let bundle = bundle(1, &[("rules", "component", "{}")]);
        let entry = bundle.manifest().entries[0].clone();
        let (_dir, folder) = with_in_force(&bundle);
        let hash = bundle.hash();
        std::fs::write(folder.content(&hash, &entry.component), "componenu").unwrap();
        assert!(matches!(
            folder.bundle(&bundle.hash()),
            Err(FolderError::Bundle { .. })
        ));
        std::fs::write(folder.content(&hash, &entry.config), "[]").unwrap();
        assert!(matches!(
            folder.complete(policy()),
            Err(FolderError::Document { .. })
        ));
        std::fs::write(folder.0.join(STATE), "{}").unwrap();
        assert!(matches!(
            folder.complete(policy()),
            Err(FolderError::State { .. })
        ));
    }

    #[test]
    fn only_bundles_that_nobody_needs_are_removed() {
        let kept = bundle(1, &[("rules", "component", "{}")]);
        let gone = bundle(2, &[("rules", "component", "[]")]);
        let (_dir, folder) = with_in_force(&kept);
        folder.store(&gone).unwrap();
        folder.sweep(&folder.schedule().unwrap()).unwrap();
        assert_eq!(folder.bundle(&kept.hash()).unwrap(), kept);
        assert!(folder.bundle(&gone.hash()).is_err());
        assert!(!folder.place(&gone.hash()).exists());
    }

    #[test]
    fn storing_a_bundle_changes_no_file_of_another() {
        let present = bundle(1, &[("rules", "component", "{}")]);
        let (_dir, folder) = with_in_force(&present);
        let digest = present.manifest().entries[0].component;
        let seen = || {
            let mut files: Vec<_> = std::fs::read_dir(folder.place(&present.hash()))
                .unwrap()
                .map(|file| file.unwrap().path())
                .map(|file| (std::fs::read(&file).unwrap(), file))
                .collect();
            files.sort();
            files
        };
        let before = seen();
        let seed = zeroize::Zeroizing::new([1; 32]);
        let signature = countersign_host::PluginSignature::sign("other", digest.as_bytes(), &seed);
        let signed = with_entry(&bundle(2, &[("rules", "component", "{}")]), |entry| {
            entry.signature = Some(signature.clone());
        });
        folder.store(&signed).unwrap();
        assert!(folder.signature(&signed.hash(), &digest).exists());
        assert_eq!(seen(), before);
    }

    #[test]
    fn what_the_operator_does_not_grant_is_refused_before_anything_is_written() {
        let greedy = with_entry(&bundle(1, &[("rules", "component", "{}")]), |entry| {
            entry.grants.state_bytes = 1;
        });
        let dir = tempfile::tempdir().unwrap();
        let folder = BundleFolder::of(dir.path());
        let refused = folder.admits(&policy(), &greedy).unwrap_err();
        assert!(matches!(refused, FolderError::Ceiling(_)), "{refused}");
        let mut shadow = crate::specimen::entry("a", Path::new("own.wasm"));
        shadow.shadow = Some(crate::config::Shadow::Chain);
        let shadowed = Policy {
            plugins: vec![shadow],
            ..policy()
        };
        let modest = bundle(1, &[("specimen:a", "component", "{}")]);
        let refused = folder.admits(&shadowed, &modest).unwrap_err();
        assert!(matches!(refused, FolderError::Shadow(_)), "{refused}");
        assert!(folder.admits(&policy(), &modest).is_ok());
        assert!(!folder.0.exists());
    }

    #[test]
    fn a_state_that_is_not_the_one_that_the_journal_knows_is_not_used() {
        let (_place, journal) = crate::specimen::journal();
        let (_dir, folder) = with_in_force(&bundle(1, &[("rules", "component", "{}")]));
        let schedule = folder.expected(&journal).unwrap();
        journal.bundled(schedule.mark().unwrap()).unwrap();
        assert_eq!(folder.expected(&journal).unwrap(), schedule);
        let later = countersign_store::BundleMark {
            bundle: Hash([9; 32]),
            highest: 2,
        };
        journal.bundled(later).unwrap();
        let refused = folder.expected(&journal).unwrap_err();
        assert!(matches!(refused, FolderError::Other { .. }), "{refused}");
        std::fs::remove_dir_all(&folder.0).unwrap();
        let lost = folder.expected(&journal).unwrap_err();
        assert!(matches!(lost, FolderError::Lost(_)), "{lost}");
    }
}
