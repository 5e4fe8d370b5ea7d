//! Old tasks whose record was deleted. Their ids stay, so that nobody decides on them again, and so
//! does the hash of the record, which the audit log still vouches for.

use countersign_audit::pruned_hash;
use countersign_protocol::{Hash, OperationKind, UnixMillis};
use redb::TableDefinition;
use serde::{Deserialize, Serialize};

use super::audit::AuditKind;
use super::codec::Stored;
use super::row::{Row, State};
use super::tables::Tables;
use super::written::{Done, Written};

/// Task id to [`Spent`].
pub(super) const SPENT: TableDefinition<&'static [u8; 16], &'static [u8]> =
    TableDefinition::new("spent");
/// The most tasks that one write looks at, so that others do not wait for it.
const BATCH: usize = 512;

/// The rest of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spent {
    /// Hash of the bytes that the requester signed.
    pub(super) hash: Hash,
    /// Hash of the row that was deleted, as in the last audit entry about the task.
    pub(super) record: Hash,
}

impl Stored for Spent {}

/// The progress of a pruning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// The number of records that were deleted.
    pub records: u64,
    /// The position at which to go on; absent at the end.
    pub next: Option<u64>,
}

impl Tables<'_> {
    /// Deletes recordings and records of tasks from before a time, beginning at a position.
    pub(super) fn prune(&mut self, now: UnixMillis, before: UnixMillis, from: u64) -> Done {
        let batch = self.register.rows_from(from, BATCH)?;
        let mut pruned = Pruned {
            records: 0,
            next: (batch.len() == BATCH).then_some(from + BATCH as u64),
        };
        for (position, row) in &batch {
            // A clock that ran ahead has made records of the future; they keep nothing from going.
            if (before..=now).contains(&row.received_at) {
                pruned.next = None;
                break;
            }
            pruned.next = pruned.next.map(|_| position + 1);
            if row.received_at >= before {
                continue;
            }
            self.recordings.drop_of(row.task)?;
            if is_prunable(row, before) {
                self.register.spend(*position, row)?;
                self.recordings.forget_order(row.task)?;
                pruned.records += 1;
            }
        }
        if pruned.records > 0 {
            self.recordings.note_pruned(before)?;
            let text = format!(
                "deleted the records of {} tasks from before {} (milliseconds since 1970); their ids stay",
                pruned.records, before.0
            );
            let vouched = Some(pruned_hash(before));
            self.register
                .append(now, AuditKind::Pruned, None, &text, vouched)?;
        }
        Ok(Written::Pruned(pruned))
    }
}

/// Records of keys and their generations are kept: later decisions need them, and they are few.
fn is_prunable(row: &Row, before: UnixMillis) -> bool {
    let over = match &row.state {
        State::Approved => false,
        State::Ended { at, .. } => *at < before,
    };
    over && match row.kind {
        OperationKind::KeySign | OperationKind::KeyShareSign => true,
        OperationKind::KeyGen | OperationKind::KeyReshare => false,
    }
}
