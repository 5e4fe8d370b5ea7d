//! `docs/derivation.md`: children of Ed25519 keys, by our derivation and by the
//! formula in the page.

use countersign_verify::ExtendedPublicKey;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::Scalar;
use hmac::{Hmac, Mac};
use sha2::Sha512;

use crate::page::{Page, Section};

const PAGE: Page = Page(include_str!("../../../docs/derivation.md"));
const PATH: &str = "m/44/501/0/0/0";

fn vector() -> Section {
    PAGE.section("Ed25519")
}

fn root() -> ExtendedPublicKey {
    vector().cell("root").parse().unwrap()
}

fn steps() -> Vec<u32> {
    PATH.split('/')
        .skip(1)
        .map(|step| step.parse().unwrap())
        .collect()
}

#[test]
fn the_child_of_the_page_is_derived() {
    assert_eq!(
        root().derive(&steps()).unwrap().to_string(),
        vector().cell(&format!("`{PATH}`"))
    );
}

/// `I = HMAC-SHA512(key = c, data = 0x00 || A || i)`, `A' = A + (I[0..32] as a big-endian number
/// mod L) * B`, `c' = I[32..64]`.
#[test]
fn the_formula_of_the_page_makes_the_child() {
    let formula = vector().block("");
    for part in [
        "HMAC-SHA512(key = c, data = 0x00 || A || i as 4 bytes, big-endian)",
        "I[0..32] as a big-endian number mod L",
    ] {
        assert!(formula.contains(part), "{part}");
    }
    let root = root();
    let mut key: [u8; 32] = root.public_key().try_into().unwrap();
    let mut chain_code = *root.chain_code();
    for step in steps() {
        let mut mac = Hmac::<Sha512>::new_from_slice(&chain_code).unwrap();
        mac.update(&[&[0][..], &key, &step.to_be_bytes()].concat());
        let image = mac.finalize().into_bytes();
        let mut little_endian: [u8; 32] = image[..32].try_into().unwrap();
        little_endian.reverse();
        let shift = Scalar::from_bytes_mod_order(little_endian) * ED25519_BASEPOINT_POINT;
        key = (CompressedEdwardsY(key).decompress().unwrap() + shift)
            .compress()
            .0;
        chain_code.copy_from_slice(&image[32..]);
    }
    let child: ExtendedPublicKey = vector().cell(&format!("`{PATH}`")).parse().unwrap();
    assert_eq!(
        (child.public_key(), child.chain_code()),
        (&key[..], &chain_code)
    );
}
