//! The journal: register, one outcome, plugin state, keys, audit log.

use countersign_protocol::{Cause, Failure, Hash, KeyId, Outcome, UnixMillis};
use countersign_store::{
    AuditError, AuditKind, Decided, Difference, Journal, JournalOpenError, KeyRecord, KeyStatus,
    LookUp, ReadJournalError, Refused, Silent, State, StateWrite, WriteJournalError, Written,
};
use redb::{Database, ReadableTable, TableDefinition};

use crate::support::*;

const NOW: UnixMillis = UnixMillis(10_000);

fn journal() -> (tempfile::TempDir, Journal) {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    (dir, journal)
}

fn refused<T: std::fmt::Debug>(result: Result<T, WriteJournalError>) -> Refused {
    match result.unwrap_err() {
        WriteJournalError::Refused(refused) => refused,
        other => panic!("{other}"),
    }
}

#[test]
fn a_task_is_new_then_the_same_and_never_other_bytes() {
    let (dir, journal) = journal();
    assert_eq!(
        journal.look_up(&task(1), &Hash([1; 32])).unwrap(),
        LookUp::New
    );
    journal.approve(NOW, decided(1), vec![]).unwrap();
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    let LookUp::Same(row) = journal.look_up(&task(1), &Hash([1; 32])).unwrap() else {
        panic!()
    };
    let Decided {
        hash,
        verdicts,
        parties,
        bytes,
        ..
    } = decided(1);
    assert_eq!(
        (row.state, row.hash, row.verdicts),
        (State::Approved, hash, verdicts)
    );
    assert_eq!(
        (row.parties, row.bytes, row.received_at),
        (parties, bytes, at(1_001))
    );
    assert_eq!(
        journal.look_up(&task(1), &Hash([2; 32])).unwrap(),
        LookUp::Different
    );
}

#[test]
fn a_task_is_decided_once() {
    let (_dir, journal) = journal();
    journal.approve(NOW, decided(1), vec![]).unwrap();
    journal.refuse(NOW, decided(2), refusal()).unwrap();
    for number in [1, 2] {
        let other = Decided {
            hash: Hash([9; 32]),
            ..decided(number)
        };
        assert_eq!(
            refused(journal.approve(NOW, decided(number), vec![])),
            Refused::Known(task(number))
        );
        assert_eq!(
            refused(journal.approve(NOW, other.clone(), vec![])),
            Refused::OtherContent(task(number))
        );
        assert_eq!(
            refused(journal.refuse(NOW, other, refusal())),
            Refused::OtherContent(task(number))
        );
    }
}

#[test]
fn a_task_has_one_outcome() {
    let (_dir, journal) = journal();
    assert_eq!(
        refused(journal.end(NOW, task(1), signed(1))),
        Refused::Unknown(task(1))
    );
    journal.approve(NOW, decided(1), vec![]).unwrap();
    assert_eq!(journal.unfinished().unwrap(), [task(1)]);
    assert_eq!(journal.end(NOW, task(1), signed(1)).unwrap(), Written::Now);
    assert_eq!(
        journal.end(at(20_000), task(1), signed(1)).unwrap(),
        Written::Already
    );
    assert_eq!(
        refused(journal.end(NOW, task(1), signed(2))),
        Refused::OtherOutcome(task(1))
    );
    let row = journal.row(&task(1)).unwrap().unwrap();
    assert_eq!(
        row.state,
        State::Ended {
            outcome: signed(1).into(),
            at: NOW
        }
    );
    assert!(journal.unfinished().unwrap().is_empty());
    journal.refuse(NOW, decided(2), refusal()).unwrap();
    assert_eq!(
        refused(journal.end(NOW, task(2), signed(2))),
        Refused::OtherOutcome(task(2))
    );
    let row = journal.row(&task(2)).unwrap().unwrap();
    assert_eq!(
        row.state,
        State::Ended {
            outcome: Outcome::Refused(refusal()).into(),
            at: NOW
        }
    );
}

