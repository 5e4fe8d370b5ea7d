//! What the journal knows of all keys without reading their rows: it is what the rows say, and
//! costs nothing per key.

use countersign_protocol::{Announcement, Committee, Hash, KeyId, Outcome};
use countersign_store::{
    Decided, Handover, HandoverStage, Journal, KeyCounts, KeyRecord, KeyStatus, OperationKind,
    Silent,
};

use crate::support::*;

/// A key of nodes 1, 2 and 3, stored at this moment; every other one has auxiliary information.
fn record(number: u64, status: KeyStatus) -> KeyRecord {
    let key = KeyId::of_task(&Hash::of("test", &number.to_be_bytes()));
    let aux = (number % 2 == 1).then(|| Hash::of("aux", &number.to_be_bytes()));
    KeyRecord {
        announcement: Announcement {
            key,
            aux,
            ..announcement(1)
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

fn reshare(task: u8, generation: u32) -> (Decided, Handover) {
    let decided = Decided {
        kind: OperationKind::KeyReshare,
        ..decided(task)
    };
    let announcement = Announcement {
        generation,
        task: decided.task,
        ..record(1, KeyStatus::Active).announcement
    };
    let opened = at(2_000);
    let created = at(1_500);
    let stage = HandoverStage::Open;
    let handover = Handover {
        task: decided.task,
        announcement,
        joins: true,
        opened,
        stage,
        created,
    };
    (decided, handover)
}

/// Everything that can be asked, as text to compare.
fn all(journal: &Journal) -> String {
    let committee = announcement(1).committee;
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        journal.known_keys().unwrap(),
        journal.key_counts().unwrap(),
        journal.pending_keys().unwrap(),
        journal.shared_keys(&[node(1), node(3)]).unwrap(),
        journal.newest_aux(&committee).unwrap(),
        journal.auxes_in_use().unwrap(),
        [
            HandoverStage::Open,
            HandoverStage::Switched,
            HandoverStage::Void,
            HandoverStage::Abandoned
        ]
        .map(|stage| journal.handovers_at(stage).unwrap()),
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
        let (decided, handover) = reshare(9, 1);
        journal.approve(at(3_000), decided, vec![]).unwrap();
        journal.open_handover(handover.clone()).unwrap();
        all(&journal);
        let known = journal.handovers_of(&handover.announcement.key).unwrap();
        assert_eq!(known, std::slice::from_ref(&handover));
        journal
            .end(
                at(3_001),
                handover.task,
                Outcome::Reshared(handover.announcement),
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
    let committee = announcement(1).committee;
    let newest = |journal: &Journal| journal.newest_aux(&committee).unwrap();
    assert_eq!(
        newest(&journal),
        record(3, KeyStatus::Active).announcement.aux
    );
    journal.put_key(record(5, KeyStatus::Pending)).unwrap();
    assert_eq!(
        newest(&journal),
        record(3, KeyStatus::Active).announcement.aux,
        "a pending key has none to offer"
    );
    let pending = record(5, KeyStatus::Pending);
    assert_eq!(
        journal.pending_keys().unwrap(),
        [(pending.key(), pending.announcement.task)]
    );
    journal.put_key(record(5, KeyStatus::Active)).unwrap();
    assert_eq!(
        newest(&journal),
        record(5, KeyStatus::Active).announcement.aux
    );
    journal.put_key(record(5, KeyStatus::Leaving)).unwrap();
    assert_eq!(
        newest(&journal),
        record(3, KeyStatus::Active).announcement.aux,
        "nor one that others hold"
    );
    journal
        .delete_key(record(2, KeyStatus::Active).key())
        .unwrap();
    for (task, stage) in [(7, HandoverStage::Void), (8, HandoverStage::Abandoned)] {
        let (decided, handover) = reshare(task, 1);
        journal.approve(at(3_000), decided, vec![]).unwrap();
        journal.open_handover(handover.clone()).unwrap();
        let failure = countersign_protocol::Failure {
            cause: countersign_protocol::Cause::Peer,
            code: "c".into(),
            text: "t".into(),
            culprits: vec![],
        };
        journal
            .close_handover(at(3_001), handover.task, stage, failure)
            .unwrap();
    }
    let (decided, moved) = reshare(9, 1);
    let committee = Committee::new(vec![node(1), node(4)]).unwrap();
    let moved = Handover {
        announcement: Announcement {
            committee,
            ..moved.announcement
        },
        ..moved
    };
    journal.approve(at(3_000), decided, vec![]).unwrap();
    journal.open_handover(moved.clone()).unwrap();
    journal
        .end(
            at(3_001),
            moved.task,
            Outcome::Reshared(moved.announcement.clone()),
        )
        .unwrap();
    assert_eq!(
        journal.shared_keys(&[node(1), node(4)]).unwrap(),
        [(moved.announcement.key, 1)]
    );
    assert_eq!(
        journal.handovers_of(&moved.announcement.key).unwrap().len(),
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

#[test]
fn a_second_reshare_of_a_key_waits_for_the_first_however_many_are_over() {
    let (_dir, journal) = with(1);
    let [(first, open), (second, other)] = [reshare(7, 1), reshare(8, 1)];
    journal.approve(at(3_000), first, vec![]).unwrap();
    journal.approve(at(3_000), second, vec![]).unwrap();
    journal.open_handover(open.clone()).unwrap();
    let refused = journal.open_handover(other).unwrap_err();
    assert!(
        refused.to_string().contains(&open.task.to_string()),
        "{refused}"
    );
}
