//! Wire encoding: postcard with a size bound, and no trailing bytes.

use serde::{Serialize, de::DeserializeOwned};

/// The largest frame on any link or tunnel: an offer of the largest task.
pub const MAX_FRAME: usize = 3 * 1024 * 1024;

/// The reason bytes are not a frame. Always the sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Larger than [`MAX_FRAME`], in bytes.
    #[error(
        "the frame has {0} bytes, at most {MAX_FRAME} are allowed; check that both sides run the same version"
    )]
    TooLarge(usize),
    /// Not valid postcard for the expected type.
    #[error("the frame cannot be read; check that both sides run the same version")]
    Malformed,
    /// A well-formed frame followed by this many more bytes.
    #[error("the frame has {0} bytes too many; check that both sides run the same version")]
    Trailing(usize),
}

/// Encodes a frame as postcard.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value)
        .unwrap_or_else(|error| unreachable!("frames hold only plain data: {error}"))
}

/// Decodes exactly one frame of at most [`MAX_FRAME`] bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() > MAX_FRAME {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(DecodeError::Trailing(rest.len())),
        Err(_) => Err(DecodeError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exactly_one_frame_is_accepted() {
        let mut bytes = encode(&(7u32, "text"));
        assert_eq!(decode::<(u32, String)>(&bytes).unwrap(), (7, "text".into()));
        bytes.push(0);
        assert_eq!(
            decode::<(u32, String)>(&bytes),
            Err(DecodeError::Trailing(1))
        );
        assert_eq!(
            decode::<(u32, String)>(&bytes[..2]),
            Err(DecodeError::Malformed)
        );
        assert_eq!(
            decode::<Vec<u8>>(&vec![0; MAX_FRAME + 1]),
            Err(DecodeError::TooLarge(MAX_FRAME + 1))
        );
    }

    #[test]
    fn a_length_that_promises_too_much_allocates_nothing() {
        assert_eq!(
            decode::<Vec<u8>>(&[0xff, 0xff, 0xff, 0xff, 0x0f]),
            Err(DecodeError::Malformed)
        );
    }
}
