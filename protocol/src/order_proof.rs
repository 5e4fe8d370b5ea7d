//! What shows that a requester ordered a task: an Ed25519 signature, or the assertion of a passkey.
//!
//! The Ed25519 form is a signature and nothing else, in JSON as in frames, so that orders of the
//! first release keep their bytes.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::assertion::{Assertion, CutOff, WrittenAssertion, WrongSize};
use crate::evidence::Signature;

/// First byte of an assertion as bytes.
const PASSKEY: u8 = 2;
/// The size of an Ed25519 signature.
const ED25519: usize = 64;
// No assertion is as long as a signature, so the length alone tells them apart.
const _: () = assert!(OrderAssertion::MIN_BYTES > ED25519);

/// What shows that the requester ordered a task. Proves nothing by itself:
/// [`SignedTask::prove`](crate::SignedTask::prove) verifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderProof {
    /// Ed25519 over [`SignedTask::signed_message`](crate::SignedTask::signed_message).
    Ed25519([u8; 64]),
    /// An assertion with the same message as its challenge.
    Passkey(OrderAssertion),
}

/// The assertion of a passkey, each part of it within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderAssertion(Assertion);

/// The reason why bytes are not the proof of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[non_exhaustive]
pub enum MalformedProof {
    /// A part of the assertion is too short or too long.
    #[error("`{field}` of the passkey has {size} bytes, {least} to {most} are allowed; sign again")]
    Size {
        field: &'static str,
        size: usize,
        least: usize,
        most: usize,
    },
    /// The bytes end before the assertion does.
    #[error("the passkey's signature of the task is cut off; send all of it")]
    CutOff,
    /// An assertion, and this many more bytes.
    #[error("{0} bytes follow the passkey's signature of the task; remove them")]
    Trailing(usize),
    /// Neither an Ed25519 signature nor an assertion.
    #[error(
        "the task's signature is neither 64 bytes of Ed25519 nor an assertion of a passkey; update the older of the two programs"
    )]
    Kind,
}

/// Why an assertion is not believed. Each text says what is wrong, and ends with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotBelieved {
    /// It was made on another page, or for another domain. Whoever pins those may believe it.
    Elsewhere(String),
    /// It proves nothing, whichever pages are pinned.
    False(String),
}

/// Finds out whether a passkey made an assertion. Implemented by `countersign-vote`, for the pages
/// that an operator pins, and nowhere else: this crate knows no P-256.
pub trait Passkeys: Send + Sync {
    /// Checks that the passkey with this compressed point made the assertion for this challenge, on
    /// one of the pages, and that the device verified its user.
    fn check(
        &self,
        assertion: &Assertion,
        key: &[u8; 33],
        challenge: &[u8; 32],
    ) -> Result<(), NotBelieved>;
}

impl OrderAssertion {
    /// The minimum size of client data: the challenge alone has as many characters.
    pub const MIN_CLIENT_DATA: usize = 43;
    const MIN_BYTES: usize = 1
        + (2 + Self::MIN_CLIENT_DATA)
        + (2 + Assertion::MIN_AUTHENTICATOR_DATA)
        + (1 + Assertion::MIN_SIGNATURE);

    /// Checks that each part is within its bounds.
    pub fn new(assertion: Assertion) -> Result<Self, MalformedProof> {
        let size = assertion.client_data.len();
        if !(Self::MIN_CLIENT_DATA..=Assertion::MAX_CLIENT_DATA).contains(&size) {
            return Err(MalformedProof::Size {
                field: "client_data",
                size,
                least: Self::MIN_CLIENT_DATA,
                most: Assertion::MAX_CLIENT_DATA,
            });
        }
        assertion.check()?;
        Ok(Self(assertion))
    }

    /// The assertion.
    pub fn get(&self) -> &Assertion {
        &self.0
    }
}

impl OrderProof {
    /// The maximum size of [`to_bytes`](Self::to_bytes).
    pub const MAX_BYTES: usize = 1 + Assertion::MAX_BYTES;

