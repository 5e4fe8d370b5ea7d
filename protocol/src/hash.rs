//! Typed, labelled, length-prefixed hashing: the only hashing that Countersign uses
//! for agreement or signature.
//!
//! Two different sequences of fields never give the same input, and two purposes
//! never share a label.

use sha2::{Digest, Sha256};

/// A SHA-256 value made by [`Hasher`] or over received bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Hashes one byte string under a label.
    pub fn of(label: &'static str, bytes: &[u8]) -> Self {
        Hasher::new(label).field(bytes).finish()
    }

    /// The 32 bytes, in the order of SHA-256.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

crate::id::byte_text!(Hash, 32, "a hash (64 lower-case hexadecimal digits)");

/// SHA-256 over a label and fields, each prefixed with its length as eight big-endian bytes.
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts a hash for one purpose. Labels look like `countersign/1 session`.
    pub fn new(label: &'static str) -> Self {
        Self(Sha256::new()).field(label.as_bytes())
    }

    /// Adds a field, prefixed with its length.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a number as a field of eight big-endian bytes.
    #[must_use]
    pub fn number(self, value: u64) -> Self {
        self.field(&value.to_be_bytes())
    }

    /// Returns the hash of all fields so far.
    pub fn finish(self) -> Hash {
        Hash(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_between_fields_changes_the_hash() {
        let one = Hasher::new("test").field(b"ab").field(b"c").finish();
        let two = Hasher::new("test").field(b"a").field(b"bc").finish();
        assert_ne!(one, two);
    }

    #[test]
    fn labels_separate_purposes() {
        assert_ne!(
            Hash::of("countersign/1 a", b"x"),
            Hash::of("countersign/1 b", b"x")
        );
    }
}
