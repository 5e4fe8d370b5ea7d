//! Schnorr over secp256k1 as made by FROST(secp256k1, SHA-256) of RFC 9591;
//! point arithmetic by libsecp256k1.
//!
//! All values here are public, so nothing needs constant time.

use secp256k1::{PublicKey, Scalar, Secp256k1};
use sha2::{Digest, Sha256};

use crate::ecdsa::public_key;
use crate::{VerifyError, exactly};

/// Verifies z·G = R + c·PK (RFC 9591, appendix B), as z·G - c·PK = R.
pub(crate) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    let point = public_key(key).ok_or(VerifyError::Key)?;
    let signature: &[u8; 65] = exactly(signature)?;
    let (commitment, response) = signature.split_at(33);
    let challenge = challenge(commitment, key, message);
    match commitment_of(&point, &challenge, response) {
        // The compressed encoding is unique, so equal bytes are equal points.
        Some(found) if found.serialize() == commitment => Ok(()),
        _ => Err(VerifyError::Invalid),
    }
}

/// z·G - c·PK; `None` for the point at infinity and for z not below the order.
pub(crate) fn commitment_of(
    key: &PublicKey,
    challenge: &[u8],
    response: &[u8],
) -> Option<PublicKey> {
    let secp = Secp256k1::verification_only();
    let z = Scalar::from_be_bytes(response.try_into().ok()?).ok()?;
    times(key, challenge)?
        .negate(&secp)
        .add_exp_tweak(&secp, &z)
        .ok()
}

/// c·P for a long c, big-endian, which stands for c mod n: taken in digits of 24 bytes, each below
/// the order. `None` if a digit is zero, which no hash gives.
fn times(point: &PublicKey, c: &[u8]) -> Option<PublicKey> {
    let secp = Secp256k1::verification_only();
    let digit = |digit: &[u8]| point.mul_tweak(&secp, &scalar(digit)?).ok();
    let mut digits = c.rchunks(24).rev();
    let first = digit(digits.next()?);
    digits.fold(first, |sum, low| {
        sum?.mul_tweak(&secp, &two_to_192()?)
            .ok()?
            .combine(&digit(low)?)
            .ok()
    })
}

/// A number of at most 24 bytes, big-endian.
fn scalar(bytes: &[u8]) -> Option<Scalar> {
    let mut padded = [0; 32];
    padded[32 - bytes.len()..].copy_from_slice(bytes);
    Scalar::from_be_bytes(padded).ok()
}

fn two_to_192() -> Option<Scalar> {
    let mut bytes = [0; 32];
    bytes[7] = 1;
    Scalar::from_be_bytes(bytes).ok()
}

/// H2 of RFC 9591, section 6.5, before its reduction modulo the order.
fn challenge(commitment: &[u8], key: &[u8], message: &[u8]) -> [u8; 48] {
    expand_message_xmd(
        &[commitment, key, message],
        b"FROST-secp256k1-SHA256-v1chal",
    )
}

/// expand_message_xmd of RFC 9380, section 5.3.1, with SHA-256 and 48 bytes of output (two blocks).
fn expand_message_xmd(message: &[&[u8]], tag: &[u8; 29]) -> [u8; 48] {
    let tag_prime = [&tag[..], &[tag.len() as u8]].concat();
    // b_0 = H(Z_pad || msg || l_i_b_str || I2OSP(0, 1) || DST_prime)
    let mut hash = Sha256::new_with_prefix([0; 64]);
    message.iter().for_each(|part| hash.update(part));
    let b0 = hash
        .chain_update([0, 48, 0])
        .chain_update(&tag_prime)
        .finalize();
    // b_1 = H(b_0 || I2OSP(1, 1) || DST_prime); b_2 = H(strxor(b_0, b_1) || I2OSP(2, 1) ||
    // DST_prime)
    let b1 = Sha256::new_with_prefix(b0)
        .chain_update([1])
        .chain_update(&tag_prime)
        .finalize();
    let mixed: [u8; 32] = std::array::from_fn(|i| b0[i] ^ b1[i]);
    let b2 = Sha256::new_with_prefix(mixed)
        .chain_update([2])
        .chain_update(&tag_prime)
        .finalize();
    std::array::from_fn(|i| if i < 32 { b1[i] } else { b2[i - 32] })
}

