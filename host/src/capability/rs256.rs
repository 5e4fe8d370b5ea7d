//! RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3) over aws-lc. Private keys have no Clone,
//! no Serialize and a silent Debug.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicEncryptingKey};
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey,
};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

/// The reason for which a key is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFormatError {
    /// The private key is not PKCS#8 of an RSA key of 2048 to 8192 bits.
    #[error("not an RSA private key of 2048 to 8192 bits in PKCS#8 DER")]
    Private,
    /// The public key is not SubjectPublicKeyInfo of an RSA key of 2048 to 8192 bits.
    #[error(
        "not an RSA public key of 2048 to 8192 bits; give the PEM that begins with `-----BEGIN PUBLIC KEY-----` \
         (`openssl rsa -in key.pem -pubout` prints it)"
    )]
    Public,
    /// The file has more than one key, so it is unclear which is meant.
    #[error("more than one public key; give a file with the one that is meant")]
    Several,
    /// The library could not generate, encode or sign.
    #[error(
        "the cryptographic library failed; restart the node, and report it if it happens again"
    )]
    Library,
}

/// An RSA key pair.
pub struct SigningKey {
    pair: KeyPair,
    public: VerifyingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// A new key pair of 2048 bits.
    pub fn generate() -> Result<Self, KeyFormatError> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyFormatError::Library)?;
        Self::from_pair(pair)
    }

    /// Reads a private key from PKCS#8 DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyFormatError> {
        Self::from_pair(KeyPair::from_pkcs8(der).map_err(|_| KeyFormatError::Private)?)
    }

    fn from_pair(pair: KeyPair) -> Result<Self, KeyFormatError> {
        let der: PublicKeyX509Der = pair
            .public_key()
            .as_der()
            .map_err(|_| KeyFormatError::Library)?;
        let public = VerifyingKey::from_spki(der.as_ref())?;
        Ok(Self { pair, public })
    }

    /// The private key as PKCS#8 DER, for the secret store.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyFormatError> {
        let der = self.pair.as_der().map_err(|_| KeyFormatError::Library)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// Returns the public half of the key.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public.clone()
    }

    /// Signature over `data`, as long as the modulus (256 bytes for 2048 bits).
    pub fn sign(&self, data: &[u8]) -> Result<Vec<u8>, KeyFormatError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                data,
                &mut signature,
            )
            .map_err(|_| KeyFormatError::Library)?;
        Ok(signature)
    }
}

/// An RSA public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    spki: Vec<u8>,
}

impl VerifyingKey {
    /// Reads a public key from DER SubjectPublicKeyInfo.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyFormatError> {
        // The library's type for encryption keys is the one that checks form and size; nothing is
        // encrypted.
        let key = PublicEncryptingKey::from_der(der).map_err(|_| KeyFormatError::Public)?;
        let spki: PublicKeyX509Der = key.as_der().map_err(|_| KeyFormatError::Public)?;
        Ok(Self {
            spki: spki.as_ref().to_vec(),
        })
    }

    /// Reads a PEM file with one key, which begins with `-----BEGIN PUBLIC KEY-----`.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyFormatError> {
        let mut keys = SubjectPublicKeyInfoDer::pem_slice_iter(pem);
        let only = keys
            .next()
            .and_then(Result::ok)
            .ok_or(KeyFormatError::Public)?;
        match keys.next() {
            None => Self::from_spki(&only),
            Some(_) => Err(KeyFormatError::Several),
        }
    }

    /// Encodes the key as DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// PEM of [`spki_der`](Self::spki_der), ending in a line feed.
    pub fn to_pem(&self) -> String {
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &self.spki);
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for (i, c) in text.chars().enumerate() {
            if i > 0 && i % 64 == 0 {
                pem.push('\n');
            }
            pem.push(c);
        }
        pem + "\n-----END PUBLIC KEY-----\n"
    }

    /// Verifies `signature` over `data`.
    pub fn verify(&self, data: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.spki)
            .verify(data, signature)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDyv8xUw2080kBD4hAnT0Dr2BOZ
yxZPQKeZdLOrA6NcjWTm/BDw01XfIJN98/4QCnBVUnZeKmYriVQPnZ6D6T0GZSK7
03tD+EFDJnQmnVr15fpYp+/uTovNwLBG7J/uPoDJYNuEurvLDbzZIKxU0mJ8LKUz
uFEqeRnZ3TPWPaLQdwIDAQAB
-----END PUBLIC KEY-----
";

    #[test]
    fn a_key_survives_its_encodings() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        let public = VerifyingKey::from_pem(key.verifying_key().to_pem().as_bytes()).unwrap();
        let signature = again.sign(b"data").unwrap();
        assert!(public.verify(b"data", &signature));
        assert!(!public.verify(b"other", &signature));
        assert!(
            !SigningKey::generate()
                .unwrap()
                .verifying_key()
                .verify(b"data", &signature)
        );
        assert_eq!(signature.len(), 256);
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }

    #[test]
    fn short_and_foreign_keys_are_refused() {
        assert!(SigningKey::from_pkcs8(b"nonsense").is_err());
        assert!(
            VerifyingKey::from_pem(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
                .is_err()
        );
        assert!(VerifyingKey::from_pem(RSA_1024.as_bytes()).is_err());
    }

    #[test]
    fn a_file_with_two_keys_is_refused() {
        let pem = || SigningKey::generate().unwrap().verifying_key().to_pem();
        let one = pem();
        let two = pem();
        for several in [format!("{one}{two}"), format!("{one}{one}")] {
            let refused = VerifyingKey::from_pem(several.as_bytes());
            assert!(matches!(refused, Err(KeyFormatError::Several)), "{several}");
        }
    }
}
