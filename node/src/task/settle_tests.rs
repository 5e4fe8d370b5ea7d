use std::sync::Arc;

use countersign_protocol::{
    Committee, Failure, FailureCode, Hash, OperationKind, Outcome, Scheme, SessionId, SignedAck,
    Threshold, UnixMillis,
};
use countersign_store::{Decided, KeyRecord, PreparedReshare, ReshareStage, Silent, State};

use super::*;
use crate::events::Events;
use crate::task::fixtures::{decided, empty_journal, generation, identity, key, node};
use crate::task::{Register, Settlement, participant};

const TASK: TaskId = TaskId([1; 16]);
const NOW: UnixMillis = UnixMillis(1_000);
const HASH: Hash = Hash([7; 32]);

/// The descriptor with acknowledgements of these.
fn acked_by(seeds: &[u8]) -> KeyDescriptor {
    let made = descriptor();
    let ack = |seed: &u8| SignedAck {
        node: node(*seed),
        signature: identity(*seed).sign(made.digest().as_bytes()).to_vec(),
    };
    let mut acks: Vec<_> = seeds.iter().map(ack).collect();
    acks.sort_by_key(|ack| ack.node);
    KeyDescriptor { acks, ..made }
}

fn confirm(journal: &Journal, made: KeyDescriptor) -> Result<(), participant::ParticipantError> {
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
    let (dir, journal) = empty_journal();
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

/// The same journal, with a signature under way and a reshare in doubt.
fn busy_journal() -> (tempfile::TempDir, Journal) {
    let (dir, journal) = journal();
    let parties = vec![node(1), node(2), node(3)];
    for (task, kind) in [
        (2, OperationKind::KeySign),
        (3, OperationKind::KeyReshare),
        (4, OperationKind::KeyReshare),
    ] {
        let row = decided(TaskId([task; 16]), kind, parties.clone());
        journal.approve(NOW, row, Vec::new()).unwrap();
    }
    let descriptor = KeyDescriptor {
        task: TaskId([3; 16]),
        parties,
        ..generation(1, &[1, 3])
    };
    let prepared = PreparedReshare {
        task: descriptor.task,
        descriptor,
        joins: true,
        opened: NOW,
        stage: ReshareStage::InDoubt,
        created: NOW,
    };
    journal.prepare_reshare(prepared).unwrap();
    (dir, journal)
}

#[test]
fn what_was_stored_for_waits_after_a_restart_and_nothing_else_does() {
    let (_dir, journal) = busy_journal();
    let settling = waiting(&journal).unwrap();
    assert_eq!(settling, [TASK, TaskId([3; 16])]);
    let mut ended = journal.abort_unfinished(NOW, &settling).unwrap();
    ended.sort_unstable();
    assert_eq!(ended, [TaskId([2; 16]), TaskId([4; 16])]);
}

#[test]
fn the_parties_of_a_reshare_in_doubt_are_asked_for_its_acknowledgements() {
    let (_dir, journal) = busy_journal();
    let lacking = lacking(&journal).unwrap();
    let reshared = Held {
        key: key(),
        generation: 1,
    };
    assert_eq!(lacking.len(), 2, "the new key, and this");
    assert_eq!(lacking[1], (reshared, vec![node(1), node(2), node(3)]));
}

#[test]
fn a_key_whose_task_is_over_is_asked_for_by_nobody() {
    let (_dir, journal) = journal();
    let failure = Failure::new(FailureCode::SessionTimeout, "t");
    journal.end(NOW, TASK, Outcome::Failed(failure)).unwrap();
    assert_eq!(lacking(&journal).unwrap(), []);
    assert_eq!(
        waiting(&journal).unwrap(),
        [TASK],
        "it may be confirmed yet"
    );
}
