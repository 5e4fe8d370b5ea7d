//! A new key between the moment its share is stored and the last member's confirmation. Its task has no end until then.

use super::handover;
use countersign_protocol::{Announcement, Outcome, TaskId, UnixMillis};
use countersign_store::{Journal, KeyRecord, KeyStatus, ReadJournalError, State, WriteJournalError};

/// The KeyGens and KeyReshares that this node has stored for and whose last confirmations it has not seen.
pub fn waiting(journal: &Journal) -> Result<Vec<TaskId>, ReadJournalError> {
    let pending = journal.keys()?.into_iter().filter(|key| key.status == KeyStatus::Pending);
    let keygens = pending.map(|key| key.announcement.task);
    let reshares = handover::waiting(journal)?.into_iter().map(|handover| handover.task);
    Ok(keygens.chain(reshares).collect())
}

/// Ends the task with the key that all members have confirmed; the key is active from then on. A task that was recorded as
/// over keeps its end, and the key becomes active all the same: all others have it.
pub fn confirm(
    journal: &Journal,
    now: UnixMillis,
    created: UnixMillis,
    announcement: Announcement,
) -> Result<(), WriteJournalError> {
    let task = announcement.task;
    match journal.row(&task)? {
        Some(row) if row.state == State::Approved => {
            journal.end(now, task, Outcome::Created(announcement)).map(drop)
        }
        _ => journal.put_key(KeyRecord { announcement, status: KeyStatus::Active, created }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_protocol::{Committee, Failure, Hash, KeyId, NodeId, Scheme, SessionId, Threshold};
    use countersign_store::{Decided, TaskKind};

    const TASK: TaskId = TaskId([1; 16]);
    const NOW: UnixMillis = UnixMillis(1_000);

    fn node(seed: u8) -> NodeId {
        let identity = countersign_link::Identity::from_seed(&[seed; 32]).unwrap();
        NodeId::from_bytes(identity.public().0).unwrap()
    }

    fn announcement() -> Announcement {
        Announcement {
            key: KeyId::from_bytes([2; 16]).unwrap(),
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
        let dir = tempfile::Builder::new().permissions(private).tempdir().unwrap();
        let journal = Journal::create(dir.path()).unwrap();
        let task = Decided {
            task: TASK,
            hash: Hash([7; 32]),
            kind: TaskKind::KeyGen,
            received_at: NOW,
            verdicts: Vec::new(),
            parties: vec![node(1), node(2)],
            bytes: b"{}".to_vec(),
            evidence: countersign_store::Evidence::default(),
        };
        journal.approve(NOW, task, Vec::new()).unwrap();
        let pending = KeyRecord { announcement: announcement(), status: KeyStatus::Pending, created: NOW };
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
        assert_eq!(journal.abort_unfinished(NOW, &settling).unwrap(), []);
        assert_eq!(status(&journal), KeyStatus::Pending);
        confirm(&journal, NOW, NOW, announcement()).unwrap();
        let ended = State::Ended { outcome: Outcome::Created(announcement()).into(), at: NOW };
        assert_eq!(journal.row(&TASK).unwrap().unwrap().state, ended);
        assert_eq!(status(&journal), KeyStatus::Active);
        assert_eq!(waiting(&journal).unwrap(), []);
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
        journal.end(NOW, TASK, Outcome::Failed(failure.clone())).unwrap();
        confirm(&journal, NOW, NOW, announcement()).unwrap();
        let ended = State::Ended { outcome: Outcome::Failed(failure).into(), at: NOW };
        assert_eq!(journal.row(&TASK).unwrap().unwrap().state, ended);
        assert_eq!(status(&journal), KeyStatus::Active);
    }
}
