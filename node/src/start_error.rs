//! Errors that keep a node from starting, or end it.

use countersign_metrics::influx::PushError;
use countersign_protocol::IdError;
use countersign_store::{JournalOpenError, ReadJournalError, WriteJournalError};

use crate::bundle::FolderError;
use crate::config::ConfigError;
use crate::key_switch::SwitchError;
use crate::risk::{GuardError, SandboxError, ServicesError};
use crate::vault::VaultError;

/// Exit code of a node after one of its parts has died (`EX_SOFTWARE` of `sysexits.h`).
pub const PART_DIED: u8 = 70;
/// Exit code of a node whose store failed or was moved away (`EX_IOERR` of `sysexits.h`).
pub const STORE_FAILED: u8 = 74;

/// Reasons why a node does not start, or has to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration lacks a setting that a running node needs.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The secrets cannot be opened or used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The journal cannot be opened.
    #[error(transparent)]
    OpenJournal(#[from] JournalOpenError),
    /// The journal cannot be read.
    #[error(transparent)]
    ReadJournal(#[from] ReadJournalError),
    /// The journal cannot be written.
    #[error(transparent)]
    WriteJournal(#[from] WriteJournalError),
    /// The journal and the secrets file disagree about a key.
    #[error(transparent)]
    Switch(#[from] SwitchError),
    /// The services for plugins cannot be set up.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// The configured plugins cannot be set up.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The policy bundles cannot be read.
    #[error(transparent)]
    Bundles(#[from] FolderError),
    /// The sandbox of the event receivers cannot be set up.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The identity in the store is not a valid one.
    #[error(transparent)]
    Identity(#[from] IdError),
    /// The operating system refused a resource.
    #[error("the node cannot start: {0}; free resources and try again")]
    System(#[from] std::io::Error),
    /// The address for metrics cannot be bound.
    #[error(
        "cannot listen on metrics.listen: {0}; choose another port, or stop the program that uses it"
    )]
    Metrics(std::io::Error),
    /// The push of metrics cannot be set up.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A vital part of the node has ended.
    #[error(
        "{0} ended unexpectedly and the node stops; start it again, and report this with the log"
    )]
    Died(&'static str),
    /// The journal or the secrets can no longer be written. The text ends with the remedy.
    #[error("the node's store has failed and the node stops: {0}")]
    Store(String),
}

impl StartError {
    /// The exit code of the node's program: [`PART_DIED`], [`STORE_FAILED`], or 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Died(_) => PART_DIED,
            Self::Store(_) => STORE_FAILED,
            Self::WriteJournal(error) => match error {
                WriteJournalError::Refused(_) | WriteJournalError::Read(_) => 1,
                _ => STORE_FAILED,
            },
            Self::Config(_)
            | Self::Vault(_)
            | Self::OpenJournal(_)
            | Self::ReadJournal(_)
            | Self::Switch(_)
            | Self::Services(_)
            | Self::Guard(_)
            | Self::Bundles(_)
            | Self::Sandbox(_)
            | Self::Identity(_)
            | Self::System(_)
            | Self::Metrics(_)
            | Self::Push(_) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::TaskId;
    use countersign_store::Refused;

    use super::*;

    fn full() -> std::io::Error {
        std::io::ErrorKind::StorageFull.into()
    }

    /// A supervisor restarts a node whose part has died.
    #[test]
    fn a_dead_part_has_an_exit_code_of_its_own() {
        let error = StartError::Died("the admin socket");
        assert_eq!(error.exit_code(), 70);
        let told = error.to_string();
        assert!(told.starts_with("the admin socket ended"), "{told}");
        assert!(told.ends_with("start it again, and report this with the log"));
    }

    #[test]
    fn a_failed_store_has_an_exit_code_of_its_own() {
        let error = StartError::Store("the disk is full; make room".into());
        assert_eq!(error.exit_code(), 74);
        let told = error.to_string();
        assert!(
            told.ends_with("stops: the disk is full; make room"),
            "{told}"
        );
    }

    #[test]
    fn a_journal_that_cannot_be_written_counts_as_a_failed_store() {
        for error in [
            WriteJournalError::Failed("full".into()),
            WriteJournalError::Moved("moved".into()),
            WriteJournalError::Ended("ended".into()),
            WriteJournalError::Closed,
        ] {
            assert_eq!(StartError::from(error).exit_code(), STORE_FAILED);
        }
    }

    #[test]
    fn a_journal_that_refuses_an_operation_goes_on() {
        let refused = WriteJournalError::from(Refused::Known(TaskId([1; 16])));
        assert_eq!(StartError::from(refused).exit_code(), 1);
        let read = ReadJournalError::Damaged { table: "keys" };
        let unread = WriteJournalError::from(read);
        assert_eq!(StartError::from(unread).exit_code(), 1);
    }

    #[test]
    fn a_node_that_was_never_started_exits_with_1() {
        for error in [
            StartError::from(ConfigError::Unguarded),
            StartError::from(full()),
            StartError::Metrics(full()),
        ] {
            assert_eq!(error.exit_code(), 1, "{error}");
        }
    }

    #[test]
    fn a_taken_port_is_told_with_its_setting_and_a_remedy() {
        let taken = std::io::ErrorKind::AddrInUse.into();
        let told = StartError::Metrics(taken).to_string();
        assert!(
            told.starts_with("cannot listen on metrics.listen: "),
            "{told}"
        );
        assert!(
            told.ends_with("choose another port, or stop the program that uses it"),
            "{told}"
        );
    }

    #[test]
    fn a_missing_resource_is_told_with_a_remedy() {
        let told = StartError::from(full()).to_string();
        assert!(told.starts_with("the node cannot start: "), "{told}");
        assert!(told.ends_with("free resources and try again"), "{told}");
    }
}
