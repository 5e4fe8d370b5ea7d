//! Identities of this node and its peers: one Ed25519 key, used raw (RFC 7250) in TLS
//! and to sign frames.
//!
//! There are no certificates, names or directories here: the key is the identity. The
//! seed never leaves [`Identity`].

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hkdf;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use countersign_protocol::NodeId;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use zeroize::Zeroizing;

/// SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING } up to the key itself
/// (RFC 8410, section 4).
const ED25519_SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A peer's raw Ed25519 public key (RFC 8032, 32 bytes). Ordered bytewise: the lower key
/// of a pair dials.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub [u8; 32]);

impl PeerKey {
    /// The key inside a SubjectPublicKeyInfo, or `None` if that is not exactly one Ed25519 key.
    pub(crate) fn from_spki(spki: &[u8]) -> Option<Self> {
        spki.strip_prefix(&ED25519_SPKI_PREFIX)?
            .try_into()
            .ok()
            .map(Self)
    }

    /// The id by which operators know a node with this key, for log lines; hexadecimal digits if no
    /// node can have it.
    pub(crate) fn node_id(self) -> String {
        NodeId::from_bytes(self.0).map_or_else(|_| self.to_string(), |node| node.to_string())
    }

    fn to_spki(self) -> Vec<u8> {
        [&ED25519_SPKI_PREFIX[..], &self.0].concat()
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerKey({self})")
    }
}

/// Lower-case hexadecimal. Log lines name a node by its id.
impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An Ed25519 key pair. Not `Clone`: share it as `Arc<Identity>`. Its memory is wiped on drop.
pub struct Identity {
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; 32]>,
    public: PeerKey,
}

impl Identity {
    /// Derives the key pair of a 32-byte seed (RFC 8032 private key).
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, IdentityError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| IdentityError)?;
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| IdentityError)?;
        Ok(Self {
            pair,
            seed: Zeroizing::new(*seed),
            public: PeerKey(public),
        })
    }

    /// This side's public key.
    pub fn public(&self) -> PeerKey {
        self.public
    }

    /// Signs `message` with Ed25519 (RFC 8032). The caller separates domains with a
    /// label in the message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }

    /// Derives 32 bytes that only this identity can compute: HKDF-SHA256 (RFC 5869) of
    /// the seed under `label`, which names the one use that the bytes have.
    pub fn derive(&self, label: &[u8]) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
        let mut out = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"countersign/1 identity")
            .extract(&self.seed[..])
            .expand(&[label], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut out[..]))
            .map_err(|_| IdentityError)?;
        Ok(out)
    }
}

/// Shows the public key only.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, ..)", self.public)
    }
}

/// The cryptographic library could not build a key.
#[derive(Debug, thiserror::Error)]
#[error("the identity key could not be built: check that the identity file holds a 32-byte seed")]
#[non_exhaustive]
pub struct IdentityError;

/// An identity in the role of a TLS signing key.
#[derive(Debug)]
pub(crate) struct TlsKey(pub(crate) Arc<Identity>);

impl TlsKey {
    /// The SubjectPublicKeyInfo that TLS sends in place of a certificate.
    pub(crate) fn spki(&self) -> Vec<u8> {
        self.0.public.to_spki()
    }
}

impl SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(Self(self.0.clone())) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.spki().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(self.0.sign(message).to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_rfc_8032_test_2() {
        let seed = hex32("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let identity = Identity::from_seed(&seed).unwrap();
        assert_eq!(
            identity.public().to_string(),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
        assert_eq!(identity.sign(&[0x72])[..4], [0x92, 0xa0, 0x09, 0xa9]);
    }

    #[test]
    fn debug_shows_no_seed() {
        let identity = Identity::from_seed(&[0x5a; 32]).unwrap();
        let shown = format!("{identity:?} {identity:#?}");
        assert!(
            !shown.contains("5a5a") && !shown.contains("90, 90"),
            "{shown}"
        );
    }

    #[test]
    fn derived_keys_differ_by_label_and_identity() {
        let one = Identity::from_seed(&[1; 32]).unwrap();
        let two = Identity::from_seed(&[2; 32]).unwrap();
        let derived = |id: &Identity, label: &[u8]| *id.derive(label).unwrap();
        assert_eq!(
            derived(&one, b"a"),
            derived(&Identity::from_seed(&[1; 32]).unwrap(), b"a")
        );
        assert_ne!(derived(&one, b"a"), derived(&one, b"b"));
        assert_ne!(derived(&one, b"a"), derived(&two, b"a"));
    }

    #[test]
    fn only_an_exact_ed25519_spki_names_a_peer() {
        let spki = PeerKey([7; 32]).to_spki();
        assert_eq!(PeerKey::from_spki(&spki), Some(PeerKey([7; 32])));
        assert_eq!(PeerKey::from_spki(&spki[..43]), None);
        assert_eq!(PeerKey::from_spki(&[&spki[..], &[0]].concat()), None);
        let mut other_algorithm = spki;
        other_algorithm[8] = 0x6e;
        assert_eq!(PeerKey::from_spki(&other_algorithm), None);
    }

    fn hex32(text: &str) -> [u8; 32] {
        std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }
}
