//! The public key of a new passkey, as a page learns it.

use countersign_protocol::ApproverKey;
use serde::Deserialize;

use crate::failure::Failure;

/// A SubjectPublicKeyInfo of P-256 up to the two coordinates: id-ecPublicKey, prime256v1, and the
/// mark of an uncompressed point.
const P256_SPKI: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// The public key of a new passkey: a SubjectPublicKeyInfo (RFC 5480) in DER, in hexadecimal, as
/// `getPublicKey()` of WebAuthn returns it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passkey {
    #[serde(with = "hex::serde")]
    spki: Vec<u8>,
}

impl Passkey {
    /// The key, as ids have it.
    pub fn key(&self) -> Result<ApproverKey, Failure> {
        let point = match self.spki.strip_prefix(&P256_SPKI) {
            Some(point) if point.len() == 64 => point,
            Some(_) | None => {
                return Err(Failure::usage(
                    "the passkey is not of P-256 (ES256); make one with another authenticator",
                ));
            }
        };
        let mut key = [0; 33];
        // SEC 1, section 2.3.3: the sign is the last bit of y.
        key[0] = 2 + (point[63] & 1);
        key[1..].copy_from_slice(&point[..32]);
        Ok(ApproverKey::Passkey(key))
    }
}
