//! A new key between the moment its share is stored and the last member's confirmation. Its task
//! has no end until then.

use std::sync::Arc;

use countersign_protocol::control::{FromNode, Held};
use countersign_protocol::{Announcement, KeyId, NodeId, Outcome, TaskId, UnixMillis};
use countersign_store::{
    Journal, KeyRecord, KeyStatus, ReadJournalError, State, TaskKind, WriteJournalError,
};

use super::handover;
use crate::core::Core;
use crate::{events, metrics};

/// The KeyGens and KeyReshares that this node has stored for and whose last confirmations it has
/// not seen.
pub fn waiting(journal: &Journal) -> Result<Vec<TaskId>, ReadJournalError> {
    let keygens = journal.pending_keys()?.into_iter().map(|(_, task)| task);
    let reshares = handover::waiting(journal)?
        .into_iter()
        .map(|handover| handover.task);
    Ok(keygens.chain(reshares).collect())
}

/// Activates a pending key, if every member's mark over exactly what is stored here is there,
/// whoever brings them.
pub async fn settle(core: &Arc<Core>, task: TaskId, announcement: Announcement) {
    let key = announcement.key;
    let Ok(Some(record)) = core.journal(move |journal| journal.key(&key)).await else {
        return;
    };
    let same = record.announcement.digest() == announcement.digest();
    if record.status != KeyStatus::Pending
        || announcement.task != task
        || !same
        || !announcement.is_complete()
    {
        return tracing::debug!(%key, "a settlement does not fit and was ignored");
    }
    let now = core.now();
    let created = record.created;
    let settled = announcement.clone();
    let told = core.clone();
    let confirm = move |journal: &Journal| {
        let what = events::what_of(
            &told.events,
            task,
            &Outcome::Created(settled.clone()),
            now.0,
        );
        let events = told.events.tell(journal, task, what);
        self::confirm(&journal.telling(events), now, created, settled)
    };
    if let Err(error) = core.journal(confirm).await {
        return tracing::error!(%key, %error, "the key stays pending");
    }
    tracing::info!(%key, "key confirmed by all members");
    core.tally.task(TaskKind::KeyGen, metrics::Ended::Succeeded);
    core.events.finish(task);
    core.key_active(announcement.aux).await;
    core.reporter.send(FromNode::Outcome {
        task,
        outcome: Outcome::Created(announcement),
    });
}

/// The generations that this node has stored for and whose last marks it has not seen, each with
/// the nodes that may have them: new keys and reshares.
pub fn lacking(journal: &Journal) -> Result<Vec<(Held, Vec<NodeId>)>, ReadJournalError> {
    let mut lacking = Vec::new();
    for task in journal.unfinished()? {
        let Some(row) = journal
            .row(&task)?
            .filter(|row| row.kind == TaskKind::KeyGen)
        else {
            continue;
        };
        let key = KeyId::of_task(&row.hash);
        if journal
            .key(&key)?
            .is_some_and(|record| record.status == KeyStatus::Pending)
        {
            lacking.push((Held { key, generation: 0 }, row.parties));
        }
    }
    for open in handover::waiting(journal)? {
        let Announcement {
            key,
            generation,
            parties,
            ..
        } = open.announcement;
        lacking.push((Held { key, generation }, parties));
    }
    Ok(lacking)
}

