//! Keys for plugins in memory, by name.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::capability::{hs256, rs256};
use crate::contract::anchor::{Anchor, AnchorKind};
use crate::contract::services::KeyError;

/// Keys by name, in memory: RSA for `RS256`, shared secrets for `HS256`. A key works with
/// its own algorithm only.
#[derive(Debug, Default)]
pub struct KeyRing {
    signing: HashMap<String, rs256::SigningKey>,
    verifying: HashMap<String, rs256::VerifyingKey>,
    secrets: HashMap<String, hs256::Secret>,
    /// Under which digests of secrets are made; none without it.
    digests: Option<hs256::Secret>,
}

impl KeyRing {
    /// Adds a key pair, e.g. under `callback`.
    pub fn insert_signing(&mut self, name: impl Into<String>, key: rs256::SigningKey) {
        let name = name.into();
        self.verifying.insert(name.clone(), key.verifying_key());
        self.signing.insert(name, key);
    }

    /// Adds a public key, e.g. of a callback server.
    pub fn insert_verifying(&mut self, name: impl Into<String>, key: rs256::VerifyingKey) {
        self.verifying.insert(name.into(), key);
    }

    /// Adds a secret shared with a server, e.g. of a webhook.
    pub fn insert_secret(&mut self, name: impl Into<String>, secret: hs256::Secret) {
        self.secrets.insert(name.into(), secret);
    }

    /// Makes digests of secrets under `key`, which nobody else knows.
    pub fn with_digest_key(self, key: hs256::Secret) -> Self {
        Self {
            digests: Some(key),
            ..self
        }
    }

    /// Implements [`Services::anchor`](crate::Services::anchor) for its keys.
    pub fn anchor(&self, key: &str) -> Option<Anchor> {
        let anchor = |kind, sha256| {
            Some(Anchor {
                kind,
                name: key.into(),
                sha256,
            })
        };
        if let Some(secret) = self.secrets.get(key) {
            let digest = self.digests.as_ref().map(|digests| secret.digest(digests));
            return anchor(AnchorKind::Secret, digest);
        }
        let spki = self.verifying.get(key)?.spki_der();
        anchor(AnchorKind::PublicKey, Some(Sha256::digest(spki).into()))
    }

    /// Implements [`Services::sign`](crate::Services::sign) for its keys.
    pub fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        if let Some(secret) = self.secrets.get(key) {
            return only("HS256", algorithm).map(|()| secret.sign(data));
        }
        let found = self
            .signing
            .get(key)
            .ok_or_else(|| KeyError::Unknown(key.into()))?;
        only("RS256", algorithm)?;
        found
            .sign(data)
            .map_err(|error| KeyError::Internal(error.to_string()))
    }

    /// Implements [`Services::verify`](crate::Services::verify) for its keys.
    pub fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        if let Some(secret) = self.secrets.get(key) {
            return only("HS256", algorithm).map(|()| secret.verify(data, signature));
        }
        let found = self
            .verifying
            .get(key)
            .ok_or_else(|| KeyError::Unknown(key.into()))?;
        only("RS256", algorithm)?;
        Ok(found.verify(data, signature))
    }

    /// Implements [`Services::public_key`](crate::Services::public_key) for its keys.
    pub fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        let found = self
            .verifying
            .get(key)
            .ok_or_else(|| KeyError::Unknown(key.into()))?;
        Ok(found.spki_der().to_vec())
    }
}

fn only(fits: &str, algorithm: &str) -> Result<(), KeyError> {
    if algorithm == fits {
        Ok(())
    } else {
        Err(KeyError::Algorithm(algorithm.into()))
    }
}
