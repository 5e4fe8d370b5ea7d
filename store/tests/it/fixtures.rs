//! Files of each format, which are read for ever. `BLESS=v3 cargo test` rewrites those of the
//! newest format. Once a format is released its files never change.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use countersign_protocol::Outcome;
use countersign_store::{
    Journal, KeyRecord, KeyStatus, Passphrase, Secrets, Section, Silent, State,
};

use crate::support::*;

const FILES: [&str; 4] = [
    "secrets.redb.age",
    "identity.age",
    "journal.redb",
    "passphrase",
];

const JOURNAL: &str = "journal.redb";

fn stored(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(version)
}

fn copy(from: &Path, to: &Path, name: &str) {
    std::fs::copy(from.join(name), to.join(name)).unwrap();
    std::fs::set_permissions(to.join(name), PermissionsExt::from_mode(0o600)).unwrap();
}

/// The journal of the first program that noted the chain in force: rows have version 3.
fn write_journal(dir: &Path) {
    let journal = Journal::create(dir).unwrap();
    journal
        .policy(at(1_999), "in force", Some(configuration("[1]")))
        .unwrap();
    journal
        .approve(at(2_000), proven_under("[1]", 1, b"heard", "{}"), vec![])
        .unwrap();
    journal.end(at(2_001), task(1), signed(1)).unwrap();
    journal
        .refuse(at(2_002), proven_under("[2]", 2, b"seen", "{}"), refusal())
        .unwrap();
    drop(journal);
    redb::Database::open(dir.join(JOURNAL))
        .unwrap()
        .compact()
        .unwrap();
}

/// A copy of the fixtures of version 1 with the private mode that the program demands.
fn fixtures() -> tempfile::TempDir {
    let dir = temporary();
    FILES
        .iter()
        .for_each(|name| copy(&stored("v1"), dir.path(), name));
    dir
}

#[test]
fn secrets_of_format_1_are_read() {
    let dir = fixtures();
    let passphrase = Passphrase::from_file(&dir.path().join("passphrase")).unwrap();
    let secrets = Secrets::open(dir.path(), &passphrase, &[]).unwrap();
    assert_eq!(secrets.generation().unwrap(), 3);
    for section in Section::ALL {
        assert_eq!(
            get(&secrets, section, "name").unwrap(),
            section.name().as_bytes()
        );
    }
    assert_eq!(get(&secrets, Section::Share, "long").unwrap(), [42; 20_000]);
    assert_eq!(
        secrets
            .commit(vec![delete(Section::Share, "long")])
            .unwrap(),
        4
    );
}

#[test]
fn a_journal_of_format_1_is_read() {
    let dir = fixtures();
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.verify_audit().unwrap().entries, 7);
    let states: Vec<_> = journal
        .recent(9)
        .unwrap()
        .into_iter()
        .map(|row| row.state)
        .collect();
    let expected = [
        State::Approved,
        State::Ended {
            outcome: created(3).into(),
            at: at(2_005),
        },
        State::Ended {
            outcome: Outcome::Refused(refusal()).into(),
            at: at(2_002),
        },
        State::Ended {
            outcome: signed(1).into(),
            at: at(2_001),
        },
    ];
    assert_eq!(states, expected);
    let active = KeyRecord {
        descriptor: descriptor(3),
        status: KeyStatus::Active,
        created: at(2_003),
    };
    assert_eq!(journal.keys().unwrap(), [active]);
    assert_eq!(
        journal
            .state_get("rules", "day", at(4_999))
            .unwrap()
            .unwrap(),
        b"7"
    );
    assert_eq!(journal.abort_unfinished(at(9_000), &[]).unwrap(), [task(4)]);
    assert_eq!(journal.proof(&task(1)).unwrap(), None);
    journal
        .approve(at(9_001), proven(5, b"heard", "{}"), vec![])
        .unwrap();
    assert_eq!(
        journal.verify_audit().unwrap().entries,
        9,
        "rows of both versions stand beside each other"
    );
}

#[test]
fn a_journal_that_vouches_for_recordings_is_read() {
    let dir = temporary();
    copy(&stored("v2"), dir.path(), JOURNAL);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.verify_audit().unwrap().entries, 3);
    for (number, entry, recording) in [(1, 1, b"heard".as_slice()), (2, 2, b"seen")] {
        let proof = journal.proof(&task(number)).unwrap().unwrap();
        assert_eq!(
            (proof.entry, proof.recording.as_slice()),
            (entry, recording)
        );
        assert_eq!(proof.configurations, [configuration("{}")]);
    }
}

#[test]
fn a_journal_that_notes_what_was_in_force_is_read() {
    if std::env::var("BLESS").is_ok_and(|format| format == "v3") {
        let dir = temporary();
        write_journal(dir.path());
        copy(dir.path(), &stored("v3"), JOURNAL);
    }
    let dir = temporary();
    copy(&stored("v3"), dir.path(), JOURNAL);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.verify_audit().unwrap().entries, 4);
    for (number, chain) in [(1, "[1]"), (2, "[2]")] {
        let proof = journal.proof(&task(number)).unwrap().unwrap();
        assert_eq!(proof.row.chain, Some(configuration(chain).digest));
        assert!(
            proof.configurations.contains(&configuration(chain)),
            "{chain}"
        );
        assert!(
            proof.configurations.contains(&configuration("{}")),
            "{chain}"
        );
    }
}
