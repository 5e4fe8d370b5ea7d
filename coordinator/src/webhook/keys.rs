//! The keys that deliveries are signed with, in a file that its owner alone can read.
//!
//! They sign what the coordinator tells and nothing else: no task, no payload, no frame.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign_api::{WebhookKey, WebhookKeys};
use countersign_protocol::{Hash, UnixMillis};
use ed25519_dalek::SigningKey;
use rand::RngCore;
use zeroize::Zeroizing;

/// For how long a key that was replaced still signs and is published, in ms.
const OVERLAP: u64 = 7 * 24 * 3600 * 1000;
/// Size limit of the file in bytes.
const LARGEST: u64 = 1024;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookKeyError {
    /// The file cannot be read or written.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "the file of webhook keys {path} cannot be used ({reason}); check its owner and the disk"
    )]
    Io { path: PathBuf, reason: String },
    /// The file can be read by others.
    #[error(
        "the file of webhook keys {0} can be read by others; run `chmod 600` on it, and rotate the key if it may have leaked"
    )]
    Mode(PathBuf),
    /// The file does not contain keys.
    #[error(
        "the file of webhook keys {0} is damaged; restore it from a backup, or remove it and give receivers the new key"
    )]
    Malformed(PathBuf),
    /// No key that is kept has this id.
    #[error("no key of webhooks has this `kid`; list the keys and send the `kid` of the first")]
    Unknown,
}

/// The current key, and the one before it for a week.
pub struct SigningKeys {
    path: PathBuf,
    keys: Mutex<Vec<Key>>,
}

struct Key {
    created: UnixMillis,
    secret: SigningKey,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys").finish_non_exhaustive()
    }
}

impl SigningKeys {
    /// Reads the file, or makes it with a first key.
    pub fn open(path: &Path, now: UnixMillis) -> Result<Self, WebhookKeyError> {
        let keys = match countersign_files::open(path) {
            Ok(file) => parse(path, file)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let keys = vec![Key::new(now)];
                write(path, &keys)?;
                keys
            }
            Err(error) => return Err(io(path, &error)),
        };
        Ok(Self {
            path: path.into(),
            keys: Mutex::new(keys),
        })
    }

    /// Replaces the key of this id, if it is the current one. One that was replaced stays so.
    pub fn rotate(&self, kid: &str, now: UnixMillis) -> Result<(), WebhookKeyError> {
        let mut keys = self.lock();
        match keys.iter().position(|key| key.kid() == kid) {
            Some(0) => {}
            Some(_) => return Ok(()),
            None => return Err(WebhookKeyError::Unknown),
        }
        let mut rotated = vec![Key::new(now)];
        rotated.extend(keys.drain(..1));
        // If the file cannot be written, the old key stays.
        match write(&self.path, &rotated) {
            Ok(()) => *keys = rotated,
            Err(error) => {
                keys.splice(..0, rotated.drain(1..));
                return Err(error);
            }
        }
        Ok(())
    }

    /// The public keys.
    pub fn public(&self, now: UnixMillis) -> WebhookKeys {
        let keys = self.lock();
        let keys = in_force(&keys, now).map(Key::public).collect();
        WebhookKeys { keys }
    }

    /// Calls `sign` with the keys that sign at this time, the current first.
    pub fn with<T>(&self, now: UnixMillis, sign: impl FnOnce(Vec<&SigningKey>) -> T) -> T {
        let keys = self.lock();
        sign(in_force(&keys, now).map(|key| &key.secret).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key is replaced when the one before it in the list was made.
fn in_force(keys: &[Key], now: UnixMillis) -> impl Iterator<Item = &Key> {
    let replaced = keys.first().map_or(0, |current| current.created.0);
    let before = now.0 < replaced.saturating_add(OVERLAP);
    keys.iter().take(if before { 2 } else { 1 })
}

impl Key {
    fn new(now: UnixMillis) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rand::rngs::OsRng.fill_bytes(&mut seed[..]);
        Self {
            created: now,
            secret: SigningKey::from_bytes(&seed),
        }
    }

    fn kid(&self) -> String {
        let public = self.secret.verifying_key();
        let hash = Hash::of("countersign/1 webhook key", public.as_bytes());
        hex::encode(&hash.as_bytes()[..8])
    }

    fn public(&self) -> WebhookKey {
        let public = self.secret.verifying_key().to_bytes();
        WebhookKey {
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            alg: "EdDSA".into(),
            usage: "sig".into(),
            kid: self.kid(),
            x: URL_SAFE_NO_PAD.encode(public),
            whpk: format!("whpk_{}", STANDARD.encode(public)),
            created: self.created,
        }
    }
}

/// A line for each key: time of creation and secret, in hexadecimal.
fn write(path: &Path, keys: &[Key]) -> Result<(), WebhookKeyError> {
    let mut text = Zeroizing::new(String::with_capacity(256));
    for key in keys {
        let secret = Zeroizing::new(hex::encode(Zeroizing::new(key.secret.to_bytes())));
        text.push_str(&key.created.0.to_string());
        text.push(' ');
        text.push_str(&secret);
        text.push('\n');
    }
    countersign_files::replace(path, text.as_bytes()).map_err(|error| io(path, &error))
}

fn parse(path: &Path, file: std::fs::File) -> Result<Vec<Key>, WebhookKeyError> {
    let mode = file.metadata().map_err(|error| io(path, &error))?.mode();
    if mode & 0o077 != 0 {
        return Err(WebhookKeyError::Mode(path.into()));
    }
    let mut text = Zeroizing::new(String::with_capacity(LARGEST as usize));
    file.take(LARGEST)
        .read_to_string(&mut text)
        .map_err(|error| io(path, &error))?;
    let keys: Option<Vec<Key>> = text.lines().map(line).collect();
    keys.filter(|keys| !keys.is_empty())
        .ok_or_else(|| WebhookKeyError::Malformed(path.into()))
}

fn line(line: &str) -> Option<Key> {
    let (created, secret) = line.split_once(' ')?;
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(secret, &mut seed[..]).ok()?;
    Some(Key {
        created: UnixMillis(created.parse().ok()?),
        secret: SigningKey::from_bytes(&seed),
    })
}

fn io(path: &Path, error: &std::io::Error) -> WebhookKeyError {
    WebhookKeyError::Io {
        path: path.into(),
        reason: error.to_string(),
    }
}
