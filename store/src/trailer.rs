//! The last page of the plaintext: proof that the holder of the node's age identity wrote the file.
//!
//! An age file proves nothing about its author: anybody who knows the recipients can make one. To
//! redb the trailer is one spare page, so the decrypted file opens without further steps.
//!
//! ```text
//! 0..16    "countersign/1 st"     16..18  version, big-endian      18..26  generation, big-endian
//! 26..4064 zeros                  4064..  HMAC-SHA256 over the database image and bytes 0..4064
//! ```
//!
//! Version 2 says that additions may lie beside the file. Older programs, which would lose them,
//! refuse it.

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The length of the trailer: one redb page.
pub(crate) const LEN: usize = 4096;
/// The newest version that this program reads.
pub(crate) const VERSION: u16 = 2;

const MAC_AT: usize = LEN - 32;

/// The HMAC in a trailer, which proves the author.
pub(crate) type Tag = [u8; 32];

/// The kind of data before the trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole store without additions beside it.
    Whole,
    /// A whole store that may have additions beside it.
    Extensible,
    /// An addition to a store, in a file of its own.
    Addition,
}

impl Kind {
    fn magic(self) -> &'static [u8; 16] {
        match self {
            Self::Whole | Self::Extensible => b"countersign/1 st",
            Self::Addition => b"countersign/1 ad",
        }
    }

    fn version(self) -> u16 {
        match self {
            Self::Whole => 1,
            Self::Extensible | Self::Addition => 2,
        }
    }
}

/// The key of the trailer's HMAC.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct MacKey([u8; 32]);

/// The reason why a plaintext is not the node's own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadTrailer {
    /// The plaintext is too short, or has no magic.
    Absent,
    /// The HMAC was not made with this key.
    Forged,
    /// The node made it, in a later format.
    Newer(u16),
}

impl MacKey {
    /// HKDF-SHA256 (RFC 5869) over the secret part of the node's age identity, without salt.
    pub(crate) fn derive(identity: &[u8]) -> Self {
        let mut key = Self([0; 32]);
        Hkdf::<Sha256>::new(None, identity)
            .expand(b"countersign/1 store mac", &mut key.0)
            .unwrap_or_else(|_| unreachable!("32 bytes are within the limit of HKDF-SHA256"));
        key
    }

    fn mac(&self, image: &[u8], head: &[u8]) -> Hmac<Sha256> {
        <Hmac<Sha256> as Mac>::new_from_slice(&self.0)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
            .chain_update(image)
            .chain_update(head)
    }
}

/// Makes the trailer of an image.
pub(crate) fn make(key: &MacKey, kind: Kind, image: &[u8], generation: u64) -> [u8; LEN] {
    let mut trailer = [0; LEN];
    trailer[..16].copy_from_slice(kind.magic());
    trailer[16..18].copy_from_slice(&kind.version().to_be_bytes());
    trailer[18..26].copy_from_slice(&generation.to_be_bytes());
    let mac = key.mac(image, &trailer[..MAC_AT]).finalize().into_bytes();
    trailer[MAC_AT..].copy_from_slice(&mac);
    trailer
}

/// The proof at the end of a trailer, or of a plaintext that ends with one.
pub(crate) fn tag(trailer: &[u8]) -> Tag {
    trailer.last_chunk().copied().unwrap_or_default()
}

/// Verifies that a plaintext is the node's own and of this kind. Returns its image's length and its
/// generation.
pub(crate) fn check(
    key: &MacKey,
    kind: Kind,
    plaintext: &[u8],
) -> Result<(usize, u64), BadTrailer> {
    let at = plaintext.len().checked_sub(LEN).ok_or(BadTrailer::Absent)?;
    let (image, trailer) = plaintext.split_at(at);
    if !trailer.starts_with(kind.magic()) {
        return Err(BadTrailer::Absent);
    }
    key.mac(image, &trailer[..MAC_AT])
        .verify_slice(&trailer[MAC_AT..])
        .map_err(|_| BadTrailer::Forged)?;
    let version = u16::from_be_bytes([trailer[16], trailer[17]]);
    if version > VERSION {
        return Err(BadTrailer::Newer(version));
    }
    let generation = trailer[18..26]
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    Ok((at, generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> (MacKey, Vec<u8>) {
        let key = MacKey::derive(b"identity");
        let mut plaintext = vec![5; 10_000];
        let trailer = make(&key, Kind::Whole, &plaintext, 0x0102_0304_0506_0708);
        plaintext.extend_from_slice(&trailer);
        (key, plaintext)
    }

    #[test]
    fn image_and_generation_come_back() {
        let (key, plaintext) = sealed();
        assert_eq!(
            check(&key, Kind::Whole, &plaintext),
            Ok((10_000, 0x0102_0304_0506_0708))
        );
    }

    #[test]
    fn no_byte_of_image_or_trailer_can_be_changed() {
        let (key, plaintext) = sealed();
        for at in (0..plaintext.len()).step_by(7).chain(9_990..10_030) {
            let mut changed = plaintext.clone();
            changed[at] ^= 1;
            assert!(check(&key, Kind::Whole, &changed).is_err(), "byte {at}");
        }
        assert_eq!(
            check(&key, Kind::Whole, &plaintext[1..]),
            Err(BadTrailer::Forged)
        );
        assert_eq!(
            check(&key, Kind::Whole, &plaintext[..LEN - 1]),
            Err(BadTrailer::Absent)
        );
        assert_eq!(
            check(&MacKey::derive(b"other"), Kind::Whole, &plaintext),
            Err(BadTrailer::Forged)
        );
    }

    #[test]
    fn an_addition_passes_for_no_store_and_a_store_for_no_addition() {
        let (key, whole) = sealed();
        assert_eq!(check(&key, Kind::Addition, &whole), Err(BadTrailer::Absent));
        let mut addition = vec![5; 100];
        addition.extend_from_slice(&make(&key, Kind::Addition, &addition, 4));
        assert_eq!(check(&key, Kind::Whole, &addition), Err(BadTrailer::Absent));
        assert_eq!(check(&key, Kind::Addition, &addition), Ok((100, 4)));
        let mut extensible = vec![5; 100];
        extensible.extend_from_slice(&make(&key, Kind::Extensible, &extensible, 4));
        assert_eq!(
            extensible[100 + 17],
            2,
            "a program that knows no additions refuses it"
        );
        assert_eq!(check(&key, Kind::Whole, &extensible), Ok((100, 4)));
    }

    #[test]
    fn a_later_format_is_told_from_damage() {
        let (key, plaintext) = sealed();
        let mut trailer: [u8; LEN] = plaintext[10_000..].try_into().unwrap();
        trailer[17] = 3;
        let mac = key
            .mac(&plaintext[..10_000], &trailer[..MAC_AT])
            .finalize()
            .into_bytes();
        trailer[MAC_AT..].copy_from_slice(&mac);
        let newer = [&plaintext[..10_000], &trailer[..]].concat();
        assert_eq!(check(&key, Kind::Whole, &newer), Err(BadTrailer::Newer(3)));
    }

    #[test]
    fn the_bytes_are_frozen() {
        // Computed by another implementation of HMAC and HKDF.
        let trailer = make(&MacKey::derive(b"identity"), Kind::Whole, b"image", 3);
        assert_eq!(
            hex::encode(&trailer[..26]),
            "636f756e7465727369676e2f3120737400010000000000000003"
        );
        assert_eq!(
            hex::encode(&trailer[MAC_AT..]),
            "a04f7fef0ecaa200eb62a2de88f44caaf0f54dadee0f54cd75cac374bf5c57e3"
        );
    }
}