#[test]
fn a_restart_aborts_what_was_under_way() {
    let (dir, journal) = journal();
    for number in 1..=4 {
        journal.approve(NOW, decided(number), vec![]).unwrap();
    }
    journal.end(NOW, task(1), signed(1)).unwrap();
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(
        journal.abort_unfinished(at(11_000), &[task(3)]).unwrap(),
        [task(2), task(4)]
    );
    assert!(
        journal
            .abort_unfinished(at(12_000), &[task(3)])
            .unwrap()
            .is_empty()
    );
    let State::Ended { outcome, at: when } = journal.row(&task(2)).unwrap().unwrap().state else {
        panic!()
    };
    let Outcome::Failed(failure) = *outcome else {
        panic!("{outcome:?}")
    };
    let Failure { cause, code, .. } = failure;
    assert_eq!(
        (cause, code.as_str(), when),
        (Cause::Environment, "aborted-by-restart", at(11_000))
    );
    // The task whose reshare is in doubt can still end.
    assert_eq!(journal.unfinished().unwrap(), [task(3)]);
    journal.end(NOW, task(3), created(3)).unwrap();
}

#[test]
fn state_is_written_with_the_approval_or_not_at_all() {
    let (_dir, journal) = journal();
    let get = |key: &str| journal.state_get("rules", key, NOW).unwrap();
    journal
        .approve(
            NOW,
            decided(1),
            vec![state("spent", Some(b"5")), state("gone", Some(b"1"))],
        )
        .unwrap();
    assert_eq!(get("spent").unwrap(), b"5");
    // The state of a refused approval is not written.
    refused(journal.approve(NOW, decided(1), vec![state("spent", Some(b"99"))]));
    let large = StateWrite {
        value: Some(vec![0; 1024 * 1024 + 1]),
        ..state("large", None)
    };
    let error = refused(journal.approve(NOW, decided(2), vec![state("spent", Some(b"99")), large]));
    assert!(matches!(error, Refused::StateTooLarge { .. }));
    assert_eq!(
        journal.look_up(&task(2), &decided(2).hash).unwrap(),
        LookUp::New
    );
    assert_eq!(get("spent").unwrap(), b"5");
    journal
        .approve(NOW, decided(3), vec![state("gone", None)])
        .unwrap();
    assert_eq!(get("gone"), None);
}

