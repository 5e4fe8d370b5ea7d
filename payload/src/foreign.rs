//! The forms that a plain message must not have: a transaction, of a chain that is supported
//! under another kind or of an unsupported one. The verifier of a signature does not know which
//! kind the requester declared.
//!
//! The forms are those that chains sign or hash for signing. Each is recognised by its
//! structure as a whole, or by a chain's prefix that makes it unambiguous. A message
//! that matches none of them can still be harmful: bytes that are not text are blind
//! as well (see `countersign_protocol::Payload::is_blind`).

mod bitcoin;
mod bytes;
mod protobuf;

use alloy_rlp::Header;
use countersign_protocol::PayloadKind;

use crate::json::Json;
use crate::solana_message::Message;
use bytes::Rest;

const OTHER_CHAIN: &str =
    "its chain is not supported here, so its effects cannot be judged; do not sign it";
const AS_EVM: &str =
    "send the unsigned transaction as evm-transaction, an authorisation as eip7702";
const AS_PSBT: &str = "send the transaction as psbt";
const AS_SOLANA: &str = "send it as solana-message";
/// Ordered by how certain the form is.
const KNOWN: [Form; 21] = [
    (
        is_eip712,
        "the data hashed for EIP-712 typed data",
        "send the document as eip712",
    ),
    (
        is_eip191,
        "the data hashed for an EIP-191 message",
        "send the message without prefix as eip191",
    ),
    (is_solana, "the message of a Solana transaction", AS_SOLANA),
    (
        is_later_solana,
        "a Solana message of version 1, which is not signed here",
        "use version 0, as solana-message",
    ),
    (
        is_evm,
        "a transaction or an authorisation of an EVM chain",
        AS_EVM,
    ),
    (bitcoin::is_psbt, "a PSBT", AS_PSBT),
    (bitcoin::is_transaction, "a Bitcoin transaction", AS_PSBT),
    (
        bitcoin::is_preimage,
        "the data hashed for a Bitcoin signature",
        AS_PSBT,
    ),
    (protobuf::is_tron, "a Tron transaction", OTHER_CHAIN),
    (
        protobuf::is_cosmos,
        "the data signed for a Cosmos transaction (SignDoc)",
        OTHER_CHAIN,
    ),
    (
        protobuf::is_hedera,
        "the body of a Hedera transaction",
        OTHER_CHAIN,
    ),
    (
        is_cosmos_amino,
        "the data signed for a Cosmos transaction (amino JSON)",
        OTHER_CHAIN,
    ),
    (
        is_cosmos_textual,
        "the data signed for a Cosmos transaction (textual)",
        OTHER_CHAIN,
    ),
    (is_aptos, "an Aptos transaction", OTHER_CHAIN),
    (is_sui, "a Sui transaction", OTHER_CHAIN),
    (is_near, "a NEAR transaction", OTHER_CHAIN),
    (
        is_algorand,
        "an Algorand transaction or program",
        OTHER_CHAIN,
    ),
    (is_xrp, "a transaction of the XRP ledger", OTHER_CHAIN),
    (is_stellar, "a Stellar transaction", OTHER_CHAIN),
    (
        is_internet_computer,
        "a request of the Internet Computer",
        OTHER_CHAIN,
    ),
    (
        is_antelope,
        "a transaction of an Antelope chain",
        OTHER_CHAIN,
    ),
];

/// True if the bytes of a payload of this kind are a transaction, or are signed or hashed as one by
/// a chain: they are refused as a plain message, whatever the key.
pub fn is_transaction(kind: PayloadKind) -> bool {
    match kind {
        PayloadKind::EvmTransaction
        | PayloadKind::Eip7702
        | PayloadKind::Psbt
        | PayloadKind::SolanaMessage => true,
        PayloadKind::Message
        | PayloadKind::Digest
        | PayloadKind::Eip191
        | PayloadKind::Eip712
        | PayloadKind::Digests
        | PayloadKind::BitcoinMessage => false,
    }
}

/// Names the transaction form that `message` has, if any, together with a remedy.
pub(crate) fn transaction(message: &[u8]) -> Option<(&'static str, &'static str)> {
    KNOWN
        .iter()
        .find(|(is_one, ..)| is_one(message))
        .map(|(_, what, instead)| (*what, *instead))
}

type Form = (fn(&[u8]) -> bool, &'static str, &'static str);

fn is_eip712(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x19, 0x01])
}

fn is_eip191(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x19E")
}

fn is_solana(bytes: &[u8]) -> bool {
    Message::read(bytes).is_some()
}

/// A version that is not supported here, of at least a message's minimum length.
fn is_later_solana(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x81) && bytes.len() >= 69
}

/// EIP-2718 types followed by a list, an authorisation of EIP-7702, or the list
/// of a legacy transaction.
fn is_evm(bytes: &[u8]) -> bool {
    match bytes {
        [0x01..=0x05 | 0x7f, list @ ..] => list_length(list).is_some_and(|items| items >= 3),
        [first, ..] if *first >= 0xc0 => {
            list_length(bytes).is_some_and(|items| items == 6 || items == 9)
        }
        _ => false,
    }
}

/// Number of items of an RLP list that spans all of `bytes`.
fn list_length(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let mut items = Header::decode_bytes(&mut rest, true)
        .ok()
        .filter(|_| rest.is_empty())?;
    let mut count = 0;
    while !items.is_empty() {
        let item = Header::decode(&mut items).ok()?;
        items = items.get(item.payload_length..)?;
        count += 1;
    }
    Some(count)
}

