//! What an auditor is given of a journal.

use countersign_protocol::evidence::Signature;
use countersign_protocol::{Assertion, Hash, OrderAssertion, OrderProof, UnixMillis};
use countersign_store::{Decided, Evidence, Journal, Kept, Silent};

use crate::support::*;

const ORDER: OrderProof = OrderProof::Ed25519([5; 64]);

/// A journal whose entry of each number was written at this time.
fn journal(times: &[u64]) -> (tempfile::TempDir, Journal) {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    for time in times {
        journal.alarm(at(*time), None, "t").unwrap();
    }
    (dir, journal)
}

/// The number of the first entry of a time, and the number behind its last.
fn extent(journal: &Journal, from: u64, to: u64) -> (u64, u64) {
    let extent = journal.audit_extent(at(from), at(to)).unwrap();
    assert_eq!((extent.from, extent.to), (at(from), at(to)));
    assert_eq!(extent.log, journal.audit_entries().unwrap());
    let last = extent.end.entries.checked_sub(1);
    let last = last.map(|last| journal.audit(last, 1).unwrap().remove(0));
    let hash = last.map_or(Hash([0; 32]), |last| last.hash);
    assert_eq!(extent.end.hash, hash);
    (extent.first, extent.end.entries)
}

fn ordered(number: u8) -> Decided {
    let decided = proven(number, &[number; 10], "{}");
    Decided {
        evidence: Evidence {
            order: Some(ORDER),
            ..decided.evidence
        },
        ..decided
    }
}

#[test]
fn the_entries_of_a_time_are_given_with_one_before_and_one_behind() {
    let (_dir, journal) = journal(&[10, 20, 30, 40, 50]);
    for (from, to, first, end) in [
        (20, 41, 0, 5),
        (30, 31, 1, 4),
        (0, 100, 0, 5),
        (10, 20, 0, 2),
        (50, 60, 3, 5),
        // No entry is of these.
        (31, 39, 2, 4),
        (0, 5, 0, 1),
        (60, 70, 4, 5),
    ] {
        let found = extent(&journal, from, to);
        assert_eq!(found, (first, end), "{from} to {to}");
    }
}

#[test]
fn a_clock_that_was_set_back_hides_no_entry() {
    let (_dir, journal) = journal(&[10, 90, 20, 30]);
    assert_eq!(extent(&journal, 15, 25), (1, 4));
    assert_eq!(extent(&journal, 85, 95), (0, 3));
}

#[test]
fn later_entries_about_a_task_of_the_time_are_given_with_it() {
    let (_dir, journal) = journal(&[10]);
    journal.approve(at(20), ordered(1), vec![]).unwrap();
    for time in [30, 40, 50] {
        journal.alarm(at(time), None, "t").unwrap();
    }
    journal.end(at(60), task(1), signed(1)).unwrap();
    journal.alarm(at(70), None, "t").unwrap();
    journal.alarm(at(80), None, "t").unwrap();
    assert_eq!(extent(&journal, 15, 25), (0, 7));
    assert_eq!(extent(&journal, 25, 35), (1, 4));
}

#[test]
fn an_empty_log_has_an_empty_part() {
    let (_dir, journal) = journal(&[]);
    assert_eq!(extent(&journal, 0, 100), (0, 0));
}

#[test]
fn a_record_is_given_with_the_order_and_recording_that_belong_to_it() {
    let (_dir, journal) = journal(&[]);
    journal.approve(at(20), ordered(1), vec![]).unwrap();
    journal.refuse(at(20), decided(2), refusal()).unwrap();
    let kept = journal.kept_records(&[task(1), task(2), task(3)]).unwrap();
    let [Kept::Whole(one), Kept::Whole(two), Kept::Unknown(three)] = kept.as_slice() else {
        panic!("{kept:?}")
    };
    assert_eq!((&one.order, &two.order), (&Some(ORDER), &None));
    assert_eq!(one.recording.as_deref(), Some(&[1; 10][..]));
    assert_eq!((&two.recording, *three), (&None, task(3)));
    let entry = journal.audit(0, 1).unwrap().remove(0);
    assert_eq!(entry.record, Some(countersign_audit::record_hash(&one.row)));
}

/// A requester's passkey signs more bytes than a key.
#[test]
fn a_record_is_given_with_the_assertion_of_a_passkey_and_forgets_it_when_it_goes() {
    let (dir, journal) = journal(&[]);
    let assertion = Assertion {
        client_data: vec![1; 2048],
        authenticator_data: vec![2; 37],
        signature: vec![3; 70],
    };
    let order = OrderProof::from(OrderAssertion::new(assertion).unwrap());
    let by_passkey = Decided {
        evidence: Evidence {
            order: Some(order.clone()),
            ..ordered(1).evidence
        },
        ..ordered(1)
    };
    journal.approve(at(20), by_passkey, vec![]).unwrap();
    journal.approve(at(20), ordered(2), vec![]).unwrap();
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    let kept = journal.kept_records(&[task(1), task(2)]).unwrap();
    let [Kept::Whole(one), Kept::Whole(two)] = kept.as_slice() else {
        panic!("{kept:?}")
    };
    assert_eq!((&one.order, &two.order), (&Some(order), &Some(ORDER)));
    journal.end(at(30), task(1), signed(1)).unwrap();
    let before = UnixMillis(1_000_000);
    journal.prune(UnixMillis(2_000_000), before, 0).unwrap();
    let kept = journal.kept_records(&[task(1)]).unwrap();
    assert!(
        matches!(kept.as_slice(), [Kept::Deleted { .. }]),
        "{kept:?}"
    );
}

#[test]
fn of_a_deleted_record_the_hash_is_given_and_what_was_deleted() {
    let (dir, journal) = journal(&[]);
    journal.approve(at(20), ordered(1), vec![]).unwrap();
    journal.end(at(30), task(1), signed(1)).unwrap();
    assert_eq!(journal.unsigned_deletions().unwrap(), None);
    let before = UnixMillis(1_000_000);
    journal.prune(UnixMillis(2_000_000), before, 0).unwrap();
    let kept = journal.kept_records(&[task(1)]).unwrap();
    let [Kept::Deleted { record, .. }] = kept.as_slice() else {
        panic!("{kept:?}")
    };
    let ended = journal.audit(1, 1).unwrap().remove(0);
    assert_eq!(Some(*record), ended.record);
    let deletions = journal.unsigned_deletions().unwrap().unwrap();
    assert_eq!((deletions.records, deletions.before), (1, before));
    let pruned = journal.audit(2, 1).unwrap().remove(0);
    assert_eq!(
        (deletions.head.entries, deletions.head.hash),
        (3, pruned.hash)
    );
    let checkpoint = countersign_audit::Checkpoint {
        node: node(1),
        entries: deletions.head.entries,
        hash: deletions.head.hash,
        records: deletions.records,
        before: deletions.before,
        at: at(1),
        signature: Signature([5; 64]),
    };
    journal.keep_checkpoint(checkpoint).unwrap();
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.checkpoints().unwrap(), [checkpoint]);
    assert_eq!(journal.unsigned_deletions().unwrap(), None);
    journal.verify_audit().unwrap();
}