#[test]
fn state_is_listed_by_plugin_and_prefix_and_expires() {
    let (_dir, journal) = journal();
    let expiring = StateWrite {
        expires: Some(at(11_000)),
        ..state("day/2", Some(b"2"))
    };
    let other = StateWrite {
        plugin: "rules2".into(),
        ..state("day/1", Some(b"x"))
    };
    let writes = ["day/1", "day/3", "dax", "night"].map(|key| state(key, Some(key.as_bytes())));
    journal
        .approve(
            NOW,
            decided(1),
            writes.into_iter().chain([expiring, other]).collect(),
        )
        .unwrap();
    let list = |prefix: &str, limit, now| -> Vec<String> {
        let found = journal.state_list("rules", prefix, limit, now).unwrap();
        found.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(list("day/", 9, NOW), ["day/1", "day/2", "day/3"]);
    assert_eq!(list("day/", 2, NOW), ["day/1", "day/2"]);
    assert_eq!(list("day/", 9, at(11_000)), ["day/1", "day/3"]);
    assert_eq!(list("", 9, at(11_000)), ["dax", "day/1", "day/3", "night"]);
    assert_eq!(
        journal
            .state_get("rules", "day/2", at(10_999))
            .unwrap()
            .unwrap(),
        b"2"
    );
    assert_eq!(
        journal.state_get("rules", "day/2", at(11_000)).unwrap(),
        None
    );
    journal.forget_expired(at(11_000)).unwrap();
    assert_eq!(list("day/", 9, NOW), ["day/1", "day/3"]);
    assert_eq!(
        journal.state_get("rules2", "day/1", NOW).unwrap().unwrap(),
        b"x"
    );
}

#[test]
fn the_last_tasks_come_first() {
    let (_dir, journal) = journal();
    for number in [5, 1, 9] {
        journal.approve(NOW, decided(number), vec![]).unwrap();
    }
    journal.end(NOW, task(5), signed(5)).unwrap();
    let recent = |limit| -> Vec<_> {
        journal
            .recent(limit)
            .unwrap()
            .iter()
            .map(|row| row.task)
            .collect()
    };
    assert_eq!(recent(2), [task(9), task(1)]);
    assert_eq!(recent(10), [task(9), task(1), task(5)]);
}

#[test]
fn a_created_key_is_active_with_its_outcome() {
    let (_dir, journal) = journal();
    let pending = KeyRecord {
        descriptor: descriptor(1),
        status: KeyStatus::Pending,
        created: at(500),
    };
    journal.put_key(pending.clone()).unwrap();
    assert_eq!(journal.key(&pending.key()).unwrap(), Some(pending.clone()));
    journal.approve(NOW, decided(1), vec![]).unwrap();
    journal.end(NOW, task(1), created(1)).unwrap();
    let active = KeyRecord {
        status: KeyStatus::Active,
        ..pending.clone()
    };
    assert_eq!(journal.keys().unwrap(), [active]);
    assert_eq!(
        journal.key(&KeyId::from_bytes([9; 16]).unwrap()).unwrap(),
        None
    );
    journal.delete_key(pending.key()).unwrap();
    assert!(journal.keys().unwrap().is_empty());
}

#[test]
fn everything_that_was_decided_is_in_the_audit_log() {
    let (_dir, journal) = journal();
    journal.approve(NOW, decided(1), vec![]).unwrap();
    journal.refuse(NOW, decided(2), refusal()).unwrap();
    journal.end(NOW, task(1), signed(1)).unwrap();
    journal
        .alarm(NOW, Some(task(7)), "replayed\nwith other bytes")
        .unwrap();
    refused(journal.approve(NOW, decided(1), vec![]));
    let log = journal.audit(0, 100).unwrap();
    let kinds: Vec<_> = log
        .iter()
        .map(|entry| (entry.seq, entry.kind, entry.task))
        .collect();
    let expected = [
        (0, AuditKind::Approved, Some(task(1))),
        (1, AuditKind::Refused, Some(task(2))),
        (2, AuditKind::Ended, Some(task(1))),
        (3, AuditKind::Alarm, Some(task(7))),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(log[1].text, "refused by rules with limit: too much");
    assert_eq!(log[3].text, "replayed\\u{a}with other bytes");
    assert_eq!(journal.audit(1, 2).unwrap(), log[1..3]);
    let head = journal.verify_audit().unwrap();
    assert_eq!((head.entries, head.hash), (4, log[3].hash));
}

/// A journal with six entries about four tasks.
fn busy() -> tempfile::TempDir {
    let (dir, journal) = journal();
    for number in 1..=4 {
        journal.approve(NOW, decided(number), vec![]).unwrap();
    }
    journal.end(NOW, task(1), signed(1)).unwrap();
    journal.end(NOW, task(2), signed(2)).unwrap();
    assert_eq!(journal.verify_audit().unwrap().entries, 6);
    dir
}

#[test]
fn an_edited_removed_or_invented_entry_is_found() {
    const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");
    let broken = |at: u64, change: fn(&mut redb::Table<'_, u64, &'static [u8]>)| {
        let dir = busy();
        let error = tamper(dir.path(), AUDIT, change)
            .verify_audit()
            .unwrap_err();
        assert!(
            matches!(error, AuditError::Broken { at: found } if found == at),
            "{at}: {error}"
        );
    };
    broken(2, |log| {
        let text = log.get(2).unwrap().unwrap().value().to_vec();
        let position = text
            .windows(7)
            .position(|window| window == b"KeySign")
            .unwrap();
        let edited = [&text[..position], b"KeySigm", &text[position + 7..]].concat();
        log.insert(2, edited.as_slice()).unwrap();
    });
    broken(0, |log| drop(log.remove(0).unwrap()));
    broken(3, |log| drop(log.remove(3).unwrap()));
    broken(6, |log| {
        let last = log.get(5).unwrap().unwrap().value().to_vec();
        log.insert(6, last.as_slice()).unwrap();
    });
    broken(1, |log| drop(log.insert(1, &b"\x01nonsense"[..]).unwrap()));
}

#[test]
fn a_record_that_was_edited_removed_or_invented_is_found() {
    const TASKS: TableDefinition<&[u8; 16], &[u8]> = TableDefinition::new("tasks");
    let found = |change: fn(&mut redb::Table<'_, &'static [u8; 16], &'static [u8]>)| {
        let dir = busy();
        tamper(dir.path(), TASKS, change)
            .verify_audit()
            .unwrap_err()
    };
    let copy = |from: u8, to: u8| {
        move |tasks: &mut redb::Table<'_, &'static [u8; 16], &'static [u8]>| {
            let row = tasks.get(&[from; 16]).unwrap().unwrap().value().to_vec();
            tasks.insert(&[to; 16], row.as_slice()).unwrap();
        }
    };
    let dir = busy();
    let error = tamper(dir.path(), TASKS, copy(3, 2))
        .verify_audit()
        .unwrap_err();
    assert!(
        matches!(error, AuditError::Record { at: 5, task: t } if t == task(2)),
        "{error}"
    );
    let dir = busy();
    let error = tamper(dir.path(), TASKS, copy(3, 9))
        .verify_audit()
        .unwrap_err();
    assert!(
        matches!(error, AuditError::Unlogged { task: t } if t == task(9)),
        "{error}"
    );
    let error = found(|tasks| drop(tasks.remove(&[1; 16]).unwrap()));
    assert!(
        matches!(error, AuditError::Record { at: 4, task: t } if t == task(1)),
        "{error}"
    );
}

#[test]
fn the_file_is_private_and_opened_once() {
    let parent = temporary();
    let dir = parent.path().join("data");
    let missing = Journal::open(&dir).unwrap_err();
    assert!(
        matches!(missing, JournalOpenError::Missing { .. }),
        "{missing}"
    );
    let journal = Journal::create(&dir).unwrap();
    assert_eq!(names(&dir), ["journal.redb"]);
    assert_eq!(
        (mode(&dir), mode(&dir.join("journal.redb"))),
        (0o700, 0o600)
    );
    let held = Journal::open(&dir).unwrap_err();
    assert!(matches!(held, JournalOpenError::Locked { .. }), "{held}");
    assert!(
        held.to_string()
            .contains(&format!("(pid {})", std::process::id())),
        "{held}"
    );
    assert!(matches!(
        Journal::create(&dir),
        Err(JournalOpenError::Exists { .. })
    ));
    let clone = journal.clone();
    drop(journal);
    assert!(matches!(
        Journal::open(&dir),
        Err(JournalOpenError::Locked { .. })
    ));
    drop(clone);
    drop(Journal::open(&dir).unwrap());
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(dir.join("journal.redb"), open).unwrap();
    assert!(matches!(
        Journal::open(&dir),
        Err(JournalOpenError::Exposed { mode: 0o640, .. })
    ));
}

#[test]
fn an_invalid_journal_and_a_later_one_are_distinguished() {
    let (dir, journal) = journal();
    drop(journal);
    const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
    let path = dir.path().join("journal.redb");
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(META)
        .unwrap()
        .insert("format", 4)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(
        Journal::open(dir.path()),
        Err(JournalOpenError::NewerFormat { version: 4, .. })
    ));
    for content in [&b""[..], b"not a database at all", &[0; 20_000]] {
        std::fs::write(&path, content).unwrap();
        let error = Journal::open(dir.path()).unwrap_err();
        assert!(matches!(error, JournalOpenError::Damaged { .. }), "{error}");
    }
}

