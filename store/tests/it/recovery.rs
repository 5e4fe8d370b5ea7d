//! Recovery without this program: age and redb alone read the store.

use std::io::Write;
use std::path::Path;

use age::x25519::Identity;
use countersign_store::secrets::SECRETS_FILE;
use countersign_store::{Secrets, Section};
use redb::{Database, ReadableDatabase, TableDefinition};

use crate::support::*;

const SHARES: TableDefinition<&str, &[u8]> = TableDefinition::new("share");

/// The value that plain redb finds under `a`.
fn share_in(path: &Path) -> Vec<u8> {
    let database = Database::open(path).unwrap();
    let table = database.begin_read().unwrap().open_table(SHARES).unwrap();
    table.get("a").unwrap().unwrap().value().to_vec()
}

fn store_for(recipients: &[String]) -> tempfile::TempDir {
    let dir = temporary();
    let secrets = Secrets::create(dir.path(), &passphrase(WORDS), recipients, WORK_FACTOR).unwrap();
    secrets
        .commit(vec![put(Section::Share, "a", b"share of a")])
        .unwrap();
    dir
}

fn decrypt(dir: &Path, identity: &Identity) -> Option<Vec<u8>> {
    age::decrypt(identity, &std::fs::read(dir.join(SECRETS_FILE)).unwrap()).ok()
}

#[test]
fn the_decrypted_file_is_a_redb_database() {
    let recovery = Identity::generate();
    let dir = store_for(&[recovery.to_public().to_string()]);
    for identity in [identity(dir.path(), WORDS), recovery] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&decrypt(dir.path(), &identity).unwrap())
            .unwrap();
        assert_eq!(share_in(file.path()), b"\x01share of a");
    }
    assert!(decrypt(dir.path(), &Identity::generate()).is_none());
}

#[test]
fn the_age_program_opens_it() {
    if std::process::Command::new("age")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: the program `age` is not installed");
        return;
    }
    let dir = store_for(&[]);
    let key = dir.path().join("key.txt");
    std::fs::write(&key, secret_text(&identity(dir.path(), WORDS))).unwrap();
    let plain = dir.path().join("plain.redb");
    let sealed = dir.path().join(SECRETS_FILE);
    let mut age = std::process::Command::new("age");
    let status = age
        .arg("-d")
        .arg("-i")
        .arg(&key)
        .arg("-o")
        .arg(&plain)
        .arg(&sealed)
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(share_in(&plain), b"\x01share of a");
}

#[test]
fn new_recipients_take_effect_with_the_next_commit() {
    let old = Identity::generate();
    let new = Identity::generate();
    let dir = store_for(&[old.to_public().to_string()]);
    let secrets = Secrets::open(
        dir.path(),
        &passphrase(WORDS),
        &[new.to_public().to_string()],
    )
    .unwrap();
    assert!(decrypt(dir.path(), &old).is_some() && decrypt(dir.path(), &new).is_none());
    secrets.commit(vec![]).unwrap();
    assert!(decrypt(dir.path(), &old).is_none() && decrypt(dir.path(), &new).is_some());
}

#[test]
fn a_deleted_or_overwritten_secret_is_in_no_later_file() {
    let dir = temporary();
    let secrets = create(dir.path());
    let contains = |needle: &[u8]| {
        let plaintext = decrypt(dir.path(), &identity(dir.path(), WORDS)).unwrap();
        plaintext
            .windows(needle.len())
            .any(|window| window == needle)
    };
    let share = Section::Share;
    secrets
        .commit(vec![
            put(share, "deleted", b"canary-one"),
            put(share, "written", b"canary-two"),
        ])
        .unwrap();
    secrets
        .commit(
            (0..50)
                .map(|i| put(share, &i.to_string(), &[i; 3000]))
                .collect(),
        )
        .unwrap();
    assert!(contains(b"canary-one") && contains(b"canary-two"));
    secrets
        .commit(vec![
            delete(share, "deleted"),
            put(share, "written", b"other"),
        ])
        .unwrap();
    assert!(!contains(b"canary-one") && !contains(b"canary-two"));
    // The same holds if it came and went within one commit.
    secrets
        .commit(vec![put(share, "x", b"canary-three"), delete(share, "x")])
        .unwrap();
    assert!(!contains(b"canary-three"));
}
