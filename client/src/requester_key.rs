//! The requester's key: its holder may order tasks. One file, readable by its owner alone.
//!
//! The file holds one line, `csr-secret1…`: bech32m (BIP-350) of the 32-byte
//! Ed25519 seed (RFC 8032).

use std::fmt;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use countersign_protocol::request::HttpRequest;
use countersign_protocol::{RequesterId, SignedTask, Task};
use ed25519_dalek::{Signer, SigningKey};
use rand::RngCore;
use zeroize::Zeroizing;

use crate::error::ClientError;

/// Prefix of the key's text form.
const PREFIX: &str = "csr-secret";
/// Size limit of secret files in bytes.
const MAX_SECRET: usize = 1024;

/// Signs tasks. Not `Clone`, not printable; its memory is wiped on drop.
pub struct RequesterKey {
    key: SigningKey,
    id: RequesterId,
}

impl RequesterKey {
    /// Makes a new key in a new file of mode 0600. An existing file is left alone.
    pub fn create(path: &Path) -> Result<Self, ClientError> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::rngs::OsRng.fill_bytes(&mut seed[..]);
        let key = Self::from_seed(&seed).ok_or_else(|| malformed(path))?;
        let hrp = Hrp::parse(PREFIX).map_err(|_| malformed(path))?;
        let text =
            Zeroizing::new(bech32::encode::<Bech32m>(hrp, &seed[..]).map_err(|_| malformed(path))?);
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
        Ok(key)
    }

    /// Reads a key. A file that others can read is refused.
    pub fn load(path: &Path) -> Result<Self, ClientError> {
        let text = read_secret(
            path,
            "make one with `countersign requester new`, or correct the profile",
        )?;
        let seed = parse(text.trim_end()).ok_or_else(|| malformed(path))?;
        Self::from_seed(&seed).ok_or_else(|| malformed(path))
    }

    /// The public half, which nodes list.
    pub fn id(&self) -> RequesterId {
        self.id
    }

    /// Signs the task's exact bytes with this key.
    pub fn sign(&self, task: &Task) -> SignedTask {
        let bytes = task.to_bytes();
        let signature = self
            .key
            .sign(&SignedTask::signed_message(&bytes))
            .to_bytes();
        SignedTask { bytes, signature }
    }

    /// Signs a request to a coordinator.
    pub(crate) fn sign_request(&self, request: &HttpRequest<'_>) -> [u8; 64] {
        self.key.sign(&request.signed_message()).to_bytes()
    }

    fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let key = SigningKey::from_bytes(seed);
        let id = RequesterId::from_bytes(key.verifying_key().to_bytes()).ok()?;
        Some(Self { key, id })
    }
}

impl fmt::Debug for RequesterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequesterKey({}, ..)", self.id)
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

fn parse(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let checked = CheckedHrpstring::new::<Bech32m>(text).ok()?;
    let mut seed = Zeroizing::new([0; 32]);
    let mut bytes = checked.byte_iter();
    for byte in seed.iter_mut() {
        *byte = bytes.next()?;
    }
    (checked.hrp().as_str() == PREFIX && bytes.next().is_none()).then_some(seed)
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
            format!("RequesterKey({}, ..)", made.id())
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
