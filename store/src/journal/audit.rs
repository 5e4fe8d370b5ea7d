//! The audit log as it is stored.

pub use countersign_audit::{AuditEntry, AuditHead, AuditKind};
use redb::TableDefinition;

/// Sequence number to [`AuditEntry`].
pub(super) const AUDIT: TableDefinition<u64, &'static [u8]> = TableDefinition::new("audit");
/// The longest text that the journal writes into an entry or a delivery, in bytes.
pub(super) const MAX_TEXT: usize = 1024;
