//! The encrypted share: PBKDF2-HMAC of a password, then AES-256-GCM. Knows nothing of wallets.
//!
//! Bytes: nonce 12 ‖ ciphertext ‖ tag 16, no associated data. In version 1 the plaintext is the
//! share, in versions 2 and 3 it is JSON around the Base64 of the share. A share is a big-endian
//! number on both curves.

use std::borrow::Cow;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pbkdf2::pbkdf2_hmac;
use rand_core::{OsRng, RngCore};
use serde::Deserialize;
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use crate::{Curve, Password, Secret, SecretError, Version};

/// Default number of iterations: OWASP's recommendation for PBKDF2-HMAC-SHA256.
pub const ITERATIONS: u32 = 600_000;
/// Limit on accepted iterations, so that a file cannot keep a processor busy for hours.
pub const MAX_ITERATIONS: u32 = 10_000_000;

/// Bytes of an AES-256 key. Written salts have as many.
pub(crate) const KEY: usize = 32;
const NONCE: usize = 12;
const TAG: usize = 16;

/// The hash function of PBKDF2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// The one that is written.
    Sha256,
    /// Accepted in files of others.
    Sha512,
}

impl Hash {
    /// Maps the number in a file: those of Go's package `crypto`.
    pub fn from_number(number: u64) -> Option<Self> {
        [Self::Sha256, Self::Sha512]
            .into_iter()
            .find(|hash| hash.number() == number)
    }

    /// The number used in files.
    pub fn number(self) -> u64 {
        match self {
            Self::Sha256 => 5,
            Self::Sha512 => 7,
        }
    }

    /// The name used in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
        }
    }
}

/// An encrypted share, as stored in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The hash function of the key derivation.
    pub hash: Hash,
    /// Iterations of PBKDF2: 1 to [`MAX_ITERATIONS`].
    pub iterations: u32,
    /// Salt of PBKDF2: 1 to 1024 bytes.
    pub salt: Vec<u8>,
    /// Nonce 12 ‖ ciphertext ‖ tag 16.
    pub bytes: Vec<u8>,
}

/// Why a share cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The number of iterations is 0, or above the limit.
    #[error("a recovery file has 1 to {MAX_ITERATIONS} iterations, not {0}: use {ITERATIONS}")]
    Iterations(u32),
    /// The system has no randomness, or the cipher no memory.
    #[error("the system gave no randomness or memory: try again")]
    System,
}

/// Why a share cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The bytes are shorter than nonce and tag.
    #[error("the encrypted share is cut short: take another copy of the file")]
    Short,
    /// The tag does not verify: the password is wrong, or the bytes were altered.
    #[error(
        "the password does not open the share, or the encrypted share was changed: type the password again, or take another copy of the file"
    )]
    Password,
    /// The plaintext does not fit the file's version.
    #[error(
        "the share is not in the form that the file's version has: take another copy of the file"
    )]
    Plaintext,
    /// The plaintext is not a scalar.
    #[error("the decrypted share is unusable: {0}")]
    Secret(#[from] SecretError),
    /// The share does not match its public share.
    #[error(
        "the decrypted share does not make the share public key of the file: take another copy of the file"
    )]
    PublicKey,
}

impl Sealed {
    /// Seals a share with a fresh salt and nonce.
    pub fn seal(
        version: Version,
        secret: &Secret,
        password: &Password,
        iterations: u32,
    ) -> Result<Self, SealError> {
        if !(1..=MAX_ITERATIONS).contains(&iterations) {
            return Err(SealError::Iterations(iterations));
        }
        let salt = random::<KEY>()?;
        let nonce = random::<NONCE>()?;
        let cipher = cipher(password, Hash::Sha256, iterations, &salt);
        let plaintext = wrap(version, secret);
        let sealed = cipher
            .encrypt(&nonce.into(), &plaintext[..])
            .map_err(|_| SealError::System)?;
        let bytes = [&nonce[..], &sealed].concat();
        Ok(Self {
            hash: Hash::Sha256,
            iterations,
            salt: salt.to_vec(),
            bytes,
        })
    }

    /// Opens the share. The caller checks that it is the right one.
    pub fn open(
        &self,
        version: Version,
        curve: Curve,
        password: &Password,
    ) -> Result<Secret, OpenError> {
        let parts = self.bytes.split_first_chunk::<NONCE>();
        let (nonce, sealed) = parts
            .filter(|(_, sealed)| sealed.len() > TAG)
            .ok_or(OpenError::Short)?;
        let cipher = cipher(password, self.hash, self.iterations, &self.salt);
        let plaintext = cipher
            .decrypt(nonce.into(), sealed)
            .map_err(|_| OpenError::Password)?;
        let plaintext = Zeroizing::new(plaintext);
        let share = unwrap(version, &plaintext).ok_or(OpenError::Plaintext)?;
        Ok(Secret::from_be_bytes(curve, &share)?)
    }
}

