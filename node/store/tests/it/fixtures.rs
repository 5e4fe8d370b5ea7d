//! Files of each released format, read for ever. `BLESS=v1 cargo test` writes those of the current format anew; once a
//! format is released its files never change again.

use crate::support::*;
use countersign_protocol::Outcome;
use countersign_store::{
    Decided, Journal, KeyRecord, KeyStatus, Passphrase, Secrets, Section, State, StateWrite, TaskKind,
};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const FILES: [&str; 4] = ["secrets.redb.age", "identity.age", "journal.redb", "passphrase"];

fn stored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

fn copy(from: &Path, to: &Path) {
    for name in FILES {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
        std::fs::set_permissions(to.join(name), PermissionsExt::from_mode(0o600)).unwrap();
    }
}

fn write_secrets(dir: &Path) {
    std::fs::write(dir.join("passphrase"), format!("{WORDS}\n")).unwrap();
    let secrets = create(dir);
    let value = |section: Section| put(section, "name", section.name().as_bytes());
    secrets.commit(Section::ALL.map(value).into()).unwrap();
    secrets.commit(vec![put(Section::Share, "long", &[42; 20_000])]).unwrap();
}

fn write_journal(dir: &Path) {
    let journal = Journal::create(dir).unwrap();
    let expiring = StateWrite { expires: Some(at(5_000)), ..state("day", Some(b"7")) };
    journal.approve(at(2_000), decided(1), vec![expiring]).unwrap();
    journal.end(at(2_001), task(1), signed(1)).unwrap();
    journal.refuse(at(2_002), decided(2), refusal()).unwrap();
    let record = KeyRecord { announcement: announcement(3), status: KeyStatus::Pending, created: at(2_003) };
    journal.put_key(record).unwrap();
    journal.approve(at(2_004), Decided { kind: TaskKind::KeyGen, ..decided(3) }, vec![]).unwrap();
    journal.end(at(2_005), task(3), created(3)).unwrap();
    journal.approve(at(2_006), decided(4), vec![]).unwrap();
    journal.alarm(at(2_007), Some(task(4)), "an alarm").unwrap();
    drop(journal);
    redb::Database::open(dir.join("journal.redb")).unwrap().compact().unwrap();
}

/// A private copy of the fixtures, as the program demands it.
fn fixtures() -> tempfile::TempDir {
    static BLESS: std::sync::Once = std::sync::Once::new();
    BLESS.call_once(|| {
        if std::env::var("BLESS").is_ok_and(|format| format == "v1") {
            let dir = temporary();
            write_secrets(dir.path());
            write_journal(dir.path());
            copy(dir.path(), &stored());
        }
    });
    let dir = temporary();
    copy(&stored(), dir.path());
    dir
}

#[test]
fn secrets_of_format_1_are_read() {
    let dir = fixtures();
    let passphrase = Passphrase::from_file(&dir.path().join("passphrase")).unwrap();
    let secrets = Secrets::open(dir.path(), &passphrase, &[]).unwrap();
    assert_eq!(secrets.generation().unwrap(), 3);
    for section in Section::ALL {
        assert_eq!(get(&secrets, section, "name").unwrap(), section.name().as_bytes());
    }
    assert_eq!(get(&secrets, Section::Share, "long").unwrap(), [42; 20_000]);
    assert_eq!(secrets.commit(vec![delete(Section::Share, "long")]).unwrap(), 4);
}

#[test]
fn a_journal_of_format_1_is_read() {
    let dir = fixtures();
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.verify_audit().unwrap().entries, 7);
    let states: Vec<_> = journal.recent(9).unwrap().into_iter().map(|row| row.state).collect();
    let expected = [
        State::Approved,
        State::Ended { outcome: created(3).into(), at: at(2_005) },
        State::Ended { outcome: Outcome::Refused(refusal()).into(), at: at(2_002) },
        State::Ended { outcome: signed(1).into(), at: at(2_001) },
    ];
    assert_eq!(states, expected);
    let active = KeyRecord { announcement: announcement(3), status: KeyStatus::Active, created: at(2_003) };
    assert_eq!(journal.keys().unwrap(), [active]);
    assert_eq!(journal.state_get("rules", "day", at(4_999)).unwrap().unwrap(), b"7");
    assert_eq!(journal.abort_unfinished(at(9_000), &[]).unwrap(), [task(4)]);
}
