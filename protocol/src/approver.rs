//! Approvers: people who vote on tasks, each known by one key or several.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{IdError, bytes_of_bech32m, is_public_key, to_bech32m, verify_strict};

/// The kind of id, in errors.
const WHAT: &str = "an approver id";
/// First byte of an id with an Ed25519 key.
const ED25519: u8 = 1;
/// First byte of an id with the key of a passkey.
const PASSKEY: u8 = 2;
/// The prime of P-256's field (FIPS 186-5, SP 800-186 section 3.2.1.3), big-endian.
const P256_FIELD: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];

/// A public key with which a person votes. Text `csv1…`, bech32m of [`to_bytes`](Self::to_bytes).
///
/// The key is the identity: a passkey's credential id, which a page needs to find the passkey, is
/// not part of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApproverId(ApproverKey);

/// The key behind an [`ApproverId`] or a [`RequesterId`](crate::RequesterId): who has it is one
/// person in both roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ApproverKey {
    /// An Ed25519 key (RFC 8032), which signs the message itself.
    Ed25519([u8; 32]),
    /// The P-256 key of a passkey, as a compressed point (SEC 1, section 2.3.3): 2 or 3, then the
    /// x-coordinate.
    Passkey([u8; 33]),
}

impl ApproverKey {
    /// True if an Ed25519 key is canonical and outside the small subgroup, and if a passkey's
    /// x-coordinate is one of the field. Whether the latter belongs to a point of the curve is
    /// found by `countersign-vote`, since this crate knows no P-256.
    pub(crate) fn is_valid(&self) -> bool {
        match self {
            Self::Ed25519(bytes) => is_public_key(bytes),
            Self::Passkey([sign, x @ ..]) => matches!(sign, 2 | 3) && *x < P256_FIELD,
        }
    }

    /// The bytes of the key, 32 or 33.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(key) => key,
            Self::Passkey(key) => key,
        }
    }
}

impl ApproverId {
    /// The human-readable prefix of the text form.
    pub const PREFIX: &'static str = "csv";
    /// The maximum size of [`to_bytes`](Self::to_bytes).
    pub const MAX_BYTES: usize = 34;

    /// Validates a key. An Ed25519 key must be canonical and outside the small subgroup, a
    /// passkey's x-coordinate must be one of the field. Whether the latter belongs to a point of
    /// the curve is found by `countersign-vote`, since this crate knows no P-256.
    pub fn new(key: ApproverKey) -> Result<Self, IdError> {
        if key.is_valid() {
            Ok(Self(key))
        } else {
            Err(IdError::NotAKey {
                text: hex::encode(Self(key).to_bytes()),
            })
        }
    }

    /// The key.
    pub fn key(&self) -> &ApproverKey {
        &self.0
    }

    /// One byte for the kind of key, 1 for Ed25519 and 2 for a passkey, then its 32 or 33 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let kind = match &self.0 {
            ApproverKey::Ed25519(_) => ED25519,
            ApproverKey::Passkey(_) => PASSKEY,
        };
        [&[kind], self.0.as_bytes()].concat()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) writes, and nothing else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
        let key = match bytes {
            [ED25519, key @ ..] => key.try_into().map(ApproverKey::Ed25519).ok(),
            [PASSKEY, key @ ..] => key.try_into().map(ApproverKey::Passkey).ok(),
            [] | [_, ..] => None,
        };
        let key = key.ok_or_else(|| IdError::Malformed {
            what: WHAT,
            text: hex::encode(&bytes[..bytes.len().min(Self::MAX_BYTES + 1)]),
        })?;
        Self::new(key)
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

impl fmt::Display for ApproverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_bech32m(Self::PREFIX, &self.to_bytes()).ok_or(fmt::Error)?)
    }
}

impl fmt::Debug for ApproverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for ApproverId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes = bytes_of_bech32m(Self::PREFIX, WHAT, text)?;
        Self::from_bytes(&bytes).map_err(|error| match error {
            IdError::Malformed { what, .. } => IdError::Malformed {
                what,
                text: text.into(),
            },
            other => other,
        })
    }
}

/// Text for people, bytes on the wire.
impl Serialize for ApproverId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.to_bytes())
        }
    }
}

