//! The operator's passphrase, which is wiped after use and never shown.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// All permissions of the group and of others.
const OTHERS: u32 = 0o077;
/// The group's permission to read.
const GROUP_READS: u32 = 0o040;
/// The superuser's id.
const ROOT: u32 = 0;

/// A passphrase. Wiped when dropped; `Debug` does not show it.
pub struct Passphrase(Zeroizing<String>);

/// The reason why a passphrase file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// The operating system refused access to the file.
    #[error("cannot read the passphrase file {path} ({error}); check the path and its owner")]
    Unreadable {
        /// The path of the passphrase file.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// The file's mode lets others open it.
    #[error(
        "the passphrase file {path} has mode {mode:03o}, others can open it; run `chmod 600 {path}`"
    )]
    Exposed {
        /// The path of the passphrase file.
        path: PathBuf,
        /// The permission bits, as `chmod` takes them.
        mode: u32,
    },
    /// The file is empty, too long, or not UTF-8.
    #[error(
        "the passphrase file {path} is empty, longer than {max} bytes or not UTF-8; write one line of text into it",
        max = Passphrase::MAX_BYTES
    )]
    NotText {
        /// The path of the passphrase file.
        path: PathBuf,
    },
}

impl Passphrase {
    /// The least number of characters for a new store.
    pub const MIN_CHARS: usize = 16;
    /// The largest passphrase file, in bytes.
    pub const MAX_BYTES: usize = 4096;

    /// Takes a passphrase that was typed, or that the service manager passed.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// Reads a file that only its owner may open, without one newline at its end.
    pub fn from_file(path: &Path) -> Result<Self, PassphraseError> {
        Self::read(path, |_| OTHERS)
    }

    /// Reads a credential that the service manager hands to this process. From version 254 on,
    /// systemd leaves the file to root and lets the service's user read it by an access control
    /// list. The mask of that list stands where the mode has the rights of the group, so with root
    /// as the owner, the group may seem to read.
    pub fn from_credential(path: &Path) -> Result<Self, PassphraseError> {
        Self::read(path, |file| match file.uid() {
            ROOT => OTHERS & !GROUP_READS,
            _ => OTHERS,
        })
    }

    /// Reads a file that has none of the permissions that `closed` returns for it.
    fn read(path: &Path, closed: impl FnOnce(&Metadata) -> u32) -> Result<Self, PassphraseError> {
        let unreadable = |error| PassphraseError::Unreadable {
            path: path.into(),
            error,
        };
        let mut file = countersign_files::open(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        let mode = found.permissions().mode() & 0o777;
        if mode & closed(&found) != 0 {
            return Err(PassphraseError::Exposed {
                path: path.into(),
                mode,
            });
        }
        let bytes = read_bounded(&mut file).map_err(unreadable)?;
        one_line(&bytes).ok_or_else(|| PassphraseError::NotText { path: path.into() })
    }

    /// Hands the text to a program that keeps it for the start of the node.
    pub fn hand_to(&self, keeper: &mut impl io::Write) -> io::Result<()> {
        keeper.write_all(self.0.as_bytes())
    }

    /// True if a new store may have it.
    pub fn is_long_enough(&self) -> bool {
        self.0.chars().count() >= Self::MIN_CHARS
    }

    /// The text, for key derivation only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Reads at most one byte more than allowed, into memory that never moves.
fn read_bounded(file: &mut File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; Passphrase::MAX_BYTES + 1]);
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn one_line(bytes: &[u8]) -> Option<Passphrase> {
    if bytes.len() > Passphrase::MAX_BYTES {
        return None;
    }
    let text = str::from_utf8(bytes).ok()?;
    let text = text
        .strip_suffix('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .unwrap_or(text);
    (!text.is_empty()).then(|| Passphrase(Zeroizing::new(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn one_newline_is_not_part_of_it() {
        for (content, expected) in [
            (&b"open sesame\n"[..], "open sesame"),
            (b"open sesame\r\n", "open sesame"),
            (b" x \n\n", " x \n"),
        ] {
            let (_dir, path) = file(content, 0o600);
            assert_eq!(Passphrase::from_file(&path).unwrap().expose(), expected);
        }
    }

    #[test]
    fn a_file_that_others_can_open_is_refused() {
        for mode in [0o640, 0o604, 0o660, 0o644] {
            let (_dir, path) = file(b"open sesame", mode);
            let error = Passphrase::from_file(&path).unwrap_err();
            assert!(
                matches!(error, PassphraseError::Exposed { mode: m, .. } if m == mode),
                "{error}"
            );
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        let (_dir, path) = file(b"open sesame", 0o400);
        assert!(Passphrase::from_file(&path).is_ok());
    }

    /// Only root can give a file to root.
    #[test]
    fn a_credential_may_show_the_mask_of_an_access_list_if_it_is_roots() {
        let (_dir, path) = file(b"open sesame", 0o440);
        assert!(Passphrase::from_file(&path).is_err());
        let owner = std::fs::metadata(&path).unwrap().uid();
        assert_eq!(Passphrase::from_credential(&path).is_ok(), owner == ROOT);
        for mode in [0o444, 0o460, 0o441, 0o404] {
            let (_dir, path) = file(b"open sesame", mode);
            assert!(Passphrase::from_credential(&path).is_err(), "{mode:o}");
        }
        if owner == ROOT {
            std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
            assert!(Passphrase::from_credential(&path).is_err());
        }
        let (_dir, path) = file(b"open sesame", 0o400);
        assert!(Passphrase::from_credential(&path).is_ok());
    }

    #[test]
    fn anything_but_a_line_of_text_is_refused() {
        for content in [
            &b""[..],
            b"\n",
            b"\xff\xfe",
            &[b'a'; Passphrase::MAX_BYTES + 1],
        ] {
            let (_dir, path) = file(content, 0o600);
            assert!(matches!(
                Passphrase::from_file(&path),
                Err(PassphraseError::NotText { .. })
            ));
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let passphrase = Passphrase::new(Zeroizing::new("open sesame".into()));
        assert_eq!(format!("{passphrase:?}"), "Passphrase(..)");
    }
}
