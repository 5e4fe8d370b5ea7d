//! ES256: ECDSA with P-256 and SHA-256 (RFC 9053, section 2.1), with one form for each signature.
//!
//! Who knows an ECDSA signature (r, s) can make (r, n - s), which is just as valid. A vote must
//! not have two forms, so only the one with the smaller s is accepted, and only in DER.

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};

/// A signature in another form than votes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureForm {
    /// Not a signature in DER, or with other bytes than DER prescribes.
    #[error("the passkey's signature is not in DER; send it as the authenticator returned it")]
    Der,
    /// The larger of the two values of s.
    #[error(
        "the passkey's signature has the larger of the two values of s; the page must bring it to the smaller one"
    )]
    HighS,
}

/// Brings a signature, as an authenticator returned it, to the form that a vote has: the smaller
/// of the two values of s, in DER. Pages call this when they collect a vote.
pub fn low_s(der: &[u8]) -> Result<Vec<u8>, SignatureForm> {
    let low = from_der(der)?.normalize_s();
    Ok(low.to_der().as_bytes().to_vec())
}

/// The key of a compressed point, if it is one of the curve.
pub(crate) fn key(point: &[u8; 33]) -> Option<VerifyingKey> {
    VerifyingKey::from_sec1_bytes(point).ok()
}

/// Parses a signature in the one form that votes have.
pub(crate) fn signature(der: &[u8]) -> Result<Signature, SignatureForm> {
    let signature = from_der(der)?;
    if signature == signature.normalize_s() {
        Ok(signature)
    } else {
        Err(SignatureForm::HighS)
    }
}

/// True if the signature is the key's over the message.
pub(crate) fn is_genuine(key: &VerifyingKey, message: &[u8], signature: &Signature) -> bool {
    key.verify(message, signature).is_ok()
}

fn from_der(der: &[u8]) -> Result<Signature, SignatureForm> {
    let signature = Signature::from_der(der).map_err(|_| SignatureForm::Der)?;
    // The parser's word is not taken for it that each signature has one encoding.
    if signature.to_der().as_bytes() == der {
        Ok(signature)
    } else {
        Err(SignatureForm::Der)
    }
}
