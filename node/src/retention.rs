//! Deletes old recordings and records from the journal, so that it does not grow for ever.

use std::time::Duration;

use countersign_audit::Checkpoint;
use countersign_protocol::UnixMillis;
use countersign_store::{Journal, WriteJournalError};
use tokio_util::sync::CancellationToken;

use crate::node_key::NodeKey;
use crate::off_thread::with_journal;
use crate::world::World;

/// Interval between two rounds, and before the first.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// The deletion of what is older than the configuration wants to keep.
pub struct Retention {
    /// Age at which records and recordings are deleted.
    pub keep: Duration,
    /// Signs what was deleted.
    pub own: NodeKey,
    pub journal: Journal,
    pub world: World,
}

impl Retention {
    pub async fn follow(self, stopping: CancellationToken) {
        let pause = || tokio::time::sleep(EVERY);
        while stopping.run_until_cancelled(pause()).await.is_some() {
            self.round(&stopping).await;
        }
    }

    async fn round(&self, stopping: &CancellationToken) {
        let now = self.world.now();
        let age = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        let stopping = stopping.clone();
        let own = self.own.clone();
        let pruned = with_journal(&self.journal, move |journal| {
            let before = UnixMillis(latest(journal, now)?.0.saturating_sub(age));
            let records = prune(journal, now, before, &stopping)?;
            sign_deletions(journal, now, &own).map(|()| records)
        });
        match pruned.await {
            Ok(0) => {}
            Ok(records) => tracing::info!(
                records,
                "old records were deleted; the ids of their tasks stay"
            ),
            Err(error) => tracing::error!(%error, "old records were not deleted"),
        }
    }
}

/// The time from which ages count: now, or the arrival of the newest task. A clock that runs ahead
/// makes nothing old by itself.
fn latest(journal: &Journal, now: UnixMillis) -> Result<UnixMillis, WriteJournalError> {
    let newest = journal.recent(1)?;
    Ok(newest
        .first()
        .map_or(now, |newest| newest.received_at.min(now)))
}

/// Returns the number of records that were deleted.
fn prune(
    journal: &Journal,
    now: UnixMillis,
    before: UnixMillis,
    stopping: &CancellationToken,
) -> Result<u64, WriteJournalError> {
    let mut records = 0;
    let mut next = Some(0);
    while let Some(from) = next.filter(|_| !stopping.is_cancelled()) {
        let pruned = journal.prune(now, before, from)?;
        records += pruned.records;
        next = pruned.next;
    }
    Ok(records)
}

/// Signs what was deleted, now or in a round that was cut short. The statement stands for the log
/// up to the entry that tells of it, so an auditor can believe that records are missing rightly.
fn sign_deletions(
    journal: &Journal,
    now: UnixMillis,
    own: &NodeKey,
) -> Result<(), WriteJournalError> {
    let Some(deletions) = journal.unsigned_deletions()? else {
        return Ok(());
    };
    let deleted = (deletions.records, deletions.before);
    let checkpoint = Checkpoint::sign(own.id(), deletions.head, deleted, now, own);
    journal.keep_checkpoint(checkpoint)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use countersign_link::Identity;
    use countersign_protocol::{OperationKind, TaskId};
    use countersign_store::{LookUp, Silent};

    use super::*;
    use crate::task::fixtures::{NOW, decided, empty_journal, nodes};

    const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

    fn after(age: Duration) -> UnixMillis {
        UnixMillis(NOW.0 + age.as_millis() as u64)
    }

    fn own() -> NodeKey {
        NodeKey::new(Arc::new(Identity::from_seed(&[1; 32]).unwrap())).unwrap()
    }

    /// A journal with two refused tasks, one from `NOW` and one from `newest`.
    fn two_tasks(newest: UnixMillis) -> (tempfile::TempDir, Journal, countersign_protocol::Hash) {
        let (dir, journal) = empty_journal();
        let refuse = |number: u8, received_at: UnixMillis| {
            let task = decided(TaskId([number; 16]), OperationKind::KeySign, nodes(&[1, 2]));
            let hash = task.hash;
            let task = countersign_store::Decided {
                received_at,
                ..task
            };
            let refusal = countersign_protocol::Refusal {
                code: "limit".into(),
                reason: "t".into(),
                plugin: None,
            };
            journal.refuse(received_at, task, refusal).unwrap();
            hash
        };
        let hash = refuse(1, NOW);
        refuse(2, newest);
        (dir, journal, hash)
    }

    async fn round(journal: &Journal, clock: UnixMillis) {
        let retention = Retention {
            keep: KEEP,
            own: own(),
            journal: journal.clone(),
            world: World::system().at(clock),
        };
        retention.round(&CancellationToken::new()).await;
    }

    /// What is known of a task from `NOW` after a round at `clock`, if another task arrived at
    /// `newest`.
    async fn known(newest: UnixMillis, clock: UnixMillis) -> LookUp {
        let (_dir, journal, hash) = two_tasks(newest);
        round(&journal, clock).await;
        journal.verify_audit().unwrap();
        journal.look_up(&TaskId([1; 16]), &hash).unwrap()
    }

    #[tokio::test]
    async fn a_record_is_kept_for_as_long_as_the_operator_wants() {
        let kept = known(after(KEEP), after(KEEP)).await;
        assert!(matches!(kept, LookUp::Same(_)), "{kept:?}");
        let later = after(KEEP + Duration::from_millis(1));
        assert_eq!(known(later, later).await, LookUp::Spent);
    }

    #[tokio::test]
    async fn a_clock_that_runs_ahead_deletes_nothing() {
        let kept = known(after(Duration::ZERO), after(KEEP * 1_000)).await;
        assert!(matches!(kept, LookUp::Same(_)), "{kept:?}");
    }

    #[tokio::test]
    async fn a_deletion_leaves_a_checkpoint_that_the_node_has_signed() {
        let later = after(KEEP + Duration::from_millis(1));
        let (_dir, journal, _) = two_tasks(later);
        assert_eq!(journal.checkpoints().unwrap(), []);
        round(&journal, later).await;
        let checkpoints = journal.checkpoints().unwrap();
        let [checkpoint] = checkpoints.as_slice() else {
            panic!("{checkpoints:?}")
        };
        assert!(checkpoint.verifies());
        assert_eq!(checkpoint.node, own().id());
        assert_eq!(checkpoint.records, 1);
        assert_eq!(checkpoint.before, after(Duration::from_millis(1)));
        let entry = journal.audit(checkpoint.entries - 1, 1).unwrap().remove(0);
        assert_eq!(entry.kind, countersign_store::AuditKind::Pruned);
        assert_eq!(entry.hash, checkpoint.hash);
        round(&journal, later).await;
        assert_eq!(journal.checkpoints().unwrap().len(), 1, "once is enough");
    }
}
