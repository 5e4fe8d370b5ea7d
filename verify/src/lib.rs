//! The public side of a key: child derivation, extended keys, addresses, and checks of signatures
//! and shares.
//!
//! Everything here is done by libraries that sign nothing in this product: libsecp256k1 for
//! secp256k1, aws-lc-rs for Ed25519. A fault in a scheme library therefore cannot vouch for itself.
//! No private key or share is known here.

pub mod address;
pub mod addresses;
mod check_up;
mod derive;
pub mod descriptor;
mod ecdsa;
mod ed25519;
mod extended;
mod order;
pub mod result;
mod schnorr;
mod signed;
mod taproot;

use countersign_protocol::Scheme;

pub use check_up::{IntactError, verify_intact};
pub use derive::{DeriveError, derive_public};
pub use ecdsa::recovery_id;
pub use extended::{ExtendedPublicKey, ParseError, extended_public_key};
pub use order::{Input, Key};
pub use result::WrongResult;
pub use signed::{SignedError, check_signed};
pub use taproot::taproot_output_key;

/// A verified signature. Only [`ChildKey::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    verification_key: Vec<u8>,
    signature: Vec<u8>,
}

impl Verified {
    /// The key that verifies the signature, as returned by [`ChildKey::verification_key`].
    pub fn verification_key(&self) -> &[u8] {
        &self.verification_key
    }

    /// The signature, encoded as in [`ChildKey::verify`].
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// The reason a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The key is not a point of the scheme's curve in its one encoding, or has a script root
    /// without being of `taproot`.
    #[error("the public key is not one of the scheme: compare it with the wallet's record")]
    Key,
    /// Not 32 bytes, the only digest length that ECDSA signs here.
    #[error("ECDSA signs 32 bytes, not {0}: pass the digest, not the message")]
    DigestLength(usize),
    /// The signature does not have the scheme's length.
    #[error("a signature of this scheme has {expected} bytes, not {found}: do not use it")]
    SignatureLength {
        /// Bytes of the scheme's signatures.
        expected: usize,
        /// Bytes of the given signature.
        found: usize,
    },
    /// The signature does not verify, or not in the one accepted form (ECDSA: low s).
    #[error(
        "the signature is not valid for this key and message: do not use it, and ask which node reported it"
    )]
    Invalid,
}

/// A signing key: a child of a root key and, for an output with scripts, the script root that its
/// signatures are bound to.
#[derive(Debug, Clone, Copy)]
pub struct ChildKey<'a> {
    /// The scheme that it signs with.
    pub scheme: Scheme,
    /// The output of [`derive_public`]: 33 bytes compressed, 32 bytes on Ed25519. For `taproot` the
    /// internal key, which may also be 32 bytes x-only.
    pub public_key: &'a [u8],
    /// `taproot` only: root of the output's script tree (BIP-341), `None` for an
    /// output without scripts (BIP-86).
    pub script_root: Option<&'a [u8; 32]>,
}

impl<'a> ChildKey<'a> {
    /// Creates a key without scripts.
    pub fn new(scheme: Scheme, public_key: &'a [u8]) -> Self {
        ChildKey {
            scheme,
            public_key,
            script_root: None,
        }
    }

    /// The key that verifies its signatures: for `taproot` the 32-byte x-only output key, otherwise
    /// the child key. An invalid point is an error for `taproot` only; [`verify`](Self::verify)
    /// finds it for all.
    pub fn verification_key(&self) -> Result<Vec<u8>, DeriveError> {
        match (self.scheme, self.script_root) {
            (Scheme::Taproot, root) => {
                taproot_output_key(self.public_key, root).map(|key| key.to_vec())
            }
            (Scheme::EcdsaSecp256k1 | Scheme::Ed25519 | Scheme::SchnorrSecp256k1, Some(_)) => {
                Err(DeriveError::ScriptRoot)
            }
            (Scheme::EcdsaSecp256k1 | Scheme::Ed25519 | Scheme::SchnorrSecp256k1, None) => {
                Ok(self.public_key.to_vec())
            }
        }
    }

    /// The tweak from the child key to the verification key, if they
    /// differ: hash_TapTweak for `taproot`.
    pub fn tweak(&self) -> Result<Option<[u8; 32]>, DeriveError> {
        match (self.scheme, self.script_root) {
            (Scheme::Taproot, root) => taproot::tweak(self.public_key, root).map(Some),
            (Scheme::EcdsaSecp256k1 | Scheme::Ed25519 | Scheme::SchnorrSecp256k1, Some(_)) => {
                Err(DeriveError::ScriptRoot)
            }
            (Scheme::EcdsaSecp256k1 | Scheme::Ed25519 | Scheme::SchnorrSecp256k1, None) => Ok(None),
        }
    }

