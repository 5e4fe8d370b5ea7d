//! The requester's key in its file, readable by its owner alone.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use countersign_requester::RequesterKey as Key;
use rand::RngCore;
use zeroize::Zeroizing;

use crate::error::ClientError;

/// Size limit of secret files in bytes.
const MAX_SECRET: usize = 1024;

/// Signs tasks. Not `Clone`, not printable; its memory is wiped on drop.
#[derive(Debug)]
pub struct RequesterKey(Key);

impl RequesterKey {
    /// Makes a new key in a new file of mode 0600. An existing file is left alone.
    pub fn create(path: &Path) -> Result<Self, ClientError> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::rngs::OsRng.fill_bytes(&mut seed[..]);
        let key = Key::from_seed(&seed).map_err(|_| malformed(path))?;
        let text = Key::text_of(&seed).map_err(|_| malformed(path))?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let written = file.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
        written.map_err(|error| {
            unusable(
                path,
                &error,
                "choose a new file in a directory that you may write",
            )
        })?;
        Ok(Self(key))
    }

    /// Reads a key. A file that others can read is refused.
    pub fn load(path: &Path) -> Result<Self, ClientError> {
        let text = read_secret(
            path,
            "make one with `countersign requester new`, or correct the profile",
        )?;
        Key::parse(&text).map(Self).map_err(|_| malformed(path))
    }
}

impl Deref for RequesterKey {
    type Target = Key;

    fn deref(&self) -> &Key {
        &self.0
    }
}

/// Reads a small secret file that only its owner can read.
pub(crate) fn read_secret(
    path: &Path,
    advice: &'static str,
) -> Result<Zeroizing<String>, ClientError> {
    let file = countersign_files::open(path).map_err(|error| unusable(path, &error, advice))?;
    let mode = file
        .metadata()
        .map_err(|error| unusable(path, &error, advice))?
        .mode();
    if mode & 0o077 != 0 {
        let advice = "run `chmod 600` on it, and make a new one if it may have leaked";
        return Err(ClientError::File {
            path: path.into(),
            reason: "others can read this secret".into(),
            advice,
        });
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET));
    file.take(MAX_SECRET as u64)
        .read_to_string(&mut text)
        .map_err(|error| unusable(path, &error, advice))?;
    Ok(text)
}

fn malformed(path: &Path) -> ClientError {
    let advice = "restore it from a backup, or make a new one with `countersign requester new`";
    ClientError::File {
        path: path.into(),
        reason: "this is not a requester key".into(),
        advice,
    }
}

fn unusable(path: &Path, error: &std::io::Error, advice: &'static str) -> ClientError {
    ClientError::File {
        path: path.into(),
        reason: error.to_string(),
        advice,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_survives_its_file_and_is_never_overwritten_nor_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("requester.key");
        let made = RequesterKey::create(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("csr-secret1"));
        assert_eq!(RequesterKey::load(&path).unwrap().id(), made.id());
        assert!(matches!(
            RequesterKey::create(&path),
            Err(ClientError::File { .. })
        ));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_eq!(
            format!("{made:?}"),
            format!("RequesterKey(RequesterKey({}, ..))", made.id())
        );
    }

    #[test]
    fn a_file_that_others_read_or_that_is_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("requester.key");
        RequesterKey::create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(
            RequesterKey::load(&path)
                .unwrap_err()
                .to_string()
                .contains("chmod 600")
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for damaged in [
            text.replacen("csr-secret1", "csc-secret1", 1),
            text[..text.len() - 2].into(),
            String::new(),
        ] {
            std::fs::write(&path, damaged).unwrap();
            assert!(RequesterKey::load(&path).is_err());
        }
    }
}
