//! The encoding of stored values: a version, then postcard. Fields and variants are appended, never
//! changed. Every version that was ever written is read for ever; only the newest is written.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type that is stored.
pub trait Stored: Serialize + DeserializeOwned {
    /// The version in front of every value that is written.
    const VERSION: u8 = 1 + Self::SINCE.len() as u8;
    /// For each version but the last: the bytes that the next one appends, as postcard encodes an
    /// absent value.
    const SINCE: &'static [&'static [u8]] = &[];
}

/// Bytes that this program cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A later program wrote them.
    #[error("version {0} is of a later program; use that one")]
    Newer(u8),
    /// They are no value of this type.
    #[error("the bytes are damaged; restore them from a backup")]
    Malformed,
}

/// The bytes of a value.
pub fn encode<T: Stored>(value: &T) -> Vec<u8> {
    let mut bytes = vec![T::VERSION];
    bytes.extend(
        postcard::to_stdvec(value).unwrap_or_else(|error| unreachable!("plain data: {error}")),
    );
    bytes
}

/// Reads exactly one value, of any version so far.
pub fn decode<T: Stored>(bytes: &[u8]) -> Result<T, Unreadable> {
    match bytes.split_first() {
        Some((version, rest)) if *version == T::VERSION => exactly(rest),
        Some((&version, _)) if version > T::VERSION => Err(Unreadable::Newer(version)),
        Some((&version @ 1.., rest)) => {
            let lacking = T::SINCE[usize::from(version) - 1..].concat();
            exactly(&[rest, &lacking].concat())
        }
        Some((0, _)) | None => Err(Unreadable::Malformed),
    }
}

fn exactly<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(Unreadable::Malformed),
    }
}
