//! Comparison of reported signatures with those that a payload asks for.

use countersign_protocol::{InputSignature, Signed};

use crate::{DeriveError, Input, Key, VerifyError};

/// The reason reported signatures are not those that were asked for. They are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedError {
    /// Too few or too many signatures.
    #[error("{asked} signatures were ordered and {given} reported")]
    Count {
        /// The number in the payload.
        asked: usize,
        /// The number in the report.
        given: usize,
    },
    /// No key can be derived.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// A signature that does not verify.
    #[error("signature {number}: {error}")]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    Signature { number: usize, error: VerifyError },
    /// A signature with a path, a public key or signed bytes other than the ordered ones.
    #[error("the {fact} beside signature {number} is not the one that was ordered: do not use it")]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    Beside { number: usize, fact: &'static str },
}

/// Checks one signature for each of `inputs`, in their order, each under the
/// child key derived here.
pub fn check_signed(key: &Key, inputs: &[Input], signed: &Signed) -> Result<(), SignedError> {
    let asked = inputs.len();
    let given = signed.signatures.len();
    if asked != given {
        return Err(SignedError::Count { asked, given });
    }
    (1..)
        .zip(inputs.iter().zip(&signed.signatures))
        .try_for_each(|(n, (input, made))| check(key, n, input, made))
}

fn check(
    key: &Key,
    number: usize,
    input: &Input,
    made: &InputSignature,
) -> Result<(), SignedError> {
    let child = key.child(&input.path)?;
    let verified = input
        .child_key(key.scheme, &child)
        .verify(&input.signed_bytes, &made.signature)
        .map_err(|error| SignedError::Signature { number, error })?;
    let facts = [
        ("path", made.path == input.path),
        ("public key", made.public_key == verified.verification_key()),
        ("bytes", made.signed_bytes == input.signed_bytes),
    ];
    match facts.into_iter().find(|(_, fits)| !fits) {
        Some((fact, _)) => Err(SignedError::Beside { number, fact }),
        None => Ok(()),
    }
}
