//! Old records are deleted; their ids stay, and the audit log vouches for the rest.

use countersign_protocol::{Hash, Outcome, TaskId, UnixMillis};
use countersign_store::{
    AuditError, AuditKind, Decided, Journal, LookUp, OperationKind, Refused, Silent,
    WriteJournalError,
};
use redb::{ReadableTable, TableDefinition};

use crate::support::*;

const DAY: u64 = 24 * 3600 * 1000;
const SPENT: TableDefinition<&'static [u8; 16], &'static [u8]> = TableDefinition::new("spent");
const TASKS: TableDefinition<&'static [u8; 16], &'static [u8]> = TableDefinition::new("tasks");
const META: TableDefinition<&'static str, u64> = TableDefinition::new("meta");

fn day(number: u64) -> UnixMillis {
    UnixMillis(number * DAY)
}

/// A task that arrives on the day of its number, with a recording.
fn arrives(number: u8) -> Decided {
    Decided {
        received_at: day(number.into()),
        ..proven(number, &[number; 100], "{}")
    }
}

fn ends(journal: &Journal, decided: Decided, outcome: Outcome) {
    let task = decided.task;
    let when = decided.received_at;
    journal.approve(when, decided, vec![]).unwrap();
    journal.end(when, task, outcome).unwrap();
}

/// One task a day for four days.
fn journal() -> (tempfile::TempDir, Journal) {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    for number in 1..=4 {
        ends(&journal, arrives(number), signed(number));
    }
    (dir, journal)
}

/// Deletes what is from before a day, on day 10.
fn prune(journal: &Journal, before: u64) -> u64 {
    let pruned = journal.prune(day(10), day(before), 0).unwrap();
    assert_eq!(pruned.next, None);
    pruned.records
}

fn tasks(journal: &Journal) -> Vec<TaskId> {
    let rows = journal.recent(100).unwrap();
    rows.into_iter().map(|row| row.task).collect()
}

#[test]
fn what_is_old_goes_and_what_is_newer_stays() {
    let (dir, journal) = journal();
    let whole = journal.verify_audit().unwrap();
    assert_eq!(prune(&journal, 3), 2);
    assert_eq!(tasks(&journal), [task(4), task(3)]);
    for number in [1, 2] {
        assert_eq!(journal.row(&task(number)).unwrap(), None);
        assert_eq!(journal.recording(&task(number)).unwrap(), None);
    }
    assert!(journal.proof(&task(3)).unwrap().is_some());
    assert_eq!(journal.verify_audit().unwrap().entries, whole.entries + 1);
    let last = journal.audit(whole.entries, 1).unwrap().remove(0);
    assert_eq!(last.kind, AuditKind::Pruned);
    assert!(last.text.contains("2 tasks"), "{}", last.text);
    assert_eq!(prune(&journal, 3), 0, "once is enough");
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.verify_audit().unwrap().entries, whole.entries + 1);
    assert_eq!(prune(&journal, 5), 2);
    assert_eq!(tasks(&journal), []);
    journal.verify_audit().unwrap();
}

/// A program that knows the first format only would miss the ids.
#[test]
fn a_pruned_journal_has_a_format_of_its_own() {
    let (dir, journal) = journal();
    let format = |dir: &std::path::Path| {
        let mut format = None;
        drop(tamper(dir, META, |meta| {
            format = meta.get("format").unwrap().map(|format| format.value());
        }));
        format
    };
    assert_eq!(prune(&journal, 1), 0);
    drop(journal);
    assert_eq!(format(dir.path()), Some(1), "nothing was deleted");
    prune(&Journal::open(dir.path()).unwrap(), 3);
    assert_eq!(format(dir.path()), Some(2));
}

#[test]
fn an_id_is_never_decided_on_again() {
    let (_dir, journal) = journal();
    prune(&journal, 5);
    let old = arrives(1);
    let look = |hash: &Hash| journal.look_up(&task(1), hash).unwrap();
    assert_eq!(look(&old.hash), LookUp::Spent);
    assert_eq!(look(&Hash([99; 32])), LookUp::Different);
    let again = journal.approve(day(10), old.clone(), vec![]);
    assert!(
        matches!(again, Err(WriteJournalError::Refused(Refused::Known(id))) if id == task(1)),
        "{again:?}"
    );
    let other = Decided {
        hash: Hash([99; 32]),
        ..old
    };
    let again = journal.refuse(day(10), other, refusal());
    assert!(
        matches!(again, Err(WriteJournalError::Refused(Refused::OtherContent(id))) if id == task(1)),
        "{again:?}"
    );
}

#[test]
fn records_of_keys_and_of_unfinished_tasks_stay() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    let made = Decided {
        kind: OperationKind::KeyGen,
        ..arrives(1)
    };
    ends(&journal, made, created(1));
    journal.approve(day(2), arrives(2), vec![]).unwrap();
    ends(&journal, arrives(3), signed(3));
    assert_eq!(prune(&journal, 5), 1);
    assert_eq!(tasks(&journal), [task(2), task(1)]);
    journal.verify_audit().unwrap();
    journal.end(day(6), task(2), signed(2)).unwrap();
    assert_eq!(prune(&journal, 6), 0, "it ended a moment ago");
    assert_eq!(prune(&journal, 7), 1);
    journal.verify_audit().unwrap();
}

#[test]
fn the_recording_of_an_old_task_goes_though_the_task_has_not_ended() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    journal.approve(day(1), arrives(1), vec![]).unwrap();
    ends(&journal, arrives(2), signed(2));
    assert_eq!(prune(&journal, 5), 1);
    assert_eq!(journal.recording(&task(1)).unwrap(), None);
    assert!(journal.row(&task(1)).unwrap().is_some());
    journal.verify_audit().unwrap();
}

