//! API keys of a coordinator: secrets that their holders make. A coordinator gets the hash alone.

use std::fmt;

use countersign_protocol::Hash;
use rand::RngCore;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The beginning of every API key, by which people and scanners recognise a leaked one.
const PREFIX: &str = "csapi_";
/// Hexadecimal digits of a key: 256 random bits.
const DIGITS: usize = 64;

/// A bearer secret: `csapi_` and 64 hexadecimal digits. Neither `Clone` nor printable, and wiped on
/// drop.
pub struct ApiKeySecret(Zeroizing<String>);

impl ApiKeySecret {
    /// Makes a new secret.
    pub fn generate() -> Self {
        let mut secret = Zeroizing::new([0; DIGITS / 2]);
        rand::rngs::OsRng.fill_bytes(&mut secret[..]);
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + DIGITS));
        text.push_str(PREFIX);
        text.push_str(&Zeroizing::new(hex::encode(&secret[..])));
        Self(text)
    }

    /// Reads a secret, if the text is one and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let plain = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        let whole = digits.len() == DIGITS && digits.bytes().all(plain);
        whole.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// All that a coordinator learns of it.
    pub fn sha256(&self) -> Hash {
        api_key_hash(&self.0)
    }

    /// The secret, for the header of a request.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeySecret(..)")
    }
}

/// The hash by which a coordinator recognises the text of an API key: its SHA-256.
pub fn api_key_hash(text: &str) -> Hash {
    Hash(Sha256::digest(text.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_a_whole_or_not_at_all_and_never_shown() {
        let made = ApiKeySecret::generate();
        let text = made.expose();
        let read = ApiKeySecret::parse(text).unwrap();
        assert_eq!(
            (read.expose(), read.sha256()),
            (text, Hash(Sha256::digest(text).into()))
        );
        assert_eq!(format!("{made:?}"), "ApiKeySecret(..)");
        assert_ne!(ApiKeySecret::generate().sha256(), made.sha256());
        for other in [
            "",
            PREFIX,
            &text[1..],
            &text[..text.len() - 1],
            &text.to_uppercase(),
            &format!("{text}\n"),
            &format!("{text}0"),
        ] {
            assert!(ApiKeySecret::parse(other).is_none(), "{other:?}");
        }
    }
}
