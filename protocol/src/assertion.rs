//! What a passkey returns when it signs (WebAuthn Level 3, section 5.2.2), and its two forms.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a passkey returns when it signs, without interpretation.
#[derive(Clone, PartialEq, Eq)]
pub struct Assertion {
    /// `clientDataJSON`, the exact bytes. At most [`Assertion::MAX_CLIENT_DATA`].
    pub client_data: Vec<u8>,
    /// `authenticatorData`. 37 to [`Assertion::MAX_AUTHENTICATOR_DATA`] bytes.
    pub authenticator_data: Vec<u8>,
    /// The ES256 signature in DER (SEC 1, section C.8), with the smaller of the two values of s.
    /// 8 to [`Assertion::MAX_SIGNATURE`] bytes. Authenticators return either value, so whoever
    /// collects an assertion brings it to this form, with `countersign_vote::low_s`.
    pub signature: Vec<u8>,
}

/// A part of an assertion that is too short or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongSize {
    pub(crate) field: &'static str,
    pub(crate) size: usize,
    pub(crate) least: usize,
    pub(crate) most: usize,
}

/// Bytes that end before the assertion does.
pub(crate) struct CutOff;

impl Assertion {
    /// The maximum size of `clientDataJSON`, in bytes.
    pub const MAX_CLIENT_DATA: usize = 2048;
    /// The minimum size of authenticator data: without extensions.
    pub const MIN_AUTHENTICATOR_DATA: usize = 37;
    /// The maximum size of authenticator data, in bytes.
    pub const MAX_AUTHENTICATOR_DATA: usize = 256;
    /// The maximum size of an ES256 signature in DER.
    pub const MAX_SIGNATURE: usize = 72;
    /// The minimum size of an ES256 signature in DER.
    pub(crate) const MIN_SIGNATURE: usize = 8;
    /// The maximum size of the encoding.
    pub(crate) const MAX_BYTES: usize = (2 + Self::MAX_CLIENT_DATA)
        + (2 + Self::MAX_AUTHENTICATOR_DATA)
        + (1 + Self::MAX_SIGNATURE);

    /// Checks that each part is within its bounds.
    pub(crate) fn check(&self) -> Result<(), WrongSize> {
        let Self {
            client_data,
            authenticator_data,
            signature,
        } = self;
        let sizes = [
            ("client_data", client_data.len(), 1..=Self::MAX_CLIENT_DATA),
            (
                "authenticator_data",
                authenticator_data.len(),
                Self::MIN_AUTHENTICATOR_DATA..=Self::MAX_AUTHENTICATOR_DATA,
            ),
            (
                "signature",
                signature.len(),
                Self::MIN_SIGNATURE..=Self::MAX_SIGNATURE,
            ),
        ];
        match sizes.iter().find(|(_, size, fits)| !fits.contains(size)) {
            Some((field, size, fits)) => Err(WrongSize {
                field,
                size: *size,
                least: *fits.start(),
                most: *fits.end(),
            }),
            None => Ok(()),
        }
    }

    /// Appends client data and authenticator data, each after its length in two bytes, and the
    /// signature after its length in one. The parts must be [within their bounds](Self::check).
    pub(crate) fn write_to(&self, bytes: &mut Vec<u8>) {
        for part in [&self.client_data, &self.authenticator_data] {
            bytes.extend((part.len() as u16).to_be_bytes());
            bytes.extend(part);
        }
        bytes.push(self.signature.len() as u8);
        bytes.extend(&self.signature);
    }

    /// Reads what [`write_to`](Self::write_to) writes, and returns the bytes behind it.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Self, &[u8]), CutOff> {
        let (client_data, bytes) = long_part(bytes)?;
        let (authenticator_data, bytes) = long_part(bytes)?;
        let (length, bytes) = bytes.split_first().ok_or(CutOff)?;
        let (signature, rest) = bytes.split_at_checked((*length).into()).ok_or(CutOff)?;
        let assertion = Self {
            client_data: client_data.into(),
            authenticator_data: authenticator_data.into(),
            signature: signature.into(),
        };
        Ok((assertion, rest))
    }
}

/// The bytes behind a length of two bytes, and what follows.
fn long_part(bytes: &[u8]) -> Result<(&[u8], &[u8]), CutOff> {
    let (length, bytes) = bytes.split_first_chunk().ok_or(CutOff)?;
    bytes
        .split_at_checked(u16::from_be_bytes(*length).into())
        .ok_or(CutOff)
}

/// Shows how large the parts are.
impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Assertion({} + {} + {} bytes)",
            self.client_data.len(),
            self.authenticator_data.len(),
            self.signature.len()
        )
    }
}

/// The assertion of a passkey as JSON has it: each member in lower-case hexadecimal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = VoteAssertion))]
pub(crate) struct WrittenAssertion {
    /// `clientDataJSON`, the exact bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    client_data: Hex,
    /// `authenticatorData`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    authenticator_data: Hex,
    /// The ES256 signature in DER, with the smaller of the two values of s.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    signature: Hex,
}

impl From<&Assertion> for WrittenAssertion {
    fn from(assertion: &Assertion) -> Self {
        Self {
            client_data: Hex(assertion.client_data.clone()),
            authenticator_data: Hex(assertion.authenticator_data.clone()),
            signature: Hex(assertion.signature.clone()),
        }
    }
}

impl From<WrittenAssertion> for Assertion {
    fn from(written: WrittenAssertion) -> Self {
        Self {
            client_data: written.client_data.0,
            authenticator_data: written.authenticator_data.0,
            signature: written.signature.0,
        }
    }
}

/// Bytes as lower-case hexadecimal digits, of which each value has one text.
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let lower = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let bytes = hex::decode(text.as_ref()).ok().filter(|_| lower);
        bytes
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("expected lower-case hexadecimal digits"))
    }
}
