//! Identifiers. Every id is parsed once at the edge, so a value of an id type is well-formed.
//!
//! Public keys and key ids are bech32m text (BIP-350) with a prefix for each role, so that a typing
//! error or a mix-up of roles is noticed before anything else happens. Ids serialise as text for
//! people and as bytes on the wire.

use crate::hash::Hasher;

/// A text or byte string that failed to parse as an id. `what` is the kind of id
/// expected, `text` the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[non_exhaustive]
pub enum IdError {
    /// The checksum or alphabet is wrong.
    #[error(
        "`{text}` is not {what}, or not a valid one: a character is missing or mistyped; copy the id again"
    )]
    Malformed { what: &'static str, text: String },
    /// A valid id with the prefix of another role.
    #[error(
        "`{text}` is the id of something else: {what} begins with `{prefix}1`; use the right id"
    )]
    WrongRole {
        what: &'static str,
        /// The human-readable prefix of the expected role.
        prefix: &'static str,
        text: String,
    },
    /// The bytes are not a valid Ed25519 public key.
    #[error("`{text}` is not a valid public key; ask its owner for the id again")]
    NotAKey { text: String },
}

/// Text and serde for a fixed array shown as lower-case hexadecimal.
macro_rules! byte_text {
    ($name:ident, $len:literal, $expect:literal) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::id::IdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let malformed = || $crate::id::IdError::Malformed { what: $expect, text: text.into() };
                let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                let mut bytes = [0u8; $len];
                if !lower || hex::decode_to_slice(text, &mut bytes).is_err() {
                    return Err(malformed());
                }
                Ok($name(bytes))
            }
        }
        $crate::id::text_serde!($name, $len);
    };
}
pub(crate) use byte_text;

/// Debug and serde through `Display`/`FromStr` for people, through the bytes on the wire.
macro_rules! text_serde {
    ($name:ident, $len:literal) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serde::Serialize::serialize(&self.0, serializer)
                }
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::Error;
                if deserializer.is_human_readable() {
                    let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(
                        deserializer,
                    )?;
                    text.parse().map_err(D::Error::custom)
                } else {
                    let bytes = <[u8; $len] as serde::Deserialize>::deserialize(deserializer)?;
                    Self::from_bytes(bytes).map_err(D::Error::custom)
                }
            }
        }
    };
}
pub(crate) use text_serde;

pub(crate) fn to_bech32m(prefix: &str, bytes: &[u8]) -> Option<String> {
    bech32::encode::<bech32::Bech32m>(bech32::Hrp::parse(prefix).ok()?, bytes).ok()
}

/// The bytes of a text with this prefix, however many.
pub(crate) fn bytes_of_bech32m(
    prefix: &'static str,
    what: &'static str,
    text: &str,
) -> Result<Vec<u8>, IdError> {
    let checked = bech32::primitives::decode::CheckedHrpstring::new::<bech32::Bech32m>(text)
        .map_err(|_| IdError::Malformed {
            what,
            text: text.into(),
        })?;
    if checked.hrp().to_lowercase() != prefix {
        return Err(IdError::WrongRole {
            what,
            prefix,
            text: text.into(),
        });
    }
    Ok(checked.byte_iter().collect())
}

fn from_bech32m<const N: usize>(
    prefix: &'static str,
    what: &'static str,
    text: &str,
) -> Result<[u8; N], IdError> {
    let bytes = bytes_of_bech32m(prefix, what, text)?;
    bytes.try_into().map_err(|_| IdError::Malformed {
        what,
        text: text.into(),
    })
}

macro_rules! bech32_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $prefix:literal, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $len]);

        impl $name {
            /// The human-readable prefix of the text form.
            pub const PREFIX: &'static str = $prefix;

            /// Validates raw bytes; a public key must be canonical and outside the small subgroup.
            pub fn from_bytes(bytes: [u8; $len]) -> Result<Self, IdError> {
                let check: fn(&[u8; $len]) -> bool = $check;
                if !check(&bytes) {
                    return Err(IdError::NotAKey { text: hex::encode(bytes) });
                }
                Ok($name(bytes))
            }

            /// The raw bytes, without prefix or checksum.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&to_bech32m($prefix, &self.0).ok_or(std::fmt::Error)?)
            }
        }
        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::from_bytes(from_bech32m($prefix, $what, text)?)
            }
        }
        text_serde!($name, $len);
    };
}

/// True if the bytes are a canonical Ed25519 public key outside the small subgroup.
///
/// Decompressing a point takes longer than reading the whole record around it, and the same few
/// nodes appear in every record and frame. So each thread caches keys that it found valid; invalid
/// ones are never cached.
pub(crate) fn is_public_key(bytes: &[u8; 32]) -> bool {
    FOUND_GOOD.with_borrow_mut(|found| {
        let place = &mut found[usize::from(bytes[0])];
        if *place == Some(*bytes) {
            return true;
        }
        let good = decompresses(bytes);
        if good {
            *place = Some(*bytes);
        }
        good
    })
}

fn decompresses(bytes: &[u8; 32]) -> bool {
    #[cfg(test)]
    DECOMPRESSED.set(DECOMPRESSED.get() + 1);
    ed25519_dalek::VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak())
}

