//! A new share on its way into the store, off the network's threads.

use std::sync::Arc;

use countersign_protocol::{Failure, FailureCode};
use countersign_store::{ReadJournalError, WriteJournalError};

use super::handover::HandoverError;
use super::succession::Hindrance;
use crate::core::Core;
use crate::vault::VaultError;

/// Why a new share was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreShareError {
    /// The secrets file.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadJournalError),
    /// The journal cannot be written.
    #[error(transparent)]
    Write(#[from] WriteJournalError),
    /// What an earlier reshare left to be done could not be done.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// Another reshare of the key came first.
    #[error(transparent)]
    Hindrance(#[from] Hindrance),
    /// The key has moved on since the task was admitted.
    #[error("the key came to generation {0} meanwhile")]
    Moved(u32),
}

/// Runs `write`, and makes its error the failure of the session.
pub(super) async fn store(
    core: &Arc<Core>,
    write: impl FnOnce(&Core) -> Result<(), StoreShareError> + Send + 'static,
) -> Result<(), Failure> {
    let writer = core.clone();
    let written = core.journal(move |_| write(&writer)).await;
    written.map_err(|error| {
        let text = format!("the new share could not be stored: {error}");
        Failure::new(FailureCode::Store, text)
    })
}