/// The document of `SIGN_MODE_LEGACY_AMINO_JSON`, and Beacon Chain's similar one.
fn is_cosmos_amino(bytes: &[u8]) -> bool {
    let Ok(json) = Json::parse(bytes) else {
        return false;
    };
    ["account_number", "chain_id", "msgs", "sequence"]
        .iter()
        .all(|name| json.get(name).is_some())
}

/// `SIGN_MODE_TEXTUAL`: CBOR of `{1: [screens]}`.
fn is_cosmos_textual(bytes: &[u8]) -> bool {
    matches!(bytes, [0xa1, 0x01, 0x80..=0x9f, ..])
}

/// SHA3-256 of `APTOS::RawTransaction` and of `APTOS::RawTransactionWithData`.
fn is_aptos(bytes: &[u8]) -> bool {
    const ONE: [u8; 32] = [
        0xb5, 0xe9, 0x7d, 0xb0, 0x7f, 0xa0, 0xbd, 0x0e, 0x55, 0x98, 0xaa, 0x36, 0x43, 0xa9, 0xbc,
        0x6f, 0x66, 0x93, 0xbd, 0xdc, 0x1a, 0x9f, 0xec, 0x9e, 0x67, 0x4a, 0x46, 0x1e, 0xaa, 0x00,
        0xb1, 0x93,
    ];
    const SEVERAL: [u8; 32] = [
        0x5e, 0xfa, 0x3c, 0x4f, 0x02, 0xf8, 0x3a, 0x0f, 0x4b, 0x2d, 0x69, 0xfc, 0x95, 0xc6, 0x07,
        0xcc, 0x02, 0x82, 0x5c, 0xc4, 0xe7, 0xbe, 0x53, 0x6e, 0xf0, 0x99, 0x2d, 0xf0, 0x50, 0xd9,
        0xe6, 0x7c,
    ];
    bytes.starts_with(&ONE) || bytes.starts_with(&SEVERAL)
}

/// Intent of a transaction (scope, version and application are 0), then `TransactionData` of
/// version 1, whose first kind is a programmable transaction.
fn is_sui(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 0, 0, 0, 0]) && bytes.len() >= 100
}

/// Borsh: signer, public key, nonce, receiver, block hash, number of actions. Or the tag of
/// a delegated action (NEP-461).
fn is_near(bytes: &[u8]) -> bool {
    let mut rest = Rest(bytes);
    let mut read = || {
        rest.near_account()?;
        match rest.byte()? {
            0 => rest.take(32)?,
            1 => rest.take(64)?,
            _ => return None,
        };
        rest.take(8)?;
        rest.near_account()?;
        rest.take(32 + 4)
    };
    read().is_some() || bytes.starts_with(&(0x4000_0000u32 + 366).to_le_bytes())
}

/// A prefix, then a map in MessagePack; or a program with its version.
fn is_algorand(bytes: &[u8]) -> bool {
    match bytes {
        [b'T', b'X' | b'G', 0x80..=0x8f | 0xde | 0xdf, ..] => true,
        _ => bytes
            .strip_prefix(b"Program")
            .and_then(<[u8]>::first)
            .is_some_and(|version| *version < 0x20),
    }
}

/// Prefixes of hashes and signatures: one signer, several, a claim on a channel, a batch.
fn is_xrp(bytes: &[u8]) -> bool {
    [b"STX\0", b"SMT\0", b"CLM\0", b"BCH\0"]
        .iter()
        .any(|prefix| bytes.starts_with(*prefix))
}

/// The preimage of a transaction hash begins with the hash of the network's name: that of the
/// public one or the test network.
fn is_stellar(bytes: &[u8]) -> bool {
    const PUBLIC: [u8; 32] = [
        0x7a, 0xc3, 0x39, 0x97, 0x54, 0x4e, 0x31, 0x75, 0xd2, 0x66, 0xbd, 0x02, 0x24, 0x39, 0xb2,
        0x2c, 0xdb, 0x16, 0x50, 0x8c, 0x01, 0x16, 0x3f, 0x26, 0xe5, 0xcb, 0x2a, 0x3e, 0x10, 0x45,
        0xa9, 0x79,
    ];
    const TEST: [u8; 32] = [
        0xce, 0xe0, 0x30, 0x2d, 0x59, 0x84, 0x4d, 0x32, 0xbd, 0xca, 0x91, 0x5c, 0x82, 0x03, 0xdd,
        0x44, 0xb3, 0x3f, 0xbb, 0x7e, 0xdc, 0x19, 0x05, 0x1e, 0xa3, 0x7a, 0xbe, 0xdf, 0x28, 0xec,
        0xd4, 0x72,
    ];
    bytes.starts_with(&PUBLIC) || bytes.starts_with(&TEST)
}

fn is_internet_computer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x0aic-request")
}

/// The chain's id, the transaction, and 32 zeros in the place of the hash of context-free data.
fn is_antelope(bytes: &[u8]) -> bool {
    bytes.len() > 80 && bytes.ends_with(&[0; 32]) && !bytes.starts_with(&[0; 32])
}

#[cfg(test)]
#[path = "foreign/tests.rs"]
mod tests;