thread_local! {
    /// One slot per first byte. Sending many keys with the same first byte costs the
    /// speed-up and nothing else.
    static FOUND_GOOD: std::cell::RefCell<[Option<[u8; 32]>; 256]> = const { std::cell::RefCell::new([None; 256]) };
    #[cfg(test)]
    static DECOMPRESSED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

bech32_id!(
    /// A node: its Ed25519 identity key. Text `csn1…`.
    NodeId, 32, "csn", "a node id", is_public_key
);
bech32_id!(
    /// A coordinator: its Ed25519 identity key. Text `csc1…`.
    CoordinatorId, 32, "csc", "a coordinator id", is_public_key
);
bech32_id!(
    /// A threshold key (a wallet). Text `csk1…`; made from the KeyGen task that created it.
    KeyId, 16, "csk", "a wallet's key id", |_| true
);

macro_rules! verifying_id {
    ($($name:ident),*) => {$(
        impl $name {
            /// Strict Ed25519 verification (no malleability, no small-order keys).
            pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
                verify_strict(&self.0, message, signature)
            }
        }
    )*};
}

/// Strict Ed25519 verification (no malleability, no small-order keys).
pub(crate) fn verify_strict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    ed25519_dalek::VerifyingKey::from_bytes(key)
        .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

verifying_id!(NodeId, CoordinatorId);

impl KeyId {
    /// Returns the id of the key that the KeyGen task with this hash makes.
    pub fn of_task(task: &crate::hash::Hash) -> Self {
        let hash = Hasher::new("countersign/1 key id")
            .field(task.as_bytes())
            .finish();
        let mut id = [0; 16];
        id.copy_from_slice(&hash.0[..16]);
        Self(id)
    }
}

/// A task: 16 bytes chosen by the requester, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub [u8; 16]);
byte_text!(TaskId, 16, "a task id (32 lower-case hexadecimal digits)");

/// One run of one protocol: a hash to which every party contributed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 32]);
byte_text!(
    SessionId,
    32,
    "a session id (64 lower-case hexadecimal digits)"
);

macro_rules! plain_bytes {
    ($($name:ident: $len:literal),*) => {$(
        impl $name {
            /// Wraps the bytes; every value is valid.
            pub fn from_bytes(bytes: [u8; $len]) -> Result<Self, IdError> {
                Ok($name(bytes))
            }
        }
    )*};
}
use crate::hash::Hash;
plain_bytes!(TaskId: 16, SessionId: 32, Hash: 32);

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeId {
        NodeId::from_bytes(
            ed25519_dalek::SigningKey::from_bytes(&[7; 32])
                .verifying_key()
                .to_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn a_node_id_survives_text_json_and_wire() {
        let id = node();
        let text = id.to_string();
        assert!(text.starts_with("csn1"), "{text}");
        assert_eq!(text.parse::<NodeId>().unwrap(), id);
        assert_eq!(
            serde_json::from_str::<NodeId>(&serde_json::to_string(&id).unwrap()).unwrap(),
            id
        );
        assert_eq!(
            postcard::from_bytes::<NodeId>(&postcard::to_stdvec(&id).unwrap()).unwrap(),
            id
        );
    }

    #[test]
    fn one_wrong_character_is_noticed() {
        let text = node().to_string();
        let flipped = text.replacen(
            &text[10..11],
            if &text[10..11] == "q" { "p" } else { "q" },
            1,
        );
        assert!(
            matches!(flipped.parse::<NodeId>(), Err(IdError::Malformed { .. })),
            "{flipped}"
        );
    }

    #[test]
    fn roles_do_not_mix() {
        let text = node().to_string();
        assert!(matches!(
            text.parse::<crate::RequesterId>(),
            Err(IdError::WrongRole { .. })
        ));
    }

    #[test]
    fn a_weak_key_is_never_an_identity() {
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        for weak in [identity_point, [0; 32], identity_point, [0; 32]] {
            assert!(matches!(
                NodeId::from_bytes(weak),
                Err(IdError::NotAKey { .. })
            ));
        }
    }

    #[test]
    fn a_point_is_decompressed_once_however_many_records_name_it() {
        let json = serde_json::to_string(&vec![node(); 100]).unwrap();
        let before = DECOMPRESSED.get();
        (0..100).for_each(|_| drop(serde_json::from_str::<Vec<NodeId>>(&json).unwrap()));
        assert!(DECOMPRESSED.get() - before <= 1);
    }

    #[test]
    fn an_invalid_id_is_reported_in_a_sentence() {
        let said = |error: IdError| error.to_string();
        let coordinator = said("csc1oops".parse::<CoordinatorId>().unwrap_err());
        assert!(
            coordinator.starts_with("`csc1oops` is not a coordinator id, or not a valid one: "),
            "{coordinator}"
        );
        let task = said("00".parse::<TaskId>().unwrap_err());
        assert!(
            task.starts_with("`00` is not a task id (32 lower-case hexadecimal digits), or"),
            "{task}"
        );
        let hash = said("00".parse::<crate::Hash>().unwrap_err());
        assert!(
            hash.starts_with("`00` is not a hash (64 lower-case hexadecimal digits), or"),
            "{hash}"
        );
    }

    #[test]
    fn task_ids_are_exact_lower_case_hex() {
        assert!("00112233445566778899aabbccddeeff".parse::<TaskId>().is_ok());
        assert!(
            "00112233445566778899AABBCCDDEEFF"
                .parse::<TaskId>()
                .is_err()
        );
        assert!("0011".parse::<TaskId>().is_err());
    }
}
