//! The sealed store: values, lock, modes, passphrase, and secrets that never reach the disk.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use countersign_store::secrets::{IDENTITY_FILE, MAX_KEY, MAX_VALUE, SECRETS_FILE};
use countersign_store::{CommitError, CreateError, OpenError, RenewError, Secrets, Section};

use crate::support::*;

#[test]
fn values_come_back_after_closing() {
    let dir = temporary();
    let secrets = create(dir.path());
    assert_eq!(secrets.generation().unwrap(), 1);
    let changes = Section::ALL.map(|section| put(section, "name", section.name().as_bytes()));
    assert_eq!(secrets.commit(changes.into()).unwrap(), 2);
    drop(secrets);
    let secrets = open(dir.path());
    assert_eq!(secrets.generation().unwrap(), 2);
    for section in Section::ALL {
        assert_eq!(
            get(&secrets, section, "name").unwrap(),
            section.name().as_bytes()
        );
        assert_eq!(secrets.keys(section).unwrap(), ["name"]);
    }
    assert_eq!(get(&secrets, Section::Share, "other"), None);
}

#[test]
fn a_batch_is_applied_in_order_and_whole() {
    let dir = temporary();
    let secrets = create(dir.path());
    let share = Section::Share;
    secrets
        .commit(vec![
            put(share, "a", b"1"),
            put(share, "b", b"1"),
            put(share, "a", b"2"),
        ])
        .unwrap();
    secrets
        .commit(vec![
            delete(share, "b"),
            put(share, "c", b""),
            delete(share, "never"),
        ])
        .unwrap();
    assert_eq!(get(&secrets, share, "a").unwrap(), b"2");
    assert_eq!(secrets.keys(share).unwrap(), ["a", "c"]);
    let too_long = "x".repeat(MAX_KEY + 1);
    for change in [
        put(share, "", b""),
        put(share, &too_long, b""),
        put(share, "x", &vec![0; MAX_VALUE + 1]),
    ] {
        let error = secrets
            .commit(vec![put(share, "d", b"1"), change])
            .unwrap_err();
        assert!(matches!(error, CommitError::Rejected { .. }), "{error}");
    }
    assert_eq!(secrets.keys(share).unwrap(), ["a", "c"]);
    assert_eq!(secrets.generation().unwrap(), 3);
}

#[test]
fn another_passphrase_does_not_open_it() {
    let dir = temporary();
    drop(create(dir.path()));
    let error =
        Secrets::open(dir.path(), &passphrase("correct horse battery stable"), &[]).unwrap_err();
    assert!(
        matches!(error, OpenError::WrongPassphrase { .. }),
        "{error}"
    );
}

#[test]
fn the_passphrase_can_be_changed() {
    let dir = temporary();
    let secrets = create(dir.path());
    secrets
        .commit(vec![put(Section::Share, "a", b"1")])
        .unwrap();
    let error = secrets
        .change_passphrase(&passphrase("short"), WORK_FACTOR)
        .unwrap_err();
    assert!(matches!(error, CreateError::ShortPassphrase), "{error}");
    secrets
        .change_passphrase(&passphrase("staple battery horse correct"), WORK_FACTOR)
        .unwrap();
    drop(secrets);
    let error = Secrets::open(dir.path(), &passphrase(WORDS), &[]).unwrap_err();
    assert!(
        matches!(error, OpenError::WrongPassphrase { .. }),
        "{error}"
    );
    let secrets =
        Secrets::open(dir.path(), &passphrase("staple battery horse correct"), &[]).unwrap();
    assert_eq!(get(&secrets, Section::Share, "a").unwrap(), b"1");
}

#[test]
fn a_store_is_made_only_with_sound_choices() {
    let dir = temporary();
    let path = dir.path().join("data");
    let create = |words, recipients: &[String], factor| {
        Secrets::create(&path, &passphrase(words), recipients, factor).unwrap_err()
    };
    assert!(matches!(
        create("fifteen letters", &[], 1),
        CreateError::ShortPassphrase
    ));
    assert!(matches!(create(WORDS, &[], 0), CreateError::WorkFactor(0)));
    assert!(matches!(
        create(WORDS, &[], 21),
        CreateError::WorkFactor(21)
    ));
    assert!(matches!(
        create(WORDS, &["age1nonsense".into()], 1),
        CreateError::Recipient { .. }
    ));
    assert!(!path.exists());
}

#[test]
fn a_store_is_never_made_over_another() {
    let dir = temporary();
    drop(create(dir.path()));
    for kept in [SECRETS_FILE, IDENTITY_FILE] {
        let only = temporary();
        std::fs::copy(dir.path().join(kept), only.path().join(kept)).unwrap();
        let error = Secrets::create(only.path(), &passphrase(WORDS), &[], WORK_FACTOR).unwrap_err();
        assert!(
            matches!(&error, CreateError::Exists { path } if path.ends_with(kept)),
            "{error}"
        );
    }
}

