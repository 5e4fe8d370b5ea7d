//! The policy bundle in force, as a mark alone: the bundle itself is kept elsewhere. It tells a
//! node that it has lost the bundle, or has an earlier one.

use countersign_protocol::Hash;
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::error::ReadJournalError;
use super::written::{Done, Written};

/// Maps [`ONLY`] to the highest version (8 bytes, big-endian) and the hash of the bundle in force.
pub(super) const BUNDLED: TableDefinition<u8, &'static [u8; 40]> = TableDefinition::new("bundled");
/// The only row.
const ONLY: u8 = 0;

/// The policy bundle in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundleMark {
    /// Hash of its manifest.
    pub bundle: Hash,
    /// The highest version that was ever in force.
    pub highest: u64,
}

pub(super) struct Bundled<'t>(Table<'t, u8, &'static [u8; 40]>);

impl<'t> Bundled<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self(transaction.open_table(BUNDLED)?))
    }

    pub(super) fn note(&mut self, mark: &BundleMark) -> Done {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&mark.highest.to_be_bytes());
        bytes[8..].copy_from_slice(mark.bundle.as_bytes());
        self.0.insert(ONLY, &bytes)?;
        Ok(Written::Now)
    }
}

pub(super) fn read(
    table: &impl ReadableTable<u8, &'static [u8; 40]>,
) -> Result<Option<BundleMark>, ReadJournalError> {
    let Some(row) = table.get(ONLY)? else {
        return Ok(None);
    };
    let damaged = ReadJournalError::Damaged { table: "bundled" };
    let (highest, bundle) = row.value().split_first_chunk::<8>().ok_or(damaged)?;
    let damaged = |_| ReadJournalError::Damaged { table: "bundled" };
    Ok(Some(BundleMark {
        bundle: Hash(bundle.try_into().map_err(damaged)?),
        highest: u64::from_be_bytes(*highest),
    }))
}
