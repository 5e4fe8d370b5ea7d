//! A large store gets new values as files beside it, and is written whole before anything in it is
//! removed.

use std::path::{Path, PathBuf};

use countersign_protocol::UnixMillis;
use countersign_store::backup::{Contents, SealTo};
use countersign_store::secrets::{IDENTITY_FILE, SECRETS_FILE};
use countersign_store::{BackupError, CreateError, OpenError, Secrets, Section};

use crate::support::*;

const SHARE: Section = Section::Share;

/// A store with this many shares, written whole by this process.
fn large(keys: usize) -> (tempfile::TempDir, Secrets) {
    let dir = temporary();
    let secrets = create(dir.path());
    let share = |key| put(SHARE, &format!("{key:05}"), &[key as u8; 1300]);
    secrets.commit((0..keys).map(share).collect()).unwrap();
    (dir, secrets)
}

fn added(dir: &Path) -> Vec<PathBuf> {
    let names = names(dir)
        .into_iter()
        .filter(|name| name.ends_with(".added.age"));
    names.map(|name| dir.join(name)).collect()
}

/// The bytes of all files of the store.
fn size(dir: &Path) -> u64 {
    names(dir)
        .iter()
        .map(|name| dir.join(name).metadata().unwrap().len())
        .sum()
}

/// True if these bytes are in the plaintext of any file of the store.
fn contains(dir: &Path, needle: &[u8]) -> bool {
    let identity = identity(dir, WORDS);
    let sealed = names(dir)
        .into_iter()
        .filter(|name| name.ends_with(".age") && name != IDENTITY_FILE);
    let plain =
        |name: String| age::decrypt(&identity, &std::fs::read(dir.join(name)).unwrap()).unwrap();
    sealed
        .map(plain)
        .any(|plain| plain.windows(needle.len()).any(|window| window == needle))
}

fn damaged(dir: &Path, what: &str) {
    let error = Secrets::open(dir, &passphrase(WORDS), &[]).unwrap_err();
    assert!(
        matches!(error, OpenError::Damaged { .. }) && error.to_string().contains(what),
        "{error}"
    );
}

#[test]
fn a_new_value_costs_a_large_store_the_same_however_large_it_is() {
    let cost = |keys| {
        let (dir, secrets) = large(keys);
        let before = size(dir.path());
        let whole = std::fs::read(dir.path().join(SECRETS_FILE)).unwrap();
        secrets
            .commit(vec![
                put(SHARE, "new", &[9; 1300]),
                put(Section::Aux, "new", &[8; 500]),
            ])
            .unwrap();
        assert_eq!(
            std::fs::read(dir.path().join(SECRETS_FILE)).unwrap(),
            whole,
            "the file is not written"
        );
        assert_eq!(mode(&added(dir.path())[0]), 0o600);
        size(dir.path()) - before
    };
    let few = cost(600);
    let many = cost(2000);
    // age pads its headers at random.
    assert!(
        few.abs_diff(many) < 1000 && many < 10_000,
        "{few} and {many}"
    );
}

#[test]
fn a_small_store_is_always_one_file_of_the_first_format() {
    let (dir, secrets) = large(20);
    secrets.commit(vec![put(SHARE, "new", b"new")]).unwrap();
    assert_eq!(
        names(dir.path()),
        [IDENTITY_FILE, SECRETS_FILE, "store.lock"]
    );
}

#[test]
fn what_was_added_is_there_at_once_and_after_every_start() {
    let (dir, secrets) = large(600);
    let generation = secrets.generation().unwrap();
    for number in 1..=5_u8 {
        secrets
            .commit(vec![put(SHARE, &format!("new{number}"), &[number; 40])])
            .unwrap();
        assert_eq!(
            get(&secrets, SHARE, &format!("new{number}")).unwrap(),
            [number; 40]
        );
    }
    assert_eq!(
        (added(dir.path()).len(), secrets.generation().unwrap()),
        (5, generation + 5)
    );
    drop(secrets);
    let secrets = open(dir.path());
    assert_eq!(secrets.generation().unwrap(), generation + 5);
    assert_eq!(secrets.keys(SHARE).unwrap().len(), 605);
    // The recipients may have changed, so the first commit seals the whole store.
    secrets.commit(vec![put(SHARE, "new6", &[6; 40])]).unwrap();
    assert_eq!(added(dir.path()), [] as [PathBuf; 0]);
    secrets.commit(vec![put(SHARE, "new7", &[7; 40])]).unwrap();
    assert_eq!(added(dir.path()).len(), 1);
    let secrets = secrets
        .renew_identity(&passphrase(WORDS), WORK_FACTOR)
        .unwrap();
    assert_eq!(
        added(dir.path()).len(),
        0,
        "an older identity opens nothing that is there"
    );
    secrets.commit(vec![put(SHARE, "new8", &[8; 40])]).unwrap();
    drop(secrets);
    let secrets = open(dir.path());
    assert_eq!(secrets.generation().unwrap(), generation + 9);
    for number in 1..=8_u8 {
        assert_eq!(
            get(&secrets, SHARE, &format!("new{number}")).unwrap(),
            [number; 40]
        );
    }
}

