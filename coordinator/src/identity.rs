//! The coordinator's identity key: one file, readable by its owner alone.
//!
//! The key authenticates the coordinator to nodes. It signs no task and opens no tunnel.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use countersign_link::Identity;
use countersign_protocol::CoordinatorId;
use rand::RngCore;
use zeroize::Zeroizing;

/// Prefix of the key's text form.
const PREFIX: &str = "csc-secret";

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityFileError {
    /// The file cannot be read or written.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "the identity file {path} cannot be used ({reason}); run `countersign-coordinator init`, or check its owner"
    )]
    Io { path: PathBuf, reason: String },
    /// The file can be read by others.
    #[error(
        "the identity file {0} can be read by others; run `chmod 600` on it, and make a new one if it may have leaked"
    )]
    Mode(PathBuf),
    /// The file does not contain a coordinator key.
    #[error(
        "the identity file {0} does not hold a coordinator key; restore it from a backup, or run `init` in a new directory"
    )]
    Malformed(PathBuf),
}

/// Creates a new key in a new file. An existing file is left alone.
pub fn create(path: &Path) -> Result<CoordinatorId, IdentityFileError> {
    let mut seed = Zeroizing::new([0; 32]);
    rand::rngs::OsRng.fill_bytes(&mut seed[..]);
    let malformed = || IdentityFileError::Malformed(path.into());
    let hrp = Hrp::parse(PREFIX).map_err(|_| malformed())?;
    let text = Zeroizing::new(bech32::encode::<Bech32m>(hrp, &seed[..]).map_err(|_| malformed())?);
    let line = Zeroizing::new(format!("{}\n", *text));
    countersign_files::create(path, line.as_bytes()).map_err(|error| io(path, &error))?;
    let identity = Identity::from_seed(&seed).map_err(|_| malformed())?;
    id(&identity).ok_or_else(malformed)
}

/// Reads a key that only its owner can read.
pub fn load(path: &Path) -> Result<(Arc<Identity>, CoordinatorId), IdentityFileError> {
    let file = countersign_files::open(path).map_err(|error| io(path, &error))?;
    let mode = file.metadata().map_err(|error| io(path, &error))?.mode();
    if mode & 0o077 != 0 {
        return Err(IdentityFileError::Mode(path.into()));
    }
    let mut text = Zeroizing::new(String::with_capacity(256));
    file.take(256)
        .read_to_string(&mut text)
        .map_err(|error| io(path, &error))?;
    let malformed = || IdentityFileError::Malformed(path.into());
    let seed = seed(text.trim_end()).ok_or_else(malformed)?;
    let identity = Identity::from_seed(&seed).map_err(|_| malformed())?;
    let id = id(&identity).ok_or_else(malformed)?;
    Ok((Arc::new(identity), id))
}

fn seed(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let checked = CheckedHrpstring::new::<Bech32m>(text).ok()?;
    let mut seed = Zeroizing::new([0; 32]);
    let mut bytes = checked.byte_iter();
    for byte in seed.iter_mut() {
        *byte = bytes.next()?;
    }
    (checked.hrp().as_str() == PREFIX && bytes.next().is_none()).then_some(seed)
}

fn id(identity: &Identity) -> Option<CoordinatorId> {
    CoordinatorId::from_bytes(identity.public().0).ok()
}

fn io(path: &Path, error: &std::io::Error) -> IdentityFileError {
    IdentityFileError::Io {
        path: path.into(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_survives_its_file_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        let made = create(&path).unwrap();
        assert_eq!(load(&path).unwrap().1, made);
        assert!(matches!(create(&path), Err(IdentityFileError::Io { .. })));
        assert_eq!(load(&path).unwrap().1, made);
    }

    #[test]
    fn a_file_that_others_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(load(&path), Err(IdentityFileError::Mode(_))));
    }

    #[test]
    fn one_wrong_character_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        create(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let at = text.len() - 5;
        let other = if &text[at..=at] == "q" { "p" } else { "q" };
        std::fs::write(&path, format!("{}{other}{}", &text[..at], &text[at + 1..])).unwrap();
        assert!(matches!(load(&path), Err(IdentityFileError::Malformed(_))));
    }
}
