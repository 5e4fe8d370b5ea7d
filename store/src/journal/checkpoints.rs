//! What this node has signed about its deletions. The statements are about the audit log and stand
//! beside it: an entry could not contain a signature over its own hash.

use countersign_audit::Checkpoint;
use redb::{Table, TableDefinition, TableError, WriteTransaction};

use super::codec;
use super::written::{Done, Written};

/// Number of log entries to [`Checkpoint`].
pub(super) const CHECKPOINTS: TableDefinition<u64, &'static [u8]> =
    TableDefinition::new("checkpoints");

/// The open table.
pub(super) struct Checkpoints<'t> {
    table: Table<'t, u64, &'static [u8]>,
}

impl<'t> Checkpoints<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            table: transaction.open_table(CHECKPOINTS)?,
        })
    }

    /// Keeps a statement, for ever.
    pub(super) fn keep(&mut self, checkpoint: &Checkpoint) -> Done {
        let bytes = codec::encode(checkpoint);
        self.table.insert(checkpoint.entries, bytes.as_slice())?;
        Ok(Written::Now)
    }
}
