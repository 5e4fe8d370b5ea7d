//! Plain messages and bare digests, and the forms that must not pass as either.
//!
//! The verifier of a signature decides on its meaning, not the kind that
//! the requester declared. So:
//!
//! - Bytes that read as a transaction of a chain, or as the preimage of one's hash, are refused as
//!   a message by every key: see `foreign`. Those of supported chains must use their own kind,
//!   where a plugin sees their effects.
//! - 32 bytes are blind under any kind: `ed25519`, `taproot` and `schnorr-secp256k1` sign bytes as
//!   they are, and chains have them sign hashes of 32 bytes.
//! - Bytes that are not text are blind: nobody can judge them, and the recognised forms are
//!   not all there are. An operator who knows which binary messages a key signs can allow them
//!   in the node's configuration.
//! - `ecdsa-secp256k1` signs the SHA-256 of a message. Ethereum hashes with Keccak-256, so no
//!   message has the digest of an Ethereum transaction or of EIP-191 or EIP-712 data. Bitcoin
//!   hashes with SHA-256 twice: the message that would be a Bitcoin signature is itself a
//!   hash of 32 bytes.
//! - EVM transactions begin with 0x01 to 0x04 or with 0xc0 and above, authorisations of EIP-7702
//!   with 0x05, EIP-191 and EIP-712 preimages with 0x19: under one hash, no bytes are two of them.

use countersign_protocol::{DerivationPath, Scheme};
use sha2::{Digest, Sha256};

use crate::{DecodeError, Decoded, Input, Intent, Key, foreign};

pub(crate) fn decode(
    key: &Key,
    path: &DerivationPath,
    bytes: &[u8],
) -> Result<Decoded, DecodeError> {
    if let Some((what, instead)) = foreign::transaction(bytes) {
        return Err(DecodeError::Disguised { what, instead });
    }
    let input = Input::new(path.clone(), signed_message(key.scheme, bytes));
    Ok(Decoded {
        inputs: vec![input],
        intent: Intent::Message(bytes.to_vec()),
    })
}

pub(crate) fn decode_digest(path: &DerivationPath, bytes: &[u8]) -> Decoded {
    Decoded {
        inputs: vec![Input::new(path.clone(), bytes.to_vec())],
        intent: Intent::Opaque,
    }
}

fn signed_message(scheme: Scheme, bytes: &[u8]) -> Vec<u8> {
    match scheme {
        Scheme::EcdsaSecp256k1 => Sha256::digest(bytes).to_vec(),
        Scheme::Ed25519 | Scheme::SchnorrSecp256k1 | Scheme::Taproot => bytes.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PayloadKind;
    use crate::testkit::{decode_as, key_of};

    #[test]
    fn ecdsa_signs_the_hash_of_a_message_and_the_others_the_message() {
        for scheme in Scheme::ALL {
            let decoded = decode_as(&key_of(scheme), PayloadKind::Message, b"abc").unwrap();
            let expected = match scheme {
                // FIPS 180-4, example of SHA-256.
                Scheme::EcdsaSecp256k1 => {
                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
                }
                _ => "616263",
            };
            assert_eq!(
                hex::encode(&decoded.inputs[0].signed_bytes),
                expected,
                "{scheme}"
            );
            assert_eq!(decoded.intent, Intent::Message(b"abc".to_vec()));
        }
    }

    #[test]
    fn a_hash_is_opaque_whatever_it_is_called() {
        for scheme in Scheme::ALL {
            for kind in [PayloadKind::Message, PayloadKind::Digest] {
                assert_eq!(
                    decode_as(&key_of(scheme), kind, &[7; 32]).unwrap().intent,
                    Intent::Opaque
                );
            }
        }
    }

    #[test]
    fn a_message_of_solana_does_not_pass_as_a_plain_one() {
        // One signer, one program, no instruction.
        let legacy = [&[1, 0, 1, 2][..], &[5; 32], &[6; 32], &[7; 32], &[0]].concat();
        let versioned = [&[0x80], &legacy[..], &[0]].concat();
        let later = [&[0x81], &legacy[..]].concat();
        for scheme in Scheme::ALL {
            for solana in [&legacy, &versioned, &later] {
                let refused = decode_as(&key_of(scheme), PayloadKind::Message, solana).unwrap_err();
                assert_eq!(refused.code(), "message-is-transaction");
                let longer = [&solana[..], b" and so on"].concat();
                let plain = decode_as(&key_of(scheme), PayloadKind::Message, &longer);
                assert_eq!(plain.is_ok(), solana[0] != 0x81);
            }
        }
    }
}
