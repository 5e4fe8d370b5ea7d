//! Errors of reading and writing a secret.

use countersign_store::{CommitError, CreateError, ReadError};

/// Reasons why a secret could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The store cannot be created in the node's folder.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store has no such entry.
    #[error(
        "the store has no {0}; restore it from a backup, or run `countersign-node init` for a new node"
    )]
    Missing(&'static str),
    /// The entry exists but cannot be used.
    #[error("the store's {what} cannot be used ({why}); restore it from a backup")]
    Unusable {
        /// Name of the entry, as it appears in the message.
        what: &'static str,
        /// Reason, as it appears in the message.
        why: String,
    },
    /// The share belongs to another key than the approved one.
    #[error(
        "refused to store a share of another key than the approved one; report this with the log"
    )]
    NotApproved,
}