#[test]
fn what_is_deleted_or_overwritten_is_in_no_file_that_is_left() {
    let (dir, secrets) = large(600);
    let add =
        |key: &str, value: &[u8]| assert!(secrets.commit(vec![put(SHARE, key, value)]).is_ok());
    add("deleted", b"canary-one");
    add("written", b"canary-two");
    assert!(contains(dir.path(), b"canary-one") && contains(dir.path(), b"canary-two"));
    secrets.commit(vec![delete(SHARE, "deleted")]).unwrap();
    assert!(!contains(dir.path(), b"canary-one") && added(dir.path()).is_empty());
    add("other", b"other");
    secrets.commit(vec![put(SHARE, "written", b"new")]).unwrap();
    assert!(!contains(dir.path(), b"canary-two") && added(dir.path()).is_empty());
    assert_eq!(get(&secrets, SHARE, "other").unwrap(), b"other");
}

#[test]
fn there_are_never_many() {
    let (dir, secrets) = large(600);
    let most = (0..300).map(|number| {
        secrets
            .commit(vec![put(Section::Prime, &number.to_string(), b"p")])
            .unwrap();
        added(dir.path()).len()
    });
    assert_eq!(most.max(), Some(256));
    assert_eq!(secrets.keys(Section::Prime).unwrap().len(), 300);
}

/// Puts a file in place as the store would have.
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn none_can_be_left_out_renamed_or_changed() {
    let (dir, secrets) = large(600);
    for number in 0..4 {
        secrets
            .commit(vec![put(SHARE, &format!("new{number}"), b"new")])
            .unwrap();
    }
    drop(secrets);
    let files = added(dir.path());
    let kept: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    std::fs::remove_file(&files[1]).unwrap();
    damaged(dir.path(), "the file before it is missing");
    write(&files[1], &kept[2]);
    damaged(dir.path(), "its name says another generation");
    let mut changed = kept[1].clone();
    *changed.last_mut().unwrap() ^= 1;
    write(&files[1], &changed);
    damaged(dir.path(), "");
    write(&files[1], &kept[1]);
    assert_eq!(open(dir.path()).keys(SHARE).unwrap().len(), 604);
}

#[test]
fn one_behind_another_course_of_the_same_store_is_refused() {
    let (dir, secrets) = large(600);
    let whole = dir.path().join(SECRETS_FILE);
    let before = std::fs::read(&whole).unwrap();
    secrets.commit(vec![]).unwrap();
    secrets.commit(vec![put(SHARE, "one", b"course")]).unwrap();
    drop(secrets);
    let file = added(dir.path()).remove(0);
    let addition = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    write(&whole, &before);
    open(dir.path())
        .commit(vec![put(SHARE, "another", b"course")])
        .unwrap();
    write(&file, &addition);
    damaged(dir.path(), "it does not follow the files before it");
}

#[test]
fn those_that_the_store_has_in_it_are_removed_at_the_start() {
    let (dir, secrets) = large(600);
    secrets.commit(vec![put(SHARE, "new", b"canary")]).unwrap();
    let file = added(dir.path()).remove(0);
    let addition = std::fs::read(&file).unwrap();
    secrets.commit(vec![delete(SHARE, "new")]).unwrap();
    drop(secrets);
    write(&file, &addition);
    assert_eq!(get(&open(dir.path()), SHARE, "new"), None);
    assert!(!contains(dir.path(), b"canary"));
}

#[test]
fn a_backup_is_made_of_a_whole_store_and_a_new_store_lies_beside_no_addition() {
    let (dir, secrets) = large(600);
    assert_eq!(secrets.make_whole().unwrap(), secrets.generation().unwrap());
    secrets.commit(vec![put(SHARE, "new", b"new")]).unwrap();
    let out = dir.path().join("backup");
    let backup = || {
        let contents = Contents {
            format: 0,
            node: "node".into(),
            generation: 1,
            made: UnixMillis(1),
            software: "test".into(),
            files: Vec::new(),
        };
        let journal = dir.path().join("store.lock");
        countersign_store::backup::write(
            dir.path(),
            &journal,
            contents,
            &SealTo::Passphrase(&passphrase(WORDS)),
            &out,
            &mut |_, _| (),
        )
    };
    let refused = backup().unwrap_err();
    assert!(
        matches!(&refused, BackupError::Io { path, .. } if *path == added(dir.path())[0]),
        "{refused}"
    );
    let generation = secrets.generation().unwrap();
    assert_eq!(secrets.make_whole().unwrap(), generation + 1);
    backup().unwrap();
    secrets.commit(vec![put(SHARE, "new2", b"new")]).unwrap();
    drop(secrets);
    for name in [IDENTITY_FILE, SECRETS_FILE] {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    let error = Secrets::create(dir.path(), &passphrase(WORDS), &[], WORK_FACTOR).unwrap_err();
    assert!(matches!(error, CreateError::Exists { .. }), "{error}");
}
