//! The two encodings of a [`KeyDescriptor`]: JSON for people, and postcard for frames and rows.
//!
//! Postcard does not name fields, so a field cannot be added unnoticed. The highest bit of
//! `generation` says that a list of parties follows; without it the bytes are those of programs
//! that predate the list.

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{KeyDescriptor, SignedAck};
use crate::committee::{Committee, Threshold};
use crate::hash::Hash;
use crate::id::{KeyId, NodeId, SessionId, TaskId};
use crate::outcome::Point;
use crate::scheme::Scheme;

/// Bit of `generation` that says parties are listed.
const LISTS_PARTIES: u32 = 1 << 31;
/// The maximum number of fields in postcard.
const FIELDS: usize = 14;

/// A generation of a wallet's key, with the signed acknowledgements of its parties. It proves
/// itself: verify it before use.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = KeyDescriptor))]
#[serde(remote = "KeyDescriptor")]
struct Text {
    key: KeyId,
    /// The KeyGen or KeyReshare that made the generation.
    task: TaskId,
    session: SessionId,
    name: String,
    scheme: Scheme,
    committee: Committee,
    threshold: Threshold,
    /// 0 for a new key, plus one for each reshare.
    generation: u32,
    /// secp256k1: 33 bytes compressed (SEC 1). ed25519: 32 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = Point))]
    #[serde(with = "hex::serde")]
    root_public_key: Vec<u8>,
    /// The BIP-32 chain code.
    chain_code: Hash,
    /// Hash of all public key shares.
    public_shares: Hash,
    /// Digest of the auxiliary information that the key signs with; ECDSA only.
    aux: Option<Hash>,
    /// After a reshare: dealers and future members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parties: Vec<NodeId>,
    /// The acknowledgement of each party.
    // The name that it always had in JSON.
    #[serde(rename = "stored")]
    acks: Vec<SignedAck>,
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for KeyDescriptor {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        Text::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for KeyDescriptor {
    fn name() -> std::borrow::Cow<'static, str> {
        Text::name()
    }

    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        Text::schemas(schemas);
    }
}

impl Serialize for KeyDescriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Text::serialize(self, serializer);
        }
        let listed = !self.parties.is_empty();
        // No generation has a greater number; clamped to the maximum, no acknowledgement fits it.
        let generation = self.generation.min(Self::MAX_GENERATION);
        let mut fields = serializer.serialize_tuple(FIELDS - usize::from(!listed))?;
        fields.serialize_element(&self.key)?;
        fields.serialize_element(&self.task)?;
        fields.serialize_element(&self.session)?;
        fields.serialize_element(&self.name)?;
        fields.serialize_element(&self.scheme)?;
        fields.serialize_element(&self.committee)?;
        fields.serialize_element(&self.threshold)?;
        fields.serialize_element(&if listed {
            generation | LISTS_PARTIES
        } else {
            generation
        })?;
        fields.serialize_element(&Point(self.root_public_key.clone()))?;
        fields.serialize_element(&self.chain_code)?;
        fields.serialize_element(&self.public_shares)?;
        fields.serialize_element(&self.aux)?;
        if listed {
            fields.serialize_element(&self.parties)?;
        }
        fields.serialize_element(&self.acks)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for KeyDescriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Text::deserialize(deserializer)
        } else {
            deserializer.deserialize_tuple(FIELDS, Fields)
        }
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = KeyDescriptor;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key descriptor")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<KeyDescriptor, A::Error> {
        let key = next(&mut fields)?;
        let task = next(&mut fields)?;
        let session = next(&mut fields)?;
        let name = next(&mut fields)?;
        let scheme = next(&mut fields)?;
        let committee = next(&mut fields)?;
        let threshold = next(&mut fields)?;
        let numbered: u32 = next(&mut fields)?;
        let Point(root_public_key) = next(&mut fields)?;
        let chain_code = next(&mut fields)?;
        let public_shares = next(&mut fields)?;
        let aux = next(&mut fields)?;
        let listed = numbered & LISTS_PARTIES != 0;
        let parties: Vec<NodeId> = if listed {
            next(&mut fields)?
        } else {
            Vec::new()
        };
        if listed && parties.is_empty() {
            return Err(A::Error::custom("a list of parties without a party"));
        }
        Ok(KeyDescriptor {
            key,
            task,
            session,
            name,
            scheme,
            committee,
            threshold,
            generation: numbered & !LISTS_PARTIES,
            root_public_key,
            chain_code,
            public_shares,
            aux,
            parties,
            acks: next(&mut fields)?,
        })
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(fields: &mut A) -> Result<T, A::Error> {
    fields
        .next_element()?
        .ok_or_else(|| A::Error::custom("a key descriptor is truncated"))
}
