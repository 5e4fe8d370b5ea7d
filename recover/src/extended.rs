//! Extended private keys: `xprv…` (BIP-32) and `cprv…` (the same layout for Ed25519), and the keys
//! below them.
//!
//! | | secp256k1 | Ed25519 |
//! |---|---|---|
//! | child key | (I_L + k) mod n | (I_L mod L + k) mod L, I_L big-endian, nothing clamped |
//! | I | HMAC-SHA512(chain code, key ‖ index) | HMAC-SHA512(chain code, 0x00 ‖ A ‖ index) |
//! | hardened | from 0x00 ‖ k instead of the key | does not exist |
//!
//! A private key of Ed25519 is a scalar here, not a seed as in RFC 8032: wallets cannot import it.

use hmac::{Hmac, Mac};
use ripemd::Ripemd160;
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use crate::path::HARDENED;
use crate::{Curve, KeyPath, Secret};

/// version 4, depth 1, fingerprint 4, index 4, chain code 32, key 33.
const LENGTH: usize = 78;
/// Base58 length of 82 bytes.
const MAX_TEXT: usize = 112;

/// A private key with what is needed to derive below it. Not `Clone`, wiped when
/// dropped; `Debug` shows nothing.
#[derive(Debug)]
pub struct ExtendedPrivateKey {
    secret: Secret,
    depth: u8,
    parent_fingerprint: [u8; 4],
    index: u32,
    chain_code: [u8; 32],
}

/// Why a child key cannot be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveKeyError {
    /// The step is hardened, and the curve is Ed25519.
    #[error("keys on Ed25519 have no hardened children: leave out ' and H")]
    Hardened,
    /// The depth of an extended key is a single byte.
    #[error("the path has more than 255 steps: use a shorter one")]
    TooDeep,
    /// The one value in 2^127 that BIP-32 excludes.
    #[error("this child does not exist: use the next index")]
    OutOfRange,
}

/// Why a text is not an extended private key. Never shows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseKeyError {
    /// The text is not Base58Check of 78 bytes.
    #[error(
        "not an extended private key, or mistyped: copy the whole text, it starts with xprv or cprv"
    )]
    Encoding,
    /// The version is that of a public key, or of a test network.
    #[error(
        "an extended key of another kind: give the private key, which starts with xprv or cprv"
    )]
    Version,
    /// The scalar is invalid, or the origin contradicts itself.
    #[error("an extended private key with impossible contents: take another copy")]
    Contents,
}

impl ExtendedPrivateKey {
    /// Creates a root: depth 0, no parent.
    pub fn root(secret: Secret, chain_code: [u8; 32]) -> Self {
        Self {
            secret,
            depth: 0,
            parent_fingerprint: [0; 4],
            index: 0,
            chain_code,
        }
    }

    /// Parses `xprv…` or `cprv…` with its checksum.
    pub fn parse(text: &str) -> Result<Self, ParseKeyError> {
        if text.len() > MAX_TEXT {
            return Err(ParseKeyError::Encoding);
        }
        let bytes = bs58::decode(text)
            .with_check(None)
            .into_vec()
            .map(Zeroizing::new);
        let bytes = bytes
            .ok()
            .filter(|bytes| bytes.len() == LENGTH)
            .ok_or(ParseKeyError::Encoding)?;
        let curve = [Curve::Secp256k1, Curve::Ed25519]
            .into_iter()
            .find(|it| bytes.starts_with(&version(*it)));
        let curve = curve.ok_or(ParseKeyError::Version)?;
        let (origin, key) = bytes[4..].split_at(41);
        let [0, number @ ..] = key else {
            return Err(ParseKeyError::Contents);
        };
        let parsed = Self {
            secret: Secret::from_be_bytes(curve, number).map_err(|_| ParseKeyError::Contents)?,
            depth: origin[0],
            parent_fingerprint: std::array::from_fn(|i| origin[1 + i]),
            index: u32::from_be_bytes(std::array::from_fn(|i| origin[5 + i])),
            chain_code: std::array::from_fn(|i| origin[9 + i]),
        };
        // A root has neither parent nor index (BIP-32, test vector 5).
        let sound = parsed.depth > 0 || (parsed.parent_fingerprint == [0; 4] && parsed.index == 0);
        if sound {
            Ok(parsed)
        } else {
            Err(ParseKeyError::Contents)
        }
    }

