//! Ed25519 (RFC 8032), by aws-lc-rs; in WebAssembly, for which that is not made, by ed25519-dalek.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::traits::IsIdentity;

use crate::{VerifyError, exactly};

pub(crate) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    point(key).ok_or(VerifyError::Key)?;
    let signature = exactly::<64>(signature)?;
    if holds(key, message, signature) {
        Ok(())
    } else {
        Err(VerifyError::Invalid)
    }
}

#[cfg(not(target_family = "wasm"))]
fn holds(key: &[u8], message: &[u8], signature: &[u8; 64]) -> bool {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    UnparsedPublicKey::new(&ED25519, key)
        .verify(message, signature)
        .is_ok()
}

/// The same rule as that of aws-lc-rs: S below the order, and R equal to S·B - k·A byte for byte.
#[cfg(target_family = "wasm")]
fn holds(key: &[u8], message: &[u8], signature: &[u8; 64]) -> bool {
    use ed25519_dalek::{Signature, Verifier, VerifyingKey};
    let key = key
        .try_into()
        .ok()
        .and_then(|key| VerifyingKey::from_bytes(key).ok());
    key.is_some_and(|key| {
        key.verify(message, &Signature::from_bytes(signature))
            .is_ok()
    })
}

/// Decodes a point of the prime-order group in its one accepted encoding: 32 bytes. Small-order
/// keys, under which one signature holds for many messages, are refused.
pub(crate) fn point(bytes: &[u8]) -> Option<EdwardsPoint> {
    let point = CompressedEdwardsY::from_slice(bytes).ok()?.decompress()?;
    // That refuses second encodings too: all points that have one (y below 19)
    // have a small-order part.
    (point.is_torsion_free() && !point.is_identity()).then_some(point)
}

/// True if the bytes encode a point of the curve, in any group.
pub(crate) fn is_point(bytes: &[u8; 32]) -> bool {
    CompressedEdwardsY(*bytes).decompress().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, tests 1 to 3: key, message, signature.
    const VECTORS: [[&str; 3]; 3] = [
        [
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
    ];

    #[test]
    fn rfc_8032_vectors_verify() {
        for [key, message, signature] in VECTORS {
            let [key, message, signature] =
                [key, message, signature].map(|text| hex::decode(text).unwrap());
            assert_eq!(verify(&key, &message, &signature), Ok(()));
            assert_eq!(
                verify(&key, b"another", &signature),
                Err(VerifyError::Invalid)
            );
        }
    }

    #[test]
    fn s_plus_the_order_is_refused() {
        let [key, message, signature] = VECTORS[1].map(|text| hex::decode(text).unwrap());
        // L, little-endian: adding it to S leaves the equation true, so only the
        // range check prevents it.
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
            .unwrap();
        let mut malleated = signature;
        let mut carry = 0;
        for (byte, addend) in malleated[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(addend) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        assert_eq!(
            verify(&key, &message, &malleated),
            Err(VerifyError::Invalid)
        );
    }

    #[test]
    fn small_order_keys_are_none() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(point(&identity).is_none());
        assert!(point(&[0; 32]).is_none(), "a point of order four");
        // Without this guard, R = identity and S = 0 verify under a small-order key.
        let mut forged = [0; 64];
        forged[0] = 1;
        assert_eq!(
            verify(&identity, b"anything", &forged),
            Err(VerifyError::Key)
        );
    }
    #[test]
    fn what_has_a_second_encoding_is_none() {
        // y and y + p for every y below 2^255 - p, where p = 2^255 - 19 ends in 0xed; with either
        // sign of x.
        for (y, sign) in (0..19).flat_map(|y| [(y, 0), (y, 0x80)]) {
            let mut first = [0; 32];
            let mut second = [0xff; 32];
            (first[0], first[31]) = (y, sign);
            (second[0], second[31]) = (0xed + y, 0x7f | sign);
            assert!(
                point(&first).is_none() && point(&second).is_none(),
                "{y} {sign}"
            );
        }
    }
}
