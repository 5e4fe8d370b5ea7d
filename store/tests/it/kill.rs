//! Processes that die during a commit. A test starts its own binary again as the child that it
//! kills.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use countersign_store::{Journal, LookUp, OpenError, Secrets, Section, Silent};

use crate::support::*;

/// The environment variable that names the directory to a child.
const CHILD: &str = "COUNTERSIGN_STORE_TEST_CHILD";

fn child_dir() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Runs one test of this binary as a child.
fn spawn(test: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits for the `lines`th acknowledgement, lets the child run on for a moment, and kills it.
/// Returns the last number that it acknowledged.
fn kill_after(mut child: Child, lines: usize, extra: Duration) -> u64 {
    let mut output = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let acknowledged = |line: String| {
        line.strip_prefix("acknowledged ")
            .and_then(|n| n.parse::<u64>().ok())
    };
    let mut last = output.by_ref().filter_map(acknowledged).take(lines).last();
    std::thread::sleep(extra);
    child.kill().unwrap();
    child.wait().unwrap();
    last = output.filter_map(acknowledged).last().or(last);
    last.unwrap_or(0)
}

/// Kills at twenty points: after some commits, and a while into the next.
fn places() -> impl Iterator<Item = (usize, Duration)> {
    (0..20).map(|round| {
        (
            round % 4,
            Duration::from_micros(1_700 * (round as u64 % 11)),
        )
    })
}

#[test]
fn no_acknowledged_commit_of_secrets_is_lost() {
    if let Some(dir) = child_dir() {
        let secrets = open(&dir);
        for number in secrets.generation().unwrap() + 1.. {
            let value = vec![number as u8; 20_000];
            let generation = secrets.commit(vec![
                put(Section::Share, &(number % 8).to_string(), &value),
                put(Section::Aux, "last", &number.to_be_bytes()),
            ]);
            println!("acknowledged {}", generation.unwrap());
        }
    }
    let dir = temporary();
    drop(create(dir.path()));
    let mut highest = 0;
    for (lines, extra) in places() {
        let child = spawn(
            "kill::no_acknowledged_commit_of_secrets_is_lost",
            dir.path(),
        );
        highest = kill_after(child, lines, extra).max(highest);
        let secrets = open(dir.path());
        let generation = secrets.generation().unwrap();
        assert!(
            generation >= highest,
            "{generation} after {highest} was acknowledged"
        );
        if generation > 1 {
            assert_eq!(
                get(&secrets, Section::Aux, "last").unwrap(),
                generation.to_be_bytes()
            );
            let share = get(&secrets, Section::Share, &(generation % 8).to_string()).unwrap();
            assert_eq!(share, vec![generation as u8; 20_000]);
        }
        assert_eq!(names(dir.path()).len(), 3, "{:?}", names(dir.path()));
    }
    assert!(highest > 20, "only {highest} commits were made");
}

/// The same with a large store, which gets additions: each round opens the store, writes it whole,
/// and adds.
#[test]
fn no_acknowledged_addition_is_lost() {
    if let Some(dir) = child_dir() {
        let secrets = open(&dir);
        for number in secrets.generation().unwrap() + 1.. {
            let generation = secrets.commit(vec![put(
                Section::Share,
                &number.to_string(),
                &number.to_be_bytes(),
            )]);
            println!("acknowledged {}", generation.unwrap());
        }
    }
    let dir = temporary();
    let large = (0..8)
        .map(|part| put(Section::Aux, &part.to_string(), &[7; 100_000]))
        .collect();
    create(dir.path()).commit(large).unwrap();
    let mut highest = 0;
    let mut added = 0;
    for (lines, extra) in places() {
        let child = spawn("kill::no_acknowledged_addition_is_lost", dir.path());
        highest = kill_after(child, lines, extra).max(highest);
        added += names(dir.path())
            .iter()
            .filter(|name| name.ends_with(".added.age"))
            .count();
        let secrets = open(dir.path());
        let generation = secrets.generation().unwrap();
        assert!(
            generation >= highest,
            "{generation} after {highest} was acknowledged"
        );
        for number in 3..=generation {
            assert_eq!(
                get(&secrets, Section::Share, &number.to_string()).unwrap(),
                number.to_be_bytes()
            );
        }
        assert!(
            names(dir.path()).iter().all(|name| !name.starts_with('.')),
            "{:?}",
            names(dir.path())
        );
    }
    assert!(added > 20, "only {added} files were added");
}

#[test]
fn another_process_is_kept_out_and_a_dead_one_is_not() {
    if let Some(dir) = child_dir() {
        let _secrets = open(&dir);
        println!("acknowledged 1");
        std::thread::sleep(Duration::from_secs(600));
    }
    let dir = temporary();
    drop(create(dir.path()));
    let mut child = spawn(
        "kill::another_process_is_kept_out_and_a_dead_one_is_not",
        dir.path(),
    );
    let mut output = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    assert!(output.any(|line| line == "acknowledged 1"));
    let error = Secrets::open(dir.path(), &passphrase(WORDS), &[]).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(open(dir.path()));
}

#[test]
fn an_interrupted_creation_leaves_a_whole_store_or_none() {
    if let Some(dir) = child_dir() {
        println!("acknowledged 1");
        let secrets = Secrets::create(&dir, &passphrase(WORDS), &[], WORK_FACTOR);
        println!("acknowledged 2");
        drop(secrets);
        std::process::exit(0);
    }
    let mut whole = 0;
    let mut none = 0;
    for round in 0..24 {
        let parent = temporary();
        let dir = parent.path().join("data");
        let child = spawn(
            "kill::an_interrupted_creation_leaves_a_whole_store_or_none",
            &dir,
        );
        // Every sixth may finish; the others die after 0 to 70 ms.
        let lines = if round % 6 == 5 { 2 } else { 1 };
        let acknowledged = kill_after(child, lines, Duration::from_millis(3 * round));
        match Secrets::open(&dir, &passphrase(WORDS), &[]) {
            Ok(secrets) => {
                whole += 1;
                assert_eq!(secrets.commit(vec![]).unwrap(), 2);
            }
            Err(error) => {
                none += 1;
                assert!(acknowledged < 2, "{error}");
                assert!(matches!(error, OpenError::Missing { .. }), "{error}");
                create(&dir)
                    .commit(vec![put(Section::Share, "a", b"1")])
                    .unwrap();
            }
        }
        assert_eq!(names(&dir).len(), 3, "{:?}", names(&dir));
    }
    assert!(whole > 0, "no creation got through: {none} did not");
}

#[test]
fn every_stage_of_creation_can_be_the_last() {
    let source = temporary();
    drop(create(source.path()));
    let stage = |files: &[(&str, &str)]| {
        let dir = temporary();
        for (from, to) in files {
            std::fs::copy(source.path().join(from), dir.path().join(to)).unwrap();
        }
        dir
    };
    let secrets = "secrets.redb.age";
    let identity = "identity.age";
    let first = ".secrets.redb.age.first";
    let staged = ".identity.age.tmp";
    // Before the identity has its name there is no store, and creation starts over.
    for files in [
        &[(secrets, first)][..],
        &[(secrets, first), (identity, staged)],
    ] {
        let dir = stage(files);
        assert!(Secrets::open(dir.path(), &passphrase(WORDS), &[]).is_err());
        drop(create(dir.path()));
        assert_eq!(names(dir.path()), [identity, secrets, "store.lock"]);
    }
    // After that there is a store: opening completes it, and creating is refused.
    let dir = stage(&[(secrets, first), (identity, identity)]);
    assert!(Secrets::create(dir.path(), &passphrase(WORDS), &[], WORK_FACTOR).is_err());
    drop(open(dir.path()));
    assert_eq!(names(dir.path()), [identity, secrets, "store.lock"]);
}

#[test]
fn no_acknowledged_write_of_the_journal_is_lost() {
    if let Some(dir) = child_dir() {
        let journal = Journal::open(&dir).unwrap();
        for number in journal
            .recent(1)
            .unwrap()
            .first()
            .map_or(0, |row| row.task.0[0])
            + 1..
        {
            journal
                .approve(at(1), decided(number), vec![state("last", Some(&[number]))])
                .unwrap();
            journal.end(at(2), task(number), signed(number)).unwrap();
            println!("acknowledged {number}");
        }
    }
    let dir = temporary();
    drop(Journal::create(dir.path()).unwrap());
    let mut highest = 0;
    for (lines, extra) in places() {
        let child = spawn(
            "kill::no_acknowledged_write_of_the_journal_is_lost",
            dir.path(),
        );
        highest = kill_after(child, lines, extra).max(highest);
        let journal = Journal::open(dir.path()).unwrap();
        for number in 1..=highest as u8 {
            let found = journal
                .look_up(&task(number), &decided(number).hash)
                .unwrap();
            assert!(
                matches!(found, LookUp::Same(_)),
                "task {number} of {highest}: {found:?}"
            );
        }
        journal.verify_audit().unwrap();
        journal.abort_unfinished(at(3), &[]).unwrap();
    }
    assert!(highest > 5, "only {highest} tasks were recorded");
}

#[test]
fn a_renewal_of_the_identity_may_be_killed_at_any_moment() {
    if let Some(dir) = child_dir() {
        let mut secrets = open(&dir);
        for number in 1_u64.. {
            secrets = secrets
                .renew_identity(&passphrase(WORDS), WORK_FACTOR)
                .unwrap();
            println!("acknowledged {number}");
        }
    }
    let dir = temporary();
    create(dir.path())
        .commit(vec![put(Section::Share, "a", b"kept")])
        .unwrap();
    for (lines, extra) in places() {
        let child = spawn(
            "kill::a_renewal_of_the_identity_may_be_killed_at_any_moment",
            dir.path(),
        );
        kill_after(child, lines, extra);
        assert_eq!(
            get(&open(dir.path()), Section::Share, "a").unwrap(),
            b"kept"
        );
    }
}
