//! Process hardening: no core dumps, no access to memory by others, private file modes.

/// Disables core dumps and `ptrace` by others, and makes new files private. Call this before
/// anything else in `main`.
pub fn harden_process() -> std::io::Result<()> {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: plain system calls. The only pointer passed is to `none`, which outlives its call.
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

/// Lets the process end silently when its output is closed, as by `head`. For commands that only
/// print; a daemon must not die of it.
pub fn end_on_closed_output() {
    // SAFETY: sets a signal's action to the default, before any thread is started.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
