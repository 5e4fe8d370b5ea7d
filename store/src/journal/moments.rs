//! Instants that outlive a restart, most with a line in the audit log.

use countersign_protocol::{KeyDescriptor, UnixMillis};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::audit::AuditKind;
use super::error::WriteJournalError;
use super::register::Register;
use super::written::{Done, Written};

/// Maps an instant, such as [`RESTORED`], to milliseconds since 1970.
pub(super) const MOMENTS: TableDefinition<u8, u64> = TableDefinition::new("moments");
/// The last restore of the journal from a backup.
pub(super) const RESTORED: u8 = 0;
/// The first destruction of a share since the storage key was renewed.
pub(super) const DESTROYED: u8 = 1;
/// The proof that another process has this node's identity, until the operator has decided.
pub(super) const TWIN: u8 = 2;
/// The last backup of this node.
pub(super) const BACKED_UP: u8 = 3;
/// The last backup of this node that was proven to be usable.
pub(super) const DRILLED: u8 = 4;

pub(super) struct Moments<'t>(Table<'t, u8, u64>);

impl<'t> Moments<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self(transaction.open_table(MOMENTS)?))
    }

    /// Keeps the earlier instant if there is one. True if there was none.
    fn put_first(&mut self, which: u8, now: UnixMillis) -> Result<bool, WriteJournalError> {
        if self.0.get(which)?.is_some() {
            return Ok(false);
        }
        self.0.insert(which, now.0)?;
        Ok(true)
    }

    /// Notes the last time of something, also if it is before the one that is known: a clock that
    /// was ahead must not hide for years that operators do nothing. It has no line in the audit
    /// log: the log of a backup would then always be shorter than what peers have seen.
    pub(super) fn note(&mut self, which: u8, now: UnixMillis) -> Done {
        self.0.insert(which, now.0)?;
        Ok(Written::Now)
    }

    pub(super) fn restored(&mut self, register: &mut Register<'_>, time: UnixMillis) -> Done {
        self.0.insert(RESTORED, time.0)?;
        let text = "restored from a backup; earlier tasks are refused";
        register.log(time, AuditKind::Alarm, None, text)
    }

    pub(super) fn twin(&mut self, register: &mut Register<'_>, now: UnixMillis) -> Done {
        if !self.put_first(TWIN, now)? {
            return Ok(Written::Already);
        }
        let text = "another process runs with the identity of this node, which takes part in nothing until its operator decides";
        register.log(now, AuditKind::Alarm, None, text)
    }

    pub(super) fn lift_twin(&mut self, register: &mut Register<'_>, now: UnixMillis) -> Done {
        if self.0.remove(TWIN)?.is_none() {
            return Ok(Written::Already);
        }
        let text = "the operator has decided that this process is the original, and the other one is ended";
        register.log(now, AuditKind::Alarm, None, text)
    }

    pub(super) fn rekeyed(&mut self, register: &mut Register<'_>, now: UnixMillis) -> Done {
        self.0.remove(DESTROYED)?;
        let text = "the storage key of before";
        register.log(now, AuditKind::Destroyed, None, text)
    }

    pub(super) fn destroyed(
        &mut self,
        register: &mut Register<'_>,
        now: UnixMillis,
        descriptor: &KeyDescriptor,
    ) -> Done {
        self.put_first(DESTROYED, now)?;
        let text = format!(
            "shares of {} up to generation {}",
            descriptor.key, descriptor.generation
        );
        register.log_task(now, AuditKind::Destroyed, descriptor.task, &text)
    }
}