    /// The proof as bytes: the 64 of an Ed25519 signature, or for a passkey the byte 2, client data
    /// and authenticator data, each after its length in two bytes, and the signature after its
    /// length in one. Lengths are big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(signature) => signature.to_vec(),
            Self::Passkey(assertion) => {
                let mut bytes = vec![PASSKEY];
                assertion.0.write_to(&mut bytes);
                bytes
            }
        }
    }

    /// Reads what [`to_bytes`](Self::to_bytes) writes: each proof has exactly one encoding.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedProof> {
        if let Ok(signature) = bytes.try_into() {
            return Ok(Self::Ed25519(signature));
        }
        let Some((&PASSKEY, bytes)) = bytes.split_first() else {
            return Err(MalformedProof::Kind);
        };
        let (assertion, rest) = Assertion::read(bytes).map_err(|CutOff| MalformedProof::CutOff)?;
        if !rest.is_empty() {
            return Err(MalformedProof::Trailing(rest.len()));
        }
        OrderAssertion::new(assertion).map(Self::Passkey)
    }
}

impl From<[u8; 64]> for OrderProof {
    fn from(signature: [u8; 64]) -> Self {
        Self::Ed25519(signature)
    }
}

impl From<Signature> for OrderProof {
    fn from(signature: Signature) -> Self {
        Self::Ed25519(signature.0)
    }
}

impl From<OrderAssertion> for OrderProof {
    fn from(assertion: OrderAssertion) -> Self {
        Self::Passkey(assertion)
    }
}

impl From<WrongSize> for MalformedProof {
    fn from(wrong: WrongSize) -> Self {
        let WrongSize {
            field,
            size,
            least,
            most,
        } = wrong;
        Self::Size {
            field,
            size,
            least,
            most,
        }
    }
}

/// The proof of a passkey as JSON has it, with the assertion as in a vote.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = PasskeySignature))]
pub(crate) struct WrittenProof {
    /// The assertion. Its challenge is what an Ed25519 key would sign.
    passkey: WrittenAssertion,
}

/// For people, 128 hexadecimal digits or an object with the member `passkey`; bytes on the wire.
impl Serialize for OrderProof {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(&self.to_bytes());
        }
        match self {
            Self::Ed25519(signature) => serializer.serialize_str(&hex::encode(signature)),
            Self::Passkey(assertion) => {
                let passkey = WrittenAssertion::from(&assertion.0);
                WrittenProof { passkey }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for OrderProof {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(Written);
        }
        let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
        Self::from_bytes(&bytes).map_err(D::Error::custom)
    }
}

