//! The node's storage: [`Secrets`], sealed with age, and the [`Journal`], which holds no secret.
//!
//! The only crate of the node that uses redb and age. It reads no clock, opens no socket and starts
//! one thread, the journal's writer. Every call blocks until it is done. A write that returned `Ok`
//! survives a power cut.

pub mod backup;
mod contain;
mod files;
mod image;
pub mod journal;
mod passphrase;
mod place;
mod seal;
pub mod secrets;
mod trailer;
mod trouble;

pub use backup::{Backup, BackupError};
pub use contain::is_contained;
#[cfg(any(test, feature = "testing"))]
pub use journal::Silent;
pub use journal::{
    Attempt, AuditEntry, AuditError, AuditHead, AuditKind, BundleMark, Burn, Burnt, Configuration,
    Consequences, Count, Counted, Decided, Deletions, Delivery, Difference, Evidence, Generation,
    Journal, JournalOpenError, Kept, KeptRecord, KeyCounts, KeyRecord, KeyStatus, KnownKey, LookUp,
    MAX_OPEN, MAX_RUNS, MAX_UNRECORDED, NewEvent, OperationKind, Pair, PastDecision, PastDecisions,
    PastRecording, PeerMark, PreparedReshare, Proof, Pruned, Quarantine, ReadJournalError, Refused,
    ReshareStage, Row, Runs, RunsEnd, Snapshot, State, StateWrite, Stop, TaskChange, Teller, Unfit,
    WriteJournalError, Written,
};
pub use passphrase::{Passphrase, PassphraseError};
pub use place::MovedError;
pub use seal::DEFAULT_WORK_FACTOR;
pub use secrets::{
    Change, CommitError, CreateError, OpenError, ReadError, RenewError, Secrets, Section,
};
pub use trouble::{StoreEnded, Trouble};
