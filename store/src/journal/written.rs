//! The result of a write.

use countersign_protocol::TaskId;

use super::error::WriteJournalError;
use super::pruned::Pruned;

/// The effect of a successful write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is on the disk.
    Now,
    /// Nothing was written, because the journal already says so.
    Already,
    /// These tasks were ended.
    Aborted(Vec<TaskId>),
    /// Records of old tasks were deleted.
    Pruned(Pruned),
}

/// The answer of an operation to its caller.
pub(super) type Done = Result<Written, WriteJournalError>;

impl Written {
    /// [`Now`](Self::Now) if something was written, else [`Already`](Self::Already).
    pub(super) fn if_new(new: bool) -> Self {
        if new { Self::Now } else { Self::Already }
    }
}
