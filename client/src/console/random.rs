//! Secrets of a session, and their comparison.

use rand::RngCore;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Length of a secret in characters.
pub(super) const LENGTH: usize = 64;

/// 32 random bytes as 64 hexadecimal digits.
pub(super) fn secret() -> Zeroizing<String> {
    let mut bytes = [0; LENGTH / 2];
    rand::rngs::OsRng.fill_bytes(&mut bytes);
    let text = Zeroizing::new(hex::encode(bytes));
    bytes.zeroize();
    text
}

/// 32 random bytes that are used once, and are no secret.
pub(super) fn nonce() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut bytes);
    bytes
}

/// What is kept of a secret to find it again: looking it up tells nothing about the secret.
pub(super) fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Compares by digests, so that the time does not tell how much of it is right.
pub(super) fn same(own: &str, given: &str) -> bool {
    let differences = digest(own).into_iter().zip(digest(given));
    differences.fold(0, |all, (own, given)| all | (own ^ given)) == 0
}
