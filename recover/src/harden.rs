//! Hardening at the start of the process: no core files, no foreign access to its memory,
//! no wide file modes.

/// Turns off core dumps and `ptrace` by others, and makes new files private. Call before
/// anything else in `main`.
pub fn harden_process() -> std::io::Result<()> {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: plain system calls without pointers into our memory, except `none`, which outlives
    // its call.
    let results = unsafe {
        libc::umask(0o077);
        [
            libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0),
            libc::setrlimit(libc::RLIMIT_CORE, &none),
        ]
    };
    if results == [0, 0] {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}