#[test]
fn what_is_missing_is_named() {
    let dir = temporary();
    let missing = |dir: &std::path::Path, name: &str| {
        let error = Secrets::open(dir, &passphrase(WORDS), &[]).unwrap_err();
        assert!(
            matches!(&error, OpenError::Missing { path } if path.ends_with(name)),
            "{error}"
        );
    };
    missing(&dir.path().join("nowhere"), "nowhere");
    missing(dir.path(), IDENTITY_FILE);
    drop(create(dir.path()));
    std::fs::remove_file(dir.path().join(SECRETS_FILE)).unwrap();
    missing(dir.path(), SECRETS_FILE);
}

#[test]
fn one_process_at_a_time() {
    let dir = temporary();
    let secrets = create(dir.path());
    let error = Secrets::open(dir.path(), &passphrase(WORDS), &[]).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    let me = format!("(pid {})", std::process::id());
    assert!(error.to_string().contains(&me), "{error}");
    let error = Secrets::create(dir.path(), &passphrase(WORDS), &[], WORK_FACTOR).unwrap_err();
    assert!(
        matches!(error, CreateError::Locked { .. }) && error.to_string().contains(&me),
        "{error}"
    );
    drop(secrets);
    drop(open(dir.path()));
}

#[test]
fn only_the_owner_can_open_the_files() {
    let parent = temporary();
    let dir = parent.path().join("data");
    let secrets = create(&dir);
    secrets.commit(vec![]).unwrap();
    secrets
        .change_passphrase(&passphrase(WORDS), WORK_FACTOR)
        .unwrap();
    drop(secrets);
    assert_eq!(mode(&dir), 0o700);
    for name in names(&dir) {
        assert_eq!(mode(&dir.join(&name)), 0o600, "{name}");
    }
    for path in [dir.clone(), dir.join(SECRETS_FILE), dir.join(IDENTITY_FILE)] {
        let before = path.metadata().unwrap().permissions();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode(&path) | 0o044)).unwrap();
        let error = Secrets::open(&dir, &passphrase(WORDS), &[]).unwrap_err();
        assert!(
            matches!(&error, OpenError::Exposed { path: p, .. } if *p == path),
            "{error}"
        );
        std::fs::set_permissions(&path, before).unwrap();
    }
    drop(open(&dir));
}

#[test]
fn a_directory_that_others_can_look_into_gets_no_store() {
    let dir = temporary();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let error = Secrets::create(dir.path(), &passphrase(WORDS), &[], WORK_FACTOR).unwrap_err();
    assert!(
        matches!(error, CreateError::Exposed { mode: 0o755, .. }),
        "{error}"
    );
    assert!(names(dir.path()).is_empty());
}

#[test]
fn no_plaintext_and_no_other_file_is_left() {
    let dir = temporary();
    let secrets = create(dir.path());
    let canary = b"canary-of-the-store-0123456789".repeat(3);
    for round in 0..5 {
        secrets
            .commit(vec![put(
                Section::Share,
                &format!("canary-name-{round}"),
                &canary,
            )])
            .unwrap();
    }
    drop(secrets);
    assert_eq!(
        names(dir.path()),
        [IDENTITY_FILE, SECRETS_FILE, "store.lock"]
    );
    for name in names(dir.path()) {
        let bytes = std::fs::read(dir.path().join(&name)).unwrap();
        for needle in [&b"canary"[..], b"AGE-SECRET-KEY", b"redb", WORDS.as_bytes()] {
            assert!(
                !bytes.windows(needle.len()).any(|window| window == needle),
                "{name}"
            );
        }
    }
}

#[test]
fn a_write_that_fails_before_it_takes_effect_changes_nothing() {
    let dir = temporary();
    let secrets = create(dir.path());
    secrets
        .commit(vec![put(Section::Share, "a", b"1")])
        .unwrap();
    // A directory where the temporary file should be: the write fails, even for root.
    let obstacle = dir.path().join(".secrets.redb.age.tmp");
    std::fs::create_dir(&obstacle).unwrap();
    let error = secrets
        .commit(vec![put(Section::Share, "b", b"2")])
        .unwrap_err();
    assert!(matches!(error, CommitError::Io { .. }), "{error}");
    assert_eq!(get(&secrets, Section::Share, "a").unwrap(), b"1");
    assert_eq!(get(&secrets, Section::Share, "b"), None);
    assert_eq!(secrets.generation().unwrap(), 2);
    // The node is told, and this process writes nothing more: after a failed write nobody knows the
    // state of the disk.
    let trouble = secrets
        .trouble()
        .why()
        .expect("the node is told")
        .to_owned();
    assert!(trouble.contains("restart the node"), "{trouble}");
    std::fs::remove_dir(&obstacle).unwrap();
    let ended = secrets
        .commit(vec![put(Section::Share, "c", b"3")])
        .unwrap_err();
    assert!(
        matches!(&ended, CommitError::Ended(why) if *why == trouble),
        "{ended}"
    );
    drop(secrets);
    let secrets = open(dir.path());
    assert_eq!(
        secrets
            .commit(vec![put(Section::Share, "c", b"3")])
            .unwrap(),
        3
    );
    assert_eq!(secrets.keys(Section::Share).unwrap(), ["a", "c"]);
    assert_eq!(secrets.generation().unwrap(), 3);
}

