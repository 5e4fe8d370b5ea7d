//! The password of a recovery file: trimmed, not too short, wiped after use, never shown.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Size limit of password files in bytes.
const MAX_BYTES: usize = 4096;

/// A password. Wiped when dropped; `Debug` does not show it.
pub struct Password(Zeroizing<String>);

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// The password is shorter than every program that reads these files demands.
    #[error(
        "the password has fewer than {} characters: use a longer one",
        Password::MIN_CHARS
    )]
    Short,
    /// The file cannot be read.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("cannot read the password file {path} ({error}): check the path and its owner")]
    Unreadable {
        path: PathBuf,
        error: std::io::Error,
    },
    /// Others may read the file.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "the password file {path} has mode {mode:03o}, others can open it: run `chmod 600 {path}`"
    )]
    Exposed { path: PathBuf, mode: u32 },
    /// The file is not UTF-8, or far too long.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "the password file {path} is longer than {MAX_BYTES} bytes or not UTF-8: write the password into it as one line of text"
    )]
    NotText { path: PathBuf },
}

impl Password {
    /// Minimum length in characters.
    pub const MIN_CHARS: usize = 8;

    /// Accepts typed text. White space at both ends does not count: the programs that open
    /// these files trim it.
    pub fn new(text: &str) -> Result<Self, PasswordError> {
        let text = text.trim();
        let long = text.chars().count() >= Self::MIN_CHARS;
        long.then(|| Self(Zeroizing::new(text.to_owned())))
            .ok_or(PasswordError::Short)
    }

    /// Reads a file that only its owner may open.
    pub fn from_file(path: &Path) -> Result<Self, PasswordError> {
        let unreadable = |error| PasswordError::Unreadable {
            path: path.into(),
            error,
        };
        let file = countersign_files::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(PasswordError::Exposed {
                path: path.into(),
                mode,
            });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
        file.take(MAX_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        let text = std::str::from_utf8(&bytes)
            .ok()
            .filter(|text| text.len() <= MAX_BYTES);
        Self::new(text.ok_or_else(|| PasswordError::NotText { path: path.into() })?)
    }

    /// The bytes, for the key derivation alone.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8], mode: u32) -> Result<Password, PasswordError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Password::from_file(&path)
    }

    #[test]
    fn white_space_at_the_ends_is_not_part_of_it() {
        for content in [
            &b"open sesame"[..],
            b"open sesame\n",
            b" open sesame \r\n\n",
        ] {
            assert_eq!(file(content, 0o600).unwrap().expose(), b"open sesame");
        }
        assert_eq!(
            format!("{:?}", Password::new("open sesame").unwrap()),
            "Password(..)"
        );
    }

    #[test]
    fn short_exposed_and_strange_ones_are_refused() {
        assert!(matches!(
            Password::new("1234567 "),
            Err(PasswordError::Short)
        ));
        assert!(
            Password::new("ääääääää").is_ok(),
            "characters count, not bytes"
        );
        assert!(matches!(
            file(b"open sesame", 0o640),
            Err(PasswordError::Exposed { mode: 0o640, .. })
        ));
        assert!(matches!(
            file(&[0xff; 9], 0o600),
            Err(PasswordError::NotText { .. })
        ));
        assert!(matches!(
            file(&[b'a'; MAX_BYTES + 1], 0o600),
            Err(PasswordError::NotText { .. })
        ));
        let missing = Password::from_file(Path::new("/nonexistent/password"));
        assert!(matches!(missing, Err(PasswordError::Unreadable { .. })));
    }
}