#[test]
fn what_a_task_reserved_is_taken_back_if_nothing_was_signed() {
    let (_dir, journal) = journal();
    let get = |key: &str| journal.state_get("rules", key, NOW).unwrap();
    journal
        .approve(
            NOW,
            decided(1),
            vec![state("total", Some(b"5")), state("gone", Some(b"1"))],
        )
        .unwrap();
    journal.end(NOW, task(1), signed(1)).unwrap();
    let writes = vec![
        state("total", Some(b"8")),
        state("new", Some(b"2")),
        state("gone", None),
    ];
    journal.approve(NOW, decided(2), writes).unwrap();
    assert_eq!(
        (get("total").unwrap(), get("new").unwrap(), get("gone")),
        (b"8".into(), b"2".into(), None)
    );
    journal.end_unused(NOW, task(2), failed()).unwrap();
    assert_eq!(
        (get("total").unwrap(), get("new"), get("gone").unwrap()),
        (b"5".into(), None, b"1".into())
    );
}

#[test]
fn what_a_task_reserved_stays_if_a_signature_may_exist() {
    let (_dir, journal) = journal();
    journal
        .approve(NOW, decided(1), vec![state("spent", Some(b"5"))])
        .unwrap();
    journal.end(NOW, task(1), failed()).unwrap();
    assert_eq!(
        journal.end_unused(NOW, task(1), failed()).unwrap(),
        Written::Already
    );
    assert_eq!(
        journal.state_get("rules", "spent", NOW).unwrap().unwrap(),
        b"5"
    );
}

