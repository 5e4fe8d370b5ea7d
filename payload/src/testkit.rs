//! Keys and shortcuts for the tests of this crate.

use countersign_protocol::{Payload, Scheme};

use crate::{DecodeError, Decoded, Key, Networks, PayloadKind, decode};

/// The base point of secp256k1: the public key of the private key 1.
const SECP256K1: [u8; 33] = [
    0x02, 0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87, 0x0b,
    0x07, 0x02, 0x9b, 0xfc, 0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16, 0xf8, 0x17,
    0x98,
];
/// From RFC 8032, section 7.1, test 1.
const ED25519: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

pub(crate) fn key_of(scheme: Scheme) -> Key<'static> {
    let root_public_key: &[u8] = if scheme == Scheme::Ed25519 {
        &ED25519
    } else {
        &SECP256K1
    };
    Key {
        scheme,
        root_public_key,
        chain_code: &[9; 32],
    }
}

pub(crate) fn ecdsa() -> Key<'static> {
    key_of(Scheme::EcdsaSecp256k1)
}

pub(crate) fn ed25519() -> Key<'static> {
    key_of(Scheme::Ed25519)
}

/// Decodes for the root key on the main networks.
pub(crate) fn decode_as(
    key: &Key,
    kind: PayloadKind,
    bytes: &[u8],
) -> Result<Decoded, DecodeError> {
    let payload = Payload::new(kind, bytes.to_vec());
    decode(key, &Default::default(), &payload, &Networks::default())
}

/// The bytes of the only signature, in hexadecimal.
pub(crate) fn digest_of(decoded: &Decoded) -> String {
    assert_eq!(decoded.inputs.len(), 1);
    hex::encode(&decoded.inputs[0].signed_bytes)
}

pub(crate) fn transaction(decoded: &Decoded) -> &crate::Transaction {
    match &decoded.intent {
        crate::Intent::Transaction(transaction) => transaction,
        other => panic!("{other:?}"),
    }
}
