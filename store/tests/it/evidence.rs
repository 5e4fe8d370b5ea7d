//! Proof of decisions is kept with them, each configuration once, and no change of it goes
//! unnoticed.

use std::path::Path;

use countersign_protocol::{Hash, UnixMillis};
use countersign_store::{AuditError, Decided, Evidence, Journal, ReadJournalError, Silent};
use redb::{Database, ReadableTable, ReadableTableMetadata, TableDefinition};

use crate::support::*;

const NOW: UnixMillis = UnixMillis(10_000);
const RECORDINGS: TableDefinition<&'static [u8; 16], &'static [u8]> =
    TableDefinition::new("recordings");
const CONFIGURATIONS: TableDefinition<&'static [u8; 32], &'static [u8]> =
    TableDefinition::new("configurations");

/// Three decisions under two configurations.
fn journal() -> (tempfile::TempDir, Journal) {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    journal
        .approve(NOW, proven(1, b"heard", "{}"), vec![])
        .unwrap();
    journal
        .refuse(NOW, proven(2, b"seen", "{}"), refusal())
        .unwrap();
    journal
        .approve(NOW, proven(3, b"felt", "{\"enable\":true}"), vec![])
        .unwrap();
    (dir, journal)
}

/// The number of configurations that are kept.
fn kept(dir: &Path) -> u64 {
    let database = Database::open(dir.join("journal.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = transaction.open_table(CONFIGURATIONS).unwrap();
    table.len().unwrap()
}

fn flip(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[0] ^= 1;
    bytes
}

#[test]
fn the_components_of_recorded_decisions_are_known() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    let by = |number: u8, recording: &[u8]| {
        let mut decided = proven(number, recording, "{}");
        decided.verdicts[0].digest = Hash([number; 32]);
        decided
    };
    assert!(journal.recorded_components().unwrap().is_empty());
    journal.approve(NOW, by(1, b"heard"), vec![]).unwrap();
    journal.refuse(NOW, by(2, b"seen"), refusal()).unwrap();
    journal.approve(NOW, by(3, b""), vec![]).unwrap();
    assert_eq!(
        journal.recorded_components().unwrap(),
        [Hash([1; 32]), Hash([2; 32])].into()
    );
}

#[test]
fn a_decision_is_kept_with_all_that_proves_it() {
    let (dir, journal) = journal();
    journal.end(NOW, task(1), signed(1)).unwrap();
    let proof = journal.proof(&task(1)).unwrap().unwrap();
    assert_eq!(
        (proof.entry, proof.recording.as_slice()),
        (3, b"heard".as_slice())
    );
    assert_eq!(proof.configurations, [configuration("{}")]);
    assert_eq!(Some(proof.row), journal.row(&task(1)).unwrap());
    assert_eq!(journal.proof(&task(2)).unwrap().unwrap().entry, 1);
    assert_eq!(journal.proof(&task(9)).unwrap(), None);
    assert_eq!(journal.verify_audit().unwrap().entries, 4);
    drop(journal);
    assert_eq!(kept(dir.path()), 2, "each configuration is kept once");
}

#[test]
fn a_known_task_leaves_no_evidence_behind() {
    let (dir, journal) = journal();
    journal
        .approve(NOW, proven(1, b"other", "[1]"), vec![])
        .unwrap_err();
    assert_eq!(journal.recording(&task(1)).unwrap().unwrap(), b"heard");
    drop(journal);
    assert_eq!(kept(dir.path()), 2);
}

#[test]
fn a_configuration_is_kept_under_the_digest_that_it_has() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    let mut lying = proven(1, b"heard", "{}");
    lying.evidence.configurations[0].document = "[]".into();
    journal.approve(NOW, lying, vec![]).unwrap();
    assert_eq!(
        journal.configuration(&configuration("[]").digest).unwrap(),
        Some(configuration("[]"))
    );
    assert_eq!(
        journal.configuration(&configuration("{}").digest).unwrap(),
        None
    );
}

