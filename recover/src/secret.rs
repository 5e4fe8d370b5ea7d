//! Secret numbers: shares and private keys. Checked on creation, wiped when dropped, never shown.

use generic_ec::curves::{Ed25519, Secp256k1};
use generic_ec::{Point, Scalar, SecretScalar};
use zeroize::Zeroizing;

use crate::Curve;

/// A secret number above 0 and below the order of its curve: a share or a private key.
///
/// Not `Clone`, not serialisable, wiped when dropped; `Debug` shows the curve alone.
pub struct Secret {
    curve: Curve,
    bytes: Zeroizing<[u8; 32]>,
}

/// Why bytes are not a secret of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The length is not 1 to 32 bytes.
    #[error("a secret has 1 to 32 bytes, not {0}: take it as a big-endian number")]
    Length(usize),
    /// The number is zero, or not below the order.
    #[error("the secret is zero or not below the order of {0}: check which wallet it belongs to")]
    Range(Curve),
}

impl Secret {
    /// Takes a big-endian number of 1 to 32 bytes; programs that strip leading zeros
    /// write fewer than 32.
    pub fn from_be_bytes(curve: Curve, bytes: &[u8]) -> Result<Self, SecretError> {
        if bytes.is_empty() || bytes.len() > 32 {
            return Err(SecretError::Length(bytes.len()));
        }
        let mut padded = Zeroizing::new([0; 32]);
        padded[32 - bytes.len()..].copy_from_slice(bytes);
        let fits = match curve {
            Curve::Secp256k1 => below_order::<Secp256k1>(&padded),
            Curve::Ed25519 => below_order::<Ed25519>(&padded),
        };
        let zero = padded.iter().fold(0, |all, byte| all | byte) == 0;
        if fits && !zero {
            Ok(Self {
                curve,
                bytes: padded,
            })
        } else {
            Err(SecretError::Range(curve))
        }
    }

    /// The curve it is a scalar of.
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The number itself, 32 bytes big-endian on both curves.
    pub fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The number times the generator: 33 bytes on secp256k1, 32 on Ed25519.
    pub fn public_key(&self) -> Vec<u8> {
        match self.curve {
            Curve::Secp256k1 => times_generator::<Secp256k1>(&self.bytes),
            Curve::Ed25519 => times_generator::<Ed25519>(&self.bytes),
        }
    }

    /// Another copy, wiped on its own.
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            curve: self.curve,
            bytes: self.bytes.clone(),
        }
    }

    /// Adds a number, which is reduced first. `None` if the sum is zero.
    pub(crate) fn plus_reduced(&self, other: &[u8; 32]) -> Option<Self> {
        let sum = match self.curve {
            Curve::Secp256k1 => sum::<Secp256k1>(&self.bytes, other),
            Curve::Ed25519 => sum::<Ed25519>(&self.bytes, other),
        };
        Self::from_be_bytes(self.curve, &sum[..]).ok()
    }

    /// The same in the arithmetic of the named curve.
    pub(crate) fn scalar<E: generic_ec::Curve>(&self) -> SecretScalar<E> {
        scalar(&self.bytes)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({}, ..)", self.curve)
    }
}

/// The bytes of a scalar, wiped.
pub(crate) fn bytes_of<E: generic_ec::Curve>(scalar: &SecretScalar<E>) -> Zeroizing<[u8; 32]> {
    let mut encoded = scalar.as_ref().to_be_bytes();
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(encoded.as_bytes());
    zeroize::Zeroize::zeroize(encoded.as_mut());
    bytes
}

fn below_order<E: generic_ec::Curve>(bytes: &[u8; 32]) -> bool {
    SecretScalar::<E>::from_be_bytes(bytes).is_ok()
}

fn scalar<E: generic_ec::Curve>(bytes: &[u8; 32]) -> SecretScalar<E> {
    SecretScalar::new(&mut Scalar::from_be_bytes_mod_order(bytes))
}

fn times_generator<E: generic_ec::Curve>(bytes: &[u8; 32]) -> Vec<u8> {
    (Point::<E>::generator() * scalar(bytes))
        .to_bytes(true)
        .as_bytes()
        .to_vec()
}

fn sum<E: generic_ec::Curve>(a: &[u8; 32], b: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    bytes_of::<E>(&SecretScalar::new(
        &mut (scalar::<E>(a).as_ref() + scalar::<E>(b).as_ref()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The orders, big-endian (SEC 2, RFC 8032).
    const ORDERS: [(Curve, &str); 2] = [
        (
            Curve::Secp256k1,
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        ),
        (
            Curve::Ed25519,
            "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed",
        ),
    ];

    #[test]
    fn numbers_from_one_to_below_the_order_are_secrets() {
        for (curve, order) in ORDERS {
            let mut bytes = hex::decode(order).unwrap();
            let refused = |bytes: &[u8]| Secret::from_be_bytes(curve, bytes).unwrap_err();
            assert_eq!(refused(&bytes), SecretError::Range(curve));
            assert_eq!(refused(&[0; 32]), SecretError::Range(curve));
            assert_eq!(refused(&[0xff; 32]), SecretError::Range(curve));
            assert_eq!(refused(&[]), SecretError::Length(0));
            assert_eq!(refused(&[1; 33]), SecretError::Length(33));
            bytes[31] -= 1;
            let last = Secret::from_be_bytes(curve, &bytes).unwrap();
            let mut one = [0; 32];
            one[31] = 1;
            assert!(last.plus_reduced(&one).is_none(), "the sum is zero");
            let short = Secret::from_be_bytes(curve, &[1]).unwrap();
            assert_eq!(short.expose(), &one);
            assert_eq!(short.plus_reduced(&one).unwrap().expose()[31], 2);
        }
    }

    #[test]
    fn public_keys_agree_with_other_libraries() {
        let secret = Secret::from_be_bytes(Curve::Secp256k1, &[1]).unwrap();
        assert_eq!(
            hex::encode(secret.public_key()),
            "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        );
        let secret = Secret::from_be_bytes(Curve::Ed25519, &[1]).unwrap();
        assert_eq!(
            hex::encode(secret.public_key()),
            format!("58{}", "66".repeat(31))
        );
        assert_eq!(format!("{secret:?}"), "Secret(ed25519, ..)");
    }
}
