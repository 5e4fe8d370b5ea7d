//! BIP-340 signatures under a BIP-341 output key (key path, no scripts), by libsecp256k1.

use secp256k1::schnorr::Signature;
use secp256k1::{Scalar, Secp256k1, XOnlyPublicKey};
use sha2::{Digest, Sha256};

use crate::ecdsa::public_key;
use crate::{DeriveError, VerifyError, exactly};

/// The x-only output key of an internal key (33 bytes compressed, of which the parity is ignored, or 32 bytes x-only).
///
/// Source: BIP-341, Q = P + int(hash_TapTweak(bytes(P)))·G, without a script tree (as BIP-86).
pub fn taproot_output_key(internal: &[u8]) -> Result<[u8; 32], DeriveError> {
    let tweak = Scalar::from_be_bytes(taproot_tweak(internal)?).map_err(|_| DeriveError::OutOfRange)?;
    let internal = x_only(internal).ok_or(DeriveError::PublicKey)?;
    let secp = Secp256k1::verification_only();
    let (output, _parity) = internal.add_tweak(&secp, &tweak).map_err(|_| DeriveError::OutOfRange)?;
    Ok(output.serialize())
}

/// The tweak that leads from an internal key, encoded as [`taproot_output_key`] takes it, to its output key:
/// hash_TapTweak(bytes(P)).
pub fn taproot_tweak(internal: &[u8]) -> Result<[u8; 32], DeriveError> {
    Ok(tap_tweak(&x_only(internal).ok_or(DeriveError::PublicKey)?.serialize()))
}

/// Returns the output key under which the signature is valid.
pub(crate) fn verify(internal: &[u8], message: &[u8], signature: &[u8]) -> Result<[u8; 32], VerifyError> {
    let output = taproot_output_key(internal).map_err(|_| VerifyError::Key)?;
    bip340(&output, message, signature)?;
    Ok(output)
}

fn bip340(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    let key = XOnlyPublicKey::from_byte_array(*key).map_err(|_| VerifyError::Key)?;
    let signature = Signature::from_byte_array(*exactly(signature)?);
    Secp256k1::verification_only().verify_schnorr(&signature, message, &key).map_err(|_| VerifyError::Invalid)
}

/// hash_TapTweak(bytes(P)), a tagged hash of BIP-340.
pub(crate) fn tap_tweak(internal: &[u8; 32]) -> [u8; 32] {
    let tag = Sha256::digest(b"TapTweak");
    Sha256::new().chain_update(tag).chain_update(tag).chain_update(internal).finalize().into()
}

fn x_only(bytes: &[u8]) -> Option<XOnlyPublicKey> {
    match bytes.try_into() {
        Ok(x) => XOnlyPublicKey::from_byte_array(x).ok(),
        Err(_) => public_key(bytes).map(|key| key.x_only_public_key().0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bip_340_vectors() {
        let mut seen = [0, 0];
        for line in include_str!("bip340.csv").lines().skip(1) {
            let fields: Vec<_> = line.splitn(5, ',').collect();
            let [key, message, signature] = [1, 2, 3].map(|i| hex::decode(fields[i]).unwrap());
            let (valid, _comment) = fields[4].split_once(',').unwrap();
            let checked = bip340(&key.try_into().unwrap(), &message, &signature).is_ok();
            assert_eq!(checked, valid == "TRUE", "vector {}", fields[0]);
            seen[usize::from(checked)] += 1;
        }
        assert_eq!(seen, [10, 5]);
    }

    #[test]
    fn bip_341_and_bip_86_output_keys() {
        for (internal, output) in [
            // BIP-341 wallet-test-vectors.json, scriptPubKey 0.
            (
                "d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d",
                "53a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343",
            ),
            // BIP-86, first receiving address.
            (
                "cc8a4bc64d897bddc5fbc2f670f7a8ba0b386779106cf1223c6fc5d7cd6fc115",
                "a60869f0dbcf1dc659c9cecbaf8050135ea9e8cdc487053f1dc6880949dc684c",
            ),
        ] {
            let internal = hex::decode(internal).unwrap();
            for prefix in [&[][..], &[2], &[3]] {
                let key = taproot_output_key(&[prefix, &internal].concat()).unwrap();
                assert_eq!(hex::encode(key), output);
            }
        }
    }

    #[test]
    fn signature_under_the_internal_key_is_refused() {
        let secp = Secp256k1::new();
        let pair = secp256k1::Keypair::from_seckey_byte_array(&secp, [5; 32]).unwrap();
        let signature = secp.sign_schnorr_no_aux_rand(b"message", &pair).to_byte_array();
        let internal = pair.x_only_public_key().0.serialize();
        assert_eq!(bip340(&internal, b"message", &signature), Ok(()));
        assert_eq!(verify(&internal, b"message", &signature), Err(VerifyError::Invalid));
    }

    #[test]
    fn what_is_no_point_has_no_output_key() {
        // Not on the curve (BIP-340, vector 5).
        let off = hex::decode("eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34").unwrap();
        assert_eq!(taproot_output_key(&off), Err(DeriveError::PublicKey));
        assert_eq!(taproot_output_key(&[]), Err(DeriveError::PublicKey));
    }
}
