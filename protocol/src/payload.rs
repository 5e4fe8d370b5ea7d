//! Payloads: the bytes that a requester submits, and the bytes that are signed for them.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::named::named;
use crate::scheme::Scheme;

/// The kind of a payload. Kinds are appended, never changed. `countersign_payload::decode` decides
/// how the bytes of each are read, what is signed and which schemes sign it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PayloadKind {
    /// A message, signed the way the scheme signs messages (ECDSA: over its SHA-256).
    Message,
    /// A bare 32-byte digest of unseen content. Blind: a node refuses it unless its operator
    /// allowed blind signing for the key.
    Digest,
    /// An unsigned Ethereum transaction in the serialisation that is hashed: RLP (EIP-155), or type
    /// byte and RLP (EIP-2718).
    EvmTransaction,
    /// An EIP-191 personal message (version `E`), without prefix and length.
    #[serde(rename = "eip191")]
    Eip191,
    /// EIP-712 typed data: the JSON document that `eth_signTypedData_v4` takes.
    #[serde(rename = "eip712")]
    Eip712,
    /// A partially signed Bitcoin transaction, version 0 (BIP-174, BIP-371) or 2 (BIP-370).
    Psbt,
    /// The message of a Solana transaction, legacy or version 0.
    SolanaMessage,
    /// Several digests, each with the path of the child that signs it: `[{"path": "m/0/7",
    /// "digest": "…64 hex digits…"}]`, JSON. Blind, as a digest is. For a `taproot` output with
    /// scripts an entry has the root of their tree: `"script_root": "…64 hex digits…"`.
    Digests,
    /// A message signed for a Bitcoin address (BIP-322) as a JSON document, `{"message": "…",
    /// "address": "…"}` or `{"message": "…", "psbt": "…base64…"}`.
    BitcoinMessage,
    /// An EIP-7702 authorisation without signature: `0x05` and the RLP of chain
    /// id, address and nonce.
    #[serde(rename = "eip7702")]
    Eip7702,
}

named! {
    PayloadKind {
        Message = "message",
        Digest = "digest",
        EvmTransaction = "evm-transaction",
        Eip191 = "eip191",
        Eip712 = "eip712",
        Psbt = "psbt",
        SolanaMessage = "solana-message",
        Digests = "digests",
        BitcoinMessage = "bitcoin-message",
        Eip7702 = "eip7702",
    } or UnknownPayloadKind("kind of payload")
}

/// The content to be signed, as submitted by the requester.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// The kind, which decides how `bytes` are read.
    pub kind: PayloadKind,
    /// At most [`Payload::max_bytes`] bytes. JSON: lower-case hexadecimal.
    #[serde(with = "hex::serde")]
    pub bytes: Vec<u8>,
    /// The input that the requester expects the signature algorithm to get, one entry for each
    /// signature, in order. Empty: no expectation. Otherwise the decoder of the payload compares
    /// them. JSON: a list of hexadecimal texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "hex_list")]
    pub digests: Vec<Vec<u8>>,
}

/// The reason a payload cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Empty, or larger than [`Payload::max_bytes`] allows for the kind.
    #[error("a payload of kind {kind} has 1 to {max} bytes, this one has {length}; {advice}", max = Payload::max_bytes(*kind), advice = shorter(*kind))]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    Length {
        kind: PayloadKind,
        /// The payload's length in bytes.
        length: usize,
    },
    /// A bare digest that is not 32 bytes long.
    #[error("a digest has 32 bytes, this one has {0}; send the 32-byte hash")]
    DigestLength(usize),
    /// More expected digests than [`Payload::MAX_DIGESTS`].
    #[error("a task expects at most {max} digests, this one has {0}; leave `digests` out", max = Payload::MAX_DIGESTS)]
    Digests(usize),
    /// An expected digest of 0 or more than 64 bytes.
    #[error(
        "an entry of `digests` has 1 to 64 bytes, this one has {0}; send the hash that is signed, or leave it out"
    )]
    ExpectedLength(usize),
}

/// The remedy for a payload that is too large.
fn shorter(kind: PayloadKind) -> &'static str {
    match kind {
        PayloadKind::Psbt => {
            "leave out the witnesses of previous transactions, which their ids do not cover, or spend fewer inputs at a time"
        }
        PayloadKind::Message
        | PayloadKind::Digest
        | PayloadKind::EvmTransaction
        | PayloadKind::Eip191
        | PayloadKind::Eip712
        | PayloadKind::SolanaMessage
        | PayloadKind::Digests
        | PayloadKind::BitcoinMessage
        | PayloadKind::Eip7702 => "shorten it, or make several tasks of it",
    }
}