impl<'de> Deserialize<'de> for ApproverId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            text.parse().map_err(D::Error::custom)
        } else {
            let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
            Self::from_bytes(&bytes).map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROZEN: [&str; 2] = [
        "csv1q84y5mrru2w9yz4774g8kyewchue23mk46ltu7ujgg0w56g5gmfzc6ga67e",
        "csv1qgpkk9737tsjcsj8lz7wdetr53q0yacr0kqjm6en5r62zw29mzvv99seffhen",
    ];

    fn ed25519() -> ApproverId {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        ApproverId::new(ApproverKey::Ed25519(key.to_bytes())).unwrap()
    }

    /// The generator of P-256.
    fn passkey() -> ApproverId {
        let point = "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
        let mut key = [0; 33];
        hex::decode_to_slice(point, &mut key).unwrap();
        ApproverId::new(ApproverKey::Passkey(key)).unwrap()
    }

    #[test]
    fn an_approver_id_survives_text_json_and_wire() {
        for (id, length) in [(ed25519(), 63), (passkey(), 65)] {
            let text = id.to_string();
            assert!(text.starts_with("csv1") && text.len() == length, "{text}");
            assert_eq!(text.parse(), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(serde_json::from_str::<ApproverId>(&json).unwrap(), id);
            let wire = postcard::to_stdvec(&id).unwrap();
            assert_eq!(postcard::from_bytes::<ApproverId>(&wire).unwrap(), id);
            assert_eq!(ApproverId::from_bytes(&id.to_bytes()), Ok(id));
        }
    }

    /// Written by another implementation of Bech32m.
    #[test]
    fn the_text_of_an_approver_id_is_frozen() {
        assert_eq!(ed25519().to_string(), FROZEN[0]);
        assert_eq!(passkey().to_string(), FROZEN[1]);
    }

    #[test]
    fn an_approver_is_no_other_role_and_a_typing_error_is_noticed() {
        let text = ed25519().to_string();
        assert!(matches!(
            text.parse::<crate::RequesterId>(),
            Err(IdError::WrongRole { .. })
        ));
        let other = if &text[10..11] == "q" { "p" } else { "q" };
        let mistyped = format!("{}{other}{}", &text[..10], &text[11..]);
        assert!(matches!(
            mistyped.parse::<ApproverId>(),
            Err(IdError::Malformed { .. })
        ));
    }

    #[test]
    fn vote_a_small_order_or_unreduced_ed25519_key_is_never_an_approver() {
        let mut identity = [0; 32];
        identity[0] = 1;
        // y = p + 1, the same point with a y-coordinate that is not reduced.
        let mut unreduced = [0xff; 32];
        unreduced[0] = 0xee;
        unreduced[31] = 0x7f;
        for key in [identity, [0; 32], unreduced] {
            let weak = ApproverId::new(ApproverKey::Ed25519(key));
            assert!(matches!(weak, Err(IdError::NotAKey { .. })), "{key:?}");
        }
    }

    #[test]
    fn a_passkey_is_a_compressed_point_with_a_coordinate_of_the_field() {
        let ApproverKey::Passkey(good) = *passkey().key() else {
            unreachable!("it is a passkey");
        };
        let mut uncompressed = good;
        uncompressed[0] = 4;
        let mut beyond = [2; 33];
        beyond[1..].copy_from_slice(&P256_FIELD);
        for key in [uncompressed, beyond, [0; 33]] {
            let wrong = ApproverId::new(ApproverKey::Passkey(key));
            assert!(matches!(wrong, Err(IdError::NotAKey { .. })), "{key:?}");
        }
        let mut last = beyond;
        last[32] -= 1;
        assert!(ApproverId::new(ApproverKey::Passkey(last)).is_ok());
    }

    #[test]
    fn bytes_of_another_kind_or_length_are_no_id() {
        let good = ed25519().to_bytes();
        let mut other_kind = good.clone();
        other_kind[0] = PASSKEY;
        let longer = [&good[..], &[0]].concat();
        for bytes in [&other_kind, &good[..32], &longer, &[][..], &[3; 33]] {
            let wrong = ApproverId::from_bytes(bytes);
            assert!(matches!(wrong, Err(IdError::Malformed { .. })), "{bytes:?}");
        }
    }
}
