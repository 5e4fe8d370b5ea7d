//! Installed plugins: a directory of components named by their digests, and one manifest per plugin
//! that names the release in force. A name never becomes a path, and a component runs only with the
//! digest that its manifest pins. Only [`PluginStore::sweep`] removes anything; its caller says
//! which components are still needed to replay decisions.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::component::error::LoadError;
use crate::component::folder::Folder;

/// Version of the manifest.
pub(crate) const FORMAT: u32 = 1;
/// Bytes of a manifest.
pub(crate) const MANIFEST: u64 = 64 << 10;
/// Releases to which a plugin can be brought back.
const PREVIOUS: usize = 10;

/// The source of a plugin's component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginSource {
    /// A file of the operator's.
    File {
        /// Path of the component.
        path: PathBuf,
        /// SHA-256 that it must have.
        digest: Option<[u8; 32]>,
    },
    /// The release that the store has in force under a name.
    Installed {
        /// Name of the plugin.
        name: String,
        /// SHA-256 that must be in force; without it, whatever was installed last.
        digest: Option<[u8; 32]>,
    },
}

/// A directory of installed plugins. Several processes may use it at once.
#[derive(Clone, Debug)]
pub struct PluginStore {
    pub(crate) folder: PathBuf,
}

/// The releases that are installed under one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginManifest {
    pub(crate) format: u32,
    /// Name of the plugin.
    pub name: String,
    /// The release in force.
    pub current: PluginRelease,
    /// Releases that were in force before, newest first.
    pub previous: Vec<PluginRelease>,
}

/// One component as it was installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginRelease {
    /// By its own description.
    pub version: String,
    /// SHA-256 of the component.
    #[serde(with = "hex")]
    pub digest: [u8; 32],
    /// The trusted publisher whose signature was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Time of the installation, in milliseconds since 1970.
    pub installed_at: u64,
}

/// The reason for which the store refused an operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum StoreError {
    /// The text is not a plugin name.
    #[error("`{0}` is not a plugin's name; use 1 to 64 of a-z, 0-9 and -")]
    Name(String),
    /// No plugin of that name is installed.
    #[error("no plugin `{0}` is installed; install it, or name a file instead")]
    Unknown(String),
    /// There is no previous release to go back to.
    #[error("`{0}` has no earlier release; install the one you want")]
    NoPrevious(String),
    /// Another component is in force.
    #[error(
        "`{name}` is installed with SHA-256 {actual}, which is not the pinned digest; pin it, or roll back"
    )]
    Digest {
        /// Name of the plugin.
        name: String,
        /// SHA-256 of what is installed, hex.
        actual: String,
    },
    /// The manifest cannot be understood.
    #[error("the manifest of `{name}` is damaged: {reason}; install the plugin again")]
    Manifest {
        /// Name of the plugin.
        name: String,
        reason: String,
    },
    /// The component was refused.
    #[error(transparent)]
    Component(#[from] LoadError),
    /// A file or the directory cannot be used.
    #[error("cannot use {path}: {source}; correct its path, owner or mode", path = path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl PluginSource {
    /// The file, and the digest that it must have.
    pub fn locate(&self, store: &PluginStore) -> Result<(PathBuf, Option<[u8; 32]>), StoreError> {
        match self {
            Self::File { path, digest } => Ok((path.clone(), *digest)),
            Self::Installed { name, digest: pin } => {
                let actual = store.find(name)?.current.digest;
                if pin.is_some_and(|pin| pin != actual) {
                    return Err(StoreError::Digest {
                        name: name.clone(),
                        actual: hex::encode(actual),
                    });
                }
                Ok((store.folder.join(component(&actual)), Some(actual)))
            }
        }
    }
}

impl PluginStore {
    /// The store in `folder`, which is made at the first installation.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Puts the newest previous release of `name` in force again; doing it twice changes nothing.
    pub fn rollback(&self, name: &str) -> Result<PluginManifest, StoreError> {
        check_name(name)?;
        let folder = self.open(name)?;
        let _alone = folder.lock().map_err(|source| self.io(source))?;
        let mut manifest = read_manifest(&folder, name)?;
        let newest = manifest
            .previous
            .first_mut()
            .ok_or_else(|| StoreError::NoPrevious(name.into()))?;
        std::mem::swap(&mut manifest.current, newest);
        folder
            .write(&manifest_file(name), &manifest.to_json())
            .map_err(|source| self.io(source))?;
        Ok(manifest)
    }

    /// Reads the manifest of `name`.
    pub fn find(&self, name: &str) -> Result<PluginManifest, StoreError> {
        check_name(name)?;
        read_manifest(&self.open(name)?, name)
    }

