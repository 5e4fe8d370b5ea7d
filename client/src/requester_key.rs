//! The requester's key in its file, readable by its owner alone.

use std::ops::Deref;
use std::path::Path;

use countersign_requester::RequesterKey as Key;
use rand::RngCore;
use zeroize::Zeroizing;

use crate::error::ClientError;
use crate::secret_file::{create_secret, read_secret};

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
        create_secret(path, &text)?;
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

fn malformed(path: &Path) -> ClientError {
    let advice = "restore it from a backup, or make a new one with `countersign requester new`";
    ClientError::File {
        path: path.into(),
        reason: "this is not a requester key".into(),
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
