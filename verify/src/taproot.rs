//! BIP-340 signatures and the output keys of BIP-341 (key path), by libsecp256k1.

use secp256k1::schnorr::Signature;
use secp256k1::{Scalar, Secp256k1, XOnlyPublicKey};
use sha2::{Digest, Sha256};

use crate::ecdsa::public_key;
use crate::{DeriveError, VerifyError, exactly};

/// Returns the x-only output key of an internal key (33 bytes compressed, of which the parity is
/// ignored, or 32 bytes x-only). Source: BIP-341, Q = P + int(hash_TapTweak(bytes(P) ‖ script
/// root))·G; without a root as in BIP-86.
pub fn taproot_output_key(
    internal: &[u8],
    script_root: Option<&[u8; 32]>,
) -> Result<[u8; 32], DeriveError> {
    let tweak = Scalar::from_be_bytes(tweak(internal, script_root)?)
        .map_err(|_| DeriveError::OutOfRange)?;
    let internal = x_only(internal).ok_or(DeriveError::PublicKey)?;
    let secp = Secp256k1::verification_only();
    let (output, _parity) = internal
        .add_tweak(&secp, &tweak)
        .map_err(|_| DeriveError::OutOfRange)?;
    Ok(output.serialize())
}

/// The tweak from an internal key, encoded as for [`taproot_output_key`], to its output key:
/// hash_TapTweak(bytes(P) ‖ script root), a tagged hash of BIP-340.
pub(crate) fn tweak(
    internal: &[u8],
    script_root: Option<&[u8; 32]>,
) -> Result<[u8; 32], DeriveError> {
    let internal = x_only(internal).ok_or(DeriveError::PublicKey)?.serialize();
    let tag = Sha256::digest(b"TapTweak");
    let root = script_root.map_or(&[][..], |root| root);
    Ok(Sha256::new()
        .chain_update(tag)
        .chain_update(tag)
        .chain_update(internal)
        .chain_update(root)
        .finalize()
        .into())
}

/// Verifies a BIP-340 signature. `key`: 32 bytes, x-only.
pub(crate) fn bip340(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    let key = key.try_into().map_err(|_| VerifyError::Key)?;
    let key = XOnlyPublicKey::from_byte_array(key).map_err(|_| VerifyError::Key)?;
    let signature = Signature::from_byte_array(*exactly(signature)?);
    Secp256k1::verification_only()
        .verify_schnorr(&signature, message, &key)
        .map_err(|_| VerifyError::Invalid)
}

fn x_only(bytes: &[u8]) -> Option<XOnlyPublicKey> {
    match bytes.try_into() {
        Ok(x) => XOnlyPublicKey::from_byte_array(x).ok(),
        Err(_) => public_key(bytes).map(|key| key.x_only_public_key().0),
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::Scheme;

    use super::*;
    use crate::ChildKey;
    use crate::address::Network;

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex).unwrap()
    }

    #[test]
    fn bip_340_vectors() {
        let mut seen = [0, 0];
        for line in include_str!("bip340.csv").lines().skip(1) {
            let fields: Vec<_> = line.splitn(5, ',').collect();
            let [key, message, signature] = [1, 2, 3].map(|i| hex::decode(fields[i]).unwrap());
            let (valid, _comment) = fields[4].split_once(',').unwrap();
            let checked = bip340(&key, &message, &signature).is_ok();
            assert_eq!(checked, valid == "TRUE", "vector {}", fields[0]);
            seen[usize::from(checked)] += 1;
        }
        assert_eq!(seen, [10, 5]);
    }

    /// BIP-341, wallet-test-vectors.json, scriptPubKey; the last line is
    /// BIP-86's first receiving address.
    #[test]
    fn bip_341_and_bip_86_output_keys() {
        let mut roots = 0;
        for line in include_str!("bip341-output-keys.csv").lines().skip(1) {
            let [internal, root, tweak, output, address]: [&str; 5] =
                line.split(',').collect::<Vec<_>>().try_into().unwrap();
            let internal = hex::decode(internal).unwrap();
            let root: Option<[u8; 32]> =
                (!root.is_empty()).then(|| bytes(root).try_into().unwrap());
            roots += usize::from(root.is_some());
            for prefix in [&[][..], &[2], &[3]] {
                let public_key = [prefix, &internal].concat();
                let key = ChildKey {
                    scheme: Scheme::Taproot,
                    public_key: &public_key,
                    script_root: root.as_ref(),
                };
                assert_eq!(hex::encode(key.verification_key().unwrap()), output);
                assert_eq!(hex::encode(key.tweak().unwrap().unwrap()), tweak);
                assert_eq!(
                    Network::Mainnet.p2tr(&public_key, root.as_ref()).unwrap(),
                    address
                );
            }
        }
        assert_eq!(roots, 6);
    }

    /// BIP-341, wallet-test-vectors.json, keyPathSpending: real signatures for outputs
    /// with and without scripts.
    #[test]
    fn bip_341_signatures() {
        for line in include_str!("bip341-signatures.csv").lines().skip(1) {
            let [internal, root, sighash, signature] =
                std::array::from_fn(|i| line.split(',').nth(i).unwrap());
            let internal = bytes(internal);
            let sighash = bytes(sighash);
            let signature = bytes(signature);
            let root: Option<[u8; 32]> =
                (!root.is_empty()).then(|| bytes(root).try_into().unwrap());
            let key = ChildKey {
                scheme: Scheme::Taproot,
                public_key: &internal,
                script_root: root.as_ref(),
            };
            assert!(key.verify(&sighash, &signature).is_ok(), "{line}");
            let other = root.map_or(Some([7; 32]), |_| None);
            let other = ChildKey {
                script_root: other.as_ref(),
                ..key
            };
            assert_eq!(
                other.verify(&sighash, &signature),
                Err(VerifyError::Invalid),
                "{line}"
            );
        }
    }

    #[test]
    fn other_schemes_have_no_scripts() {
        for scheme in Scheme::ALL
            .into_iter()
            .filter(|scheme| *scheme != Scheme::Taproot)
        {
            let key = ChildKey {
                scheme,
                public_key: &[2; 33],
                script_root: Some(&[1; 32]),
            };
            assert_eq!(key.verification_key(), Err(DeriveError::ScriptRoot));
            assert_eq!(key.tweak(), Err(DeriveError::ScriptRoot));
            assert_eq!(key.verify(&[0; 32], &[0; 64]), Err(VerifyError::Key));
        }
    }

    #[test]
    fn signature_under_the_internal_key_is_refused() {
        let secp = Secp256k1::new();
        let pair = secp256k1::Keypair::from_seckey_byte_array(&secp, [5; 32]).unwrap();
        let signature = secp
            .sign_schnorr_no_aux_rand(b"message", &pair)
            .to_byte_array();
        let internal = pair.x_only_public_key().0.serialize();
        assert_eq!(bip340(&internal, b"message", &signature), Ok(()));
        let key = ChildKey::new(Scheme::Taproot, &internal);
        assert_eq!(
            key.verify(b"message", &signature),
            Err(VerifyError::Invalid)
        );
    }

    #[test]
    fn a_key_that_is_not_a_point_has_no_output_key() {
        // Not on the curve (BIP-340, vector 5).
        let off = hex::decode("eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34")
            .unwrap();
        assert_eq!(taproot_output_key(&off, None), Err(DeriveError::PublicKey));
        assert_eq!(taproot_output_key(&[], None), Err(DeriveError::PublicKey));
    }
}
