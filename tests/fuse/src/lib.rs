//! Loaded into a process before libc (`LD_PRELOAD`), it ends that process at a chosen moment of its
//! writing: before or after the n-th `fsync` or `fdatasync`. The product has no hook for it and
//! does not know.
//!
//! `COUNTERSIGN_FUSE` names a file. Each byte in it is a moment that passes; the moment after the
//! last one removes the file and kills. Without the file all is as ever.

use std::ffi::{OsString, c_int};
use std::fs::{self, OpenOptions};
use std::sync::{Mutex, PoisonError};

/// One moment after the other, whichever threads write.
static BURNING: Mutex<()> = Mutex::new(());

/// In the place of libc's: `fd` is flushed with its metadata.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(fd: c_int) -> c_int {
    between_moments(libc::SYS_fsync, fd)
}

/// In the place of libc's: `fd` is flushed with what is needed to read it.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(fd: c_int) -> c_int {
    between_moments(libc::SYS_fdatasync, fd)
}

fn between_moments(call: libc::c_long, fd: c_int) -> c_int {
    burn();
    // SAFETY: one of two system calls that take a file descriptor and touch no memory of this
    // process.
    let result = unsafe { libc::syscall(call, fd) } as c_int;
    // A failed call must leave `errno` alone.
    if result == 0 {
        burn();
    }
    result
}

fn burn() {
    let Some(fuse) = std::env::var_os("COUNTERSIGN_FUSE") else {
        return;
    };
    let _one = BURNING.lock().unwrap_or_else(PoisonError::into_inner);
    match fs::metadata(&fuse).map(|known| known.len()) {
        Ok(0) => die(fuse),
        Ok(left) => drop(
            OpenOptions::new()
                .write(true)
                .open(&fuse)
                .and_then(|file| file.set_len(left - 1)),
        ),
        Err(_) => {}
    }
}

fn die(fuse: OsString) {
    drop(fs::remove_file(fuse));
    // SAFETY: ends this process; nothing of it is touched afterwards.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}