#[test]
fn an_entry_that_a_later_task_wrote_stays_as_that_one_left_it() {
    let (_dir, journal) = journal();
    journal
        .approve(
            NOW,
            decided(1),
            vec![state("total", Some(b"1")), state("own/1", Some(b"1"))],
        )
        .unwrap();
    journal
        .approve(
            NOW,
            decided(2),
            vec![state("total", Some(b"2")), state("own/2", Some(b"1"))],
        )
        .unwrap();
    journal.end_unused(NOW, task(1), failed()).unwrap();
    let get = |key: &str| journal.state_get("rules", key, NOW).unwrap();
    assert_eq!(
        (get("total").unwrap(), get("own/1"), get("own/2").unwrap()),
        (b"2".into(), None, b"1".into())
    );
    journal.end(NOW, task(2), signed(2)).unwrap();
    assert_eq!(get("total").unwrap(), b"2");
}

#[test]
fn what_was_reserved_before_a_crash_stays() {
    let (dir, journal) = journal();
    journal
        .approve(NOW, decided(1), vec![state("spent", Some(b"5"))])
        .unwrap();
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.abort_unfinished(NOW, &[]).unwrap(), [task(1)]);
    assert_eq!(
        journal.state_get("rules", "spent", NOW).unwrap().unwrap(),
        b"5"
    );
}

#[test]
fn what_expired_while_it_was_reserved_does_not_come_back() {
    let (_dir, journal) = journal();
    let short = StateWrite {
        expires: Some(at(11_000)),
        ..state("spent", Some(b"1"))
    };
    journal.approve(NOW, decided(1), vec![short]).unwrap();
    journal.end(NOW, task(1), signed(1)).unwrap();
    journal
        .approve(NOW, decided(2), vec![state("spent", Some(b"2"))])
        .unwrap();
    journal.end_unused(at(12_000), task(2), failed()).unwrap();
    assert_eq!(
        journal
            .state_get("rules", "spent", at(10_500))
            .unwrap()
            .unwrap(),
        b"1"
    );
    assert_eq!(
        journal.state_get("rules", "spent", at(12_000)).unwrap(),
        None
    );
}

#[test]
fn a_snapshot_does_not_move() {
    let (_dir, journal) = journal();
    journal
        .approve(NOW, decided(1), vec![state("a", Some(b"1"))])
        .unwrap();
    let before = journal.snapshot(NOW).unwrap();
    journal
        .approve(
            NOW,
            decided(2),
            vec![state("a", Some(b"2")), state("b", Some(b"2"))],
        )
        .unwrap();
    assert_eq!(
        before.list("rules", "", 9).unwrap(),
        [("a".to_owned(), b"1".to_vec())]
    );
    assert_eq!(
        journal
            .snapshot(NOW)
            .unwrap()
            .get("rules", "a")
            .unwrap()
            .unwrap(),
        b"2"
    );
}

#[test]
fn what_shadows_would_have_said_is_listed_newest_first() {
    let (_dir, journal) = journal();
    let differ = |number: u8| Difference {
        at: NOW,
        task: task(number),
        shadow: "rules:next".into(),
        against: Some("rules".into()),
        decided: None,
        would_have: Some("limit".into()),
        reason: "too much".into(),
    };
    journal.differ(differ(1)).unwrap();
    journal.differ(differ(2)).unwrap();
    assert_eq!(journal.differences(9).unwrap(), [differ(2), differ(1)]);
    assert_eq!(journal.differences(1).unwrap(), [differ(2)]);
}

fn failed() -> Outcome {
    Outcome::Failed(Failure {
        cause: Cause::Environment,
        code: "not-started".into(),
        text: "t".into(),
        culprits: Vec::new(),
    })
}

