//! Signatures of publishers. Where an operator lists publishers, only components signed by one of
//! them are loaded: a signature says who answers for a component, a pinned digest which one it is.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const LABEL: &[u8] = b"countersign-plugin-v1\0";
const VERSION: u32 = 1;

/// A publisher whose components may run.
#[derive(Clone, PartialEq, Eq)]
pub struct Publisher {
    name: String,
    key: VerifyingKey,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "Publisher({} {})",
            self.name,
            hex::encode(self.key.as_bytes())
        )
    }
}

/// The bytes are not an Ed25519 public key.
#[derive(Debug, thiserror::Error)]
#[error("the key of publisher `{0}` is not a public key of Ed25519; copy it again")]
pub struct PublisherError(String);

impl Publisher {
    /// A publisher by the operator's name for it and its Ed25519 public key (RFC 8032). Keys of
    /// small order, under which one signature fits everything, are refused.
    pub fn new(name: impl Into<String>, key: &[u8; 32]) -> Result<Self, PublisherError> {
        let name = name.into();
        match VerifyingKey::from_bytes(key) {
            Ok(key) if !key.is_weak() => Ok(Self { name, key }),
            _ => Err(PublisherError(name)),
        }
    }

    /// The operator's name for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

/// A publisher's statement that a component is its plugin of that name: a JSON file
/// `<file>.sig` beside the component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginSignature {
    version: u32,
    /// Name of the plugin.
    plugin: String,
    /// Ed25519 over `"countersign-plugin-v1\0" plugin "\0" sha256`, hex.
    #[serde(with = "hex")]
    signature: [u8; 64],
}

/// The reason for which a signature is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The component has no `.sig` file.
    #[error(
        "it has no signature, and only components of trusted publishers are loaded; put the publisher's .sig file beside it"
    )]
    Missing,
    /// The file is something else.
    #[error("its .sig file cannot be used: {0}; fetch it again from the publisher")]
    Malformed(String),
    /// It is about another plugin.
    #[error("it is signed as `{0}`; name the entry so, or install what belongs to that signature")]
    Name(String),
    /// It is not by a trusted publisher, or about other bytes.
    #[error("no trusted publisher signed these bytes; check the file and `trusted_publishers`")]
    Untrusted,
}

impl PluginSignature {
    /// Signs the component with SHA-256 `digest` as the plugin `plugin`. `seed` is
    /// the publisher's private key.
    pub fn sign(plugin: &str, digest: &[u8; 32], seed: &Zeroizing<[u8; 32]>) -> Self {
        let signature = SigningKey::from_bytes(seed).sign(&message(plugin, digest));
        Self {
            version: VERSION,
            plugin: plugin.into(),
            signature: signature.to_bytes(),
        }
    }

    /// Finds the one of `publishers` that signed the component with SHA-256 `digest` as `plugin`.
    pub fn verify<'a>(
        &self,
        plugin: &str,
        digest: &[u8; 32],
        publishers: &'a [Publisher],
    ) -> Result<&'a Publisher, SignatureError> {
        if self.plugin != plugin {
            return Err(SignatureError::Name(crate::contract::text::printable(
                &self.plugin,
                64,
            )));
        }
        let message = message(plugin, digest);
        let signature = Signature::from_bytes(&self.signature);
        let signed =
            |publisher: &&Publisher| publisher.key.verify_strict(&message, &signature).is_ok();
        publishers
            .iter()
            .find(signed)
            .ok_or(SignatureError::Untrusted)
    }

    /// Name of the plugin that it is about. A claim until it is verified.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Reads the content of a `.sig` file.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SignatureError> {
        let signature: Self = serde_json::from_slice(bytes)
            .map_err(|error| SignatureError::Malformed(error.to_string()))?;
        if signature.version != VERSION {
            return Err(SignatureError::Malformed(format!(
                "its version {} is not known",
                signature.version
            )));
        }
        Ok(signature)
    }

    /// Writes the content of a `.sig` file.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

fn message(plugin: &str, digest: &[u8; 32]) -> Vec<u8> {
    [LABEL, plugin.as_bytes(), b"\0", digest].concat()
}
