//! Whether reported signatures are those that a payload asks for.

use countersign_protocol::{InputSignature, Signed};

use crate::{DeriveError, Input, Key, VerifyError};

/// Why reported signatures are not those that were asked for. Signatures are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedError {
    /// Too few, or too many.
    #[error("{asked} signatures were ordered and {given} reported")]
    Count {
        /// By the payload.
        asked: usize,
        /// By whoever reports.
        given: usize,
    },
    /// No key can be derived.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// One does not verify.
    #[error("signature {number}: {error}")]
    Signature {
        /// Which.
        number: usize,
        /// What is wrong.
        error: VerifyError,
    },
    /// One comes with a path, a public key or signed bytes other than those that it is for.
    #[error("the {fact} beside signature {number} is not the one that was ordered: do not use it")]
    Beside {
        /// Which.
        number: usize,
        /// What is wrong.
        fact: &'static str,
    },
}

/// Checks one signature for each of `inputs`, in their order, each under the child key derived
/// here.
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
