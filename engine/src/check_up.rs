//! The check-up: a holder shows that its share is intact, on its own, and without signing anything.
//!
//! The result is a proof of knowledge of the scalar behind the holder's public share, bound to the
//! key and to a context that the asker chooses, such as a date or a nonce. The proof is
//! zero-knowledge, so it can be requested at any time and shown to anybody.
//!
//! It is deliberately not a signature of the scheme by the share's scalar. ECDSA does not hash its
//! key: a signature (r, s) on a hash h under X is also (r, u·s) on u·h − r·d under u·X + d·G, for
//! any u and d. With X a public share, the holder of the other t − 1 shares knows the u and d that
//! lead to the root key, so every check-up of that kind would be a root signature on a hash that
//! nobody approved. Nobody can choose that hash, but nothing here shall depend on it.
//!
//! A proof covers label, scheme, root key, index, public share and context, so nothing of it
//! carries over to another key, and it is not a signature of any scheme:
//!
//! - ECDSA does not have an equation of this shape.
//! - Schnorr and Taproot signatures answer to SHA-256; a proof answers to SHA-512.
//! - An Ed25519 signature (R, z) answers to SHA-512 over R, key and message. A proof answers to
//!   SHA-512 over the length of a label, the label, and then the rest, with its commitment at the
//!   end. Were the one input to be read as the other, R would be the first 32 bytes of the label's
//!   encoding and not the commitment.

use generic_ec::{Point, Scalar, SecretScalar};
use rand_core::CryptoRngCore;
use serde::{Deserialize, Serialize};

use crate::curve::KeyCurve;
use crate::derive::point;
use crate::proof;
use crate::random::{Rng, tried};
use crate::scheme::with_suite;
use crate::session::labelled_hash;
use crate::sign::Suite;
use crate::{CommitteeIndex, EngineError, PublicShare, Share};

/// Proof that a share is intact: compressed commitment, then the response as 32 big-endian bytes.
/// Together 65 bytes on secp256k1 and 64 on Ed25519.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Commitment and response, as above.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// The proof does not hold for the key, index and context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the proof is not one of this party's share in this context: if both are right, restore the share from a backup"
)]
pub struct CheckUpError;

/// Proves that this party holds its share. `context` may be any bytes; the proof holds
/// only for that one.
pub fn prove(
    share: &Share,
    context: &[u8],
    rng: impl CryptoRngCore + 'static,
) -> Result<Proof, EngineError> {
    let rng = tried(rng)?;
    with_suite!(share.scheme(), S => prove_on::<<S as Suite>::Curve>(share, context, rng))
}

/// Verifies a proof of the party at `index` in the committee of `key`, whose own index is ignored.
pub fn verify(
    key: &PublicShare,
    index: CommitteeIndex,
    context: &[u8],
    proof: &Proof,
) -> Result<(), CheckUpError> {
    let valid =
        with_suite!(key.scheme, S => holds_on::<<S as Suite>::Curve>(key, index, context, proof));
    valid
        .and_then(|valid| valid.then_some(()))
        .ok_or(CheckUpError)
}

fn prove_on<E: KeyCurve>(
    share: &Share,
    context: &[u8],
    mut rng: Rng,
) -> Result<Proof, EngineError> {
    let core = share.core::<E>()?;
    let key = share.public();
    let secret: SecretScalar<E> = core.x.clone().into();
    let point = Point::generator() * &secret;
    let context = bound(&key, key.index, context);
    let proof = proof::Proof::new(&[secret], &[point], &context, &mut rng);
    let commitment = proof.commitment.to_bytes(true);
    Ok(Proof {
        bytes: [
            commitment.as_bytes(),
            proof.response.to_be_bytes().as_bytes(),
        ]
        .concat(),
    })
}

/// Returns `None` for a proof or a public share that cannot be decoded.
fn holds_on<E: KeyCurve>(
    key: &PublicShare,
    index: CommitteeIndex,
    context: &[u8],
    proof: &Proof,
) -> Option<bool> {
    let public_share = point::<E>(key.public_shares.get(usize::from(index.0))?).ok()?;
    let (commitment, response) = proof.bytes.split_last_chunk::<32>()?;
    let commitment = Point::from_bytes(commitment)
        .ok()
        .filter(|point| point.to_bytes(true).as_bytes() == commitment)?;
    let response = Scalar::from_be_bytes(response).ok()?;
    let proof = proof::Proof {
        commitment,
        response,
    };
    Some(proof.holds(&[public_share.into()], &bound(key, index, context)))
}

/// Hash of everything that a proof is bound to except the public share, which every proof covers.
fn bound(key: &PublicShare, index: CommitteeIndex, context: &[u8]) -> [u8; 32] {
    let fields: [&[u8]; 4] = [
        key.scheme.name().as_bytes(),
        &key.root_public_key,
        &index.0.to_be_bytes(),
        context,
    ];
    labelled_hash(b"countersign engine check-up v1", &fields)
}
