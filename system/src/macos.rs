//! The same for macOS, as far as it goes: what it lacks is listed by [`missing`]. Type-checked by
//! `just cross`, and never run by our tests.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

const MISSING: &[&str] = &[
    "the process that compiles plugins is not confined: it could open files and reach the network",
    "limits on the memory of child processes are not enforced",
    "access control lists are not seen: they may let others write files that decide",
    "the process that makes auxiliary information may outlive a killed node for a moment",
    "child processes are started from the program's file, so restart after each update",
    "background work is not lowered in priority",
];

/// Flags to inspect a name, links included. Folders on the way must be readable, and whatever is
/// there is opened: unlike Linux, this system cannot look without opening.
pub const LOOK: OFlags = OFlags::SYMLINK
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Protections that this system lacks, a sentence each.
pub fn missing() -> &'static [&'static str] {
    MISSING
}

/// Nothing confines a process here. Returns the protections that are missing, for the log.
pub fn confine() -> io::Result<Vec<&'static str>> {
    Ok(vec!["confinement of processes"])
}

/// The place where a link leads that was opened with [`LOOK`].
pub fn link_target(link: &File) -> io::Result<PathBuf> {
    let mut target = vec![0_u8; libc::PATH_MAX as usize];
    // SAFETY: the call writes at most `target.len()` bytes to `target`, which outlives it.
    let length =
        unsafe { libc::freadlink(link.as_raw_fd(), target.as_mut_ptr().cast(), target.len()) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    if length == target.len() {
        // It may have been cut off.
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    target.truncate(length);
    Ok(OsString::from_vec(target).into())
}

/// The file of the running program. An update replaces it, and this system has no name for the old
/// one. Empty if it is not known: nothing can be started from that.
pub fn this_program() -> PathBuf {
    match std::env::current_exe() {
        Ok(program) => program,
        Err(_) => PathBuf::new(),
    }
}

/// The holder of a lock is not visible here.
pub fn lock_holder(_: &Path) -> Option<u32> {
    None
}

/// `nice` applies to whole processes here, so nothing is lowered: signatures would wait, too.
pub fn lower_priority(_: i32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Processes do not end with their parents here. Ours end when their pipe does.
pub fn end_with_parent() -> io::Result<()> {
    Ok(())
}

/// Refuses debuggers. Other programs of the same user get no right to the memory without one.
pub(crate) fn hide_memory() -> io::Result<()> {
    // SAFETY: this request uses neither of the two pointers.
    match unsafe { libc::ptrace(libc::PT_DENY_ATTACH, 0, std::ptr::null_mut(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Every program reserves more addresses here than a useful limit allows.
pub(crate) fn limit_addresses(_: u64) -> io::Result<()> {
    Ok(())
}
