//! A node under which the disk fails or files vanish: it says so, signs nothing more, and ends with a code of its own.

mod node;

use node::{Node, try_get};
use std::path::Path;
use std::time::{Duration, Instant};

/// What the program's help says of its exit codes.
const STORE_FAILED: Option<i32> = Some(74);

const UNGUARDED: &str = "policy: {allow_unguarded: true}\n";

/// From now on the process writes nothing into any file: `EFBIG`, as a disk that is full gives `ENOSPC`.
fn take_the_disk_away(process: u32) {
    let nothing = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: changes a limit of a child of ours; `nothing` outlives the call.
    let done =
        unsafe { libc::prlimit(process as libc::pid_t, libc::RLIMIT_FSIZE, &nothing, std::ptr::null_mut()) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn a_node_whose_disk_takes_nothing_more_is_not_ready_and_stops() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut node = Node::new(&format!("{UNGUARDED}metrics: {{listen: '{port}'}}\n"));
    node.start();
    take_the_disk_away(node.daemon.as_ref().unwrap().id());
    // A write, and of which nothing depends.
    let key = "csk1qyqszqgpqyqszqgpqyqszqgpqyvsgkfj";
    let peer = "csn1syuhwr4g05t4744r23nvxnr7en9cmz53knhr0gja7c84hr7fkw2qmlzet2";
    let error = node.fail(&format!("quarantine lift {key} {peer}"));
    assert!(error.contains("journal cannot be written") && error.contains("restart the node"), "{error}");
    let end = Instant::now() + Duration::from_secs(30);
    let reason = loop {
        match try_get(&port.to_string(), "/ready") {
            Ok(answer) if answer.contains("store:") => break answer,
            answer => assert!(Instant::now() < end, "never said: {answer:?}"),
        }
    };
    assert!(reason.starts_with("HTTP/1.1 503"), "{reason}");
    assert!(reason.contains("store: the journal cannot be written"), "{reason}");
    assert_eq!(node.ends(), STORE_FAILED);
}

/// Does something to the store of a node that runs, which must end it.
fn moved(what: &str, change: impl Fn(&Path)) {
    let mut node = Node::new(UNGUARDED);
    node.start();
    change(&node.path("db"));
    assert_eq!(node.ends(), STORE_FAILED, "{what}: {}", node.log());
    let log = node.log();
    assert!(log.contains("ALARM") && log.contains(what) && log.contains("start the node"), "{what}: {log}");
}

fn replace(file: &Path) {
    let copy = file.with_extension("copy");
    std::fs::copy(file, &copy).unwrap();
    std::fs::rename(copy, file).unwrap();
}

#[test]
fn a_node_whose_journal_is_removed_stops() {
    moved("journal.redb was removed", |db| std::fs::remove_file(db.join("journal.redb")).unwrap());
}

#[test]
fn a_node_whose_journal_is_replaced_stops() {
    moved("journal.redb was replaced", |db| replace(&db.join("journal.redb")));
}

#[test]
fn a_node_whose_secrets_are_replaced_stops() {
    moved("secrets.redb.age was replaced", |db| replace(&db.join("secrets.redb.age")));
}

#[test]
fn a_node_whose_identity_is_removed_stops() {
    moved("identity.age was removed", |db| std::fs::remove_file(db.join("identity.age")).unwrap());
}

#[test]
fn a_node_whose_folder_is_moved_away_stops() {
    moved("was removed", |db| std::fs::rename(db, db.with_extension("old")).unwrap());
}