    /// Everything that is installed, by name.
    pub fn list(&self) -> Result<Vec<PluginManifest>, StoreError> {
        let folder = match Folder::open(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened.map_err(|source| self.io(source))?,
        };
        let names = folder.names().map_err(|source| self.io(source))?;
        let names = names
            .iter()
            .filter_map(|file| check_name(file.strip_suffix(".json")?).ok());
        names.map(|name| read_manifest(&folder, name)).collect()
    }

    /// The component with this digest, in force or not.
    pub fn component(&self, digest: &[u8; 32]) -> Option<PathBuf> {
        let file = self.component_file(digest);
        file.exists().then_some(file)
    }

    /// The path of the component with this digest, installed or not.
    pub fn component_file(&self, digest: &[u8; 32]) -> PathBuf {
        self.folder.join(component(digest))
    }

    /// Keeps a component under its digest, which does not put it in force.
    pub(crate) fn keep(&self, digest: &[u8; 32], bytes: &[u8]) -> io::Result<()> {
        if self.component(digest).is_some() {
            return Ok(());
        }
        Folder::open_or_create(&self.folder)?.write(&component(digest), bytes)
    }

    /// Components in the directory that no manifest names, neither as what is in force nor
    /// as an earlier release.
    pub fn unlisted(&self) -> Result<BTreeSet<[u8; 32]>, StoreError> {
        let folder = match Folder::open(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            opened => opened.map_err(|source| self.io(source))?,
        };
        let files = folder.names().map_err(|source| self.io(source))?;
        let manifests = self.list()?;
        let listed = |digest: &[u8; 32]| {
            manifests
                .iter()
                .flat_map(PluginManifest::releases)
                .any(|release| release.digest == *digest)
        };
        Ok(files
            .iter()
            .filter_map(|file| digest_of(file))
            .filter(|digest| !listed(digest))
            .collect())
    }

    /// Removes [unlisted](Self::unlisted) components that are not in `wanted`, with their
    /// signatures; gives the names of the files. Nothing else in the directory is touched, and
    /// nothing at all if a manifest cannot be read.
    pub fn sweep(&self, wanted: &BTreeSet<[u8; 32]>) -> Result<Vec<String>, StoreError> {
        if self.unlisted()?.is_empty() {
            return Ok(Vec::new());
        }
        let folder = Folder::open(&self.folder).map_err(|source| self.io(source))?;
        let _alone = folder.lock().map_err(|source| self.io(source))?;
        // Looked at again: what is being installed is listed once the lock is ours.
        let unwanted: BTreeSet<_> = self.unlisted()?.difference(wanted).copied().collect();
        let mut removed = folder.names().map_err(|source| self.io(source))?;
        removed.retain(|file| digest_of(file).is_some_and(|digest| unwanted.contains(&digest)));
        removed
            .iter()
            .try_for_each(|file| folder.remove(file))
            .map_err(|source| self.io(source))?;
        Ok(removed)
    }

    /// The directory. Not for writing.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn open(&self, name: &str) -> Result<Folder, StoreError> {
        Folder::open(&self.folder).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Unknown(name.into()),
            _ => self.io(source),
        })
    }

    pub(crate) fn io(&self, source: io::Error) -> StoreError {
        StoreError::Io {
            path: self.folder.clone(),
            source,
        }
    }
}

impl PluginManifest {
    /// The release in force, then earlier ones, newest first.
    pub fn releases(&self) -> impl Iterator<Item = &PluginRelease> {
        [&self.current].into_iter().chain(&self.previous)
    }

    pub(crate) fn followed_by(mut self, release: PluginRelease) -> Self {
        if self.current.digest != release.digest {
            self.previous
                .retain(|previous| previous.digest != release.digest);
            self.previous
                .insert(0, std::mem::replace(&mut self.current, release));
            self.previous.truncate(PREVIOUS);
        }
        self
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }
}

pub(crate) fn read_manifest(folder: &Folder, name: &str) -> Result<PluginManifest, StoreError> {
    let damaged = |reason: String| StoreError::Manifest {
        name: name.into(),
        reason,
    };
    let bytes = folder
        .read(&manifest_file(name), MANIFEST)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Unknown(name.into()),
            // Nothing is wrong with what it says; somebody else could have written it.
            io::ErrorKind::PermissionDenied => StoreError::Io {
                path: manifest_file(name).into(),
                source: error,
            },
            _ => damaged(error.to_string()),
        })?;
    let manifest: PluginManifest =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    match manifest {
        PluginManifest { format: FORMAT, .. } if manifest.name == name => Ok(manifest),
        PluginManifest {
            format: FORMAT,
            name: other,
            ..
        } => Err(damaged(format!("it is about `{other}`"))),
        PluginManifest { format, .. } => Err(damaged(format!("format {format} is not known"))),
    }
}

