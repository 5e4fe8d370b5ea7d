//! Files of API keys.

use std::path::Path;

use countersign_cli_kit::ApiKeySecret;
use countersign_protocol::Hash;

use crate::error::ClientError;
use crate::secret_file::{create_secret, read_secret};

/// A bearer secret that its holder makes. The coordinator gets its hash alone. Neither `Clone` nor
/// printable, and wiped on drop.
#[derive(Debug)]
pub struct ApiKey(ApiKeySecret);

impl ApiKey {
    /// Makes a new key.
    pub fn generate() -> Self {
        Self(ApiKeySecret::generate())
    }

    /// Writes the key to a new file of mode 0600. An existing file is left alone.
    pub fn create(&self, path: &Path) -> Result<(), ClientError> {
        create_secret(path, self.0.expose())
    }

    /// Reads a key. A file that others can read is refused.
    pub fn load(path: &Path) -> Result<Self, ClientError> {
        let text = read_secret(path, "name the file of an API key, mode 600")?;
        let secret = ApiKeySecret::parse(text.trim());
        secret.map(Self).ok_or_else(|| ClientError::File {
            path: path.into(),
            reason: "this is not an API key".into(),
            advice: "make one with `countersign api-key create`",
        })
    }

    /// All that the coordinator learns of it.
    pub fn sha256(&self) -> Hash {
        self.0.sha256()
    }

    /// The secret, for the header of a request.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_survives_its_file_and_is_never_overwritten_nor_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.key");
        let made = ApiKey::generate();
        made.create(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(ApiKey::load(&path).unwrap().sha256(), made.sha256());
        assert!(ApiKey::generate().create(&path).is_err());
        assert_eq!(ApiKey::load(&path).unwrap().expose(), made.expose());
        assert!(!format!("{made:?}").contains(&made.expose()[6..]));
    }

    #[test]
    fn a_file_that_others_read_or_that_holds_something_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.key");
        let made = ApiKey::generate();
        made.create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(ApiKey::load(&path).is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let text = made.expose();
        for other in [
            "",
            "csapi_",
            &text[1..],
            &text[..text.len() - 1],
            &text.to_uppercase(),
        ] {
            std::fs::write(&path, other).unwrap();
            assert!(ApiKey::load(&path).is_err(), "{other}");
        }
    }
}
