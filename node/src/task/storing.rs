//! Stores new shares, off the network's threads.

use std::sync::Arc;

use countersign_protocol::{Failure, FailureCode};
use countersign_store::{ReadJournalError, WriteJournalError};

use super::JobContext;
use super::succession::Hindrance;
use crate::key_switch::SwitchError;
use crate::off_thread::off_thread;
use crate::vault::VaultError;

/// Why a new share was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreShareError {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Read(#[from] ReadJournalError),
    #[error(transparent)]
    Write(#[from] WriteJournalError),
    /// Work left over from an earlier reshare could not be completed.
    #[error(transparent)]
    Switch(#[from] SwitchError),
    /// Another reshare of the key came first.
    #[error(transparent)]
    Hindrance(#[from] Hindrance),
    /// The key has moved on since the task was admitted.
    #[error("the key has moved on to generation {0} in the meantime")]
    Moved(u32),
}

/// Runs `write` and turns its error into the failure of the session.
pub(super) async fn store(
    node: &Arc<JobContext>,
    write: impl FnOnce(&JobContext) -> Result<(), StoreShareError> + Send + 'static,
) -> Result<(), Failure> {
    let writer = node.clone();
    let written = off_thread(move || write(&writer)).await;
    written.map_err(|error| {
        let text = format!("the new share could not be stored: {error}");
        Failure::new(FailureCode::Store, text)
    })
}
