//! Secret keys, each in a file that its owner alone can read.

use std::fmt;
use std::ops::Deref;
use std::path::Path;

use rand::RngCore;
use zeroize::Zeroizing;

use crate::error::ClientError;
use crate::secret_file::{create_secret, read_secret};

/// A role with a key of its own. The text of a key names its role, so that a file is never read as
/// the key of another.
pub trait Role: Sized {
    /// The kind of key, with its article.
    const WHAT: &'static str;
    /// Advice if there is no file.
    const IF_ABSENT: &'static str;
    /// Advice if the file is not a key of this role.
    const IF_OTHER: &'static str;

    /// The public id of the key, for display.
    fn shown_id(&self) -> String;

    /// The key of a seed.
    fn from_seed(seed: &[u8; 32]) -> Option<Self>;

    /// The text form of a seed, without a line end.
    fn text_of(seed: &[u8; 32]) -> Option<Zeroizing<String>>;

    /// Reads the text form.
    fn parse(text: &str) -> Option<Self>;
}

/// The key of a role, as kept in a file. Not `Clone`, not printable; its memory is wiped on drop.
pub struct KeyFile<K>(K);

impl<K: Role> fmt::Debug for KeyFile<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({}, {})", K::WHAT, self.0.shown_id())
    }
}

impl<K: Role> KeyFile<K> {
    /// Makes a new key in a new file of mode 0600. An existing file is left alone.
    pub fn create(path: &Path) -> Result<Self, ClientError> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::rngs::OsRng.fill_bytes(&mut seed[..]);
        let key = K::from_seed(&seed).ok_or_else(|| other::<K>(path))?;
        let text = K::text_of(&seed).ok_or_else(|| other::<K>(path))?;
        create_secret(path, &text)?;
        Ok(Self(key))
    }

    /// Reads a key. A file that others can read, or that has the key of another role, is refused.
    pub fn load(path: &Path) -> Result<Self, ClientError> {
        let text = read_secret(path, K::IF_ABSENT)?;
        K::parse(&text).map(Self).ok_or_else(|| other::<K>(path))
    }
}

impl<K> Deref for KeyFile<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.0
    }
}

fn other<K: Role>(path: &Path) -> ClientError {
    ClientError::File {
        path: path.into(),
        reason: format!("this is not {}", K::WHAT),
        advice: K::IF_OTHER,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{RequesterKey, VotingKey};

    fn survives<K: Role>(prefix: &str, id: impl Fn(&K) -> String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        let made = KeyFile::<K>::create(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(prefix));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(id(&KeyFile::<K>::load(&path).unwrap()), id(&made));
        assert!(matches!(
            KeyFile::<K>::create(&path),
            Err(ClientError::File { .. })
        ));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        let shown = format!("{made:?}");
        assert_eq!(shown, format!("KeyFile({}, {})", K::WHAT, id(&made)));
        assert!(!shown.contains(&text[prefix.len()..prefix.len() + 20]));
    }

    #[test]
    fn a_key_survives_its_file_and_is_never_overwritten_nor_shown() {
        survives::<countersign_requester::RequesterKey>("csr-secret1", |key| key.id().to_string());
        survives::<countersign_requester::VotingKey>("csv-secret1", |key| key.id().to_string());
    }

    #[test]
    fn a_file_that_others_read_or_that_is_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("requester.key");
        RequesterKey::create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = RequesterKey::load(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
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

    #[test]
    fn a_file_of_one_role_is_refused_as_that_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        RequesterKey::create(&file("requester.key")).unwrap();
        VotingKey::create(&file("approver.key")).unwrap();
        let error = VotingKey::load(&file("requester.key")).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("this is not an approver key"), "{error}");
        let error = RequesterKey::load(&file("approver.key")).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("this is not a requester key"), "{error}");
    }
}
