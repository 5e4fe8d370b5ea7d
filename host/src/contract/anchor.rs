//! The keys and authorities that a plugin's answers depend on, besides its component and its
//! configuration. Only digests: they identify in a record the basis of a decision.

use serde::{Deserialize, Serialize};

/// One key, secret or set of authorities.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Anchor {
    /// Determines the meaning of `sha256`.
    pub kind: AnchorKind,
    /// Its name in the configuration.
    pub name: String,
    /// See [`AnchorKind`]. Absent if only the running node can compute it.
    #[serde(with = "digest")]
    pub sha256: Option<[u8; 32]>,
}

/// The kind of an [`Anchor`], and the input of its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnchorKind {
    /// A public key, or the public half of a key of the node: SHA-256
    /// of its DER SubjectPublicKeyInfo.
    PublicKey,
    /// A shared secret: an HMAC under a key of the node, so that nobody can
    /// test guesses against it.
    Secret,
    /// Further authorities: SHA-256 of the file's bytes.
    Authorities,
}

impl AnchorKind {
    /// The kind in words, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::PublicKey => "public key",
            Self::Secret => "secret",
            Self::Authorities => "authorities",
        }
    }
}

impl Anchor {
    /// The digest as people read it.
    pub fn digest(&self) -> String {
        self.sha256
            .map_or_else(|| "known to the running node alone".into(), hex::encode)
    }
}

mod digest {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        digest: &Option<[u8; 32]>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        digest.map(hex::encode).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let digest = text.map(|text| {
            let mut digest = [0; 32];
            hex::decode_to_slice(text, &mut digest).map(|()| digest)
        });
        digest.transpose().map_err(serde::de::Error::custom)
    }
}
