//! Past decisions of one plugin are read in order, and each is vouched for or said not to be.

use countersign_protocol::{PluginVerdict, UnixMillis};
use countersign_store::{
    AuditError, Decided, Journal, PastDecisions, PastRecording, ReadJournalError, Silent,
};
use redb::{ReadableTable, TableDefinition};

use crate::support::*;

const RECORDINGS: TableDefinition<&'static [u8; 16], &'static [u8]> =
    TableDefinition::new("recordings");
const RECORDED: TableDefinition<u64, &'static [u8; 16]> = TableDefinition::new("recorded");
const TASKS: TableDefinition<&'static [u8; 16], &'static [u8]> = TableDefinition::new("tasks");

/// Recorded decisions 1 to 4, each received and decided at a time of its own.
fn journal() -> (tempfile::TempDir, Journal) {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    for number in 1..=4 {
        let decided = proven(number, &[number], "{}");
        let now = UnixMillis(decided.received_at.0 + 5);
        if number == 2 {
            journal.refuse(now, decided, refusal()).unwrap();
        } else {
            journal.approve(now, decided, vec![]).unwrap();
        }
    }
    (dir, journal)
}

fn page(journal: &Journal, since: u64) -> PastDecisions {
    journal.past_decisions("rules", at(since), 0).unwrap()
}

fn recording(journal: &Journal, number: u8) -> PastRecording {
    let decisions = page(journal, 0).decisions;
    let past = decisions.into_iter().find(|past| past.task == task(number));
    past.unwrap().recording
}

fn by_another(number: u8) -> Decided {
    let mut decided = proven(number, b"heard", "{}");
    decided.verdicts = vec![PluginVerdict {
        plugin: "quorum".into(),
        ..decided.verdicts[0].clone()
    }];
    decided
}

#[test]
fn decisions_of_the_plugin_come_in_order_since_the_time() {
    let (_dir, journal) = journal();
    journal.approve(at(2_000), by_another(5), vec![]).unwrap();
    let all = page(&journal, 0);
    let tasks: Vec<_> = all.decisions.iter().map(|past| past.task).collect();
    assert_eq!(tasks, [1, 2, 3, 4].map(task));
    assert_eq!(
        (all.not_asked, all.next, all.recordings, all.gap),
        (1, None, 5, false)
    );
    let first = &all.decisions[0];
    assert_eq!(first.recording, PastRecording::Kept(vec![1]));
    assert_eq!(first.bytes, b"{\"task\":1}");
    assert_eq!(first.verdict.plugin, "rules");
    let since = page(&journal, 1_003);
    assert_eq!(since.decisions, all.decisions[2..]);
    assert_eq!(page(&journal, 9_000).decisions, []);
}

#[test]
fn a_large_page_ends_and_the_next_goes_on() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    for number in 1..=3 {
        let large = vec![number; 3 << 20];
        let decided = proven(number, &large, "{}");
        journal.approve(at(1_010), decided, vec![]).unwrap();
    }
    let first = page(&journal, 0);
    assert_eq!(first.decisions.len(), 2);
    let next = first.next.unwrap();
    let second = journal.past_decisions("rules", at(0), next).unwrap();
    assert_eq!(second.decisions.len(), 1);
    assert_eq!(second.decisions[0].task, task(3));
    assert_eq!((second.next, second.gap), (None, false));
}

#[test]
fn a_changed_recording_is_said_to_be_changed() {
    let (dir, journal) = journal();
    drop(journal);
    let journal = tamper(dir.path(), RECORDINGS, |recordings| {
        recordings.insert(&task(3).0, b"other".as_slice()).unwrap();
    });
    assert_eq!(recording(&journal, 3), PastRecording::Changed);
    assert_eq!(recording(&journal, 4), PastRecording::Kept(vec![4]));
}

#[test]
fn a_recording_that_is_gone_is_said_to_be_gone() {
    let (dir, journal) = journal();
    drop(journal);
    let journal = tamper(dir.path(), RECORDINGS, |recordings| {
        drop(recordings.remove(&task(3).0).unwrap());
    });
    assert_eq!(recording(&journal, 3), PastRecording::Dropped);
}

#[test]
fn a_recording_that_no_row_knows_of_is_not_vouched_for() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    journal.approve(at(1_010), decided(1), vec![]).unwrap();
    drop(journal);
    drop(tamper(dir.path(), RECORDED, |recorded| {
        recorded.insert(0, &task(1).0).unwrap();
    }));
    let journal = tamper(dir.path(), RECORDINGS, |recordings| {
        recordings.insert(&task(1).0, b"heard".as_slice()).unwrap();
    });
    assert_eq!(recording(&journal, 1), PastRecording::Unvouched);
}

