//! What a node keeps: [`Secrets`], sealed with age, and the [`Journal`], which holds no secret.
//!
//! The only crate of the node that sees redb and age. It reads no clock, opens no socket and starts
//! one thread: the writer of the journal. Every call blocks until it is done; a write that returned
//! `Ok` survives a power cut.

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
    Attempt, AuditEntry, AuditError, AuditHead, AuditKind, Configuration, Consequences, Count,
    Counted, Decided, Delivery, Difference, Evidence, Generation, Handover, HandoverStage, Journal,
    JournalOpenError, KeyCounts, KeyRecord, KeyStatus, KnownKey, LookUp, NewEvent, OperationKind,
    PeerMark, Proof, Quarantine, ReadJournalError, Refused, Row, Snapshot, State, StateWrite, Stop,
    TaskChange, Teller, WriteJournalError, Written,
};
pub use passphrase::{Passphrase, PassphraseError};
pub use place::MovedError;
pub use secrets::{
    Change, CommitError, CreateError, OpenError, ReadError, RenewError, Secrets, Section,
};
pub use trouble::Trouble;

/// The scrypt work factor (base-2 logarithm) for passphrases: 64 MiB and about 0.13 s of one core.
pub const DEFAULT_WORK_FACTOR: u8 = 16;