#[cfg(test)]
pub(crate) mod tests {
    use secp256k1::{Keypair, SecretKey};

    use super::*;

    /// From RFC 9591, appendix E.5.
    const KEY: &str = "02f37c34b66ced1fb51c34a90bdae006901f10625cc06c4f64663b0eae87d87b4f";
    const SIGNATURE: &str = "024c1ad4e031872661fa6ebd05dfc7fb30db08b38d79f0edbc82051ae931381bc6\
                             a46881e25c7989d3816eae32074f1ab0d49ee908a59713ed5284c6bade7cfb02";

    /// Signs with a fixed nonce, for tests only: z = k + c·x.
    pub(crate) fn sign(pair: &Keypair, message: &[u8]) -> Vec<u8> {
        let nonce = SecretKey::from_byte_array([9; 32]).unwrap();
        sign_for(
            nonce.public_key(&Secp256k1::new()).serialize(),
            nonce,
            pair,
            message,
        )
    }

    /// Signs likewise, for an arbitrary claimed commitment.
    fn sign_for(commitment: [u8; 33], nonce: SecretKey, pair: &Keypair, message: &[u8]) -> Vec<u8> {
        let c = challenge(&commitment, &pair.public_key().serialize(), message);
        let high = pair
            .secret_key()
            .mul_tweak(&two_to_192().unwrap())
            .unwrap()
            .mul_tweak(&scalar(&c[..24]).unwrap())
            .unwrap();
        let low = pair
            .secret_key()
            .mul_tweak(&scalar(&c[24..]).unwrap())
            .unwrap();
        let z = high
            .add_tweak(&low.into())
            .unwrap()
            .add_tweak(&nonce.into())
            .unwrap();
        [&commitment[..], &z.secret_bytes()].concat()
    }

    #[test]
    fn rfc_9591_vector_verifies() {
        let key = hex::decode(KEY).unwrap();
        let signature = hex::decode(SIGNATURE).unwrap();
        assert_eq!(verify(&key, b"test", &signature), Ok(()));
        assert_eq!(verify(&key, b"tesT", &signature), Err(VerifyError::Invalid));
        let mut negated_key = key.clone();
        negated_key[0] ^= 1;
        assert_eq!(
            verify(&negated_key, b"test", &signature),
            Err(VerifyError::Invalid)
        );
    }

    #[test]
    fn response_out_of_range_and_other_commitments_are_refused() {
        let key = hex::decode(KEY).unwrap();
        let signature = hex::decode(SIGNATURE).unwrap();
        let order = hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
            .unwrap();
        let negated = [&[signature[0] ^ 1], &signature[1..]].concat();
        let infinity = [&[0; 33], &signature[33..]].concat();
        for wrong in [
            [&signature[..33], &order].concat(),
            [&signature[..33], &[0; 32]].concat(),
            negated,
            infinity,
        ] {
            assert_eq!(verify(&key, b"test", &wrong), Err(VerifyError::Invalid));
        }
    }

    #[test]
    fn commitment_of_the_other_parity_is_refused() {
        let secp = Secp256k1::new();
        let pair = Keypair::from_seckey_byte_array(&secp, [5; 32]).unwrap();
        let nonce = SecretKey::from_byte_array([9; 32]).unwrap();
        let mut claimed = nonce.public_key(&secp).serialize();
        let key = pair.public_key().serialize();
        assert_eq!(
            verify(&key, b"m", &sign_for(claimed, nonce, &pair, b"m")),
            Ok(())
        );
        claimed[0] ^= 1;
        let signature = sign_for(claimed, nonce, &pair, b"m");
        assert_eq!(verify(&key, b"m", &signature), Err(VerifyError::Invalid));
    }

    #[test]
    fn wide_challenge_is_taken_modulo_the_order() {
        let key = public_key(&hex::decode(KEY).unwrap()).unwrap();
        let secp = Secp256k1::verification_only();
        // n + 2 stands for 2.
        let mut wide = [0; 48];
        wide[16..].copy_from_slice(
            &hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364143")
                .unwrap(),
        );
        let mut two = [0; 32];
        two[31] = 2;
        let twice = key
            .mul_tweak(&secp, &Scalar::from_be_bytes(two).unwrap())
            .unwrap();
        assert_eq!(times(&key, &wide), Some(twice));
    }
}
