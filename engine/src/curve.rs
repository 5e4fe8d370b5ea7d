//! The properties of a curve that this crate needs. Key generation, derivation and shares are
//! written once over them.

use cggmp24::key_share::IncompleteKeyShare;
use generic_ec::curves::{Ed25519, Secp256k1};
use generic_ec::{Curve, Scalar};
use zeroize::Zeroizing;

use crate::derive::PublicEdwards;

/// A curve for keys.
pub(crate) trait KeyCurve: Curve {
    /// The derivation of child keys.
    type Hd: hd_wallet::DeriveShift<Self>;

    fn wrap(core: IncompleteKeyShare<Self>) -> Core;
    fn unwrap(core: &Core) -> Option<&IncompleteKeyShare<Self>>;

    /// Encodes a scalar in the byte order of the curve's own standard.
    fn scalar_bytes(scalar: &Scalar<Self>) -> Zeroizing<Vec<u8>>;
}

/// A share of a key on one of the curves.
pub(crate) enum Core {
    Secp256k1(IncompleteKeyShare<Secp256k1>),
    Ed25519(IncompleteKeyShare<Ed25519>),
}

impl KeyCurve for Secp256k1 {
    type Hd = hd_wallet::Slip10;

    fn wrap(core: IncompleteKeyShare<Self>) -> Core {
        Core::Secp256k1(core)
    }

    fn unwrap(core: &Core) -> Option<&IncompleteKeyShare<Self>> {
        match core {
            Core::Secp256k1(core) => Some(core),
            Core::Ed25519(_) => None,
        }
    }

    fn scalar_bytes(scalar: &Scalar<Self>) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(scalar.to_be_bytes().as_bytes().to_vec())
    }
}

impl KeyCurve for Ed25519 {
    type Hd = PublicEdwards;

    fn wrap(core: IncompleteKeyShare<Self>) -> Core {
        Core::Ed25519(core)
    }

    fn unwrap(core: &Core) -> Option<&IncompleteKeyShare<Self>> {
        match core {
            Core::Ed25519(core) => Some(core),
            Core::Secp256k1(_) => None,
        }
    }

    fn scalar_bytes(scalar: &Scalar<Self>) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(scalar.to_le_bytes().as_bytes().to_vec())
    }
}
