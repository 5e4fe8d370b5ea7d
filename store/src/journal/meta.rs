//! Numbers about the journal as a whole.

use redb::TableDefinition;

/// Name to number: [`FORMAT`], [`RECORDING_BYTES`] and [`PRUNED_BEFORE`].
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// Version of the file, written when the journal is created.
pub(super) const FORMAT: &str = "format";
/// Total size of the recordings that are kept, in bytes.
pub(super) const RECORDING_BYTES: &str = "recording-bytes";
/// Time up to which records were deleted, in milliseconds. The newest audit entry about it vouches
/// for it.
pub(super) const PRUNED_BEFORE: &str = "pruned-before";
