//! Reading rows. Damage is an error, never a panic.

use super::codec::{self, Stored};
use super::error::ReadJournalError;
use crate::contain::contain;
use crate::trouble::Trouble;

/// Decodes a row of `table`.
pub(super) fn read<T: Stored>(table: &'static str, bytes: &[u8]) -> Result<T, ReadJournalError> {
    codec::decode(bytes).map_err(|error| ReadJournalError::record(table, error))
}

/// Reads from the database. A page that was damaged after the journal was opened ends the journal.
pub(super) fn guarded<T, E: From<ReadJournalError>>(
    trouble: &Trouble,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    contain(read).unwrap_or_else(|panic| {
        let error = ReadJournalError::Page(panic.to_string());
        trouble.raise(error.to_string());
        Err(error.into())
    })
}
