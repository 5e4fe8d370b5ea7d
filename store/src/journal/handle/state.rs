//! The plugins' state, and the tasks of others that plugins count.

use std::collections::HashMap;

use countersign_protocol::{Hash, NodeId, UnixMillis};
use redb::{ReadableDatabase, ReadableTable};

use super::Journal;
use crate::journal::counted::{COUNTED, Count, Counted};
use crate::journal::error::{ReadJournalError, WriteJournalError};
use crate::journal::memory::STATE;
use crate::journal::operation::Operation;
use crate::journal::read::read;
use crate::journal::snapshot::Snapshot;
use crate::journal::written::Written;

impl Journal {
    /// The value that a plugin last wrote under `key`, unless it has expired.
    pub fn state_get(
        &self,
        plugin: &str,
        key: &str,
        now: UnixMillis,
    ) -> Result<Option<Vec<u8>>, ReadJournalError> {
        self.snapshot(now)?.get(plugin, key)
    }

    /// Keys and values of a plugin whose keys begin with `prefix`, in byte order, at most `limit`.
    pub fn state_list(
        &self,
        plugin: &str,
        prefix: &str,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadJournalError> {
        self.snapshot(now)?.list(plugin, prefix, limit)
    }

    /// The plugins' state at `now`. Later writes do not change it.
    pub fn snapshot(&self, now: UnixMillis) -> Result<Snapshot, ReadJournalError> {
        self.look(|| {
            Ok(Snapshot::new(
                self.database.begin_read()?.open_table(STATE)?,
                now,
                self.trouble.clone(),
            ))
        })
    }

    /// Removes plugin state that has expired, and tasks of others whose time is over. Reads do not
    /// see either in any case.
    pub fn forget_expired(&self, now: UnixMillis) -> Result<(), WriteJournalError> {
        self.writer.run(Operation::ForgetExpired { now }).map(drop)
    }

    /// Records a signer's word about a task in which this node takes no part, and the plugins'
    /// counts of it. [`Written::Already`] if the signer had said so, and there is nothing new.
    pub fn count(&self, now: UnixMillis, new: Count) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Count {
            now,
            new: Box::new(new),
        })
    }

    /// Records that nothing came of a task at a signer that had told of it. Once all have said so,
    /// the plugins' counts are taken back, except entries that were written again since; before
    /// that the answer is [`Written::Already`].
    pub fn uncount(
        &self,
        now: UnixMillis,
        task: Hash,
        teller: NodeId,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Uncount { now, task, teller })
    }

    /// A task that others sign, by its hash.
    pub fn counted(&self, task: &Hash) -> Result<Option<Counted>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(COUNTED)? else {
                return Ok(None);
            };
            table
                .get(task.as_bytes())?
                .map(|row| read("counted", row.value()))
                .transpose()
        })
    }

    /// The number of tasks of others that each signer was the first to tell of. Tasks whose time is
    /// over may be missing.
    pub fn counted_by_teller(&self) -> Result<HashMap<NodeId, usize>, ReadJournalError> {
        self.look(|| {
            let mut counts = HashMap::new();
            let Some(table) = self.later_table(COUNTED)? else {
                return Ok(counts);
            };
            for entry in table.iter()? {
                let row: Counted = read("counted", entry?.1.value())?;
                if let Some(first) = row.tellers.first() {
                    *counts.entry(first.node).or_default() += 1;
                }
            }
            Ok(counts)
        })
    }
}
