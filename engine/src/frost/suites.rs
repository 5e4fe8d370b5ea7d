//! The three ciphersuites. Only Taproot differs in more than its name: it signs with
//! the BIP-341 output key.

use frost_ed25519::Ed25519Sha512;
use frost_secp256k1::Secp256K1Sha256;
use frost_secp256k1_tr::Secp256K1Sha256TR;
use frost_secp256k1_tr::keys::Tweak;
use generic_ec::curves::{Ed25519, Secp256k1};
use generic_ec::{Point, Scalar};
use sha2::{Digest, Sha256};

use super::{FrostSuite, Keys};
use crate::{DeriveError, Scheme};

impl FrostSuite for Ed25519Sha512 {
    const SCHEME: Scheme = Scheme::Ed25519;
    type Curve = Ed25519;
}

impl FrostSuite for Secp256K1Sha256 {
    const SCHEME: Scheme = Scheme::SchnorrSecp256k1;
    type Curve = Secp256k1;
}

impl FrostSuite for Secp256K1Sha256TR {
    const SCHEME: Scheme = Scheme::Taproot;
    type Curve = Secp256k1;

    /// The key path's tweak; without scripts as in BIP-86.
    fn tweak(keys: Keys<Self>, script_root: Option<&[u8; 32]>) -> Keys<Self> {
        Keys {
            secret: keys.secret.tweak(script_root),
            public: keys.public.tweak(script_root),
        }
    }

    /// x of the output key: Q = lift_x(x(P)) + hash_TapTweak(x(P) ‖ script root)·G (BIP-341).
    /// Computed here, independently of the crate that signs.
    fn verification_key(
        public_key: &Point<Secp256k1>,
        script_root: Option<&[u8; 32]>,
    ) -> Result<Vec<u8>, DeriveError> {
        let encoded = public_key.to_bytes(true);
        let x = encoded.get(1..).ok_or(DeriveError::PublicKey)?;
        let internal =
            Point::<Secp256k1>::from_bytes(even(x)).map_err(|_| DeriveError::PublicKey)?;
        let output = internal + Point::generator() * tap_tweak(x, script_root)?;
        output
            .to_bytes(true)
            .get(1..)
            .map(<[u8]>::to_vec)
            .ok_or(DeriveError::PublicKey)
    }

    fn encoded_key(verification_key: &[u8]) -> Vec<u8> {
        even(verification_key)
    }
}

/// The compressed point of even y with this x.
fn even(x: &[u8]) -> Vec<u8> {
    [&[2], x].concat()
}

fn tap_tweak(x: &[u8], script_root: Option<&[u8; 32]>) -> Result<Scalar<Secp256k1>, DeriveError> {
    let tag = Sha256::digest(b"TapTweak");
    let root = script_root.map_or(&[][..], |root| root);
    let hash = Sha256::new()
        .chain_update(tag)
        .chain_update(tag)
        .chain_update(x)
        .chain_update(root)
        .finalize();
    // BIP-341 rejects hashes of the group order or above.
    Scalar::from_be_bytes(hash).map_err(|_| DeriveError::PublicKey)
}
