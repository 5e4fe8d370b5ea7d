//! Plain messages and bare digests, and what must not pass as either.
//!
//! What a signature means is decided by whoever accepts it, not by the name that the requester gave the bytes. So for each
//! scheme, which signatures of this kind could also count as a transaction?
//!
//! - `ed25519` signs bytes as they are, and a Solana transaction is signed as it is: bytes that read as a message of a
//!   Solana transaction are refused as a plain message. They go under `solana-message`, where a plugin sees what they do.
//!   The other way round nothing is gained: `solana-message` accepts what reads as one, and names the signer in it.
//! - `ecdsa-secp256k1` signs the SHA-256 of a message. Ethereum hashes with Keccak-256, so no message has the digest of an
//!   Ethereum transaction or of EIP-191 or EIP-712 data. Bitcoin hashes with SHA-256 twice: the message that would be a
//!   Bitcoin signature is itself a hash of 32 bytes, and 32 bytes are blind whatever they are called.
//! - `taproot` signs bytes as they are, and Bitcoin has it sign hashes of 32 bytes: blind as well. `schnorr-secp256k1`
//!   (RFC 9591) signs no transactions of a chain that is known here; its hashes are blind likewise.
//! - What begins like EIP-191 data (0x19 0x01, 0x19 `E`) was meant for another kind. A plain message of it would be shown to
//!   people as what it is not, so it is refused on every key.
//! - EVM transactions begin with 0x01 to 0x04 or with 0xc0 and above, EIP-191 and EIP-712 preimages with 0x19: under one
//!   hash, no bytes are two of them. EIP-7702 authorisations (0x05) are no kind of payload.
//!
//! Chains that are not known here may take plain messages for transactions (Cosmos and Tron hash with SHA-256, others sign
//! Ed25519 over bytes). A key of such a chain is used with plugins that know its messages.

use countersign_protocol::{DerivationPath, Payload, PayloadKind, Scheme};
use sha2::{Digest, Sha256};

use crate::solana_message::Message;
use crate::{DecodeError, Decoded, Input, Intent, Key};

const KIND: &str = "message";

pub(crate) fn decode(key: &Key, path: &DerivationPath, payload: &Payload) -> Result<Decoded, DecodeError> {
    let bytes = &payload.bytes;
    let (signed_bytes, intent) = match (payload.kind, key.scheme) {
        (PayloadKind::Digest, _) => (bytes.clone(), Intent::Opaque),
        (_, scheme) => {
            refuse_disguises(scheme, bytes).map_err(|reason| DecodeError::malformed(KIND, reason))?;
            let intent = if payload.is_blind() { Intent::Opaque } else { Intent::Message(bytes.clone()) };
            (signed_message(scheme, bytes), intent)
        }
    };
    Ok(Decoded { inputs: vec![Input::new(path.clone(), signed_bytes)], intent })
}

fn signed_message(scheme: Scheme, bytes: &[u8]) -> Vec<u8> {
    match scheme {
        Scheme::EcdsaSecp256k1 => Sha256::digest(bytes).to_vec(),
        Scheme::Ed25519 | Scheme::SchnorrSecp256k1 | Scheme::Taproot => bytes.to_vec(),
    }
}

fn refuse_disguises(scheme: Scheme, bytes: &[u8]) -> Result<(), &'static str> {
    match (bytes, scheme) {
        ([0x19, 0x01, ..], _) => Err("it begins like typed data of EIP-712; send the document as eip712"),
        ([0x19, b'E', ..], _) => {
            Err("it begins like EIP-191 data; send the message without prefix as eip191")
        }
        (_, Scheme::Ed25519) if Message::read(bytes).is_some() => {
            Err("it reads as the message of a Solana transaction; send it as solana-message")
        }
        // A version that is not read here, of the least length that a message can have.
        ([0x81, ..], Scheme::Ed25519) if bytes.len() >= 69 => {
            Err("it begins like a Solana message of version 1, which is not signed here; use version 0")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{decode_as, ed25519, key_of};

    #[test]
    fn ecdsa_signs_the_hash_of_a_message_and_the_others_the_message() {
        for scheme in Scheme::ALL {
            let decoded = decode_as(&key_of(scheme), PayloadKind::Message, b"abc").unwrap();
            let expected = match scheme {
                // FIPS 180-4, example of SHA-256.
                Scheme::EcdsaSecp256k1 => "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                _ => "616263",
            };
            assert_eq!(hex::encode(&decoded.inputs[0].signed_bytes), expected, "{scheme}");
            assert_eq!(decoded.intent, Intent::Message(b"abc".to_vec()));
        }
    }

    #[test]
    fn a_hash_is_opaque_whatever_it_is_called() {
        for scheme in Scheme::ALL {
            for kind in [PayloadKind::Message, PayloadKind::Digest] {
                assert_eq!(decode_as(&key_of(scheme), kind, &[7; 32]).unwrap().intent, Intent::Opaque);
            }
        }
    }

    #[test]
    fn a_transaction_does_not_pass_as_a_message() {
        for scheme in Scheme::ALL {
            for prefix in [&b"\x19\x01 domain"[..], b"\x19Ethereum Signed Message:\n3abc"] {
                let refused = decode_as(&key_of(scheme), PayloadKind::Message, prefix).unwrap_err();
                assert_eq!(refused.code(), "payload-malformed");
            }
        }
        // One signer, one program, no instruction.
        let legacy = [&[1, 0, 1, 2][..], &[5; 32], &[6; 32], &[7; 32], &[0]].concat();
        let versioned = [&[0x80], &legacy[..], &[0]].concat();
        let later = [&[0x81], &legacy[..]].concat();
        for solana in [&legacy, &versioned, &later] {
            assert!(decode_as(&ed25519(), PayloadKind::Message, solana).is_err());
            assert!(decode_as(&key_of(Scheme::Taproot), PayloadKind::Message, solana).is_ok());
            let longer = [&solana[..], b" and so on"].concat();
            let plain = decode_as(&ed25519(), PayloadKind::Message, &longer);
            assert_eq!(plain.is_ok(), solana[0] != 0x81);
        }
    }
}