    /// Verifies `signature` over `signed_bytes` (as returned by `countersign_payload::decode`).
    ///
    /// | scheme | `signed_bytes` | `signature` |
    /// |---|---|---|
    /// | `ecdsa-secp256k1` | 32 B digest | r ‖ s, 64 B, low s |
    /// | `ed25519` | any | 64 B, RFC 8032 |
    /// | `schnorr-secp256k1` | any | R ‖ z, 65 B, RFC 9591 |
    /// | `taproot` | any | 64 B, BIP-340 under the BIP-341 output key |
    pub fn verify(&self, signed_bytes: &[u8], signature: &[u8]) -> Result<Verified, VerifyError> {
        let verification_key = self.verification_key().map_err(|_| VerifyError::Key)?;
        match self.scheme {
            Scheme::EcdsaSecp256k1 => ecdsa::verify(&verification_key, signed_bytes, signature),
            Scheme::Ed25519 => ed25519::verify(&verification_key, signed_bytes, signature),
            Scheme::SchnorrSecp256k1 => schnorr::verify(&verification_key, signed_bytes, signature),
            Scheme::Taproot => taproot::bip340(&verification_key, signed_bytes, signature),
        }?;
        Ok(Verified {
            verification_key,
            signature: signature.to_vec(),
        })
    }
}

/// Converts the signature to an array of the scheme's length.
fn exactly<const N: usize>(signature: &[u8]) -> Result<&[u8; N], VerifyError> {
    signature
        .try_into()
        .map_err(|_| VerifyError::SignatureLength {
            expected: N,
            found: signature.len(),
        })
}

#[cfg(test)]
mod tests {
    use secp256k1::{Keypair, Message, Scalar, Secp256k1};

    use super::*;

    /// A key and a valid signature over `signed` for each scheme, with the key's verification key.
    fn signed(scheme: Scheme, signed: &[u8; 32]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let secp = Secp256k1::new();
        let pair = Keypair::from_seckey_byte_array(&secp, [5; 32]).unwrap();
        let key = pair.public_key().serialize().to_vec();
        match scheme {
            Scheme::EcdsaSecp256k1 => {
                let signature = secp.sign_ecdsa(Message::from_digest(*signed), &pair.secret_key());
                (key.clone(), signature.serialize_compact().to_vec(), key)
            }
            Scheme::Ed25519 => {
                use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
                let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
                let key = pair.public_key().as_ref().to_vec();
                (key.clone(), pair.sign(signed).as_ref().to_vec(), key)
            }
            Scheme::SchnorrSecp256k1 => {
                let signature = schnorr::tests::sign(&pair, signed);
                (key.clone(), signature, key)
            }
            Scheme::Taproot => {
                let output = taproot_output_key(&key, None).unwrap();
                let tweak = Scalar::from_be_bytes(taproot::tweak(&key, None).unwrap()).unwrap();
                let tweaked = pair.add_xonly_tweak(&secp, &tweak).unwrap();
                let signature = secp.sign_schnorr_no_aux_rand(signed, &tweaked);
                (key, signature.to_byte_array().to_vec(), output.to_vec())
            }
        }
    }

    #[test]
    fn every_scheme_accepts_its_signature_and_no_change_of_it() {
        for scheme in Scheme::ALL {
            let message = [0x33; 32];
            let (key, signature, verification_key) = signed(scheme, &message);
            let verified = ChildKey::new(scheme, &key)
                .verify(&message, &signature)
                .unwrap();
            assert_eq!(
                (verified.verification_key(), verified.signature()),
                (&verification_key[..], &signature[..])
            );

            for index in 0..signature.len() {
                let mut changed = signature.clone();
                changed[index] ^= 1;
                assert!(
                    ChildKey::new(scheme, &key)
                        .verify(&message, &changed)
                        .is_err(),
                    "{scheme} byte {index}"
                );
            }
            assert_eq!(
                ChildKey::new(scheme, &key).verify(&[0x34; 32], &signature),
                Err(VerifyError::Invalid),
                "{scheme}"
            );
            let other = signed(Scheme::EcdsaSecp256k1, &message).0;
            for wrong in [
                vec![],
                vec![0; 32],
                vec![0xff; 33],
                [&other[..], &[0]].concat(),
            ] {
                assert!(
                    ChildKey::new(scheme, &wrong)
                        .verify(&message, &signature)
                        .is_err(),
                    "{scheme} {wrong:?}"
                );
            }
        }
    }

    #[test]
    fn every_scheme_refuses_other_lengths() {
        for scheme in Scheme::ALL {
            let (key, signature, _) = signed(scheme, &[0x33; 32]);
            for wrong in [&signature[1..], &[&signature[..], &[0]].concat(), &[]] {
                let expected = VerifyError::SignatureLength {
                    expected: signature.len(),
                    found: wrong.len(),
                };
                assert_eq!(
                    ChildKey::new(scheme, &key).verify(&[0x33; 32], wrong),
                    Err(expected),
                    "{scheme}"
                );
            }
        }
    }

    #[test]
    fn no_scheme_accepts_the_signature_of_another() {
        let message = [0x33; 32];
        for scheme in Scheme::ALL {
            let (_, signature, _) = signed(scheme, &message);
            for other in Scheme::ALL.into_iter().filter(|other| *other != scheme) {
                let (key, ..) = signed(other, &message);
                assert!(
                    ChildKey::new(other, &key)
                        .verify(&message, &signature)
                        .is_err(),
                    "{scheme} as {other}"
                );
            }
        }
    }
}
