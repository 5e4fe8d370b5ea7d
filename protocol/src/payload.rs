//! What a signature is for: the bytes that a requester shows, and how they become the bytes that are signed.

use crate::scheme::Scheme;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The kind of a payload. Kinds are appended, never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PayloadKind {
    /// A message, signed as the scheme signs messages (ECDSA: over its SHA-256).
    Message,
    /// 32 bytes that hash something nobody showed. Blind: a node refuses it unless its operator allowed it for the key.
    Digest,
}

/// What is to be signed, as the requester shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// How to read `bytes`.
    pub kind: PayloadKind,
    /// The bytes, at most [`Payload::MAX_BYTES`]. JSON: lower-case hexadecimal.
    #[serde(with = "hex::serde")]
    pub bytes: Vec<u8>,
}

/// Why a payload cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Too large or empty.
    #[error("a payload has 1 to {max} bytes, this one has {0}; shorten it, or hash it yourself", max = Payload::MAX_BYTES)]
    Length(usize),
    /// A digest has one length.
    #[error("a digest has 32 bytes, this one has {0}; send the 32-byte hash")]
    DigestLength(usize),
}

impl Payload {
    /// The largest payload.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Checks lengths. Everything else about a payload is decided by its kind.
    pub fn check(&self) -> Result<(), PayloadError> {
        match (self.kind, self.bytes.len()) {
            (PayloadKind::Digest, 32) => Ok(()),
            (PayloadKind::Digest, length) => Err(PayloadError::DigestLength(length)),
            (PayloadKind::Message, 1..=Payload::MAX_BYTES) => Ok(()),
            (PayloadKind::Message, length) => Err(PayloadError::Length(length)),
        }
    }

    /// True if the node cannot know what it signs: a digest, or 32 bytes under another name. Schemes that sign messages as
    /// they are make the same signature of both, so what a requester calls 32 bytes changes nothing.
    pub fn is_blind(&self) -> bool {
        self.kind == PayloadKind::Digest || self.bytes.len() == 32
    }

    /// The bytes handed to the signature algorithm: what is verified in the end. For ECDSA always the 32-byte digest.
    pub fn signed_bytes(&self, scheme: Scheme) -> Vec<u8> {
        match (self.kind, scheme) {
            (PayloadKind::Message, Scheme::EcdsaSecp256k1) => Sha256::digest(&self.bytes).to_vec(),
            _ => self.bytes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecdsa_signs_the_hash_of_a_message_and_the_others_the_message() {
        let payload = Payload { kind: PayloadKind::Message, bytes: b"abc".to_vec() };
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex::encode(payload.signed_bytes(Scheme::EcdsaSecp256k1)), digest);
        assert_eq!(payload.signed_bytes(Scheme::Ed25519), b"abc");
    }

    #[test]
    fn a_hash_is_blind_whatever_it_is_called() {
        let of_kind = |kind, length| Payload { kind, bytes: vec![1; length] }.is_blind();
        assert!(of_kind(PayloadKind::Digest, 32) && of_kind(PayloadKind::Message, 32));
        assert!(!of_kind(PayloadKind::Message, 31) && !of_kind(PayloadKind::Message, 33));
    }

    #[test]
    fn lengths_are_checked() {
        let digest = |length| Payload { kind: PayloadKind::Digest, bytes: vec![1; length] };
        assert!(digest(32).check().is_ok() && digest(32).is_blind());
        assert_eq!(digest(31).check(), Err(PayloadError::DigestLength(31)));
        let message = |length| Payload { kind: PayloadKind::Message, bytes: vec![1; length] };
        assert_eq!(message(0).check(), Err(PayloadError::Length(0)));
        assert!(message(Payload::MAX_BYTES + 1).check().is_err());
    }
}
