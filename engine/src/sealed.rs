//! Encoding of secrets: a version byte, CBOR, and a checksum; decoding is strict.
//!
//! The checksum finds damage, for instance in a chain code, whose bytes have no structure. It does
//! not protect against an attacker: the store encrypts and authenticates these bytes.

use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::session::labelled_hash;

const CHECKSUM: usize = 32;

/// The reason bytes do not decode to the expected secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Written by another version of the program.
    #[error(
        "version {0} of this record is not known: use the release that wrote it, or a newer one"
    )]
    Version(u8),
    /// Truncated, or altered after it was sealed.
    #[error("the record is damaged: restore it from a backup")]
    Damaged,
    /// Well-formed, but its content does not hold together.
    #[error("the record is not consistent in itself: restore it from a backup")]
    Inconsistent,
}

/// Encodes without leaving copies behind as long as `value` fits `capacity` bytes. `kind` separates
/// the records: bytes of one kind never open as another.
pub(crate) fn seal(kind: Kind, value: &impl Serialize, capacity: usize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    bytes.push(kind.version);
    // A `Vec` takes every write, and all records are plain structs that CBOR can hold.
    ciborium::into_writer(value, &mut *bytes).expect("records encode");
    let checksum = kind.checksum(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// Checks version, checksum and form; the caller must validate the value.
pub(crate) fn open<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, DecodeError> {
    let version = *bytes.first().ok_or(DecodeError::Damaged)?;
    if version != kind.version {
        return Err(DecodeError::Version(version));
    }
    let split = bytes
        .len()
        .checked_sub(CHECKSUM)
        .filter(|split| *split > 0)
        .ok_or(DecodeError::Damaged)?;
    let (record, checksum) = bytes.split_at(split);
    if kind.checksum(record) != checksum {
        return Err(DecodeError::Damaged);
    }
    decode_exactly(&record[1..]).ok_or(DecodeError::Damaged)
}

/// Decodes CBOR that must end where `bytes` end.
pub(crate) fn decode_exactly<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut rest = bytes;
    let value = ciborium::from_reader(&mut rest).ok()?;
    rest.is_empty().then_some(value)
}

/// The same for messages of peers: only the canonical encoding is accepted, so the bytes that were
/// hashed and the value that was decoded are the same.
pub(crate) fn decode_only_form<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value: T = decode_exactly(bytes)?;
    encode(&value, bytes.len())
        .is_ok_and(|encoded| *encoded == bytes)
        .then_some(value)
}

/// Encodes into a buffer that is wiped, and that does not grow up to this capacity.
pub(crate) fn encode<T: Serialize>(
    value: &T,
    capacity: usize,
) -> Result<Zeroizing<Vec<u8>>, ciborium::ser::Error<std::io::Error>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    ciborium::into_writer(value, &mut *bytes)?;
    Ok(bytes)
}

/// A kind of record and the version that is written today.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub name: &'static str,
    pub version: u8,
}

impl Kind {
    fn checksum(self, record: &[u8]) -> [u8; CHECKSUM] {
        labelled_hash(
            b"countersign engine record",
            &[self.name.as_bytes(), record],
        )
    }
}
