//! The two curves, and public points on them. Arithmetic is generic-ec's, the same code for both.

use countersign_protocol::Scheme;
use generic_ec::Point;
use generic_ec::curves::{Ed25519, Secp256k1};
use serde::{Deserialize, Serialize};

/// A curve that wallets are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Curve {
    /// ECDSA, Schnorr and Taproot; BIP-32 with `xpub` and `xprv`.
    Secp256k1,
    /// EdDSA; the non-hardened analogue of BIP-32 with `cpub` and `cprv`.
    Ed25519,
}

impl Curve {
    /// The name used in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secp256k1 => "secp256k1",
            Self::Ed25519 => "ed25519",
        }
    }

    /// A scheme on this curve, for the libraries that expect one.
    pub(crate) fn scheme(self) -> Scheme {
        match self {
            Self::Secp256k1 => Scheme::EcdsaSecp256k1,
            Self::Ed25519 => Scheme::Ed25519,
        }
    }

    /// Decodes a point in its one encoding, 33 bytes on secp256k1 and 32 on Ed25519, where a 33rd
    /// in front may be 0x00. `None` for everything else: uncompressed points, the neutral one, and
    /// points outside the prime-order group.
    pub fn public_key(self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Secp256k1 => canonical::<Secp256k1>(bytes, 33),
            Self::Ed25519 => match bytes {
                [0, rest @ ..] if bytes.len() == 33 => canonical::<Ed25519>(rest, 32),
                _ => canonical::<Ed25519>(bytes, 32),
            },
        }
    }
}

impl From<Scheme> for Curve {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Ed25519 => Self::Ed25519,
            Scheme::EcdsaSecp256k1 | Scheme::SchnorrSecp256k1 | Scheme::Taproot => Self::Secp256k1,
        }
    }
}

impl std::fmt::Display for Curve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

fn canonical<E: generic_ec::Curve>(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    let point = Point::<E>::from_bytes(bytes)
        .ok()
        .filter(|point| !point.is_zero())?;
    (bytes.len() == length && point.to_bytes(true).as_bytes() == bytes).then(|| bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_have_one_encoding() {
        let g = hex::decode("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
            .unwrap();
        assert_eq!(Curve::Secp256k1.public_key(&g), Some(g.clone()));
        let uncompressed = Point::<Secp256k1>::from_bytes(&g)
            .unwrap()
            .to_bytes(false)
            .as_bytes()
            .to_vec();
        for wrong in [uncompressed, vec![0], vec![0; 33], g[1..].to_vec(), vec![]] {
            assert_eq!(Curve::Secp256k1.public_key(&wrong), None, "{wrong:?}");
        }
        let b = hex::decode("5866666666666666666666666666666666666666666666666666666666666666")
            .unwrap();
        assert_eq!(Curve::Ed25519.public_key(&b), Some(b.clone()));
        assert_eq!(
            Curve::Ed25519.public_key(&[&[0], &b[..]].concat()),
            Some(b.clone())
        );
        let mut neutral = vec![0; 32];
        neutral[0] = 1;
        // y = -1 has order 2; y = p + 1 is a second encoding of the neutral point.
        let order_2 =
            hex::decode("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
                .unwrap();
        let second =
            hex::decode("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
                .unwrap();
        for wrong in [neutral, order_2, second, [&[1], &b[..]].concat(), g, vec![]] {
            assert_eq!(Curve::Ed25519.public_key(&wrong), None, "{wrong:?}");
        }
    }
}
