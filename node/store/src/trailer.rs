//! The last page of the plaintext: proof that the file was written by who holds the node's age identity.
//!
//! An age file to public recipients proves nothing about its author; whoever knows the recipients can make one. The trailer
//! is one spare page to redb, so that the decrypted file opens as it stands.
//!
//! ```text
//! 0..16    "countersign/1 st"     16..18  version, big-endian      18..26  generation, big-endian
//! 26..4064 zeros                  4064..  HMAC-SHA256 over the database image and bytes 0..4064
//! ```

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length of the trailer, one redb page.
pub(crate) const LEN: usize = 4096;
/// The format that this program writes.
pub(crate) const VERSION: u16 = 1;

const MAGIC: &[u8; 16] = b"countersign/1 st";
const MAC_AT: usize = LEN - 32;

/// The key of the HMAC.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct MacKey([u8; 32]);

/// Why a plaintext is not one of ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadTrailer {
    /// Too short, or without the magic.
    Absent,
    /// Not made with this key.
    Forged,
    /// Made by us, in a later format.
    Newer(u16),
}

impl MacKey {
    /// HKDF-SHA256 (RFC 5869) over the secret part of the node's age identity, without salt.
    pub(crate) fn derive(identity: &[u8]) -> MacKey {
        let mut key = MacKey([0; 32]);
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
pub(crate) fn make(key: &MacKey, image: &[u8], generation: u64) -> [u8; LEN] {
    let mut trailer = [0; LEN];
    trailer[..16].copy_from_slice(MAGIC);
    trailer[16..18].copy_from_slice(&VERSION.to_be_bytes());
    trailer[18..26].copy_from_slice(&generation.to_be_bytes());
    let mac = key.mac(image, &trailer[..MAC_AT]).finalize().into_bytes();
    trailer[MAC_AT..].copy_from_slice(&mac);
    trailer
}

/// Splits a plaintext into the length of its image and its generation, if it is one of ours.
pub(crate) fn check(key: &MacKey, plaintext: &[u8]) -> Result<(usize, u64), BadTrailer> {
    let at = plaintext.len().checked_sub(LEN).ok_or(BadTrailer::Absent)?;
    let (image, trailer) = plaintext.split_at(at);
    if !trailer.starts_with(MAGIC) {
        return Err(BadTrailer::Absent);
    }
    key.mac(image, &trailer[..MAC_AT]).verify_slice(&trailer[MAC_AT..]).map_err(|_| BadTrailer::Forged)?;
    let version = u16::from_be_bytes([trailer[16], trailer[17]]);
    if version > VERSION {
        return Err(BadTrailer::Newer(version));
    }
    let generation = trailer[18..26].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Ok((at, generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> (MacKey, Vec<u8>) {
        let key = MacKey::derive(b"identity");
        let mut plaintext = vec![5; 10_000];
        let trailer = make(&key, &plaintext, 0x0102_0304_0506_0708);
        plaintext.extend_from_slice(&trailer);
        (key, plaintext)
    }

    #[test]
    fn image_and_generation_come_back() {
        let (key, plaintext) = sealed();
        assert_eq!(check(&key, &plaintext), Ok((10_000, 0x0102_0304_0506_0708)));
    }

    #[test]
    fn no_byte_of_image_or_trailer_can_be_changed() {
        let (key, plaintext) = sealed();
        for at in (0..plaintext.len()).step_by(7).chain(9_990..10_030) {
            let mut changed = plaintext.clone();
            changed[at] ^= 1;
            assert!(check(&key, &changed).is_err(), "byte {at}");
        }
        assert_eq!(check(&key, &plaintext[1..]), Err(BadTrailer::Forged));
        assert_eq!(check(&key, &plaintext[..LEN - 1]), Err(BadTrailer::Absent));
        assert_eq!(check(&MacKey::derive(b"other"), &plaintext), Err(BadTrailer::Forged));
    }

    #[test]
    fn a_later_format_is_told_from_damage() {
        let (key, plaintext) = sealed();
        let mut trailer: [u8; LEN] = plaintext[10_000..].try_into().unwrap();
        trailer[17] = 2;
        let mac = key.mac(&plaintext[..10_000], &trailer[..MAC_AT]).finalize().into_bytes();
        trailer[MAC_AT..].copy_from_slice(&mac);
        let newer = [&plaintext[..10_000], &trailer[..]].concat();
        assert_eq!(check(&key, &newer), Err(BadTrailer::Newer(2)));
    }

    #[test]
    fn the_bytes_are_frozen() {
        // Computed by another implementation of HMAC and HKDF.
        let trailer = make(&MacKey::derive(b"identity"), b"image", 3);
        assert_eq!(hex::encode(&trailer[..26]), "636f756e7465727369676e2f3120737400010000000000000003");
        assert_eq!(
            hex::encode(&trailer[MAC_AT..]),
            "a04f7fef0ecaa200eb62a2de88f44caaf0f54dadee0f54cd75cac374bf5c57e3"
        );
    }
}