/// A clock that ran ahead stamped one record with a time that is yet to come.
#[test]
fn a_record_of_the_future_keeps_no_other_from_going() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    let ahead = Decided {
        received_at: day(400),
        ..arrives(1)
    };
    ends(&journal, ahead, signed(1));
    for number in 2..=4 {
        ends(&journal, arrives(number), signed(number));
    }
    assert_eq!(prune(&journal, 4), 2);
    assert_eq!(tasks(&journal), [task(4), task(1)]);
    for number in [2, 3] {
        assert_eq!(journal.recording(&task(number)).unwrap(), None);
    }
    for number in [1, 4] {
        assert!(journal.recording(&task(number)).unwrap().is_some());
    }
    journal.verify_audit().unwrap();
    let pruned = journal.prune(day(500), day(450), 0).unwrap();
    assert_eq!(pruned.records, 2);
    assert_eq!(tasks(&journal), []);
    ends(&journal, arrives(5), signed(5));
    assert!(journal.recording(&task(5)).unwrap().is_some());
    journal.verify_audit().unwrap();
}

#[test]
fn many_records_go_in_steps_that_others_need_not_wait_for() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    for number in 0..1_100u16 {
        let mut decided = decided(1);
        decided.task.0[..2].copy_from_slice(&number.to_be_bytes());
        decided.received_at = day(1);
        journal.refuse(day(1), decided, refusal()).unwrap();
    }
    let mut next = Some(0);
    let mut records = Vec::new();
    while let Some(from) = next {
        let pruned = journal.prune(day(10), day(5), from).unwrap();
        records.push(pruned.records);
        next = pruned.next;
    }
    assert_eq!(records.iter().sum::<u64>(), 1_100);
    assert!(records.iter().all(|step| *step <= 512), "{records:?}");
    journal.verify_audit().unwrap();
}

/// Otherwise a record could be removed unseen by calling it old.
#[test]
fn a_record_that_was_deleted_before_its_time_is_found() {
    let (dir, journal) = journal();
    prune(&journal, 3);
    drop(journal);
    let journal = tamper(dir.path(), TASKS, |tasks| {
        drop(tasks.remove(&task(4).0).unwrap())
    });
    let error = journal.verify_audit().unwrap_err();
    assert!(
        matches!(error, AuditError::Record { task: found, .. } if found == task(4)),
        "{error}"
    );
    drop(journal);
    // The rest of a task, made of the right hashes, as the program would make it.
    let (other, spent) = self::journal();
    prune(&spent, 5);
    drop(spent);
    let mut rest = Vec::new();
    drop(tamper(other.path(), SPENT, |spent| {
        rest = spent.get(&task(4).0).unwrap().unwrap().value().to_vec();
    }));
    let journal = tamper(dir.path(), SPENT, |spent| {
        spent.insert(&task(4).0, rest.as_slice()).unwrap();
    });
    let error = journal.verify_audit().unwrap_err();
    assert!(
        matches!(error, AuditError::Spent { task: found } if found == task(4)),
        "{error}"
    );
    drop(journal);
    let journal = tamper(dir.path(), META, |meta| {
        meta.insert("pruned-before", day(9).0).unwrap();
    });
    assert!(matches!(
        journal.verify_audit(),
        Err(AuditError::Spent { .. })
    ));
}

#[test]
fn a_rest_that_was_changed_removed_or_invented_is_found() {
    type Spent<'t> = redb::Table<'t, &'static [u8; 16], &'static [u8]>;
    let found = |change: fn(&mut Spent<'_>)| {
        let (dir, journal) = journal();
        prune(&journal, 3);
        drop(journal);
        let journal = tamper(dir.path(), SPENT, change);
        journal.verify_audit().unwrap_err()
    };
    let changed = found(|spent| {
        let mut rest = spent.get(&task(1).0).unwrap().unwrap().value().to_vec();
        *rest.last_mut().unwrap() ^= 1;
        spent.insert(&task(1).0, rest.as_slice()).unwrap();
    });
    assert!(
        matches!(changed, AuditError::Record { task: found, .. } if found == task(1)),
        "{changed}"
    );
    let removed = found(|spent| drop(spent.remove(&task(1).0).unwrap()));
    assert!(
        matches!(removed, AuditError::Record { task: found, .. } if found == task(1)),
        "{removed}"
    );
    let invented = found(|spent| {
        let rest = spent.get(&task(1).0).unwrap().unwrap().value().to_vec();
        spent.insert(&task(9).0, rest.as_slice()).unwrap();
    });
    assert!(
        matches!(invented, AuditError::Unlogged { task: found } if found == task(9)),
        "{invented}"
    );
}

/// Freed space is used again.
#[test]
fn a_journal_that_is_pruned_stops_growing() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    let size = || dir.path().join("journal.redb").metadata().unwrap().len();
    let mut sizes = Vec::new();
    for round in 0..6u8 {
        for number in 0..40u8 {
            let mut decided = proven(1, &[number; 60_000], "{}");
            decided.task.0[..2].copy_from_slice(&[round, number]);
            decided.received_at = day(1 + u64::from(round));
            ends(&journal, decided, signed(1));
        }
        journal
            .prune(day(10), day(1 + u64::from(round)), 0)
            .unwrap();
        sizes.push(size());
    }
    assert_eq!(sizes[3], sizes[5], "{sizes:?}");
    journal.verify_audit().unwrap();
}
