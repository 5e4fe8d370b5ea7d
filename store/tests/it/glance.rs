//! The journal's index of all keys: it agrees with the rows, and no event reads the rows of other
//! keys.

use countersign_protocol::{Committee, Hash, KeyDescriptor, KeyId, Outcome};
use countersign_store::{
    Decided, Journal, KeyCounts, KeyRecord, KeyStatus, OperationKind, PreparedReshare,
    ReadJournalError, ReshareStage, Silent,
};

use crate::support::*;

/// A key of nodes 1, 2 and 3, stored at this moment; every other one has auxiliary information.
fn record(number: u64, status: KeyStatus) -> KeyRecord {
    let key = KeyId::of_task(&Hash::of("test", &number.to_be_bytes()));
    let aux = (number % 2 == 1).then(|| Hash::of("aux", &number.to_be_bytes()));
    KeyRecord {
        descriptor: KeyDescriptor {
            key,
            aux,
            ..descriptor(1)
        },
        status,
        created: at(number),
    }
}

fn with(keys: u64) -> (tempfile::TempDir, Journal) {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    (1..=keys).for_each(|number| journal.put_key(record(number, KeyStatus::Active)).unwrap());
    (dir, journal)
}

fn reshare(task: u8, generation: u32) -> (Decided, PreparedReshare) {
    let decided = Decided {
        kind: OperationKind::KeyReshare,
        ..decided(task)
    };
    let descriptor = KeyDescriptor {
        generation,
        task: decided.task,
        ..record(1, KeyStatus::Active).descriptor
    };
    let opened = at(2_000);
    let created = at(1_500);
    let stage = ReshareStage::InDoubt;
    let prepared = PreparedReshare {
        task: decided.task,
        descriptor,
        joins: true,
        opened,
        stage,
        created,
    };
    (decided, prepared)
}

/// The answers to all questions, as text to compare.
fn all(journal: &Journal) -> String {
    let committee = descriptor(1).committee;
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        journal.known_keys().unwrap(),
        journal.key_counts().unwrap(),
        journal.pending_keys().unwrap(),
        journal.shared_keys(&[node(1), node(3)]).unwrap(),
        journal.newest_aux(&committee).unwrap(),
        journal.auxes_in_use().unwrap(),
        [
            ReshareStage::InDoubt,
            ReshareStage::Committed,
            ReshareStage::Aborted,
            ReshareStage::Abandoned
        ]
        .map(|stage| journal.prepared_reshares_at(stage).unwrap()),
    )
}

#[test]
fn what_happens_at_one_key_reads_no_row_of_another() {
    let cost = |keys| {
        let (_dir, journal) = with(keys);
        let opened = journal.rows_read();
        assert_eq!(
            journal.key_counts().unwrap().active,
            usize::try_from(keys).unwrap()
        );
        assert_eq!(
            journal.rows_read() - opened,
            keys,
            "each row once, at the first question"
        );
        let before = journal.rows_read();
        journal
            .put_key(record(keys + 1, KeyStatus::Pending))
            .unwrap();
        let (decided, prepared) = reshare(9, 1);
        journal.approve(at(3_000), decided, vec![]).unwrap();
        journal.prepare_reshare(prepared.clone()).unwrap();
        all(&journal);
        let known = journal
            .prepared_reshares_of(&prepared.descriptor.key)
            .unwrap();
        assert_eq!(known, std::slice::from_ref(&prepared));
        journal
            .end(
                at(3_001),
                prepared.task,
                Outcome::Reshared(prepared.descriptor),
            )
            .unwrap();
        journal
            .delete_key(record(2, KeyStatus::Active).key())
            .unwrap();
        all(&journal);
        journal.rows_read() - before
    };
    assert_eq!(cost(5), cost(50));
}