    /// The text, Base58Check: `xprv…` or `cprv…`. The number always takes 32 bytes.
    pub fn to_text(&self) -> Zeroizing<String> {
        let number: &[u8] = self.secret.expose();
        let bytes =
            Zeroizing::new([&self.head(version(self.secret.curve()))[..], &[0], number].concat());
        Zeroizing::new(bs58::encode(&bytes[..]).with_check().into_string())
    }

    /// The public half as text: `xpub…` or
    /// `cpub…`. [`countersign_verify::ExtendedPublicKey`] reads it.
    pub fn public_text(&self) -> String {
        let bytes = [
            self.head(public_version(self.secret.curve())),
            self.key_field(),
        ]
        .concat();
        bs58::encode(bytes).with_check().into_string()
    }

    /// Derives the key at `path` below this one.
    pub fn derive(&self, path: &KeyPath) -> Result<Self, DeriveKeyError> {
        let start = Self {
            secret: self.secret.duplicate(),
            ..*self
        };
        path.steps()
            .iter()
            .try_fold(start, |key, index| key.child(*index))
    }

    /// The secret scalar of this key.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The public key: 33 bytes on secp256k1, 32 on Ed25519.
    pub fn public_key(&self) -> Vec<u8> {
        self.secret.public_key()
    }

    fn child(&self, index: u32) -> Result<Self, DeriveKeyError> {
        let curve = self.secret.curve();
        let depth = self.depth.checked_add(1).ok_or(DeriveKeyError::TooDeep)?;
        let (left, chain_code) = match (index >= HARDENED, curve) {
            (false, _) => split_mac(&self.chain_code, &self.key_field(), index),
            (true, Curve::Secp256k1) => {
                let number = Zeroizing::new([&[0][..], self.secret.expose()].concat());
                split_mac(&self.chain_code, &number, index)
            }
            (true, Curve::Ed25519) => return Err(DeriveKeyError::Hardened),
        };
        // BIP-32: "In case parse256(I_L) ≥ n or k_i = 0, the resulting key is invalid". On Ed25519
        // I_L is reduced. I_L = 0 is as unlikely.
        if curve == Curve::Secp256k1 {
            Secret::from_be_bytes(curve, &left[..]).map_err(|_| DeriveKeyError::OutOfRange)?;
        }
        let secret = self
            .secret
            .plus_reduced(&left)
            .ok_or(DeriveKeyError::OutOfRange)?;
        Ok(Self {
            secret,
            depth,
            parent_fingerprint: self.fingerprint(),
            index,
            chain_code,
        })
    }

    /// First four bytes of HASH160 over the public key as encoded in the text.
    fn fingerprint(&self) -> [u8; 4] {
        let hash = Ripemd160::digest(Sha256::digest(self.key_field()));
        std::array::from_fn(|i| hash[i])
    }

    /// 33 bytes: a compressed point, or 0x00 and an Ed25519 key.
    fn key_field(&self) -> Vec<u8> {
        match self.secret.curve() {
            Curve::Secp256k1 => self.public_key(),
            Curve::Ed25519 => [&[0], &self.public_key()[..]].concat(),
        }
    }

    /// Everything before the key: version 4, depth 1, fingerprint 4, index 4, chain code 32.
    fn head(&self, version: [u8; 4]) -> Vec<u8> {
        let index = self.index.to_be_bytes();
        [
            &version[..],
            &[self.depth],
            &self.parent_fingerprint,
            &index,
            &self.chain_code,
        ]
        .concat()
    }
}

/// HMAC-SHA512(chain code, key field ‖ index), in two halves.
fn split_mac(
    chain_code: &[u8; 32],
    key_field: &[u8],
    index: u32,
) -> (Zeroizing<[u8; 32]>, [u8; 32]) {
    let mac =
        <Hmac<Sha512> as Mac>::new_from_slice(chain_code).expect("HMAC takes keys of every length");
    let bytes = mac
        .chain_update(key_field)
        .chain_update(index.to_be_bytes())
        .finalize()
        .into_bytes();
    (
        Zeroizing::new(std::array::from_fn(|i| bytes[i])),
        std::array::from_fn(|i| bytes[32 + i]),
    )
}

fn version(curve: Curve) -> [u8; 4] {
    match curve {
        Curve::Secp256k1 => [0x04, 0x88, 0xad, 0xe4],
        Curve::Ed25519 => [0x02, 0xe8, 0xda, 0x54],
    }
}

fn public_version(curve: Curve) -> [u8; 4] {
    match curve {
        Curve::Secp256k1 => [0x04, 0x88, 0xb2, 0x1e],
        Curve::Ed25519 => [0x02, 0xe8, 0xde, 0x90],
    }
}
