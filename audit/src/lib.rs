//! The audit log of a node, the records that it vouches for, and the bundle in which the logs of
//! all nodes travel to an auditor.
//!
//! Formats and hashes only: nothing here performs I/O, reads a clock, or judges what is believed.
//! `docs/audit.md` describes the bundle for readers in any language.

mod act;
mod bundle;
mod entry;
mod head;
mod line;
mod record;
mod row;
mod section;
pub mod stored;

pub use act::{Act, ActLink, ActsHead};
pub use bundle::Bundle;
pub use entry::{AuditEntry, AuditHead, AuditKind};
pub use head::{Checkpoint, Extent, SignedHead, pruned_hash};
pub use line::{BundleError, LineError, MAX_BYTES};
pub use record::{Deleted, Policy, Record, Vouched};
pub use row::{Row, State, record_hash, recording_hash};
pub use section::{Broken, CoordinatorLog, NodeLog, TaskTold, Wallet, WalletOrder};