impl Payload {
    /// The maximum size of most kinds, in bytes.
    pub const MAX_BYTES: usize = 64 * 1024;
    /// The maximum size of a PSBT, which carries whole previous transactions, in bytes.
    pub const MAX_PSBT_BYTES: usize = 1024 * 1024;
    /// The maximum number of expected digests.
    pub const MAX_DIGESTS: usize = 64;

    /// Creates a payload without expected digests.
    pub fn new(kind: PayloadKind, bytes: Vec<u8>) -> Self {
        Self {
            kind,
            bytes,
            digests: Vec::new(),
        }
    }

    /// The maximum size of a payload of this kind, in bytes.
    pub fn max_bytes(kind: PayloadKind) -> usize {
        match kind {
            PayloadKind::Psbt => Self::MAX_PSBT_BYTES,
            PayloadKind::Message
            | PayloadKind::Digest
            | PayloadKind::EvmTransaction
            | PayloadKind::Eip191
            | PayloadKind::Eip712
            | PayloadKind::SolanaMessage
            | PayloadKind::Digests
            | PayloadKind::BitcoinMessage
            | PayloadKind::Eip7702 => Self::MAX_BYTES,
        }
    }

    /// Checks the lengths. All other rules depend on the kind and are checked by its decoder.
    pub fn check(&self) -> Result<(), PayloadError> {
        match (self.kind, self.bytes.len()) {
            (PayloadKind::Digest, 32) => {}
            (PayloadKind::Digest, length) => return Err(PayloadError::DigestLength(length)),
            (kind, length) if (1..=Self::max_bytes(kind)).contains(&length) => {}
            (kind, length) => return Err(PayloadError::Length { kind, length }),
        }
        if self.digests.len() > Self::MAX_DIGESTS {
            return Err(PayloadError::Digests(self.digests.len()));
        }
        match self
            .digests
            .iter()
            .find(|digest| !(1..=64).contains(&digest.len()))
        {
            Some(digest) => Err(PayloadError::ExpectedLength(digest.len())),
            None => Ok(()),
        }
    }

    /// True if the node cannot know what it signs: a digest, 32 bytes that are called a message, or
    /// a message that is not text. Schemes that sign messages as they are produce the same
    /// signature for a digest and for 32 bytes, so the requester's label changes nothing.
    /// Unreadable bytes may be a transaction of a chain unknown here.
    pub fn is_blind(&self) -> bool {
        match self.kind {
            PayloadKind::Digest | PayloadKind::Digests => true,
            PayloadKind::Message => self.bytes.len() == 32 || !is_text(&self.bytes),
            PayloadKind::EvmTransaction
            | PayloadKind::Eip191
            | PayloadKind::Eip712
            | PayloadKind::Psbt
            | PayloadKind::SolanaMessage
            | PayloadKind::BitcoinMessage
            | PayloadKind::Eip7702 => false,
        }
    }

    /// The bytes handed to the signature algorithm for a message or a digest. For ECDSA this
    /// is always the 32-byte digest. Other kinds are decoded: for them this is empty, which
    /// no accepted signature matches.
    pub fn signed_bytes(&self, scheme: Scheme) -> Vec<u8> {
        match self.kind {
            PayloadKind::Message => match scheme {
                Scheme::EcdsaSecp256k1 => Sha256::digest(&self.bytes).to_vec(),
                Scheme::Ed25519 | Scheme::SchnorrSecp256k1 | Scheme::Taproot => self.bytes.clone(),
            },
            PayloadKind::Digest => self.bytes.clone(),
            PayloadKind::EvmTransaction
            | PayloadKind::Eip191
            | PayloadKind::Eip712
            | PayloadKind::Psbt
            | PayloadKind::SolanaMessage
            | PayloadKind::Digests
            | PayloadKind::BitcoinMessage
            | PayloadKind::Eip7702 => Vec::new(),
        }
    }
}

/// True for UTF-8 without control characters except tabs and line ends.
fn is_text(bytes: &[u8]) -> bool {
    let steers = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    str::from_utf8(bytes).is_ok_and(|text| !text.contains(steers))
}

