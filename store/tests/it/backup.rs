//! Backups of real stores, which are whole or refused.

use std::path::{Path, PathBuf};
use std::process::Command;

use countersign_protocol::UnixMillis;
use countersign_store::backup::{self, Contents, OpenWith, SealTo};
use countersign_store::{Backup, BackupError, Journal, Secrets};

use crate::support::*;

fn contents() -> Contents {
    Contents {
        format: 0,
        node: "csn1test".into(),
        generation: 7,
        made: UnixMillis(1_000),
        software: "test".into(),
        files: Vec::new(),
    }
}

/// An age identity file, as `age-keygen` writes it, and its recipient.
fn age_identity(dir: &Path) -> (PathBuf, String) {
    let path = dir.join("age-identity.txt");
    let made = Command::new("age-keygen")
        .arg("-o")
        .arg(&path)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let text = std::fs::read_to_string(&path).unwrap();
    let recipient = text
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .unwrap();
    (path, recipient.to_owned())
}

/// A store with a journal, and a backup of it.
fn backed_up() -> (tempfile::TempDir, PathBuf) {
    let dir = temporary();
    let db = dir.path().join("db");
    drop(create(&db));
    let journal = Journal::create(&db).unwrap();
    journal.alarm(UnixMillis(5), None, "remember me").unwrap();
    let copy = db.join("copy.redb");
    journal.copy_to(&copy).unwrap();
    let out = dir.path().join("backup.age");
    let made = backup::write(
        &db,
        &copy,
        contents(),
        &SealTo::Passphrase(&passphrase(WORDS)),
        &out,
        &mut |_, _| (),
    )
    .unwrap();
    assert_eq!((made.format, made.files.len()), (1, 3));
    (dir, out)
}

fn open(path: &Path) -> Result<Backup, BackupError> {
    Backup::open(path, &OpenWith::Passphrase(&passphrase(WORDS)))
}

#[test]
fn a_backup_of_a_journal_that_is_written_gives_back_a_store_that_opens() {
    let (dir, out) = backed_up();
    let backup = open(&out).unwrap();
    assert_eq!(
        (backup.contents.node.as_str(), backup.contents.generation),
        ("csn1test", 7)
    );
    let restored = dir.path().join("restored");
    backup.unpack(&restored).unwrap();
    drop(Secrets::open(&restored, &passphrase(WORDS), &[]).unwrap());
    let journal = Journal::open(&restored).unwrap();
    assert_eq!(journal.audit(0, 10).unwrap()[0].text, "remember me");
    journal.verify_audit().unwrap();
    assert!(
        matches!(backup.unpack(&restored), Err(BackupError::Exists { .. })),
        "nothing is overwritten"
    );
}

#[test]
fn what_is_cut_or_changed_anywhere_is_refused() {
    let (dir, out) = backed_up();
    let whole = std::fs::read(&out).unwrap();
    let changed = dir.path().join("changed.age");
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        std::fs::write(&changed, &whole[..at]).unwrap();
        assert!(open(&changed).is_err(), "cut at {at}");
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(&changed, &flipped).unwrap();
        assert!(open(&changed).is_err(), "flipped at {at}");
    }
    std::fs::write(&changed, [&whole[..], b"x"].concat()).unwrap();
    assert!(open(&changed).is_err(), "longer");
    let wrong = Backup::open(
        &out,
        &OpenWith::Passphrase(&passphrase("quite another passphrase")),
    );
    assert!(matches!(wrong, Err(BackupError::WrongKey { .. })));
}

#[test]
fn the_progress_of_a_backup_is_told_to_the_end() {
    let (dir, _) = backed_up();
    let db = dir.path().join("db");
    let mut told = Vec::new();
    let made = backup::write(
        &db,
        &db.join("copy.redb"),
        contents(),
        &SealTo::Passphrase(&passphrase(WORDS)),
        &dir.path().join("new.age"),
        &mut |done, all| told.push((done, all)),
    )
    .unwrap();
    let all: u64 = made.files.iter().map(|file| file.length).sum();
    assert!(told.is_sorted() && told.len() > 1, "{told:?}");
    assert!(told.iter().all(|(_, of)| *of == all), "{told:?}");
    assert_eq!(told.last(), Some(&(all, all)));
}

#[test]
fn a_backup_needs_a_key_and_a_name_of_its_own() {
    let (dir, out) = backed_up();
    let db = dir.path().join("db");
    let journal = db.join("copy.redb");
    let short = passphrase("short");
    let write = |to: &SealTo<'_>, out: &Path| {
        backup::write(&db, &journal, contents(), to, out, &mut |_, _| ())
    };
    let new = dir.path().join("new.age");
    assert!(matches!(
        write(&SealTo::Passphrase(&short), &new),
        Err(BackupError::NoKey)
    ));
    assert!(matches!(
        write(&SealTo::Recipients(&[]), &new),
        Err(BackupError::NoKey)
    ));
    assert!(matches!(
        write(&SealTo::Recipients(&["age1x".into()]), &new),
        Err(BackupError::Recipient(_))
    ));
    assert!(matches!(
        write(&SealTo::Passphrase(&passphrase(WORDS)), &out),
        Err(BackupError::Exists { .. })
    ));
    assert!(!new.exists());
}

#[test]
fn recipients_open_a_backup_with_their_identity_file() {
    let (dir, _) = backed_up();
    let db = dir.path().join("db");
    let journal = db.join("copy.redb");
    let out = dir.path().join("to-recipient.age");
    let (identity, recipient) = age_identity(dir.path());
    backup::write(
        &db,
        &journal,
        contents(),
        &SealTo::Recipients(&[recipient]),
        &out,
        &mut |_, _| (),
    )
    .unwrap();
    assert_eq!(
        Backup::open(&out, &OpenWith::Identity(&identity))
            .unwrap()
            .contents
            .generation,
        7
    );
    let (stranger, _) = age_identity(&dir.path().join("db"));
    assert!(matches!(
        Backup::open(&out, &OpenWith::Identity(&stranger)),
        Err(BackupError::WrongKey { .. })
    ));
    assert!(matches!(
        open(&out),
        Err(BackupError::WrongKey { .. } | BackupError::Damaged { .. })
    ));
}
