//! A program whose standard error is closed, full, or a pipe that nobody reads: it prints its
//! output, and goes on. The program is this test binary, run again.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use countersign_stdio::{eprintln, log_lines, report_panics};

/// Set in the environment of the spawned program.
const PROGRAM: &str = "COUNTERSIGN_STDIO_TEST";
/// Printed on standard output once the log is written.
const LOGGED: &str = "the log is written";
/// The exit code of a complete run.
const DONE: i32 = 7;

/// Logs, prints, loses a thread by a panic, and ends.
#[test]
fn program() {
    if std::env::var_os(PROGRAM).is_none() {
        return;
    }
    report_panics();
    let (mut lines, rest) = log_lines();
    for _ in 0..20_000 {
        lines
            .write_all(b"a line that is dropped if nobody reads\n")
            .unwrap();
    }
    std::println!("{LOGGED}");
    let part = std::thread::spawn(|| panic!("on purpose"));
    assert!(part.join().is_err());
    eprintln!("the last words");
    drop(rest);
    std::process::exit(DONE);
}

fn start(change: impl FnOnce(&mut Command) -> &mut Command) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "program", "--nocapture"])
        .env(PROGRAM, "1")
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::null());
    change(&mut command).spawn().unwrap()
}

fn ends(change: impl FnOnce(&mut Command) -> &mut Command) -> Option<i32> {
    let mut program = start(change);
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = program.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > end {
            program.kill().unwrap();
            program.wait().unwrap();
            panic!("it waits for a reader");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A full pipe whose other end is open and never read.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    let blocking = |on: bool| {
        let mut flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        flags.set(rustix::fs::OFlags::NONBLOCK, !on);
        rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    };
    blocking(false);
    let filled = (&writer).write_all(&[b'.'; 1 << 22]).unwrap_err();
    assert_eq!(filled.kind(), ErrorKind::WouldBlock);
    blocking(true);
    (reader, writer)
}

#[test]
fn nobody_reads() {
    let (_reader, writer) = full_pipe();
    assert_eq!(ends(|command| command.stderr(writer)), Some(DONE));
}

#[test]
fn nothing_fits() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(ends(|command| command.stderr(full)), Some(DONE));
}

#[test]
fn it_is_closed() {
    let close = || {
        // SAFETY: closes a descriptor of the child that nobody else has, between fork and exec.
        drop(unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(2) });
        Ok(())
    };
    // SAFETY: the closure makes one system call.
    assert_eq!(
        ends(|command| unsafe { command.pre_exec(close) }),
        Some(DONE)
    );
}

/// Checks the program's output after its end: lines of the log may be missing, messages may not.
fn is_all(said: &str) {
    let at = |words| {
        said.find(words)
            .unwrap_or_else(|| panic!("never said: {words}"))
    };
    assert!(at("a line that") < at("on purpose") && at("on purpose") < at("the last words"));
}

#[test]
fn whoever_reads_hears_everything_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    assert_eq!(
        ends(|command| command.stderr(File::create(&file).unwrap())),
        Some(DONE)
    );
    is_all(&std::fs::read_to_string(file).unwrap());
}

/// By the time somebody reads, the log has left no room for messages.
#[test]
fn whoever_reads_late_hears_the_words() {
    let (mut reader, writer) = pipe().unwrap();
    let mut program = start(|command| command.stderr(writer).stdout(Stdio::piped()));
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(LOGGED)));
    std::thread::sleep(Duration::from_millis(300));
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(program.wait().unwrap().code(), Some(DONE));
    is_all(&said);
}
