//! Requesters: those who order tasks, each by one key.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::approver::{ApproverId, ApproverKey};
use crate::id::{IdError, bytes_of_bech32m, to_bech32m, verify_strict};

/// The kind of id, in errors.
const WHAT: &str = "a requester id";
/// Stands before a passkey's key on the wire, where an Ed25519 key has its 32 bytes: they are a
/// point of small order, so they are nobody's key.
const NOT_ED25519: [u8; 32] = [0; 32];

/// A requester, who may order tasks: an Ed25519 key, or the key of a passkey. Text `csr1…`, bech32m
/// of the 32 bytes of the one or the 33 bytes of the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequesterId(ApproverKey);

impl RequesterId {
    /// The human-readable prefix of the text form.
    pub const PREFIX: &'static str = "csr";

    /// Validates a key. An Ed25519 key must be canonical and outside the small subgroup, a
    /// passkey's x-coordinate must be one of the field. Whether the latter belongs to a point of
    /// the curve is found by `countersign-vote`, since this crate knows no P-256.
    pub fn new(key: ApproverKey) -> Result<Self, IdError> {
        if key.is_valid() {
            Ok(Self(key))
        } else {
            Err(IdError::NotAKey {
                text: hex::encode(key.as_bytes()),
            })
        }
    }

    /// Validates the bytes of an Ed25519 key.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, IdError> {
        Self::new(ApproverKey::Ed25519(bytes))
    }

    /// The key.
    pub fn key(&self) -> &ApproverKey {
        &self.0
    }

    /// True if the key is a passkey's.
    pub fn is_passkey(&self) -> bool {
        matches!(self.0, ApproverKey::Passkey(_))
    }

    /// The bytes of the key, without prefix or checksum: 32 of Ed25519, 33 of a passkey.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// True if an approver votes with this very key, and so is the same person.
    pub fn is(&self, approver: &ApproverId) -> bool {
        self.0 == *approver.key()
    }

    /// Strict Ed25519 verification (no malleability, no small-order keys). False for a passkey,
    /// which signs no message by itself.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        match &self.0 {
            ApproverKey::Ed25519(key) => verify_strict(key, message, signature),
            ApproverKey::Passkey(_) => false,
        }
    }
}

impl fmt::Display for RequesterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_bech32m(Self::PREFIX, self.as_bytes()).ok_or(fmt::Error)?)
    }
}

impl fmt::Debug for RequesterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for RequesterId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes = bytes_of_bech32m(Self::PREFIX, WHAT, text)?;
        let key = match bytes.len() {
            32 => bytes.try_into().map(ApproverKey::Ed25519),
            _ => bytes.try_into().map(ApproverKey::Passkey),
        };
        Self::new(key.map_err(|_| IdError::Malformed {
            what: WHAT,
            text: text.into(),
        })?)
    }
}

/// Text for people. On the wire, the 32 bytes of an Ed25519 key; for a passkey 32 zeros, and the 33
/// bytes of its key.
impl Serialize for RequesterId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        match &self.0 {
            ApproverKey::Ed25519(key) => key.serialize(serializer),
            ApproverKey::Passkey(key) => {
                let mut tuple = serializer.serialize_tuple(NOT_ED25519.len() + key.len())?;
                for byte in NOT_ED25519.iter().chain(key) {
                    tuple.serialize_element(byte)?;
                }
                tuple.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for RequesterId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            text.parse().map_err(D::Error::custom)
        } else {
            deserializer.deserialize_tuple(NOT_ED25519.len() + 33, Bytes)
        }
    }
}

/// Reads 32 bytes, and 33 more if these are no key.
struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = RequesterId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WHAT)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<RequesterId, A::Error> {
        let first: [u8; 32] = take(&mut bytes)?;
        let key = if first == NOT_ED25519 {
            ApproverKey::Passkey(take(&mut bytes)?)
        } else {
            ApproverKey::Ed25519(first)
        };
        RequesterId::new(key).map_err(A::Error::custom)
    }
}

