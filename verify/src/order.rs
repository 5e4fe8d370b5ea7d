//! The subject of an order: the child keys that sign, and the bytes to be signed.

use countersign_protocol::{DerivationPath, KeyDescriptor, Scheme};

use crate::{ChildKey, DeriveError, derive_public};

/// The public side of the key that is to sign.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// The scheme that it signs with.
    pub scheme: Scheme,
    /// Encoded as for [`derive_public`]: 33 bytes compressed, 32 bytes on Ed25519.
    pub root_public_key: &'a [u8],
    /// The BIP-32 chain code.
    pub chain_code: &'a [u8; 32],
}

impl<'a> From<&'a KeyDescriptor> for Key<'a> {
    /// Takes a wallet's root key.
    fn from(wallet: &'a KeyDescriptor) -> Self {
        Key {
            scheme: wallet.scheme,
            root_public_key: &wallet.root_public_key,
            chain_code: wallet.chain_code.as_bytes(),
        }
    }
}

impl Key<'_> {
    /// Derives the child at `path`, encoded as the root is.
    pub fn child(&self, path: &DerivationPath) -> Result<Vec<u8>, DeriveError> {
        Ok(derive_public(
            self.scheme,
            self.root_public_key,
            self.chain_code,
            path.steps(),
        )?
        .0)
    }
}

/// An ordered signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The path of the child that signs.
    pub path: DerivationPath,
    /// Root of the script tree of the output that is spent; only for keys of `taproot` (BIP-341).
    pub script_root: Option<[u8; 32]>,
    /// The bytes handed to the signature algorithm (ECDSA: the 32-byte digest).
    pub signed_bytes: Vec<u8>,
}

impl Input {
    /// Creates an input without scripts.
    pub fn new(path: DerivationPath, signed_bytes: Vec<u8>) -> Self {
        Self {
            path,
            script_root: None,
            signed_bytes,
        }
    }

    /// The key that signs this input. `public_key` is the child at its path.
    pub fn child_key<'a>(&'a self, scheme: Scheme, public_key: &'a [u8]) -> ChildKey<'a> {
        ChildKey {
            scheme,
            public_key,
            script_root: self.script_root.as_ref(),
        }
    }
}
