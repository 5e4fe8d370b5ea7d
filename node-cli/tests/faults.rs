//! A node whose disk fails or whose files vanish: it reports this, signs nothing more, and ends
//! with an exit code of its own.

mod node;

use std::path::Path;
use std::time::{Duration, Instant};

use node::{Node, try_get};

/// The exit code that the program's help documents.
const STORE_FAILED: Option<i32> = Some(74);

const UNGUARDED: &str = "policy: {allow_unguarded: true}\n";

/// Makes every further write of the process fail: `EFBIG`, as a full disk causes `ENOSPC`.
fn take_the_disk_away(process: u32) {
    let nothing = libc::rlimit {
        rlim_cur: 0,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: changes a limit of our own child; `nothing` outlives the call.
    let done = unsafe {
        libc::prlimit(
            process as libc::pid_t,
            libc::RLIMIT_FSIZE,
            &nothing,
            std::ptr::null_mut(),
        )
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn a_node_whose_disk_takes_nothing_more_is_not_ready_and_stops() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut node = Node::new(&format!("{UNGUARDED}metrics: {{listen: '{port}'}}\n"));
    node.start();
    take_the_disk_away(node.daemon.as_ref().unwrap().id());
    // A write on which nothing depends.
    let key = "csk1qyqszqgpqyqszqgpqyqszqgpqyvsgkfj";
    let peer = "csn1syuhwr4g05t4744r23nvxnr7en9cmz53knhr0gja7c84hr7fkw2qmlzet2";
    let error = node.fail(&format!("quarantine lift {key} {peer}"));
    assert!(
        error.contains("journal cannot be written") && error.contains("restart the node"),
        "{error}"
    );
    let end = Instant::now() + Duration::from_secs(30);
    let reason = loop {
        match try_get(&port.to_string(), "/ready") {
            Ok(answer) if answer.contains("store:") => break answer,
            answer => assert!(Instant::now() < end, "never said: {answer:?}"),
        }
    };
    assert!(reason.starts_with("HTTP/1.1 503"), "{reason}");
    assert!(
        reason.contains("store: the journal cannot be written"),
        "{reason}"
    );
    assert_eq!(node.ends(), STORE_FAILED);
}

/// Changes the store of a running node in a way that must end it.
fn moved(what: &str, change: impl Fn(&Path)) {
    let mut node = Node::new(UNGUARDED);
    node.start();
    change(&node.path("db"));
    assert_eq!(node.ends(), STORE_FAILED, "{what}: {}", node.log());
    let log = node.log();
    assert!(
        log.contains("ALARM") && log.contains(what) && log.contains("start the node"),
        "{what}: {log}"
    );
}

fn replace(file: &Path) {
    let copy = file.with_extension("copy");
    std::fs::copy(file, &copy).unwrap();
    std::fs::rename(copy, file).unwrap();
}

#[test]
fn a_node_whose_journal_is_removed_stops() {
    moved("journal.redb was removed", |db| {
        std::fs::remove_file(db.join("journal.redb")).unwrap()
    });
}

#[test]
fn a_node_whose_journal_is_replaced_stops() {
    moved("journal.redb was replaced", |db| {
        replace(&db.join("journal.redb"))
    });
}

#[test]
fn a_node_whose_secrets_are_replaced_stops() {
    moved("secrets.redb.age was replaced", |db| {
        replace(&db.join("secrets.redb.age"))
    });
}

#[test]
fn a_node_whose_identity_is_removed_stops() {
    moved("identity.age was removed", |db| {
        std::fs::remove_file(db.join("identity.age")).unwrap()
    });
}

#[test]
fn a_node_whose_folder_is_moved_away_stops() {
    moved("was removed", |db| {
        std::fs::rename(db, db.with_extension("old")).unwrap()
    });
}

/// Descriptors that clients hold are missing where the node stores and signs.
#[test]
fn a_crowd_of_lookers_takes_few_descriptors_and_keeps_nobody_out() {
    const CROWD: usize = 200;
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let mut node = Node::new(&format!("{UNGUARDED}metrics: {{listen: '{port}'}}\n"));
    node.start();
    let process = node.daemon.as_ref().unwrap().id();
    let descriptors = || {
        std::fs::read_dir(format!("/proc/{process}/fd"))
            .unwrap()
            .count()
    };
    let before = descriptors();
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let mut looker = std::net::TcpStream::connect(&port).unwrap();
        // Silent, or in the middle of a request.
        let words = [&b""[..], b"GET /ready HTTP/1.1\r\nhost"][number % 2];
        std::io::Write::write_all(&mut looker, words).unwrap();
        crowd.push(looker);
        if number % 20 == 0 {
            assert!(
                try_get(&port, "/metrics")
                    .unwrap()
                    .starts_with("HTTP/1.1 200")
            );
            node.run("audit verify");
        }
        let taken = descriptors().saturating_sub(before);
        assert!(
            taken <= 40,
            "{taken} descriptors are taken by {number} lookers"
        );
    }
    assert!(try_get(&port, "/live").unwrap().starts_with("HTTP/1.1 200"));
}

/// A full pipe whose other end is open and never read: anyone who writes to it waits for ever.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    use std::os::fd::AsRawFd;
    let (reader, writer) = std::io::pipe().unwrap();
    let set = |flags: libc::c_int| {
        // SAFETY: changes flags of a descriptor of ours.
        assert_eq!(
            unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, flags) },
            0
        );
    };
    set(libc::O_NONBLOCK);
    let filled = std::io::Write::write_all(&mut &writer, &[b'.'; 1 << 22]).unwrap_err();
    assert_eq!(filled.kind(), std::io::ErrorKind::WouldBlock);
    set(0);
    (reader, writer)
}

/// A node with this log destination answers, writes, takes signals and stops as ever.
fn works_with(log: impl FnOnce(&mut std::process::Command)) {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut node = Node::new(&format!("{UNGUARDED}metrics: {{listen: '{port}'}}\n"));
    let mut command = node.command("start");
    command.stdin(std::process::Stdio::null());
    log(&mut command);
    node.daemon = Some(command.spawn().unwrap());
    let end = Instant::now() + Duration::from_secs(60);
    while !try_get(&port.to_string(), "/live")
        .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    {
        assert!(Instant::now() < end, "the node does not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
    let process = node.daemon.as_ref().unwrap().id() as libc::pid_t;
    for _ in 0..20 {
        // SAFETY: sends a signal to our own child.
        assert_eq!(unsafe { libc::kill(process, libc::SIGHUP) }, 0);
        let ready = try_get(&port.to_string(), "/ready").unwrap();
        assert!(
            ready.contains("coordinator: there is no link") && !ready.contains("store"),
            "{ready}"
        );
        node.run("audit verify");
    }
    // SAFETY: sends a signal to our own child.
    assert_eq!(unsafe { libc::kill(process, libc::SIGTERM) }, 0);
    assert_eq!(node.ends(), Some(0));
}

#[test]
fn a_node_whose_log_is_full_works_as_ever() {
    works_with(|command| {
        command.stderr(
            std::fs::File::options()
                .write(true)
                .open("/dev/full")
                .unwrap(),
        );
    });
}

#[test]
fn a_node_whose_log_nobody_reads_works_as_ever() {
    let (_reader, writer) = full_pipe();
    works_with(|command| {
        command.stderr(writer);
    });
}

#[test]
fn a_node_whose_log_is_closed_works_as_ever() {
    works_with(|command| {
        use std::os::unix::process::CommandExt;
        // SAFETY: a single system call that is safe between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::close(2);
                Ok(())
            })
        };
    });
}