/// Reads the form for people.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = OrderProof;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an Ed25519 signature as 128 hexadecimal digits, or an object with `passkey`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OrderProof, E> {
        let mut signature = [0; ED25519];
        hex::decode_to_slice(text, &mut signature)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Str("another text"), &self))?;
        Ok(OrderProof::Ed25519(signature))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OrderProof, A::Error> {
        let WrittenProof { passkey } = WrittenProof::deserialize(MapAccessDeserializer::new(map))?;
        OrderAssertion::new(passkey.into())
            .map(OrderProof::Passkey)
            .map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{decode, encode};

    fn by_key() -> OrderProof {
        OrderProof::Ed25519([7; 64])
    }

    fn assertion() -> Assertion {
        Assertion {
            client_data: vec![0x11; 43],
            authenticator_data: vec![0x22; 37],
            signature: vec![0x33; 8],
        }
    }

    fn by_passkey() -> OrderProof {
        OrderAssertion::new(assertion()).unwrap().into()
    }

    #[test]
    fn a_proof_survives_bytes_json_and_wire() {
        for proof in [by_key(), by_passkey()] {
            assert_eq!(OrderProof::from_bytes(&proof.to_bytes()), Ok(proof.clone()));
            let json = serde_json::to_string(&proof).unwrap();
            let read: OrderProof = serde_json::from_str(&json).unwrap();
            assert_eq!(read, proof);
            assert_eq!(decode(&encode(&proof)), Ok(proof));
        }
    }

    #[test]
    fn both_forms_of_a_proof_are_frozen() {
        let [eleven, two, three] = ["11".repeat(43), "22".repeat(37), "33".repeat(8)];
        let seven = "07".repeat(64);
        let bytes = format!("02002b{eleven}0025{two}08{three}");
        for (proof, bytes, wire) in [
            (by_key(), seven.clone(), format!("40{seven}")),
            (by_passkey(), bytes.clone(), format!("5e{bytes}")),
        ] {
            assert_eq!(hex::encode(proof.to_bytes()), bytes);
            assert_eq!(hex::encode(encode(&proof)), wire);
        }
        let text = |proof| serde_json::to_string(&proof).unwrap();
        assert_eq!(text(by_key()), format!("\"{seven}\""));
        let json = format!(
            r#"{{"passkey":{{"client_data":"{eleven}","authenticator_data":"{two}","signature":"{three}"}}}}"#
        );
        assert_eq!(text(by_passkey()), json);
    }

    #[test]
    fn a_part_that_is_too_short_or_too_long_is_refused_in_every_form() {
        let good = assertion();
        let sized = |field: &str, size: usize| {
            let mut sized = good.clone();
            match field {
                "client_data" => sized.client_data = vec![1; size],
                "authenticator_data" => sized.authenticator_data = vec![1; size],
                _ => sized.signature = vec![1; size],
            }
            sized
        };
        for (field, least, most) in [
            ("client_data", 43, 2048),
            ("authenticator_data", 37, 256),
            ("signature", 8, 72),
        ] {
            for size in [least, most] {
                assert!(OrderAssertion::new(sized(field, size)).is_ok(), "{field}");
            }
            for size in [0, least - 1, most + 1] {
                let wrong = sized(field, size);
                let refused = OrderAssertion::new(wrong.clone()).unwrap_err();
                let expected = MalformedProof::Size {
                    field,
                    size,
                    least,
                    most,
                };
                assert_eq!(refused, expected);
                let written = WrittenProof {
                    passkey: WrittenAssertion::from(&wrong),
                };
                let json = serde_json::to_string(&written).unwrap();
                assert!(serde_json::from_str::<OrderProof>(&json).is_err());
                let mut bytes = vec![PASSKEY];
                wrong.write_to(&mut bytes);
                assert!(OrderProof::from_bytes(&bytes).is_err(), "{field} {size}");
            }
        }
        let long = sized("client_data", 10_240);
        assert!(OrderAssertion::new(long).is_err());
    }

    /// What is as long as a signature is one: no assertion can be taken for it.
    #[test]
    fn the_largest_and_the_smallest_assertion_are_no_signature() {
        assert_eq!(by_passkey().to_bytes().len(), OrderAssertion::MIN_BYTES);
        let largest = Assertion {
            client_data: vec![1; Assertion::MAX_CLIENT_DATA],
            authenticator_data: vec![2; Assertion::MAX_AUTHENTICATOR_DATA],
            signature: vec![3; Assertion::MAX_SIGNATURE],
        };
        let largest = OrderProof::from(OrderAssertion::new(largest).unwrap());
        assert_eq!(largest.to_bytes().len(), OrderProof::MAX_BYTES);
        assert_eq!(
            OrderProof::from_bytes(&[PASSKEY; 64]),
            Ok(OrderProof::Ed25519([PASSKEY; 64]))
        );
    }

    #[test]
    fn bytes_that_are_cut_off_or_followed_by_others_are_refused() {
        let bytes = by_passkey().to_bytes();
        for length in (1..bytes.len()).filter(|length| *length != 64) {
            let refused = OrderProof::from_bytes(&bytes[..length]);
            assert_eq!(refused, Err(MalformedProof::CutOff), "{length}");
        }
        let longer = [&bytes[..], &[0]].concat();
        let refused = OrderProof::from_bytes(&longer);
        assert_eq!(refused, Err(MalformedProof::Trailing(1)));
        for other in [&[][..], &[7; 63], &[7; 65], &[1; 100]] {
            assert_eq!(OrderProof::from_bytes(other), Err(MalformedProof::Kind));
        }
    }

    #[test]
    fn json_of_another_form_is_refused() {
        let good = serde_json::to_string(&by_passkey()).unwrap();
        for (what, json) in [
            ("a short signature", "\"0707\"".to_owned()),
            ("no digits", format!("\"{}\"", "0g".repeat(64))),
            ("a number", "7".into()),
            ("null", "null".into()),
            ("numbers", format!("{:?}", [7; 64])),
            ("an empty object", "{}".into()),
            ("an unknown member", good.replacen('{', r#"{"x":1,"#, 1)),
            ("one twice", good.replace("}}", r#","signature":"33"}}"#)),
            ("capital digits", good.replacen("11", "1F", 1)),
            ("no client data", good.replacen("client_data", "data", 1)),
        ] {
            assert_ne!(json, good, "{what}");
            assert!(serde_json::from_str::<OrderProof>(&json).is_err(), "{what}");
        }
    }

    proptest! {
        #[test]
        fn proof_bytes_are_refused_or_are_the_encoding_of_a_proof(at in 0usize..100, byte: u8) {
            let mut bytes = by_passkey().to_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(proof) = OrderProof::from_bytes(&bytes) {
                prop_assert_eq!(proof.to_bytes(), bytes);
            }
        }
    }
}