#[test]
fn a_row_that_the_audit_log_does_not_vouch_for_ends_the_reading() {
    let (dir, journal) = journal();
    drop(journal);
    let journal = tamper(dir.path(), TASKS, |tasks| {
        let mut row = tasks.get(&task(2).0).unwrap().unwrap().value().to_vec();
        let name = row.windows(5).position(|part| part == b"1.2.3").unwrap();
        row[name] = b'9';
        tasks.insert(&task(2).0, row.as_slice()).unwrap();
    });
    let error = journal.past_decisions("rules", at(0), 0).unwrap_err();
    assert!(
        matches!(error, AuditError::Record { at: 1, task: found } if found == task(2)),
        "{error}"
    );
    assert!(
        journal.past_decisions("rules", at(1_003), 0).is_ok(),
        "it is not of the time"
    );
}

#[test]
fn a_missing_row_ends_the_reading() {
    let (dir, journal) = journal();
    drop(journal);
    let journal = tamper(dir.path(), TASKS, |tasks| {
        drop(tasks.remove(&task(2).0).unwrap());
    });
    let error = journal.past_decisions("rules", at(0), 0).unwrap_err();
    assert!(
        matches!(error, AuditError::Unlogged { task: found } if found == task(2)),
        "{error}"
    );
}

/// Drops the two oldest recordings, as the journal does to make room.
fn without_the_oldest() -> (tempfile::TempDir, Journal) {
    let (dir, journal) = journal();
    drop(journal);
    drop(tamper(dir.path(), RECORDED, |recorded| {
        recorded.pop_first().unwrap();
        recorded.pop_first().unwrap();
    }));
    let journal = tamper(dir.path(), RECORDINGS, |recordings| {
        drop(recordings.remove(&task(1).0).unwrap());
        drop(recordings.remove(&task(2).0).unwrap());
    });
    (dir, journal)
}

#[test]
fn a_time_from_before_the_oldest_recording_has_a_gap() {
    let (_dir, journal) = without_the_oldest();
    assert!(page(&journal, 0).gap);
    assert!(page(&journal, 1_002).gap);
    assert!(!page(&journal, 1_003).gap, "the dropped ones came before");
    let later = journal.past_decisions("rules", at(1_008), 1).unwrap();
    assert!(later.gap, "it was dropped after its page was announced");
    let later = journal.past_decisions("rules", at(0), 2).unwrap();
    assert!(!later.gap, "earlier pages have told");
}

/// It is decided after those that were received later.
#[test]
fn a_dropped_recording_of_a_task_that_waited_is_missed() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    let received = |number: u8, time: u64| Decided {
        received_at: at(time),
        ..proven(number, b"heard", "{}")
    };
    for (number, time, decided) in [(1, 5_000, 5_001), (2, 2_000, 5_002), (3, 2_500, 5_003)] {
        let refused = journal.refuse(at(decided), received(number, time), refusal());
        refused.unwrap();
    }
    drop(journal);
    drop(tamper(dir.path(), RECORDED, |recorded| {
        recorded.pop_first().unwrap();
    }));
    let journal = tamper(dir.path(), RECORDINGS, |recordings| {
        drop(recordings.remove(&task(1).0).unwrap());
    });
    assert!(page(&journal, 2_500).gap && page(&journal, 5_000).gap);
    assert!(!page(&journal, 5_001).gap);
}

#[test]
fn a_time_from_before_deleted_records_has_a_gap() {
    let (_dir, journal) = journal();
    let late = Decided {
        received_at: at(3_000),
        ..proven(5, b"heard", "{}")
    };
    journal.approve(at(3_001), late, vec![]).unwrap();
    let pruned = journal.prune(at(9_000), at(1_500), 0).unwrap();
    assert_eq!(pruned.records, 1, "only task 2 is over");
    assert!(page(&journal, 1_499).gap);
    assert!(!page(&journal, 1_500).gap);
}

#[test]
fn a_journal_without_recordings_has_no_gap() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    assert_eq!(page(&journal, 0), PastDecisions::default());
    journal.approve(at(1_010), decided(1), vec![]).unwrap();
    assert_eq!(page(&journal, 0), PastDecisions::default());
}

#[test]
fn a_damaged_row_is_an_error() {
    let (dir, journal) = journal();
    drop(journal);
    let journal = tamper(dir.path(), TASKS, |tasks| {
        tasks.insert(&task(2).0, [0xff].as_slice()).unwrap();
    });
    let error = journal.past_decisions("rules", at(0), 0).unwrap_err();
    assert!(
        matches!(
            error,
            AuditError::Read(
                ReadJournalError::NewerFormat { .. } | ReadJournalError::Damaged { .. }
            )
        ),
        "{error}"
    );
}