fn take<'de, const N: usize, A: SeqAccess<'de>>(bytes: &mut A) -> Result<[u8; N], A::Error> {
    let mut taken = [0; N];
    for (at, byte) in taken.iter_mut().enumerate() {
        *byte = bytes
            .next_element()?
            .ok_or_else(|| A::Error::invalid_length(at, &WHAT))?;
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode, encode};

    const FROZEN: [&str; 2] = [
        "csr1af9xcclzn3fq40h42pa3xtk9lx25wa4wh6l8hyjzrm4xj9zx6gkq0e9urw",
        "csr1qd43050juykyy3lchnnw2caygre8wqmasyk7kvaq7jsnj3wcnrpfvyxdqhw",
    ];

    fn ed25519() -> RequesterId {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        RequesterId::from_bytes(key.to_bytes()).unwrap()
    }

    /// The generator of P-256.
    fn passkey() -> RequesterId {
        let point = "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
        let mut key = [0; 33];
        hex::decode_to_slice(point, &mut key).unwrap();
        RequesterId::new(ApproverKey::Passkey(key)).unwrap()
    }

    #[test]
    fn a_requester_id_survives_text_json_and_wire() {
        for id in [ed25519(), passkey()] {
            assert_eq!(id.to_string().parse(), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(serde_json::from_str::<RequesterId>(&json).unwrap(), id);
            // Something stands behind it in a frame.
            let wire = encode(&(id, 7u8));
            assert_eq!(decode::<(RequesterId, u8)>(&wire), Ok((id, 7)));
        }
        assert!(passkey().is_passkey() && !ed25519().is_passkey());
    }

    /// The texts were written by another implementation of Bech32m.
    #[test]
    fn text_and_bytes_of_a_requester_id_are_frozen() {
        let key = hex::encode(ed25519().as_bytes());
        assert_eq!(ed25519().to_string(), FROZEN[0]);
        assert_eq!(hex::encode(encode(&ed25519())), key);
        let key = hex::encode(passkey().as_bytes());
        assert_eq!(passkey().to_string(), FROZEN[1]);
        let zeros = "00".repeat(32);
        assert_eq!(hex::encode(encode(&passkey())), format!("{zeros}{key}"));
    }

    #[test]
    fn bytes_that_are_no_key_are_no_requester() {
        let good = passkey();
        let bytes: &[u8] = good.as_bytes();
        let text = |bytes: &[u8]| to_bech32m(RequesterId::PREFIX, bytes).unwrap();
        let with_first = |first: u8| [&[first], &bytes[1..]].concat();
        for wrong in [
            with_first(4),
            with_first(0),
            [&[2], &[0xff; 32][..]].concat(),
            vec![0; 32],
            vec![0; 33],
        ] {
            let refused = text(&wrong).parse::<RequesterId>();
            assert!(matches!(refused, Err(IdError::NotAKey { .. })), "{wrong:?}");
        }
        for wrong in [&bytes[..31], &[bytes, &[0]].concat(), &[]] {
            let refused = text(wrong).parse::<RequesterId>();
            assert!(
                matches!(refused, Err(IdError::Malformed { .. })),
                "{wrong:?}"
            );
        }
        let wire = encode(&good);
        for length in 0..wire.len() {
            assert!(decode::<RequesterId>(&wire[..length]).is_err(), "{length}");
        }
        let mut no_point = wire;
        no_point[32] = 4;
        assert!(decode::<RequesterId>(&no_point).is_err());
    }

    #[test]
    fn one_key_is_one_person_in_both_roles() {
        for (requester, other) in [(ed25519(), passkey()), (passkey(), ed25519())] {
            let approver = ApproverId::new(*requester.key()).unwrap();
            assert!(requester.is(&approver) && !other.is(&approver));
        }
    }

    #[test]
    fn a_passkey_verifies_no_ed25519_signature() {
        assert!(!passkey().verify(b"message", &[0; 64]));
        assert!(!passkey().verify(&[], &[7; 64]));
    }
}
