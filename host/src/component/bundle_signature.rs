//! Publishers' signatures of policy bundles. They use the keys that also sign components; the label
//! keeps one from passing for the other.

use ed25519_dalek::{Signature, Signer, SigningKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::component::signature::Publisher;

const LABEL: &[u8] = b"countersign-policy-bundle-v1\0";

/// A publisher's statement that it publishes a bundle. A claim until [`is_by`](Self::is_by).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleSignature {
    /// The Ed25519 public key (RFC 8032) that it claims to be by.
    #[serde(with = "hex")]
    pub key: [u8; 32],
    /// Ed25519 over `"countersign-policy-bundle-v1\0"` and the 32 bytes of the manifest's hash.
    #[serde(with = "hex")]
    signature: [u8; 64],
}

impl BundleSignature {
    /// Signs the bundle whose manifest has this hash. `seed` is the publisher's private key.
    pub fn sign(manifest: &[u8; 32], seed: &Zeroizing<[u8; 32]>) -> Self {
        let key = SigningKey::from_bytes(seed);
        Self {
            key: key.verifying_key().to_bytes(),
            signature: key.sign(&message(manifest)).to_bytes(),
        }
    }

    /// True if it is `publisher`'s, of the bundle whose manifest has this hash.
    pub fn is_by(&self, publisher: &Publisher, manifest: &[u8; 32]) -> bool {
        let signature = Signature::from_bytes(&self.signature);
        self.key == *publisher.key().as_bytes()
            && publisher
                .key()
                .verify_strict(&message(manifest), &signature)
                .is_ok()
    }

    /// True if it is by the key that it names, of the bundle whose manifest has this hash. Anybody
    /// can have a key: whose it is says [`is_by`](Self::is_by).
    pub fn verifies(&self, manifest: &[u8; 32]) -> bool {
        Publisher::new("", &self.key).is_ok_and(|publisher| self.is_by(&publisher, manifest))
    }
}

fn message(manifest: &[u8; 32]) -> Vec<u8> {
    [LABEL, manifest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(number: u8) -> Zeroizing<[u8; 32]> {
        Zeroizing::new([number; 32])
    }

    fn publisher(number: u8) -> Publisher {
        let key = SigningKey::from_bytes(&seed(number)).verifying_key();
        Publisher::new("ana", key.as_bytes()).unwrap()
    }

    #[test]
    fn a_signature_is_of_one_publisher_and_one_manifest() {
        let signature = BundleSignature::sign(&[7; 32], &seed(1));
        assert!(signature.is_by(&publisher(1), &[7; 32]));
        assert!(!signature.is_by(&publisher(2), &[7; 32]));
        assert!(!signature.is_by(&publisher(1), &[8; 32]));
        assert!(signature.verifies(&[7; 32]) && !signature.verifies(&[8; 32]));
    }

    #[test]
    fn a_signature_under_anothers_name_is_refused() {
        let borrowed = BundleSignature {
            key: *publisher(2).key().as_bytes(),
            ..BundleSignature::sign(&[7; 32], &seed(1))
        };
        assert!(!borrowed.is_by(&publisher(1), &[7; 32]));
        assert!(!borrowed.is_by(&publisher(2), &[7; 32]));
        assert!(!borrowed.verifies(&[7; 32]));
    }

    #[test]
    fn a_signature_without_the_label_is_refused() {
        let bare = BundleSignature {
            signature: SigningKey::from_bytes(&seed(1)).sign(&[7; 32]).to_bytes(),
            ..BundleSignature::sign(&[7; 32], &seed(1))
        };
        assert!(!bare.is_by(&publisher(1), &[7; 32]));
    }
}
