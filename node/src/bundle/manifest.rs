//! The manifest of a bundle: everything that its publishers sign. Files are named by their SHA-256,
//! so the signature of the manifest covers them too.

use std::collections::{BTreeMap, BTreeSet};

use countersign_host::PluginSignature;
use countersign_protocol::{Hash, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::config::{RawGrants, RawScope};

/// Version of the manifest.
pub const FORMAT: u32 = 1;
/// Most entries of one bundle.
const ENTRIES: usize = 64;
/// Most characters of a name.
const NAME: usize = 64;

/// What a bundle consists of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format: 1.
    pub format: u32,
    /// Name of the policy. A node takes bundles of one name only.
    pub name: String,
    /// Counts the bundles of this name, from 1. A later one has a higher version.
    pub version: u64,
    /// Time at which it was drafted, by its author's clock.
    pub created: UnixMillis,
    /// Hash of the manifest of the bundle that it was drafted from, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Hash>,
    /// The entries, in the order in which they are asked.
    pub entries: Vec<BundleEntry>,
    /// The files behind the manifest, in the order of their digests.
    pub files: Vec<FileRecord>,
}

/// An entry as under `policy.plugins`. It names keys and hosts, and has none itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleEntry {
    /// The name that the component gives itself, or that name, a colon and a label.
    pub name: String,
    /// SHA-256 of the component.
    pub component: Hash,
    /// SHA-256 of the configuration's text.
    pub config: Hash,
    /// A trusted publisher's signature of the component, for nodes that ask for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<PluginSignature>,
    /// Tasks that it guards.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope: RawScope,
    /// Interval between probes of its dependencies; empty for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub monitor_interval: String,
    /// Permissions and limits that it asks for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grants: RawGrants,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Its SHA-256.
    pub sha256: Hash,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Reasons why a manifest is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is not the JSON of a manifest.
    #[error("its manifest cannot be read: {0}; have it drafted again")]
    Json(#[from] serde_json::Error),
    /// It is of a later version of the program.
    #[error("its manifest has the format {0}, which is not known; update this program")]
    Format(u32),
    /// The same content could be written otherwise.
    #[error("its manifest is not in the one form that is signed; have it drafted again")]
    Form,
    /// The name cannot be used.
    #[error("`{0}` is not the name of a bundle; use 1 to 64 of a-z, 0-9 and -")]
    Name(String),
    /// Versions count from 1.
    #[error("its version is 0; count from 1")]
    Version,
    /// It guards nothing, or too much to be checked.
    #[error("it has {0} entries; draft it with 1 to 64")]
    Entries(usize),
    /// Two entries have one name.
    #[error("it has two entries `{0}`; give one of them a label, as in `{0}:small`")]
    Twice(String),
    /// Two entries have one component, which has one place on the disk, with its signature beside
    /// it.
    #[error(
        "entries with the component {0} have different signatures of it; have it drafted with one"
    )]
    Signatures(Hash),
    /// Its files are not those that its entries name.
    #[error("its files are not those that its entries name; have it drafted again")]
    Files,
}

impl Manifest {
    /// Reads the one form in which a manifest is signed.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(bytes)?;
        manifest.check()?;
        if manifest.to_json()? == bytes {
            Ok(manifest)
        } else {
            Err(ManifestError::Form)
        }
    }

    /// The one form in which it is signed: JSON without spaces, fields in a fixed order, and those
    /// with their usual values left out.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// The hash that its publishers sign, and by which it is named.
    pub fn hash(&self) -> Result<Hash, ManifestError> {
        Ok(Hash::of("countersign/1 policy bundle", &self.to_json()?))
    }

    /// The entry of this name.
    pub fn entry(&self, name: &str) -> Option<&BundleEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    fn check(&self) -> Result<(), ManifestError> {
        if self.format != FORMAT {
            return Err(ManifestError::Format(self.format));
        }
        check_name(&self.name)?;
        if self.version == 0 {
            return Err(ManifestError::Version);
        }
        if !(1..=ENTRIES).contains(&self.entries.len()) {
            return Err(ManifestError::Entries(self.entries.len()));
        }
        let mut names = BTreeSet::new();
        let twice = self.entries.iter().find(|entry| !names.insert(&entry.name));
        if let Some(entry) = twice {
            return Err(ManifestError::Twice(entry.name.clone()));
        }
        let mut signed = BTreeMap::new();
        for entry in &self.entries {
            let signature = signed.entry(entry.component).or_insert(&entry.signature);
            if *signature != &entry.signature {
                return Err(ManifestError::Signatures(entry.component));
            }
        }
        let named: BTreeSet<Hash> = self.entries.iter().flat_map(BundleEntry::files).collect();
        let listed = self.files.iter().map(|file| file.sha256);
        if listed.eq(named) {
            Ok(())
        } else {
            Err(ManifestError::Files)
        }
    }
}

