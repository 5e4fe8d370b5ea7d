//! HMAC with SHA-256 (RFC 7518 section 3.2) over aws-lc: secrets that a plugin shares with a
//! server. A secret has no Clone, no Serialize and a silent Debug, and the library wipes it.

use std::fmt;

use aws_lc_rs::hmac;

/// A secret is at least as long as the tag (RFC 7518 section 3.2).
const SHORTEST: usize = 32;

/// Too short a secret.
#[derive(Debug, thiserror::Error)]
#[error("a shared secret has at least 32 bytes; generate one with `openssl rand -hex 32`")]
pub struct TooShort;

/// A secret shared with a server, as an HMAC key.
pub struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Takes the bytes as they are. The caller wipes its own copy.
    pub fn new(bytes: &[u8]) -> Result<Self, TooShort> {
        if bytes.len() < SHORTEST {
            Err(TooShort)
        } else {
            Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
        }
    }

    /// The tag over `data`, 32 bytes.
    pub fn sign(&self, data: &[u8]) -> Vec<u8> {
        hmac::sign(&self.0, data).as_ref().to_vec()
    }

    /// Stands for the secret in records: an HMAC of itself under itself, and that under `key`.
    /// Without `key`, nobody can test guesses against it.
    pub(crate) fn digest(&self, key: &Self) -> [u8; 32] {
        let mut digest = [0; 32];
        let inner = self.sign(b"countersign/1 digest of a secret");
        digest.copy_from_slice(hmac::sign(&key.0, &inner).as_ref());
        digest
    }

    /// Verifies `tag` over `data` in constant time.
    pub fn verify(&self, data: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, data, tag).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 appendix A.1: key, signing input, signature.
    #[test]
    fn the_example_of_the_standard_verifies() {
        use base64::Engine;
        let url = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0\
                     dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let tag = url
            .decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
            .unwrap();
        let secret = Secret::new(&url.decode(key).unwrap()).unwrap();
        assert_eq!(secret.sign(input.as_bytes()), tag);
        assert!(secret.verify(input.as_bytes(), &tag));
        assert!(!secret.verify(input.as_bytes(), &tag[..31]));
        assert!(!secret.verify(b"other", &tag));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn short_secrets_are_refused() {
        assert!(Secret::new(&[1; 31]).is_err());
        assert!(Secret::new(&[1; 32]).is_ok());
    }
}
