//! The node's decisions, which must not be made twice: task register, plugin state, key records and
//! audit log, in `journal.redb`.
//!
//! Holds no secret. A write that returned is on the disk, in the file of that name. A write that
//! failed left nothing behind, and the node must not sign then: the journal raises its
//! [`Trouble`](crate::Trouble) and accepts nothing more. Writes of concurrent tasks share one
//! commit (`writer`); reads see the last commit and never wait. Every page is verified when the
//! journal is opened (`pages`), and a page that was damaged later is an error, never a panic.
//!
//! Each table has a file with its rows and its writes; `operation` dispatches to them, and `handle`
//! is the face of the whole.

mod audit;
mod bundled;
mod change;
mod checkpoints;
mod codec;
mod copy;
mod counted;
mod error;
mod generation;
mod handle;
mod index;
mod keys;
mod memory;
mod meta;
mod moments;
mod operation;
mod outbox;
mod pages;
mod pair;
mod pairs;
mod peer;
mod prepared;
mod pruned;
mod quarantine;
mod read;
mod recordings;
mod register;
mod row;
#[cfg(any(test, feature = "testing"))]
mod silent;
mod snapshot;
mod started;
mod tables;
mod task;
mod writer;
mod written;

pub use countersign_protocol::OperationKind;

pub use audit::{AuditEntry, AuditHead, AuditKind};
pub use bundled::BundleMark;
pub use change::{Decided, TaskChange};
pub use counted::{Count, Counted, Teller};
pub use error::{AuditError, JournalOpenError, ReadJournalError, Refused, WriteJournalError};
pub use generation::Generation;
pub use handle::Journal;
pub use handle::export::{Deletions, Kept, KeptRecord};
pub use handle::open::JOURNAL_FILE;
pub use handle::past::{PastDecision, PastDecisions, PastRecording};
pub use handle::task::LookUp;
pub use index::{KeyCounts, KnownKey};
pub use memory::StateWrite;
pub use outbox::{Delivery, MAX_OUTBOX, NewEvent};
pub use pair::{Burn, Burnt, MAX_OPEN, MAX_RUNS, MAX_UNRECORDED, Pair, Runs, RunsEnd, Unfit};
pub use peer::PeerMark;
pub use prepared::{PreparedReshare, ReshareStage};
pub use pruned::Pruned;
pub use quarantine::{Attempt, Consequences, Quarantine, Stop};
pub use recordings::{Configuration, Difference, Evidence, Proof};
pub use row::{KeyRecord, KeyStatus, Row, State};
#[cfg(any(test, feature = "testing"))]
pub use silent::Silent;
pub use snapshot::Snapshot;
pub use written::Written;