#[test]
fn what_is_known_at_a_glance_is_what_the_rows_say() {
    let (dir, journal) = with(4);
    let committee = descriptor(1).committee;
    let newest = |journal: &Journal| journal.newest_aux(&committee).unwrap();
    assert_eq!(
        newest(&journal),
        record(3, KeyStatus::Active).descriptor.aux
    );
    journal.put_key(record(5, KeyStatus::Pending)).unwrap();
    assert_eq!(
        newest(&journal),
        record(3, KeyStatus::Active).descriptor.aux,
        "a pending key has none to offer"
    );
    let pending = record(5, KeyStatus::Pending);
    assert_eq!(
        journal.pending_keys().unwrap(),
        [(pending.key(), pending.descriptor.task)]
    );
    journal.put_key(record(5, KeyStatus::Active)).unwrap();
    assert_eq!(
        newest(&journal),
        record(5, KeyStatus::Active).descriptor.aux
    );
    journal.put_key(record(5, KeyStatus::Leaving)).unwrap();
    assert_eq!(
        newest(&journal),
        record(3, KeyStatus::Active).descriptor.aux,
        "nor one that others hold"
    );
    journal
        .delete_key(record(2, KeyStatus::Active).key())
        .unwrap();
    for (task, stage) in [(7, ReshareStage::Aborted), (8, ReshareStage::Abandoned)] {
        let (decided, prepared) = reshare(task, 1);
        journal.approve(at(3_000), decided, vec![]).unwrap();
        journal.prepare_reshare(prepared.clone()).unwrap();
        let failure = countersign_protocol::Failure {
            cause: countersign_protocol::Cause::Peer,
            code: "c".into(),
            text: "t".into(),
            culprits: vec![],
        };
        journal
            .finish_reshare(at(3_001), prepared.task, stage, failure)
            .unwrap();
    }
    let (decided, moved) = reshare(9, 1);
    let committee = Committee::new(vec![node(1), node(4)]).unwrap();
    let moved = PreparedReshare {
        descriptor: KeyDescriptor {
            committee,
            ..moved.descriptor
        },
        ..moved
    };
    journal.approve(at(3_000), decided, vec![]).unwrap();
    journal.prepare_reshare(moved.clone()).unwrap();
    journal
        .end(
            at(3_001),
            moved.task,
            Outcome::Reshared(moved.descriptor.clone()),
        )
        .unwrap();
    assert_eq!(
        journal.shared_keys(&[node(1), node(4)]).unwrap(),
        [(moved.descriptor.key, 1)]
    );
    assert_eq!(
        journal
            .prepared_reshares_of(&moved.descriptor.key)
            .unwrap()
            .len(),
        3
    );
    let counts = KeyCounts {
        pending: 0,
        active: 3,
        released: 0,
        leaving: 1,
    };
    assert_eq!(journal.key_counts().unwrap(), counts);
    let followed = all(&journal);
    drop(journal);
    assert_eq!(all(&Journal::open(dir.path()).unwrap()), followed);
}

#[test]
fn records_are_handed_out_a_few_at_a_time() {
    let (_dir, journal) = with(5);
    let mut all = Vec::new();
    loop {
        let before = journal.rows_read();
        let some = journal
            .keys_after(all.last().map(KeyRecord::key), 2)
            .unwrap();
        assert_eq!(journal.rows_read() - before, some.len() as u64);
        if some.is_empty() {
            break;
        }
        all.extend(some);
    }
    assert_eq!(all, journal.keys().unwrap());
}

/// At a node with many keys, all records at once would take much memory.
#[test]
fn all_records_pass_without_being_in_memory_together() {
    let keys = 130;
    let (_dir, journal) = with(keys);
    let before = journal.rows_read();
    let mut passed = Vec::new();
    let mut ahead = 0;
    journal
        .for_each_key(|record| {
            passed.push(record);
            let read = journal.rows_read() - before;
            ahead = ahead.max(read - passed.len() as u64);
            Ok::<_, ReadJournalError>(())
        })
        .unwrap();
    assert_eq!(journal.rows_read() - before, keys, "each once");
    assert_eq!(passed, journal.keys().unwrap());
    assert!(ahead < 64, "{ahead} records waited");
    let stopped = journal.for_each_key(|_| Err(ReadJournalError::Damaged { table: "test" }));
    assert!(stopped.is_err());
}

#[test]
fn a_second_reshare_of_a_key_waits_for_the_first_however_many_are_over() {
    let (_dir, journal) = with(1);
    let [(first, open), (second, other)] = [reshare(7, 1), reshare(8, 1)];
    journal.approve(at(3_000), first, vec![]).unwrap();
    journal.approve(at(3_000), second, vec![]).unwrap();
    journal.prepare_reshare(open.clone()).unwrap();
    let refused = journal.prepare_reshare(other).unwrap_err();
    assert!(
        refused.to_string().contains(&open.task.to_string()),
        "{refused}"
    );
}
