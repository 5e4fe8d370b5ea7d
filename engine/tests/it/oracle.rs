//! A wallet's view: derivation and verification by libraries that sign nothing here (libsecp256k1,
//! aws-lc), and by formulas written out from the standards.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use countersign_engine::{Message, PublicShare, Scheme, Signature};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar as EdScalar};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey, XOnlyPublicKey, schnorr};

/// Panics unless `signature` is valid for the child of `key` at `path`.
pub fn verify(key: &PublicShare, path: &[u32], message: &Message, signature: &Signature) {
    let (child, _) = child(key.scheme, &key.root_public_key, &key.chain_code, path);
    match key.scheme {
        Scheme::EcdsaSecp256k1 => ecdsa(&child, message, signature),
        Scheme::Ed25519 => UnparsedPublicKey::new(&ED25519, &child)
            .verify(bytes(message), &signature.bytes)
            .expect("valid"),
        Scheme::SchnorrSecp256k1 => schnorr_rfc9591(&child, bytes(message), &signature.bytes),
        Scheme::Taproot => {
            let signature =
                schnorr::Signature::from_byte_array(signature.bytes[..].try_into().unwrap());
            SECP256K1
                .verify_schnorr(&signature, bytes(message), &taproot_output_key(&child, &[]))
                .expect("valid");
        }
    }
}

/// Child key and chain code, by BIP-32 or its Ed25519 analogue.
pub fn child(
    scheme: Scheme,
    root: &[u8],
    chain_code: &[u8; 32],
    path: &[u32],
) -> (Vec<u8>, [u8; 32]) {
    path.iter().fold(
        (root.to_vec(), *chain_code),
        |(parent, chain_code), index| match scheme {
            Scheme::Ed25519 => {
                let (left, right) = hmac_halves(
                    &chain_code,
                    &[&[0], &parent[..], &index.to_be_bytes()].concat(),
                );
                let mut little_endian = left;
                little_endian.reverse();
                let shift = EdwardsPoint::mul_base(&EdScalar::from_bytes_mod_order(little_endian));
                let parent = CompressedEdwardsY::from_slice(&parent)
                    .unwrap()
                    .decompress()
                    .unwrap();
                ((parent + shift).compress().to_bytes().to_vec(), right)
            }
            _ => {
                let (left, right) =
                    hmac_halves(&chain_code, &[&parent[..], &index.to_be_bytes()].concat());
                let parent = PublicKey::from_slice(&parent).unwrap();
                (
                    parent
                        .add_exp_tweak(SECP256K1, &scalar(left))
                        .unwrap()
                        .serialize()
                        .to_vec(),
                    right,
                )
            }
        },
    )
}

/// BIP-341, key path; `script_root` is empty without scripts.
pub fn taproot_output_key(internal: &[u8], script_root: &[u8]) -> XOnlyPublicKey {
    let tag = sha256(b"TapTweak");
    let tweak = sha256(&[&tag[..], &tag, &internal[1..], script_root].concat());
    let internal = XOnlyPublicKey::from_byte_array(internal[1..].try_into().unwrap()).unwrap();
    internal.add_tweak(SECP256K1, &scalar(tweak)).unwrap().0
}

fn ecdsa(key: &[u8], message: &Message, signature: &Signature) {
    let digest = secp256k1::Message::from_digest(match message {
        Message::Raw(bytes) => sha256(bytes),
        Message::Digest(digest) => *digest,
    });
    let key = PublicKey::from_slice(key).unwrap();
    let parsed = secp256k1::ecdsa::Signature::from_compact(&signature.bytes).unwrap();
    // libsecp256k1 does not accept high s.
    SECP256K1
        .verify_ecdsa(digest, &parsed, &key)
        .expect("valid");
    let id = RecoveryId::try_from(i32::from(signature.recovery_id.expect("an id"))).unwrap();
    let recoverable = RecoverableSignature::from_compact(&signature.bytes, id).unwrap();
    assert_eq!(SECP256K1.recover_ecdsa(digest, &recoverable).unwrap(), key);
}

/// RFC 9591, section 6.5: z·G = R + c·P, with c = H2(R ‖ P ‖ message).
fn schnorr_rfc9591(key: &[u8], message: &[u8], signature: &[u8]) {
    let (commitment, z) = signature.split_at(33);
    let uniform = expand_message_xmd(
        &[commitment, key, message].concat(),
        b"FROST-secp256k1-SHA256-v1chal",
    );
    let challenge = reduce(&uniform).secret_bytes();
    let left = SecretKey::from_byte_array(z.try_into().unwrap())
        .unwrap()
        .public_key(SECP256K1);
    let right = PublicKey::from_slice(key)
        .unwrap()
        .mul_tweak(SECP256K1, &scalar(challenge))
        .unwrap();
    assert_eq!(
        left,
        PublicKey::from_slice(commitment)
            .unwrap()
            .combine(&right)
            .unwrap()
    );
}

/// RFC 9380, section 5.3.1, for 48 bytes: two blocks of SHA-256.
fn expand_message_xmd(message: &[u8], dst: &[u8]) -> [u8; 48] {
    let dst = [dst, &[dst.len() as u8]].concat();
    let b0 = sha256(&[&[0; 64], message, &[0, 48, 0], &dst].concat());
    let b1 = sha256(&[&b0[..], &[1], &dst].concat());
    let mixed: Vec<u8> = b0.iter().zip(b1).map(|(a, b)| a ^ b).collect();
    let b2 = sha256(&[&mixed[..], &[2], &dst].concat());
    let mut uniform = [0; 48];
    uniform[..32].copy_from_slice(&b1);
    uniform[32..].copy_from_slice(&b2[..16]);
    uniform
}

/// high·2^256 + low modulo the group order, with 2^256 mod n from SEC 2.
fn reduce(uniform: &[u8; 48]) -> SecretKey {
    let mut high = [0; 32];
    high[16..].copy_from_slice(&uniform[..16]);
    let two_to_256 =
        hex::decode("000000000000000000000000000000014551231950b75fc4402da1732fc9bebf").unwrap();
    let high = SecretKey::from_byte_array(high)
        .unwrap()
        .mul_tweak(&scalar(two_to_256.try_into().unwrap()))
        .unwrap();
    high.add_tweak(&scalar(uniform[16..].try_into().unwrap()))
        .unwrap()
}

fn bytes(message: &Message) -> &[u8] {
    match message {
        Message::Raw(bytes) => bytes,
        Message::Digest(digest) => digest,
    }
}

fn hmac_halves(key: &[u8], data: &[u8]) -> ([u8; 32], [u8; 32]) {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, key), data);
    let (left, right) = tag.as_ref().split_at(32);
    (left.try_into().unwrap(), right.try_into().unwrap())
}

fn sha256(data: &[u8]) -> [u8; 32] {
    digest(&SHA256, data).as_ref().try_into().unwrap()
}

fn scalar(bytes: [u8; 32]) -> Scalar {
    Scalar::from_be_bytes(bytes).expect("below the group order")
}
