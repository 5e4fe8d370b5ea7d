//! Loaded into a process before libc (`LD_PRELOAD`), it ends that process at a chosen moment of its
//! writing: before or after the n-th `fsync` or `fdatasync`. The product has no hook for it.
//!
//! `COUNTERSIGN_FAILPOINT` names a file. Each byte in it is a moment that passes; the moment after
//! the last one removes the file and kills. Without the file nothing changes.

use std::ffi::{OsString, c_int};
use std::fs::{self, OpenOptions};
use std::sync::{Mutex, PoisonError};

/// Serializes the moments, whichever threads write.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Replaces libc's: flushes `fd` with its metadata.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(fd: c_int) -> c_int {
    between_moments(libc::SYS_fsync, fd)
}

/// Replaces libc's: flushes `fd` with the metadata needed to read it.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(fd: c_int) -> c_int {
    between_moments(libc::SYS_fdatasync, fd)
}

fn between_moments(call: libc::c_long, fd: c_int) -> c_int {
    reach();
    // SAFETY: one of two system calls that take a file descriptor and touch no memory of this
    // process.
    let result = unsafe { libc::syscall(call, fd) } as c_int;
    // A failed call must leave `errno` alone.
    if result == 0 {
        reach();
    }
    result
}

fn reach() {
    let Some(failpoint) = std::env::var_os("COUNTERSIGN_FAILPOINT") else {
        return;
    };
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    match fs::metadata(&failpoint).map(|known| known.len()) {
        Ok(0) => die(failpoint),
        Ok(left) => drop(
            OpenOptions::new()
                .write(true)
                .open(&failpoint)
                .and_then(|file| file.set_len(left - 1)),
        ),
        Err(_) => {}
    }
}

fn die(failpoint: OsString) {
    drop(fs::remove_file(failpoint));
    // SAFETY: ends this process; nothing of it is touched afterwards.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}