#[test]
fn a_file_that_was_removed_or_replaced_ends_the_journal() {
    for replaced in [false, true] {
        let (dir, journal) = journal();
        journal.approve(NOW, decided(1), vec![]).unwrap();
        journal.check().unwrap();
        let path = dir.path().join("journal.redb");
        let other = dir.path().join("other");
        std::fs::copy(&path, &other).unwrap();
        if replaced {
            std::fs::rename(&other, &path).unwrap()
        } else {
            std::fs::remove_file(&path).unwrap()
        }
        let error = journal.approve(NOW, decided(2), vec![]).unwrap_err();
        assert!(matches!(error, WriteJournalError::Moved(_)), "{error}");
        assert!(error.to_string().contains("then start the node"), "{error}");
        assert!(journal.check().is_err() && journal.trouble().why().is_some());
        assert!(matches!(
            journal.approve(NOW, decided(3), vec![]),
            Err(WriteJournalError::Ended(_))
        ));
    }
}

#[test]
fn whoever_only_looks_notices_too_that_the_file_is_gone() {
    let (dir, journal) = journal();
    std::fs::remove_file(dir.path().join("journal.redb")).unwrap();
    let why = journal.check().unwrap_err().to_string();
    assert!(why.contains("journal.redb was removed"), "{why}");
    assert_eq!(journal.trouble().why(), Some(why.as_str()));
}

#[test]
fn a_pipe_a_folder_or_nothing_in_the_place_of_a_journal_is_not_a_journal() {
    let dir = temporary();
    let path = dir.path().join("journal.redb");
    drop(Journal::create(dir.path()).unwrap());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(
        Journal::open(dir.path()),
        Err(JournalOpenError::Io { .. })
    ));
    std::fs::remove_dir(&path).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    assert!(matches!(
        Journal::open(dir.path()),
        Err(JournalOpenError::Io { .. })
    ));
    std::fs::remove_file(&path).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, private).unwrap();
    assert!(matches!(
        Journal::open(dir.path()),
        Err(JournalOpenError::Damaged { .. })
    ));
}

/// The database caches pages, so damage shows only when the file is read.
#[test]
fn damage_on_the_disk_is_named_while_the_journal_is_open() {
    let (dir, journal) = journal();
    for number in 1..40 {
        journal.approve(NOW, decided(number), vec![]).unwrap();
        let descriptor = descriptor(number);
        journal
            .put_key(KeyRecord {
                descriptor,
                status: KeyStatus::Active,
                created: NOW,
            })
            .unwrap();
    }
    journal.verify_audit().unwrap();
    let path = dir.path().join("journal.redb");
    let bytes = std::fs::read(&path).unwrap();
    // The name of a key is in its record only.
    let at = bytes
        .windows(8)
        .rposition(|window| window == b"treasury")
        .unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"T", at as u64).unwrap();
    let error = journal.verify_audit().unwrap_err();
    assert!(
        matches!(error, AuditError::Read(ReadJournalError::Page(_))),
        "{error}"
    );
    std::os::unix::fs::FileExt::write_all_at(&file, b"t", at as u64).unwrap();
    journal.verify_audit().unwrap();
}

#[test]
fn a_key_that_its_task_did_not_make_is_named() {
    let (_dir, journal) = journal();
    journal.approve(NOW, decided(1), vec![]).unwrap();
    journal.end(NOW, task(1), created(1)).unwrap();
    journal.verify_audit().unwrap();
    let mut other = descriptor(1);
    other.root_public_key = vec![9; 32];
    journal
        .put_key(KeyRecord {
            descriptor: other,
            status: KeyStatus::Active,
            created: NOW,
        })
        .unwrap();
    assert!(
        matches!(journal.verify_audit(), Err(AuditError::Key { key }) if key == descriptor(1).key)
    );
}

#[test]
fn the_bundle_in_force_is_known_after_a_restart() {
    let (dir, journal) = journal();
    assert_eq!(journal.bundle_mark().unwrap(), None);
    let mark = |number: u8, highest| countersign_store::BundleMark {
        bundle: countersign_protocol::Hash([number; 32]),
        highest,
    };
    journal.bundled(mark(1, 7)).unwrap();
    journal.bundled(mark(2, u64::MAX)).unwrap();
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.bundle_mark().unwrap(), Some(mark(2, u64::MAX)));
}