/// Without the hash in the row this journal would verify and be replayed.
#[test]
fn one_changed_byte_of_a_recording_is_found() {
    let (dir, journal) = journal();
    drop(journal);
    let journal = tamper(dir.path(), RECORDINGS, |recordings| {
        let changed = flip(recordings.get(&task(2).0).unwrap().unwrap().value());
        recordings.insert(&task(2).0, changed.as_slice()).unwrap();
    });
    let error = journal.verify_audit().unwrap_err();
    let words = format!("the recording of task {} was changed", task(2));
    assert!(error.to_string().starts_with(&words), "{error}");
    let error = journal.proof(&task(2)).unwrap_err();
    assert!(error.to_string().starts_with(&words), "{error}");
    assert!(matches!(
        journal.recording(&task(2)),
        Err(ReadJournalError::Recording { .. })
    ));
    assert!(
        journal.proof(&task(1)).unwrap().is_some(),
        "others are as they were"
    );
}

#[test]
fn a_recording_of_another_task_is_found() {
    let (dir, journal) = journal();
    drop(journal);
    let journal = tamper(dir.path(), RECORDINGS, |recordings| {
        let other = recordings
            .get(&task(1).0)
            .unwrap()
            .unwrap()
            .value()
            .to_vec();
        recordings.insert(&task(2).0, other.as_slice()).unwrap();
    });
    assert!(matches!(
        journal.verify_audit(),
        Err(AuditError::Read(ReadJournalError::Recording { task: found })) if found == task(2)
    ));
}

#[test]
fn the_oldest_recordings_may_be_missing_and_no_others() {
    let (dir, journal) = journal();
    drop(journal);
    let journal = tamper(dir.path(), RECORDINGS, |recordings| {
        drop(recordings.remove(&task(1).0).unwrap())
    });
    assert!(
        journal.verify_audit().is_ok(),
        "it may have been dropped to make room"
    );
    drop(journal);
    let journal = tamper(dir.path(), RECORDINGS, |recordings| {
        recordings.insert(&task(1).0, b"heard".as_slice()).unwrap();
        drop(recordings.remove(&task(2).0).unwrap());
    });
    assert!(
        matches!(journal.verify_audit(), Err(AuditError::Gone { task: found }) if found == task(2))
    );
}

#[test]
fn a_changed_row_proves_nothing() {
    const TASKS: TableDefinition<&'static [u8; 16], &'static [u8]> = TableDefinition::new("tasks");
    let (dir, journal) = journal();
    drop(journal);
    let journal = tamper(dir.path(), TASKS, |tasks| {
        let changed = tasks.get(&task(1).0).unwrap().unwrap().value().to_vec();
        let reason = changed
            .windows(5)
            .position(|part| part == b"rules")
            .unwrap();
        let mut changed = changed;
        changed[reason] = b'R';
        tasks.insert(&task(1).0, changed.as_slice()).unwrap();
    });
    assert!(matches!(
        journal.proof(&task(1)),
        Err(AuditError::Record { at: 0, .. })
    ));
    assert!(matches!(
        journal.verify_audit(),
        Err(AuditError::Record { at: 0, .. })
    ));
}

#[test]
fn a_changed_configuration_is_found() {
    let (dir, journal) = journal();
    drop(journal);
    let journal = tamper(dir.path(), CONFIGURATIONS, |configurations| {
        configurations
            .insert(&configuration("{}").digest.0, b"{ }".as_slice())
            .unwrap();
    });
    for error in [
        journal.verify_audit().unwrap_err(),
        journal.proof(&task(1)).unwrap_err(),
    ] {
        assert!(
            error
                .to_string()
                .starts_with("the configuration kept under SHA-256"),
            "{error}"
        );
    }
}

#[test]
fn a_decision_without_evidence_is_one_all_the_same() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    journal
        .approve(
            NOW,
            Decided {
                evidence: Evidence::default(),
                ..decided(1)
            },
            vec![],
        )
        .unwrap();
    assert_eq!(journal.proof(&task(1)).unwrap(), None);
    assert_eq!(journal.row(&task(1)).unwrap().unwrap().recording, None);
    journal.verify_audit().unwrap();
}