/// Serde for lists of byte strings as lists of hexadecimal texts.
mod hex_list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Hex(#[serde(with = "hex::serde")] Vec<u8>);

    pub(super) fn serialize<S: Serializer>(
        list: &[Vec<u8>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(|bytes| Hex(bytes.clone())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        Ok(Vec::<Hex>::deserialize(deserializer)?
            .into_iter()
            .map(|Hex(bytes)| bytes)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecdsa_signs_the_hash_of_a_message_and_the_others_the_message() {
        let payload = Payload::new(PayloadKind::Message, b"abc".to_vec());
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            hex::encode(payload.signed_bytes(Scheme::EcdsaSecp256k1)),
            digest
        );
        assert_eq!(payload.signed_bytes(Scheme::Ed25519), b"abc");
    }

    #[test]
    fn a_hash_is_blind_whatever_it_is_called() {
        let of_kind = |kind, length| Payload::new(kind, vec![b'a'; length]).is_blind();
        assert!(of_kind(PayloadKind::Digest, 32) && of_kind(PayloadKind::Message, 32));
        assert!(!of_kind(PayloadKind::Message, 31) && !of_kind(PayloadKind::Message, 33));
        assert!(of_kind(PayloadKind::Digests, 32) && of_kind(PayloadKind::Digests, 33));
        let decoded = PayloadKind::ALL
            .into_iter()
            .skip(2)
            .filter(|kind| *kind != PayloadKind::Digests);
        decoded.for_each(|kind| assert!(!of_kind(kind, 32), "{kind}"));
    }

    #[test]
    fn a_message_that_is_not_text_is_blind() {
        let is_blind = |bytes: &[u8]| Payload::new(PayloadKind::Message, bytes.to_vec()).is_blind();
        for text in ["pay 5", "a\tb\r\nc", "zażółć"] {
            assert!(!is_blind(text.as_bytes()), "{text}");
        }
        for bytes in [
            &b"a\0"[..],
            &[0x80],
            b"\x1b[2J",
            "\u{85}".as_bytes(),
            &[0x0a, 0x02, 0x08, 0x01],
        ] {
            assert!(is_blind(bytes), "{bytes:?}");
        }
        // Where a prefix separates a message from transactions, raw bytes may be displayed.
        assert!(!Payload::new(PayloadKind::Eip191, vec![0xff]).is_blind());
    }

    #[test]
    fn lengths_are_checked() {
        let digest = |length| Payload::new(PayloadKind::Digest, vec![1; length]);
        assert!(digest(32).check().is_ok() && digest(32).is_blind());
        assert_eq!(digest(31).check(), Err(PayloadError::DigestLength(31)));
        let message = |length| Payload::new(PayloadKind::Message, vec![1; length]);
        let empty = PayloadError::Length {
            kind: PayloadKind::Message,
            length: 0,
        };
        assert_eq!(message(0).check(), Err(empty));
        for kind in PayloadKind::ALL {
            assert!(Payload::new(kind, vec![]).check().is_err(), "{kind}");
            let most = if kind == PayloadKind::Psbt {
                1 << 20
            } else {
                1 << 16
            };
            assert_eq!(
                Payload::new(kind, vec![1; most]).check().is_ok(),
                kind != PayloadKind::Digest,
                "{kind}"
            );
            let error = Payload::new(kind, vec![1; most + 1])
                .check()
                .unwrap_err()
                .to_string();
            assert!(
                !error.contains("hash it"),
                "no error leads to a blind signature: {error}"
            );
        }
        let expecting = |digests| {
            Payload {
                digests,
                ..digest(32)
            }
            .check()
        };
        assert_eq!(expecting(vec![vec![1; 64]; 64]), Ok(()));
        assert_eq!(
            expecting(vec![vec![1; 32]; 65]),
            Err(PayloadError::Digests(65))
        );
        assert_eq!(
            expecting(vec![vec![1; 32], vec![]]),
            Err(PayloadError::ExpectedLength(0))
        );
        assert_eq!(
            expecting(vec![vec![1; 65]]),
            Err(PayloadError::ExpectedLength(65))
        );
    }

    #[test]
    fn serde_and_text_agree_for_every_kind() {
        for kind in PayloadKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
            assert_eq!(kind.name().parse::<PayloadKind>(), Ok(kind));
        }
        assert!("transaction".parse::<PayloadKind>().is_err());
    }

    #[test]
    fn expected_digests_are_hex_and_absent_if_there_are_none() {
        let plain = Payload::new(PayloadKind::Psbt, vec![1]);
        assert_eq!(
            serde_json::to_string(&plain).unwrap(),
            r#"{"kind":"psbt","bytes":"01"}"#
        );
        let expecting = Payload {
            digests: vec![vec![0xab], vec![0xcd, 0xef]],
            ..plain
        };
        let text = r#"{"kind":"psbt","bytes":"01","digests":["ab","cdef"]}"#;
        assert_eq!(serde_json::to_string(&expecting).unwrap(), text);
        assert_eq!(serde_json::from_str::<Payload>(text).unwrap(), expecting);
    }
}