#[test]
fn files_that_were_removed_or_replaced_end_the_store() {
    for name in [SECRETS_FILE, IDENTITY_FILE, "store.lock"] {
        for replaced in [false, true] {
            let dir = temporary();
            let secrets = create(dir.path());
            secrets
                .commit(vec![put(Section::Share, "a", b"1")])
                .unwrap();
            secrets.check().unwrap();
            let path = dir.path().join(name);
            let kept = std::fs::read(&path).unwrap();
            // Another file takes its place first, so that it cannot get the same inode.
            std::fs::write(dir.path().join("other"), kept).unwrap();
            if replaced {
                std::fs::rename(dir.path().join("other"), &path).unwrap()
            } else {
                std::fs::remove_file(&path).unwrap()
            }
            let error = secrets
                .commit(vec![put(Section::Share, "b", b"2")])
                .unwrap_err();
            assert!(matches!(error, CommitError::Moved(_)), "{name}: {error}");
            assert!(error.to_string().contains(name), "{error}");
            assert!(secrets.check().is_err() && secrets.trouble().why().is_some());
            assert_eq!(get(&secrets, Section::Share, "b"), None);
        }
    }
}

#[test]
fn nothing_secret_is_shown() {
    let dir = temporary();
    let shown = format!(
        "{:?} {:?}",
        create(dir.path()),
        put(Section::Share, "name", b"canary")
    );
    assert!(
        !shown.contains("canary") && !shown.contains("AGE") && shown.contains("share/name"),
        "{shown}"
    );
}

#[test]
fn a_renewed_identity_opens_what_is_written_from_then_on_and_the_old_one_does_not() {
    let dir = temporary();
    let secrets = create(dir.path());
    secrets
        .commit(vec![put(Section::Share, "a", b"kept")])
        .unwrap();
    let old = identity(dir.path(), WORDS);
    let secrets = secrets
        .renew_identity(&passphrase(WORDS), WORK_FACTOR)
        .unwrap();
    assert_eq!(get(&secrets, Section::Share, "a").unwrap(), b"kept");
    assert_eq!(secrets.generation().unwrap(), 3);
    secrets
        .commit(vec![put(Section::Share, "b", b"new")])
        .unwrap();
    assert_ne!(secret_text(&identity(dir.path(), WORDS)), secret_text(&old));
    let sealed = std::fs::read(dir.path().join(SECRETS_FILE)).unwrap();
    assert!(
        age::decrypt(&old, &sealed).is_err(),
        "the old identity opens the new file"
    );
    assert!(age::decrypt(&identity(dir.path(), WORDS), &sealed).is_ok());
    drop(secrets);
    let secrets = open(dir.path());
    assert_eq!(get(&secrets, Section::Share, "b").unwrap(), b"new");
    let refused = secrets.renew_identity(&passphrase("another long passphrase"), WORK_FACTOR);
    assert!(matches!(
        refused,
        Err(RenewError::Open(OpenError::WrongPassphrase { .. }))
    ));
    drop(open(dir.path()));
}

/// Between the first and the last step both identities are in the file.
#[test]
fn an_interrupted_renewal_opens_under_the_one_or_the_other() {
    let before = temporary();
    let after = temporary();
    let secrets = create(before.path());
    secrets
        .commit(vec![put(Section::Share, "a", b"kept")])
        .unwrap();
    let copy =
        |from: &Path, to: &Path, name: &str| std::fs::copy(from.join(name), to.join(name)).unwrap();
    for name in [IDENTITY_FILE, SECRETS_FILE] {
        copy(before.path(), after.path(), name);
    }
    let renewed = open(after.path())
        .renew_identity(&passphrase(WORDS), WORK_FACTOR)
        .unwrap();
    drop((renewed, secrets));
    let both: Vec<String> = [before.path(), after.path()]
        .map(|dir| secret_text(&identity(dir, WORDS)))
        .to_vec();
    for dir in [&before, &after] {
        seal_identities(dir.path(), &both, WORDS);
        assert_eq!(
            get(&open(dir.path()), Section::Share, "a").unwrap(),
            b"kept"
        );
        let text = secret_text(&identity(dir.path(), WORDS));
        assert!(both.contains(&text), "one identity is left");
    }
}
