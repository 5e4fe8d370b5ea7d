//! Installing a component from a file into the store.

use std::io;
use std::path::Path;

use crate::component::admit::signature_file;
use crate::component::error::LoadError;
use crate::component::folder::{Folder, read_file};
use crate::component::host::Host;
use crate::component::store::{
    FORMAT, MANIFEST, PluginManifest, PluginRelease, PluginStore, StoreError, check_name,
    component, manifest_file, now, read_manifest,
};

impl PluginStore {
    /// Installs the component in `file` under its own name, after everything that can be checked
    /// without a configuration: size, signature (`<file>.sig`, if `host` trusts publishers),
    /// compilation, imports, `describe`. What was in force becomes the newest previous release.
    /// Links are not followed.
    pub async fn install(&self, host: &Host, file: &Path) -> Result<PluginManifest, StoreError> {
        let limit = host.shared.limits.component_bytes;
        let bytes = read_file(file, limit).map_err(|source| match source.kind() {
            io::ErrorKind::FileTooLarge => LoadError::TooLarge {
                file: file.into(),
                limit,
            }
            .into(),
            _ => StoreError::Io {
                path: file.into(),
                source,
            },
        })?;
        let bytes = bytes.into();
        let seen = host.inspect_bytes(file, &bytes).await?;
        let name = check_name(&seen.info.name)?.to_owned();
        let release = PluginRelease {
            version: seen.info.version,
            digest: seen.digest,
            publisher: seen.publisher,
            installed_at: now(),
        };
        let folder = Folder::open_or_create(&self.folder).map_err(|source| self.io(source))?;
        let _alone = folder.lock().map_err(|source| self.io(source))?;
        let write =
            |name: &str, bytes: &[u8]| folder.write(name, bytes).map_err(|source| self.io(source));
        write(&component(&release.digest), &bytes)?;
        match read_file(&signature_file(file), MANIFEST) {
            Ok(signature) => write(&format!("{}.sig", component(&release.digest)), &signature)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(StoreError::Io {
                    path: signature_file(file),
                    source,
                });
            }
        }
        let manifest = match read_manifest(&folder, &name) {
            Ok(manifest) => manifest.followed_by(release),
            Err(StoreError::Unknown(_)) => PluginManifest {
                format: FORMAT,
                name,
                current: release,
                previous: Vec::new(),
            },
            Err(error) => return Err(error),
        };
        write(&manifest_file(&manifest.name), &manifest.to_json())?;
        Ok(manifest)
    }
}
