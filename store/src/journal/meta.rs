//! Numbers about the journal as a whole.

use redb::TableDefinition;

/// Name to number: [`FORMAT`], [`RECORDING_BYTES`] and [`PRUNED_BEFORE`].
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// Version of the file: [`FIRST_FORMAT`], [`PRUNED_FORMAT`] or [`PAIRS_FORMAT`]. It never falls.
pub(super) const FORMAT: &str = "format";
/// A journal from which no record was ever deleted.
pub(super) const FIRST_FORMAT: u64 = 1;
/// A journal from which records were deleted. Programs that know the first format only would miss
/// the ids of their tasks.
pub(super) const PRUNED_FORMAT: u64 = 2;
/// A journal with set-ups of pairs. Programs that know the earlier formats only would use one that
/// is burnt.
pub(super) const PAIRS_FORMAT: u64 = 3;
/// Total size of the recordings that are kept, in bytes.
pub(super) const RECORDING_BYTES: &str = "recording-bytes";
/// Time up to which records were deleted, in milliseconds. The newest audit entry about it vouches
/// for it.
pub(super) const PRUNED_BEFORE: &str = "pruned-before";
