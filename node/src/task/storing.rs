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

#[cfg(test)]
mod tests {
    use countersign_protocol::TaskId;

    use super::*;
    use crate::task::fixtures::Parts;

    #[tokio::test]
    async fn a_share_that_was_not_stored_fails_the_session_and_says_why() {
        let parts = Parts::new();
        let hindrance = Hindrance::Unsettled(TaskId([7; 16]));
        for (error, why) in [
            (StoreShareError::Moved(3), "moved on to generation 3"),
            (hindrance.into(), "is not settled at this node"),
            (
                VaultError::NotApproved.into(),
                "another key than the approved one",
            ),
        ] {
            let failure = store(&parts.jobs, |_| Err(error)).await.unwrap_err();
            assert_eq!(failure.code, FailureCode::Store);
            assert!(failure.text.contains(why), "{}", failure.text);
            assert_eq!(failure.culprits, []);
        }
        assert!(store(&parts.jobs, |_| Ok(())).await.is_ok());
    }
}
