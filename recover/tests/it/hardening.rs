//! The effects of the program's hardening before it holds a private key, seen from outside.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The files of a process that may not be dumped belong to root, so it runs in a group
/// that is not root's.
const OTHER_GROUP: u32 = 65_534;

#[test]
fn no_core_is_written_and_nobody_looks_into_the_memory() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-recover"));
    // It waits for the key on its standard input.
    command
        .args(["derive", "--key-file", "-", "m/0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: a plain system call that always succeeds.
    if unsafe { libc::geteuid() } == 0 {
        command.gid(OTHER_GROUP);
    }
    let mut child = command.spawn().unwrap();
    let seen = || {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        let core = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max core file size"))
            .unwrap();
        let environ = std::fs::metadata(format!("/proc/{}/environ", child.id())).unwrap();
        let core: Vec<_> = core.split_whitespace().map(str::to_owned).collect();
        (core.join(" "), environ.uid(), environ.gid())
    };
    let end = Instant::now() + Duration::from_secs(60);
    let wanted = ("0 0 bytes".to_owned(), 0, 0);
    while seen() != wanted && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let last = seen();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(last, wanted);
}