/// The plaintext of versions 2 and 3. A node may have added members of its own beside the share.
#[derive(Deserialize)]
struct Wrapped<'a> {
    // Without escapes, as Base64 is written, it stays where it is.
    #[serde(borrow)]
    encrypted_share: Cow<'a, str>,
}

fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|_| SealError::System)?;
    Ok(bytes)
}

fn wrap(version: Version, secret: &Secret) -> Zeroizing<Vec<u8>> {
    let share = secret.expose();
    match version {
        Version::V1 => Zeroizing::new(share.to_vec()),
        Version::V2 | Version::V3 => {
            let base64 = Zeroizing::new(STANDARD.encode(share));
            // Base64 needs no escapes.
            Zeroizing::new([&b"{\"encrypted_share\":\""[..], base64.as_bytes(), b"\"}"].concat())
        }
    }
}

fn unwrap(version: Version, plaintext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    match version {
        Version::V1 => Some(Zeroizing::new(plaintext.to_vec())),
        Version::V2 | Version::V3 => {
            let wrapped: Wrapped = serde_json::from_slice(plaintext).ok()?;
            STANDARD
                .decode(wrapped.encrypted_share.as_bytes())
                .ok()
                .map(Zeroizing::new)
        }
    }
}

fn cipher(password: &Password, hash: Hash, iterations: u32, salt: &[u8]) -> Aes256Gcm {
    let mut key = Zeroizing::new([0; KEY]);
    match hash {
        Hash::Sha256 => pbkdf2_hmac::<Sha256>(password.expose(), salt, iterations, &mut key[..]),
        Hash::Sha512 => pbkdf2_hmac::<Sha512>(password.expose(), salt, iterations, &mut key[..]),
    }
    Aes256Gcm::new((&*key).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::from_be_bytes(Curve::Ed25519, &[7; 31]).unwrap()
    }

    fn password() -> Password {
        Password::new("open sesame").unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_its_version() {
        for version in Version::ALL {
            let sealed = Sealed::seal(version, &secret(), &password(), 3).unwrap();
            let opened = sealed.open(version, Curve::Ed25519, &password()).unwrap();
            assert_eq!(opened.expose(), secret().expose());
            let again = Sealed::seal(version, &secret(), &password(), 3).unwrap();
            assert!(sealed.salt != again.salt && sealed.bytes[..NONCE] != again.bytes[..NONCE]);
        }
        let sealed = Sealed::seal(Version::V1, &secret(), &password(), 3).unwrap();
        assert_eq!(
            sealed
                .open(Version::V2, Curve::Ed25519, &password())
                .unwrap_err(),
            OpenError::Plaintext
        );
        let sealed = Sealed::seal(Version::V2, &secret(), &password(), 3).unwrap();
        let refused = sealed
            .open(Version::V1, Curve::Ed25519, &password())
            .unwrap_err();
        assert!(
            matches!(refused, OpenError::Secret(SecretError::Length(_))),
            "{refused}"
        );
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealed = Sealed::seal(Version::V3, &secret(), &password(), 3).unwrap();
        let open = |sealed: &Sealed| {
            sealed
                .open(Version::V3, Curve::Ed25519, &password())
                .map(|_| ())
        };
        for i in 0..sealed.bytes.len() {
            let mut changed = sealed.clone();
            changed.bytes[i] ^= 1;
            assert_eq!(open(&changed), Err(OpenError::Password), "byte {i}");
        }
        for wrong in [
            Sealed {
                hash: Hash::Sha512,
                ..sealed.clone()
            },
            Sealed {
                iterations: 4,
                ..sealed.clone()
            },
            Sealed {
                salt: vec![0],
                ..sealed.clone()
            },
            Sealed {
                bytes: sealed.bytes[..sealed.bytes.len() - 1].to_vec(),
                ..sealed.clone()
            },
        ] {
            assert_eq!(open(&wrong), Err(OpenError::Password));
        }
        assert_eq!(
            open(&Sealed {
                bytes: vec![0; NONCE + TAG],
                ..sealed.clone()
            }),
            Err(OpenError::Short)
        );
        let other = Password::new("open sesamE").unwrap();
        assert_eq!(
            sealed
                .open(Version::V3, Curve::Ed25519, &other)
                .unwrap_err(),
            OpenError::Password
        );
    }

    #[test]
    fn iterations_are_bounded() {
        for wrong in [0, MAX_ITERATIONS + 1] {
            let refused = Sealed::seal(Version::V3, &secret(), &password(), wrong).unwrap_err();
            assert_eq!(refused, SealError::Iterations(wrong));
        }
    }

    #[test]
    fn other_members_beside_the_share_are_tolerated() {
        let share = STANDARD.encode([7; 31]);
        let plain =
            format!(r#"{{"party": {{"index": 3}}, "encrypted_share": "{share}", "more": null}}"#);
        assert_eq!(unwrap(Version::V3, plain.as_bytes()).unwrap()[..], [7; 31]);
        let twice = format!(r#"{{"encrypted_share": "{share}", "encrypted_share": "{share}"}}"#);
        assert!(unwrap(Version::V3, twice.as_bytes()).is_none());
    }
}
