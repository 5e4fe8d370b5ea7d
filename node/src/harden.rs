//! Priorities, users, signals and resource limits of a node and its child processes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Lowers this thread's priority, for work that nobody waits for.
pub fn lower_priority() {
    set_priority(15);
}

/// Lowers the priority of this thread and of the threads it starts, for work that somebody waits
/// for but that must not delay a signature.
pub fn lower_priority_of_engine() {
    set_priority(5);
}

fn set_priority(nice: libc::c_int) {
    // SAFETY: plain system calls. On Linux a thread id names one thread, and
    // `nice` applies to threads.
    let result = unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, thread, nice)
    };
    if result != 0 {
        tracing::warn!(error = %std::io::Error::last_os_error(), "background work runs at normal priority");
    }
}

/// Turns a write beyond the file size limit into an error instead of a silent end of the process.
pub fn outlive_file_limits() {
    // SAFETY: sets a signal's action to "ignore".
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Ignores hang-ups until they are listened for: while a node starts, somebody may ask it to reload
/// its files, or close its terminal.
pub fn outlive_hangups() {
    // SAFETY: sets a signal's action to "ignore".
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
}

/// Gives up root for good: this process becomes the owner of the folder, in its group and in no
/// other. Does nothing for anybody but root, and for a folder of root's or one that is not there.
/// Call this before any thread is started.
pub fn become_owner_of(folder: &Path) -> std::io::Result<()> {
    // SAFETY: a plain system call.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(());
    }
    let (user, group) = match std::fs::metadata(folder) {
        Ok(folder) => (folder.uid(), folder.gid()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if user == 0 {
        return Ok(());
    }
    // SAFETY: plain system calls; the pointer is to one group.
    let gave_up = unsafe {
        libc::setgroups(1, &group) == 0
            && libc::setresgid(group, group, group) == 0
            && libc::setresuid(user, user, user) == 0
    };
    if gave_up {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Limits of a child process. They are permanent: hard limits cannot be raised again.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Virtual address space in bytes.
    pub address_space: u64,
    /// Writable private memory in bytes.
    pub data: u64,
    /// Number of open file descriptors.
    pub files: u64,
}

/// Sets the limits of a child process that a node has started, takes away every right to write
/// a file, and has the process killed when the thread that started it ends. Call this before
/// any thread is started.
pub fn limit_process(limits: &Limits) -> std::io::Result<()> {
    limit(libc::RLIMIT_AS, limits.address_space)?;
    limit(libc::RLIMIT_DATA, limits.data)?;
    limit(libc::RLIMIT_NOFILE, limits.files)?;
    limit(libc::RLIMIT_FSIZE, 0)?;
    limit(libc::RLIMIT_CORE, 0)?;
    // SAFETY: a plain system call without pointers.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Limits the processor time of this process, in seconds.
pub fn limit_cpu(seconds: u64) -> std::io::Result<()> {
    limit(libc::RLIMIT_CPU, seconds)
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) -> std::io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: `limit` outlives the call.
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
