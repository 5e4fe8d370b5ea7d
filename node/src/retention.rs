//! Deletes old recordings and records from the journal, so that it does not grow for ever.

use std::time::Duration;

use countersign_protocol::UnixMillis;
use countersign_store::{Journal, WriteJournalError};
use tokio_util::sync::CancellationToken;

use crate::off_thread::with_journal;
use crate::world::World;

/// Interval between two rounds. The first begins at the start.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// The deletion of what is older than the configuration wants to keep.
pub struct Retention {
    /// Age at which records and recordings are deleted.
    pub keep: Duration,
    pub journal: Journal,
    pub world: World,
}

impl Retention {
    pub async fn follow(self, stopping: CancellationToken) {
        loop {
            self.round(&stopping).await;
            let pause = tokio::time::sleep(EVERY);
            if stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    async fn round(&self, stopping: &CancellationToken) {
        let now = self.world.now();
        let age = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        let before = UnixMillis(now.0.saturating_sub(age));
        let stopping = stopping.clone();
        let pruned = with_journal(&self.journal, move |journal| {
            prune(journal, now, before, &stopping)
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

#[cfg(test)]
mod tests {
    use countersign_protocol::{OperationKind, TaskId};
    use countersign_store::{LookUp, Silent};

    use super::*;
    use crate::task::fixtures::{NOW, decided, empty_journal, nodes};

    const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

    /// Runs rounds until this time has passed, with records from `NOW`.
    async fn known_after(age: Duration) -> LookUp {
        let (_dir, journal) = empty_journal();
        let task = decided(TaskId([1; 16]), OperationKind::KeySign, nodes(&[1, 2]));
        let hash = task.hash;
        let refusal = countersign_protocol::Refusal {
            code: "limit".into(),
            reason: "t".into(),
            plugin: None,
        };
        journal.refuse(NOW, task, refusal).unwrap();
        let retention = Retention {
            keep: KEEP,
            journal: journal.clone(),
            world: World::system().at(UnixMillis(NOW.0 + age.as_millis() as u64)),
        };
        retention.round(&CancellationToken::new()).await;
        journal.verify_audit().unwrap();
        journal.look_up(&TaskId([1; 16]), &hash).unwrap()
    }

    #[tokio::test]
    async fn a_record_is_kept_for_as_long_as_the_operator_wants() {
        assert!(matches!(known_after(KEEP).await, LookUp::Same(_)));
        let later = KEEP + Duration::from_millis(1);
        assert_eq!(known_after(later).await, LookUp::Spent);
    }
}
