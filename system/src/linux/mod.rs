//! What Linux offers.

mod confine;
mod locks;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{OFlags, readlinkat};
use rustix::process::Resource;

use crate::process::limit;
pub use confine::confine;
pub use locks::lock_holder;

/// Flags to inspect a name without opening its object, links included. Folders on the way need not
/// be readable.
pub const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Protections that this system lacks, a sentence each.
pub fn missing() -> &'static [&'static str] {
    &[]
}

/// The place where a link leads that was opened with [`LOOK`].
pub fn link_target(link: &File) -> io::Result<PathBuf> {
    let target = readlinkat(link, "", Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}

/// The running program, even after an update has replaced its file.
pub fn this_program() -> PathBuf {
    "/proc/self/exe".into()
}

/// Lowers the priority of this thread and of the threads it starts. `nice`: 0 to 19.
pub fn lower_priority(nice: i32) -> io::Result<()> {
    // SAFETY: plain system calls. A thread id names one thread, and `nice` applies to threads.
    let result = unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, thread, nice)
    };
    done(result)
}

/// Has this process killed when the thread ends that started it.
pub fn end_with_parent() -> io::Result<()> {
    // SAFETY: a plain system call without pointers.
    done(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })
}

/// Keeps the memory from other processes of the same user, and from core files.
pub(crate) fn hide_memory() -> io::Result<()> {
    // SAFETY: a plain system call without pointers.
    done(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
}

pub(crate) fn limit_addresses(most: u64) -> io::Result<()> {
    limit(Resource::As, most)
}

fn done(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
