//! What the process does first: no core files, no foreign eyes on its memory, no wide file modes.

/// Turns off core dumps and `ptrace` by others, and makes new files private. Call before anything else in `main`.
pub fn harden_process() -> std::io::Result<()> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain system calls without pointers into our memory, except `none`, which outlives its call.
    let results = unsafe {
        libc::umask(0o077);
        [libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0), libc::setrlimit(libc::RLIMIT_CORE, &none)]
    };
    if results == [0, 0] { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Lowers the priority of this thread, for work that must never delay a signature.
pub fn lower_priority() {
    // SAFETY: plain system calls. On Linux a thread id names one thread, and `nice` applies to threads.
    let result = unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, thread, 15)
    };
    if result != 0 {
        tracing::warn!(error = %std::io::Error::last_os_error(), "background work runs at normal priority");
    }
}

/// Ends the process in silence when its output is closed, as `head` does to what it reads from. For commands that only
/// print; a daemon must not die of it.
pub fn end_on_closed_output() {
    // SAFETY: sets a signal's action to the default, before any thread is started.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
