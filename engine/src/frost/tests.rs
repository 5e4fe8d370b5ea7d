//! The vectors of RFC 9591, appendices E.1 and E.5, through the conversions that signing uses.

use cggmp24::key_share::{DirtyIncompleteKeyShare, DirtyKeyInfo, Validate, VssSetup};
use frost_core::round1::{Nonce, SigningNonces};
use frost_ed25519::Ed25519Sha512;
use frost_secp256k1::Secp256K1Sha256;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vector {
    group_public_key: String,
    message: String,
    shares: Vec<String>,
    signers: Vec<VectorSigner>,
    signature: String,
}

#[derive(Deserialize)]
struct VectorSigner {
    index: u16,
    hiding_nonce: String,
    binding_nonce: String,
    signature_share: String,
}

#[test]
fn rfc_9591_ed25519() {
    vector_signs::<Ed25519Sha512>(|bytes| Scalar::from_le_bytes(bytes).unwrap());
}

#[test]
fn rfc_9591_secp256k1() {
    vector_signs::<Secp256K1Sha256>(|bytes| Scalar::from_be_bytes(bytes).unwrap());
}

fn vector_signs<C: FrostSuite>(scalar: impl Fn(&[u8]) -> Scalar<C::Curve>) {
    let vector = vector(C::SCHEME);
    let shares: Vec<_> = vector
        .shares
        .iter()
        .map(|share| scalar(&bytes(share)))
        .collect();
    let keys_of =
        |index: u16| keys::<C>(&core(&vector, &shares, index), &[0, 2], &Scalar::zero()).unwrap();
    let nonces_of = |signer: &VectorSigner| -> SigningNonces<C> {
        let nonce = |hex: &str| Nonce::deserialize(&bytes(hex)).unwrap();
        SigningNonces::from_nonces(nonce(&signer.hiding_nonce), nonce(&signer.binding_nonce))
    };

    let identified = |signer: &VectorSigner| *keys_of(signer.index).secret.identifier();
    let commitments = vector
        .signers
        .iter()
        .map(|signer| (identified(signer), *nonces_of(signer).commitments()));
    let package = SigningPackage::new(commitments.collect(), &bytes(&vector.message));
    let mut signature_shares = BTreeMap::new();
    for signer in &vector.signers {
        let share =
            round2::sign(&package, &nonces_of(signer), &keys_of(signer.index).secret).unwrap();
        assert_eq!(share.serialize(), bytes(&signer.signature_share));
        signature_shares.insert(identified(signer), share);
    }
    let signature = aggregate(&package, &signature_shares, &keys_of(0).public).unwrap();
    assert_eq!(signature.bytes, bytes(&vector.signature));

    let message = Message::Raw(bytes(&vector.message));
    assert!(Frost::<C>::verify(
        &bytes(&vector.group_public_key),
        &message,
        &signature
    ));
    assert!(!Frost::<C>::verify(
        &bytes(&vector.group_public_key),
        &Message::Raw(vec![]),
        &signature
    ));
}

/// The share of a 2-of-3 key as key generation would have made it.
fn core<E: KeyCurve>(vector: &Vector, shares: &[Scalar<E>], index: u16) -> IncompleteKeyShare<E> {
    let nonzero = |scalar| NonZero::from_scalar(scalar).unwrap();
    let secret =
        NonZero::from_secret_scalar(SecretScalar::new(&mut shares[usize::from(index)].clone()));
    let key_info = DirtyKeyInfo {
        curve: Default::default(),
        shared_public_key: crate::derive::point(&bytes(&vector.group_public_key)).unwrap(),
        public_shares: shares
            .iter()
            .map(|share| Point::generator() * nonzero(*share))
            .collect(),
        vss_setup: Some(VssSetup {
            min_signers: 2,
            I: (1..=3).map(|i| nonzero(Scalar::from(i))).collect(),
        }),
        chain_code: None,
    };
    DirtyIncompleteKeyShare {
        i: index,
        key_info,
        x: secret.unwrap(),
    }
    .validate()
    .unwrap()
}

fn vector(scheme: Scheme) -> Vector {
    let mut vectors: BTreeMap<Scheme, Vector> =
        serde_json::from_str(include_str!("../../tests/fixtures/rfc9591.json")).unwrap();
    vectors.remove(&scheme).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}
