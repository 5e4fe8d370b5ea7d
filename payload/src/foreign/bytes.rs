//! A reader of bytes from the front.

/// The bytes still to be read.
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// An account of NEAR: its length in four bytes, and 2 to 64 lower-case letters, digits,
    /// `-`, `_` and `.`.
    pub(super) fn near_account(&mut self) -> Option<()> {
        let length = u32::from_le_bytes(*self.take(4)?.first_chunk()?);
        let length = usize::try_from(length)
            .ok()
            .filter(|length| (2..=64).contains(length))?;
        let is_part =
            |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(byte);
        self.take(length)?.iter().all(is_part).then_some(())
    }

    /// A varint of Protocol Buffers, in groups of seven bits, low ones first.
    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}
