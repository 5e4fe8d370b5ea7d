//! Backups, restores, renewals of the storage key, other processes with this node's identity, and
//! the policy bundle in force.

use countersign_protocol::UnixMillis;

use super::Journal;
use crate::journal::bundled::{self, BUNDLED, BundleMark};
use crate::journal::error::{ReadJournalError, WriteJournalError};
use crate::journal::moments::{BACKED_UP, DESTROYED, DRILLED, MOMENTS, RESTORED, TWIN};
use crate::journal::operation::Operation;
use crate::journal::written::Written;

impl Journal {
    /// Notes that the journal was restored from a backup and may lack tasks that the node has
    /// decided on. From here on tasks made before `time` are refused, and every set-up of pairs is
    /// burnt.
    pub fn restored(&self, time: UnixMillis) -> Result<(), WriteJournalError> {
        self.writer.run(Operation::Restored(time)).map(drop)
    }

    /// The time of the last restore from a backup.
    pub fn restored_at(&self) -> Result<Option<UnixMillis>, ReadJournalError> {
        self.moment(RESTORED)
    }

    /// Notes that a backup of this node was made.
    pub fn backed_up(&self, now: UnixMillis) -> Result<Written, WriteJournalError> {
        let which = BACKED_UP;
        self.writer.run(Operation::Note { which, now })
    }

    /// The time of the last backup.
    pub fn backed_up_at(&self) -> Result<Option<UnixMillis>, ReadJournalError> {
        self.moment(BACKED_UP)
    }

    /// Notes that a backup of this node was proven to be usable.
    pub fn drilled(&self, now: UnixMillis) -> Result<Written, WriteJournalError> {
        let which = DRILLED;
        self.writer.run(Operation::Note { which, now })
    }

    /// The time of the last drill that succeeded.
    pub fn drilled_at(&self) -> Result<Option<UnixMillis>, ReadJournalError> {
        self.moment(DRILLED)
    }

    /// Notes which policy bundle is in force. The bundle itself is kept elsewhere.
    pub fn bundled(&self, mark: BundleMark) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Bundled(mark))
    }

    /// The policy bundle that was noted last; absent if none ever was.
    pub fn bundle_mark(&self) -> Result<Option<BundleMark>, ReadJournalError> {
        self.look(|| match self.later_table(BUNDLED)? {
            Some(table) => bundled::read(&table),
            None => Ok(None),
        })
    }

    /// The time at which a share was destroyed for the first time since the storage key was
    /// renewed; absent if none was.
    pub fn rekey_due(&self) -> Result<Option<UnixMillis>, ReadJournalError> {
        self.moment(DESTROYED)
    }

    /// Notes that the storage key was renewed.
    pub fn rekeyed(&self, now: UnixMillis) -> Result<(), WriteJournalError> {
        self.writer.run(Operation::Rekeyed(now)).map(drop)
    }

    /// Records the proof that another process has this node's identity, and burns every set-up of
    /// pairs: this journal does not know which checks failed there.
    pub fn twin(&self, now: UnixMillis) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Twin(now))
    }

    /// The time at which another process was proven to have this node's identity; absent if the
    /// operator has decided since.
    pub fn twin_since(&self) -> Result<Option<UnixMillis>, ReadJournalError> {
        self.moment(TWIN)
    }

    /// Records the operator's decision that this process goes on. Set-ups of pairs stay burnt.
    /// [`Written::Already`] if there was no twin on record.
    pub fn lift_twin(&self, now: UnixMillis) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::LiftTwin(now))
    }

    fn moment(&self, which: u8) -> Result<Option<UnixMillis>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(MOMENTS)? else {
                return Ok(None);
            };
            Ok(table.get(which)?.map(|time| UnixMillis(time.value())))
        })
    }
}
