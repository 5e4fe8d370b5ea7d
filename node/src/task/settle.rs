//! Tasks in doubt: a new key or generation whose share is stored, from then until the last
//! confirmation arrives. Such a task has no end until then.

use countersign_protocol::control::Held;
use countersign_protocol::{KeyDescriptor, KeyId, NodeId, TaskId};
use countersign_store::{Journal, KeyStatus, OperationKind, ReadJournalError};

use super::history;

/// Returns the KeyGens and KeyReshares that this node has stored for and whose last confirmations
/// it has not seen.
pub fn waiting(journal: &Journal) -> Result<Vec<TaskId>, ReadJournalError> {
    let keygens = journal.pending_keys()?.into_iter().map(|(_, task)| task);
    let reshares = history::waiting(journal)?
        .into_iter()
        .map(|prepared| prepared.task);
    Ok(keygens.chain(reshares).collect())
}

/// Returns the generations, of new keys and of reshares, that this node has stored for and whose
/// last acknowledgements it has not seen, each with the nodes that may have them.
pub fn lacking(journal: &Journal) -> Result<Vec<(Held, Vec<NodeId>)>, ReadJournalError> {
    let mut lacking = Vec::new();
    for task in journal.unfinished()? {
        let Some(row) = journal
            .row(&task)?
            .filter(|row| row.kind == OperationKind::KeyGen)
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
    for open in history::waiting(journal)? {
        let KeyDescriptor {
            key,
            generation,
            parties,
            ..
        } = open.descriptor;
        lacking.push((Held { key, generation }, parties));
    }
    Ok(lacking)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use countersign_protocol::{
        Committee, Failure, FailureCode, Hash, Outcome, Scheme, SessionId, SignedAck, Threshold,
        UnixMillis,
    };
    use countersign_store::{Decided, KeyRecord, Silent, State};

    use super::*;
    use crate::events::Events;
    use crate::task::{Register, Settlement, participant};

    const TASK: TaskId = TaskId([1; 16]);
    const NOW: UnixMillis = UnixMillis(1_000);
    const HASH: Hash = Hash([7; 32]);

    fn identity(seed: u8) -> countersign_link::Identity {
        countersign_link::Identity::from_seed(&[seed; 32]).unwrap()
    }

    fn node(seed: u8) -> NodeId {
        NodeId::from_bytes(identity(seed).public().0).unwrap()
    }

    /// The descriptor with acknowledgements of these.
    fn acked_by(seeds: &[u8]) -> KeyDescriptor {
        let made = descriptor();
        let ack = |seed: &u8| SignedAck {
            node: node(*seed),
            signature: identity(*seed).sign(made.digest().as_bytes()).to_vec(),
        };
        let mut stored: Vec<_> = seeds.iter().map(ack).collect();
        stored.sort_by_key(|ack| ack.node);
        KeyDescriptor {
            acks: stored,
            ..made
        }
    }

    fn confirm(
        journal: &Journal,
        made: KeyDescriptor,
    ) -> Result<(), participant::ParticipantError> {
        let register = Register {
            journal: journal.clone(),
            events: Arc::new(Events::new(node(1), crate::world::World::system(), &[])),
            counters: Arc::default(),
        };
        let place = (TASK, made.key);
        let settlement = Settlement::AllStored(made.into());
        participant::resolve(&register, node(1), NOW, place, settlement).map(drop)
    }

    fn descriptor() -> KeyDescriptor {
        KeyDescriptor {
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
            acks: Vec::new(),
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
            kind: OperationKind::KeyGen,
            received_at: NOW,
            verdicts: Vec::new(),
            parties: vec![node(1), node(2)],
            bytes: b"{}".to_vec(),
            evidence: countersign_store::Evidence::default(),
        };
        journal.approve(NOW, task, Vec::new()).unwrap();
        let pending = KeyRecord {
            descriptor: descriptor(),
            status: KeyStatus::Pending,
            created: NOW,
        };
        journal.put_key(pending).unwrap();
        (dir, journal)
    }

    fn status(journal: &Journal) -> KeyStatus {
        journal.key(&descriptor().key).unwrap().unwrap().status
    }

    #[test]
    fn a_task_whose_key_waits_has_no_end_after_a_restart_until_it_is_confirmed() {
        let (_dir, journal) = journal();
        let settling = waiting(&journal).unwrap();
        assert_eq!(settling, [TASK]);
        let held = Held {
            key: descriptor().key,
            generation: 0,
        };
        assert_eq!(
            lacking(&journal).unwrap(),
            [(held, vec![node(1), node(2)])],
            "the others are asked"
        );
        assert_eq!(journal.abort_unfinished(NOW, &settling).unwrap(), []);
        assert_eq!(status(&journal), KeyStatus::Pending);
        let strange = KeyDescriptor {
            public_shares: Hash([9; 32]),
            ..acked_by(&[1, 2])
        };
        for unfit in [acked_by(&[1]), acked_by(&[]), strange] {
            confirm(&journal, unfit).unwrap_err();
            assert_eq!(status(&journal), KeyStatus::Pending);
        }
        confirm(&journal, acked_by(&[1, 2])).unwrap();
        let ended = State::Ended {
            outcome: Outcome::Created(acked_by(&[1, 2])).into(),
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
        let failure = Failure::new(FailureCode::SessionTimeout, "t");
        journal
            .end(NOW, TASK, Outcome::Failed(failure.clone()))
            .unwrap();
        confirm(&journal, acked_by(&[1, 2])).unwrap();
        let ended = State::Ended {
            outcome: Outcome::Failed(failure).into(),
            at: NOW,
        };
        assert_eq!(journal.row(&TASK).unwrap().unwrap().state, ended);
        assert_eq!(status(&journal), KeyStatus::Active);
    }
}