/// A name that is safe as a file's.
pub(crate) fn check_name(name: &str) -> Result<&str, StoreError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = (1..=64).contains(&name.len()) && name.bytes().all(allowed);
    if good {
        Ok(name)
    } else {
        Err(StoreError::Name(crate::contract::text::printable(name, 64)))
    }
}

pub(crate) fn manifest_file(name: &str) -> String {
    format!("{name}.json")
}

pub(crate) fn component(digest: &[u8; 32]) -> String {
    format!("sha256-{}.wasm", hex::encode(digest))
}

/// The component whose file, or whose signature's file, has this name.
fn digest_of(file: &str) -> Option<[u8; 32]> {
    let stem = file.strip_suffix(".sig").unwrap_or(file);
    let mut digest = [0; 32];
    hex::decode_to_slice(
        stem.strip_prefix("sha256-")?.strip_suffix(".wasm")?,
        &mut digest,
    )
    .ok()?;
    (component(&digest) == stem).then_some(digest)
}

pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with eleven listed releases, the newest in force, and one
    /// component that nothing lists.
    fn store() -> (tempfile::TempDir, PluginStore) {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let folder = tempfile::Builder::new()
            .permissions(private)
            .tempdir()
            .unwrap();
        let release = |number: u8| PluginRelease {
            version: "1".into(),
            digest: [number; 32],
            publisher: None,
            installed_at: 0,
        };
        let first = PluginManifest {
            format: FORMAT,
            name: "rules".into(),
            current: release(0),
            previous: Vec::new(),
        };
        let manifest = (1..=11).fold(first, |manifest, number| {
            manifest.followed_by(release(number))
        });
        let file =
            |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        file("rules.json", &manifest.to_json());
        for number in 0..=11 {
            file(&component(&[number; 32]), b"component");
        }
        file(&format!("{}.sig", component(&[0; 32])), b"signature");
        let store = PluginStore::new(folder.path());
        (folder, store)
    }

    #[test]
    fn a_component_that_nothing_refers_to_is_removed_with_its_signature() {
        let (_folder, store) = store();
        assert_eq!(store.unlisted().unwrap(), [[0; 32]].into());
        let gone = component(&[0; 32]);
        assert_eq!(
            store.sweep(&BTreeSet::new()).unwrap(),
            [gone.clone(), format!("{gone}.sig")]
        );
        assert_eq!(store.component(&[0; 32]), None);
        assert!(
            (1..=11).all(|number| store.component(&[number; 32]).is_some()),
            "listed"
        );
        assert!(store.sweep(&BTreeSet::new()).unwrap().is_empty());
    }

    #[test]
    fn what_somebody_wants_stays() {
        let (_folder, store) = store();
        assert!(store.sweep(&[[0; 32]].into()).unwrap().is_empty());
        assert!(store.component(&[0; 32]).is_some());
    }

    #[test]
    fn what_the_store_did_not_name_is_not_touched() {
        let (folder, store) = store();
        let hex = hex::encode([0xAB; 32]);
        let others = [
            "notes.txt".to_owned(),
            format!("{hex}.wasm"),
            format!("sha256-{hex}"),
            format!("sha256-{}.wasm", hex.to_uppercase()),
            format!("sha256-{hex}.wasm.sig.old"),
            format!("sha256-{}.wasm", &hex[2..]),
        ];
        others
            .iter()
            .for_each(|name| std::fs::write(folder.path().join(name), "x").unwrap());
        store.sweep(&BTreeSet::new()).unwrap();
        assert!(others.iter().all(|name| folder.path().join(name).exists()));
    }

    #[test]
    fn nothing_is_removed_while_a_manifest_cannot_be_read() {
        let (folder, store) = store();
        std::fs::write(folder.path().join("webhook.json"), "{").unwrap();
        assert!(matches!(
            store.sweep(&BTreeSet::new()),
            Err(StoreError::Manifest { .. })
        ));
        assert!(store.component(&[0; 32]).is_some());
    }

    #[test]
    fn a_store_that_is_not_there_has_nothing_to_be_removed() {
        let (folder, _) = store();
        let none = PluginStore::new(folder.path().join("none"));
        assert!(none.sweep(&BTreeSet::new()).unwrap().is_empty());
    }
}
