//! ECDSA over secp256k1, by libsecp256k1: 32-byte digest, r ‖ s of 64 bytes, low s only (BIP-146).

use secp256k1::ecdsa::{RecoverableSignature, RecoveryId, Signature};
use secp256k1::{Message, PublicKey, Secp256k1};

use crate::{VerifyError, exactly};

pub(crate) fn verify(key: &[u8], digest: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    let key = public_key(key).ok_or(VerifyError::Key)?;
    let digest = digest
        .try_into()
        .map_err(|_| VerifyError::DigestLength(digest.len()))?;
    // Refuses r or s not below the order; verification refuses zero and high s.
    let signature =
        Signature::from_compact(exactly::<64>(signature)?).map_err(|_| VerifyError::Invalid)?;
    Secp256k1::verification_only()
        .verify_ecdsa(Message::from_digest(digest), &signature, &key)
        .map_err(|_| VerifyError::Invalid)
}

/// Finds the point R among those with the x-coordinate r: the id, 0 to 3, under which `digest`
/// and `signature` lead back to `key`. `None` if none does. Not part of a signature check: a
/// signature verifies without it.
pub fn recovery_id(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<u8> {
    let key = public_key(key)?;
    let digest = Message::from_digest(digest.try_into().ok()?);
    let signature: &[u8; 64] = signature.try_into().ok()?;
    let recovers = |id: &RecoveryId| {
        let signature = RecoverableSignature::from_compact(signature, *id).ok();
        signature
            .is_some_and(|it| Secp256k1::verification_only().recover_ecdsa(digest, &it) == Ok(key))
    };
    let ids = [
        RecoveryId::Zero,
        RecoveryId::One,
        RecoveryId::Two,
        RecoveryId::Three,
    ];
    (0..)
        .zip(&ids)
        .find(|(_, id)| recovers(id))
        .map(|(number, _)| number)
}

/// A point in its one accepted encoding: 33 bytes, compressed.
pub(crate) fn public_key(bytes: &[u8]) -> Option<PublicKey> {
    PublicKey::from_byte_array_compressed(bytes.try_into().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// The generator: public key of the secret key 1.
    const KEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    /// Deterministic signature (RFC 6979) of the secret key 1 over SHA-256("Satoshi
    /// Nakamoto"), as widely published.
    const R: &str = "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8";
    const S: &str = "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5";
    /// The high form, n - S.
    const HIGH_S: &str = "dbbd3162d46e9f9bef7feb87c16dc13b4f6568a87f4e83f728e2443ba586675c";
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    const ONE: &str = "0000000000000000000000000000000000000000000000000000000000000001";

    fn check(r: &str, s: &str) -> Result<(), VerifyError> {
        let signature = hex::decode([r, s].concat()).unwrap();
        verify(
            &hex::decode(KEY).unwrap(),
            &Sha256::digest(b"Satoshi Nakamoto"),
            &signature,
        )
    }

    #[test]
    fn published_signature_verifies() {
        assert_eq!(check(R, S), Ok(()));
    }

    #[test]
    fn a_signature_leads_back_to_its_key_under_one_id() {
        let key = hex::decode(KEY).unwrap();
        let digest = Sha256::digest(b"Satoshi Nakamoto");
        let low = hex::decode([R, S].concat()).unwrap();
        let high = hex::decode([R, HIGH_S].concat()).unwrap();
        let ids = [
            recovery_id(&key, &digest, &low),
            recovery_id(&key, &digest, &high),
        ];
        assert!(
            ids == [Some(0), Some(1)] || ids == [Some(1), Some(0)],
            "{ids:?}"
        );
        assert_eq!(recovery_id(&key, &Sha256::digest(b"another"), &low), None);
        assert_eq!(recovery_id(&key, &digest, &low[1..]), None);
    }

    #[test]
    fn high_s_of_the_same_signature_is_refused() {
        assert_eq!(check(R, HIGH_S), Err(VerifyError::Invalid));
        // It is the twin of a valid one: its low form verifies.
        let mut twin =
            Signature::from_compact(&hex::decode([R, HIGH_S].concat()).unwrap()).unwrap();
        twin.normalize_s();
        assert_eq!(hex::encode(&twin.serialize_compact()[32..]), S);
    }

    #[test]
    fn values_at_the_edges_are_refused() {
        for r in [ZERO, ONE, R, ORDER] {
            for s in [ZERO, ONE, S, ORDER] {
                let valid = (r, s) == (R, S);
                assert_eq!(check(r, s).is_ok(), valid, "{r} {s}");
            }
        }
    }

    #[test]
    fn wrong_lengths_are_named() {
        let key = hex::decode(KEY).unwrap();
        let signature = hex::decode([R, S].concat()).unwrap();
        assert_eq!(
            verify(&key, &[0; 31], &signature),
            Err(VerifyError::DigestLength(31))
        );
        assert_eq!(
            verify(&key[1..], &[0; 32], &signature),
            Err(VerifyError::Key)
        );
        let der = [&[0x30, 0x44, 0x02, 0x20][..], &signature].concat();
        let expected = VerifyError::SignatureLength {
            expected: 64,
            found: 68,
        };
        assert_eq!(verify(&key, &[0; 32], &der), Err(expected));
    }

    #[test]
    fn uncompressed_and_hybrid_keys_are_refused() {
        let key = public_key(&hex::decode(KEY).unwrap()).unwrap();
        let mut long = key.serialize_uncompressed();
        assert!(public_key(&long).is_none());
        long[0] = 6;
        assert!(public_key(&long).is_none());
    }
}