/// Ends the task with the key that all members have confirmed; the key is active from then on. A
/// task that was recorded as over keeps its end, and the key becomes active all the same: all
/// others have it.
pub fn confirm(
    journal: &Journal,
    now: UnixMillis,
    created: UnixMillis,
    announcement: Announcement,
) -> Result<(), WriteJournalError> {
    let task = announcement.task;
    match journal.row(&task)? {
        Some(row) if row.state == State::Approved => journal
            .end(now, task, Outcome::Created(announcement))
            .map(drop),
        _ => journal.put_key(KeyRecord {
            announcement,
            status: KeyStatus::Active,
            created,
        }),
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::{Committee, Failure, Hash, Scheme, SessionId, Threshold};
    use countersign_store::Decided;

    use super::*;

    const TASK: TaskId = TaskId([1; 16]);
    const NOW: UnixMillis = UnixMillis(1_000);
    const HASH: Hash = Hash([7; 32]);

    fn node(seed: u8) -> NodeId {
        let identity = countersign_link::Identity::from_seed(&[seed; 32]).unwrap();
        NodeId::from_bytes(identity.public().0).unwrap()
    }

    fn announcement() -> Announcement {
        Announcement {
            key: KeyId::of_task(&HASH),
            task: TASK,
            session: SessionId([3; 32]),
            name: "n".into(),
            scheme: Scheme::Ed25519,
            committee: Committee::new(vec![node(1), node(2)]).unwrap(),
            threshold: Threshold::try_from(2).unwrap(),
            generation: 0,
            root_public_key: vec![4; 32],
            chain_code: Hash([5; 32]),
            public_shares: Hash([6; 32]),
            aux: None,
            parties: Vec::new(),
            stored: Vec::new(),
        }
    }

    /// A journal with an approved KeyGen whose key is pending.
    fn journal() -> (tempfile::TempDir, Journal) {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let dir = tempfile::Builder::new()
            .permissions(private)
            .tempdir()
            .unwrap();
        let journal = Journal::create(dir.path()).unwrap();
        let task = Decided {
            task: TASK,
            hash: HASH,
            kind: TaskKind::KeyGen,
            received_at: NOW,
            verdicts: Vec::new(),
            parties: vec![node(1), node(2)],
            bytes: b"{}".to_vec(),
            evidence: countersign_store::Evidence::default(),
        };
        journal.approve(NOW, task, Vec::new()).unwrap();
        let pending = KeyRecord {
            announcement: announcement(),
            status: KeyStatus::Pending,
            created: NOW,
        };
        journal.put_key(pending).unwrap();
        (dir, journal)
    }

    fn status(journal: &Journal) -> KeyStatus {
        journal.key(&announcement().key).unwrap().unwrap().status
    }

    #[test]
    fn a_task_whose_key_waits_has_no_end_after_a_restart_until_it_is_confirmed() {
        let (_dir, journal) = journal();
        let settling = waiting(&journal).unwrap();
        assert_eq!(settling, [TASK]);
        let held = Held {
            key: announcement().key,
            generation: 0,
        };
        assert_eq!(
            lacking(&journal).unwrap(),
            [(held, vec![node(1), node(2)])],
            "the others are asked"
        );
        assert_eq!(journal.abort_unfinished(NOW, &settling).unwrap(), []);
        assert_eq!(status(&journal), KeyStatus::Pending);
        confirm(&journal, NOW, NOW, announcement()).unwrap();
        let ended = State::Ended {
            outcome: Outcome::Created(announcement()).into(),
            at: NOW,
        };
        assert_eq!(journal.row(&TASK).unwrap().unwrap().state, ended);
        assert_eq!(status(&journal), KeyStatus::Active);
        assert_eq!(waiting(&journal).unwrap(), []);
        assert_eq!(lacking(&journal).unwrap(), []);
    }

    #[test]
    fn a_recorded_end_stays_and_the_key_becomes_active() {
        let (_dir, journal) = journal();
        let failure = Failure {
            cause: countersign_protocol::Cause::Environment,
            code: "c".into(),
            text: "t".into(),
            culprits: Vec::new(),
        };
        journal
            .end(NOW, TASK, Outcome::Failed(failure.clone()))
            .unwrap();
        confirm(&journal, NOW, NOW, announcement()).unwrap();
        let ended = State::Ended {
            outcome: Outcome::Failed(failure).into(),
            at: NOW,
        };
        assert_eq!(journal.row(&TASK).unwrap().unwrap().state, ended);
        assert_eq!(status(&journal), KeyStatus::Active);
    }
}
