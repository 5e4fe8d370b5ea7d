//! The hardening that the program applies to itself before anything else, observed from outside
//! in a real process.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const OTHER_GROUP: u32 = 65_534;

/// A process of the program that waits for input, and sets no limits of its own
/// before it receives any.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The files of a process that may not be dumped belong to root and its group, so the process runs
/// in a different group.
fn waiting() -> Waiting {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-node"));
    command
        .arg("plugin-compiler")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    // SAFETY: a plain system call that always succeeds.
    if unsafe { libc::geteuid() } == 0 {
        command.gid(OTHER_GROUP);
    }
    Waiting(command.spawn().unwrap())
}

/// Returns the value of a line in a file below `/proc`.
fn value(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name}: {text}"))
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn no_core_is_written_no_file_is_for_others_and_nobody_looks_into_the_memory() {
    let child = waiting();
    let of = |name: &str| format!("/proc/{}/{name}", child.0.id());
    let seen = || {
        let core = value(
            &fs::read_to_string(of("limits")).unwrap(),
            "Max core file size",
        );
        let umask = value(&fs::read_to_string(of("status")).unwrap(), "Umask:");
        let owner = fs::metadata(of("environ"))
            .map(|file| (file.uid(), file.gid()))
            .unwrap();
        (core, umask, owner)
    };
    // The process takes a moment to reach its own code.
    let end = Instant::now() + Duration::from_secs(60);
    let wanted = ("0 0 bytes".to_owned(), "0077".to_owned(), (0, 0));
    while seen() != wanted {
        assert!(Instant::now() < end, "{:?}, not {wanted:?}", seen());
        std::thread::sleep(Duration::from_millis(5));
    }
}
