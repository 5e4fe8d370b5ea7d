//! Damages every file of a node's folder, or puts something else in its place: the program reports
//! it or works as ever, and ends.
//!
//! Every run flips some bits of each file; `COUNTERSIGN_FLIPS=1000` sets the number per file.

mod node;

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use node::Node;

/// Each file, and a command that reads it. A file that is neither secret nor proven may be damaged
/// into another valid text.
const FILES: [(&str, &str, Proof); 6] = [
    ("db/journal.redb", "audit verify", Proof::Whole),
    ("db/secrets.redb.age", "event key info", Proof::Whole),
    ("db/identity.age", "event key info", Proof::Whole),
    ("db/public.json", "info --json", Proof::Whole),
    ("passphrase", "event key info", Proof::None),
    ("node.yaml", "config check", Proof::None),
];

/// A store in use, with a plugin, a task file and a schedule of keys.
fn node() -> Node {
    let node = Node::new("policy: {allow_unguarded: true}\n");
    node.run("event key create");
    node
}

/// The process was killed after it had written the secrets. What is missing is made.
#[test]
fn a_store_that_was_made_by_halves_is_completed_by_another_init() {
    for lost in [
        &["db/journal.redb", "db/public.json"][..],
        &["db/journal.redb"],
    ] {
        let node = Node::new("policy: {allow_unguarded: true}\n");
        let id = node.run("id");
        for file in lost {
            std::fs::remove_file(node.path(file)).unwrap();
        }
        node.run("init --no-primes");
        assert_eq!(node.run("id"), id, "{lost:?}");
        node.run("audit verify");
        let again = run(&node, "init --no-primes", "a whole store");
        assert_ne!(again.code, Some(0), "it is there already");
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Proof {
    /// Any damage is reported, unless nothing depended on the damaged part.
    Whole,
    /// The file is written by a person, and may contain anything.
    None,
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command that must end whatever it finds.
fn run(node: &Node, line: &str, what: &str) -> Ended {
    let mut command = node.command(line);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut err = child.stderr.take().unwrap();
    let read = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let read_errors = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).map(|_| text)
    });
    let end = Instant::now() + Duration::from_secs(60);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > end => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{line} does not end: {what}");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let stdout = read.join().unwrap().unwrap();
    let stderr = read_errors.join().unwrap().unwrap();
    Ended {
        code: status.code(),
        stdout,
        stderr,
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

#[test]
fn a_flipped_bit_in_any_file_is_named_or_changes_nothing() {
    let count = std::env::var("COUNTERSIGN_FLIPS").map_or(10, |count| count.parse().unwrap());
    let node = node();
    let mut random = StdRng::seed_from_u64(11);
    for (file, line, proof) in FILES {
        let path = node.path(file);
        let whole = run(&node, line, "nothing");
        // `config check` reports a missing coordinator as long as none is configured.
        assert!(matches!(whole.code, Some(0)), "{file}: {}", whole.stderr);
        let bytes = std::fs::read(&path).unwrap();
        let mut named = 0;
        for _ in 0..count {
            let bit = random.gen_range(0..bytes.len() * 8);
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, flipped).unwrap();
            let what = format!("{file}, bit {} of byte {}", bit % 8, bit / 8);
            let ended = run(&node, line, &what);
            assert!(
                matches!(ended.code, Some(0 | 1)),
                "{what}: {:?} {}",
                ended.code,
                ended.stderr
            );
            named += usize::from(ended.code == Some(1));
            let same = ended.stdout == whole.stdout;
            let said = ended.stderr.contains(file_name(file));
            match (proof, ended.code) {
                (Proof::Whole, Some(0)) => {
                    assert!(same, "{what} changes the answer: {}", ended.stdout)
                }
                (Proof::Whole, _) => assert!(said, "{what} is not named: {}", ended.stderr),
                (Proof::None, _) => {}
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        println!("{count} bits flipped in {file}: {named} named by `{line}`, the others harmless");
    }
}

/// Nobody writes to the other end of the pipe.
#[test]
fn a_pipe_or_a_folder_in_the_place_of_any_file_is_refused_and_not_waited_for() {
    let node = node();
    for (file, line, _) in
        FILES
            .into_iter()
            .chain([("db/store.lock", "event key info", Proof::Whole)])
    {
        let path = node.path(file);
        let kept = node.path("kept");
        std::fs::rename(&path, &kept).unwrap();
        assert!(
            Command::new("mkfifo")
                .args(["-m", "600"])
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let ended = run(&node, line, file);
        assert_eq!(ended.code, Some(1), "{file}: {}", ended.stderr);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let ended = run(&node, line, file);
        assert_eq!(ended.code, Some(1), "{file}: {}", ended.stderr);
        std::fs::remove_dir(&path).unwrap();
        std::fs::rename(&kept, &path).unwrap();
        assert_eq!(run(&node, line, file).code, Some(0));
    }
}

/// Results that cannot be printed are a failure and never a panic; messages for people may be lost.
#[test]
fn an_output_that_takes_nothing_does_not_panic() {
    let node = node();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    std::fs::write(node.path("new"), "another passphrase for tests").unwrap();
    node.chmod("new", 0o600);
    for line in [
        "info",
        "info --json",
        "audit verify",
        "audit show",
        "config check",
        "event key info",
        "version",
        "plugin list",
    ] {
        let status = node
            .command(line)
            .stdin(Stdio::null())
            .stdout(full())
            .stderr(full())
            .status()
            .unwrap();
        assert!(matches!(status.code(), Some(0 | 1)), "{line}: {status}");
    }
    let status = node
        .command("change-password --new-key-file new")
        .stdout(full())
        .stderr(full())
        .status()
        .unwrap();
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
    std::fs::rename::<PathBuf, PathBuf>(node.path("new"), node.path("passphrase")).unwrap();
    node.run("event key info");
}