impl BundleEntry {
    /// The files that it needs.
    pub fn files(&self) -> [Hash; 2] {
        [self.component, self.config]
    }
}

/// Checks the name of a bundle: 1 to 64 of a-z, 0-9 and -.
pub fn check_name(name: &str) -> Result<(), ManifestError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.is_empty() && name.len() <= NAME && name.chars().all(plain) {
        Ok(())
    } else {
        let shown = name.escape_debug().take(NAME).collect();
        Err(ManifestError::Name(shown))
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
pub(crate) mod tests {
    use sha2::{Digest, Sha256};
    use zeroize::Zeroizing;

    use super::*;

    pub(crate) fn digest(bytes: &[u8]) -> Hash {
        Hash(Sha256::digest(bytes).into())
    }

    /// An entry whose component and configuration have these contents.
    pub(crate) fn entry(name: &str, component: &str, config: &str) -> BundleEntry {
        BundleEntry {
            name: name.into(),
            component: digest(component.as_bytes()),
            config: digest(config.as_bytes()),
            signature: None,
            scope: RawScope::default(),
            monitor_interval: String::new(),
            grants: RawGrants::default(),
        }
    }

    /// A manifest with these entries. The lengths of its files are made up.
    pub(crate) fn manifest(version: u64, entries: Vec<BundleEntry>) -> Manifest {
        let files: BTreeSet<Hash> = entries.iter().flat_map(BundleEntry::files).collect();
        let record = |sha256| FileRecord { sha256, bytes: 1 };
        Manifest {
            format: FORMAT,
            name: "treasury".into(),
            version,
            created: UnixMillis(1_000),
            previous: None,
            entries,
            files: files.into_iter().map(record).collect(),
        }
    }

    fn refusal(change: impl Fn(&mut Manifest)) -> ManifestError {
        let mut manifest = manifest(1, vec![entry("rules", "a", "{}")]);
        change(&mut manifest);
        Manifest::parse(&manifest.to_json().unwrap()).unwrap_err()
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let mut written = manifest(3, vec![entry("rules", "a", "{}"), entry("b", "a", "x: 1")]);
        written.previous = Some(Hash([9; 32]));
        written.entries[0].grants.state_bytes = 7;
        let read = Manifest::parse(&written.to_json().unwrap()).unwrap();
        assert_eq!(read, written);
        assert_eq!(read.hash().unwrap(), written.hash().unwrap());
    }

    #[test]
    fn a_manifest_in_another_form_is_refused() {
        let json = manifest(1, vec![entry("rules", "a", "{}")])
            .to_json()
            .unwrap();
        let text = String::from_utf8(json).unwrap();
        for other in [
            text.replacen(':', ": ", 1),
            text.replacen("\"entries\"", "\"previous\":null,\"entries\"", 1),
            format!("{text}\n"),
        ] {
            assert!(Manifest::parse(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn each_fault_of_a_manifest_has_its_error() {
        use ManifestError as Error;
        assert!(matches!(refusal(|m| m.format = 2), Error::Format(2)));
        assert!(matches!(refusal(|m| m.name = "A".into()), Error::Name(_)));
        assert!(matches!(refusal(|m| m.version = 0), Error::Version));
        assert!(matches!(refusal(|m| m.entries.clear()), Error::Entries(0)));
        let double = |m: &mut Manifest| m.entries.push(m.entries[0].clone());
        assert!(matches!(refusal(double), Error::Twice(_)));
        let one_signature = |m: &mut Manifest| {
            let signature = PluginSignature::sign("rules", &[1; 32], &Zeroizing::new([1; 32]));
            let mut signed = m.entries[0].clone();
            signed.name = "rules:signed".into();
            signed.signature = Some(signature);
            m.entries.push(signed);
        };
        assert!(matches!(refusal(one_signature), Error::Signatures(_)));
        assert!(matches!(refusal(|m| m.files.reverse()), Error::Files));
        assert!(matches!(
            refusal(|m| m.files.truncate(m.files.len() - 1)),
            Error::Files
        ));
    }

    #[test]
    fn every_field_is_part_of_the_hash() {
        let changes: [fn(&mut Manifest); 9] = [
            |m| m.name = "other".into(),
            |m| m.version = 2,
            |m| m.created = UnixMillis(2),
            |m| m.previous = Some(Hash([1; 32])),
            |m| m.entries[0].name = "other".into(),
            |m| m.entries[0].component = Hash([1; 32]),
            |m| m.entries[0].config = Hash([1; 32]),
            |m| m.entries[0].grants.http = vec!["https://e/".into()],
            |m| m.files[0].bytes = 2,
        ];
        let original = manifest(1, vec![entry("rules", "a", "{}")]);
        for change in changes {
            let mut changed = original.clone();
            change(&mut changed);
            assert_ne!(
                changed.hash().unwrap(),
                original.hash().unwrap(),
                "{changed:?}"
            );
        }
    }
}
