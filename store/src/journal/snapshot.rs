//! A snapshot of the plugins' state, so that it stays the same while an evaluation reads it.

use std::fmt;
use std::sync::Arc;

use countersign_protocol::UnixMillis;
use redb::ReadOnlyTable;

use super::error::ReadJournalError;
use super::read::{guarded, read};
use super::row::StateValue;
use crate::trouble::Trouble;

/// A view that later writes do not change.
pub struct Snapshot {
    state: ReadOnlyTable<(&'static str, &'static str), &'static [u8]>,
    now: UnixMillis,
    trouble: Arc<Trouble>,
}

impl Snapshot {
    pub(super) fn new(
        state: ReadOnlyTable<(&'static str, &'static str), &'static [u8]>,
        now: UnixMillis,
        trouble: Arc<Trouble>,
    ) -> Self {
        Self {
            state,
            now,
            trouble,
        }
    }

    /// The value that a plugin last wrote under `key`, unless it has expired.
    pub fn get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, ReadJournalError> {
        guarded(&self.trouble, || {
            let Some(value) = self.state.get((plugin, key))? else {
                return Ok(None);
            };
            let value: StateValue = read("state", value.value())?;
            Ok(value.is_alive(self.now).then_some(value.value))
        })
    }

    /// Keys and values of a plugin whose keys begin with `prefix`, in byte order, at most `limit`.
    pub fn list(
        &self,
        plugin: &str,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadJournalError> {
        guarded(&self.trouble, || {
            let mut found = Vec::new();
            for entry in self.state.range((plugin, prefix)..)? {
                let (key, value) = entry?;
                let (owner, key) = key.value();
                if found.len() == limit || owner != plugin || !key.starts_with(prefix) {
                    break;
                }
                let value: StateValue = read("state", value.value())?;
                if value.is_alive(self.now) {
                    found.push((key.to_owned(), value.value));
                }
            }
            Ok(found)
        })
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}
