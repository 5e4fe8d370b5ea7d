//! Shuts the compiling process in: it keeps its pipes, its memory and its threads, and
//! nothing else. Inherited descriptors are closed. Landlock takes away files, TCP, and processes
//! outside; seccomp takes away every system call that computing does without. Neither can be
//! undone.
//!
//! A call that is not on the list fails and the process goes on: a standard library of a later
//! version may try things that it can do without.

use std::collections::BTreeMap;
use std::io;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

/// Each protection, with its name.
const PROTECTIONS: &[(&str, Protection)] =
    &[("Landlock", confine_files), ("seccomp", confine_calls)];

/// The newest interface of Landlock that this program knows. Older kernels enforce what they know.
const LANDLOCK: ABI = ABI::V6;

/// Calls that computing needs, whatever their arguments. `clone3` is here because it is answered
/// before.
const ALLOWED: [libc::c_long; 29] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
];

/// Puts a protection in force. Returns false if the kernel has no such thing.
type Protection = fn() -> io::Result<bool>;

/// Gives up everything but the pipes, the memory and the threads. Returns the protections that the
/// kernel lacks; fails if it has one that did not take effect, such as where a container forbids
/// the calls for it. Call it while the process has one thread: Landlock confines the calling one
/// and those that it starts.
pub fn confine() -> io::Result<Vec<&'static str>> {
    let closed = ("close_range", keep_pipes()?);
    let protections = [closed].into_iter().chain(protect()?);
    let missing = protections.filter(|(_, enforced)| !enforced);
    Ok(missing.map(|(name, _)| name).collect())
}

/// Returns each protection with whether the kernel has it.
fn protect() -> io::Result<Vec<(&'static str, bool)>> {
    let confined = PROTECTIONS.iter().map(|&(name, put_in_force)| {
        let enforced = put_in_force().map_err(|error| {
            let advice = format!(
                "the process cannot be confined by {name} ({error}); let the service or container of the node make the calls `landlock_*` and `seccomp`"
            );
            io::Error::new(error.kind(), advice)
        })?;
        Ok((name, enforced))
    });
    confined.collect()
}

/// Closes all descriptors but the three pipes: a process can inherit more than its parent knows.
/// Call it before anything is opened. False if the kernel cannot (before Linux 5.9).
fn keep_pipes() -> io::Result<bool> {
    // SAFETY: nothing in this process owns a descriptor above the pipes yet.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    match closed {
        0 => Ok(true),
        _ => absent(io::Error::last_os_error(), &[libc::ENOSYS]),
    }
}

/// Takes away every file and folder, TCP, and signals and sockets of processes outside. False if
/// the kernel has no Landlock, or was started without it.
fn confine_files() -> io::Result<bool> {
    // The library takes every failure for a kernel without Landlock.
    const ASKS_FOR_VERSION: libc::c_uint = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: this call reads and writes no memory.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            nothing,
            0_usize,
            ASKS_FOR_VERSION,
        )
    };
    if version < 0 {
        let lacking = [libc::ENOSYS, libc::EOPNOTSUPP];
        return absent(io::Error::last_os_error(), &lacking);
    }
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(LANDLOCK)))
        .and_then(|rules| rules.scope(Scope::from_all(LANDLOCK)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(io::Error::other)?;
    match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(true),
        RulesetStatus::NotEnforced => Err(io::Error::other("it was not enforced")),
    }
}

/// Takes away every system call that is not listed here. False if the kernel has no seccomp.
fn confine_calls() -> io::Result<bool> {
    match apply_filter_all_threads(&old_clone()?) {
        Ok(()) => {}
        Err(seccompiler::Error::Seccomp(error)) => return absent(error, &[libc::ENOSYS]),
        Err(error) => return Err(io::Error::other(error)),
    }
    apply_filter_all_threads(&computing()?).map_err(io::Error::other)?;
    Ok(true)
}

/// False if the error says that the kernel was built without the call. Any other is returned.
fn absent(error: io::Error, lacking: &[i32]) -> io::Result<bool> {
    match error.raw_os_error() {
        Some(code) if lacking.contains(&code) => Ok(false),
        _ => Err(error),
    }
}

/// Answers `clone3` as an old kernel does, so that the C library uses `clone`, which shows its
/// flags to a filter.
fn old_clone() -> io::Result<BpfProgram> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    program(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
    )
}

fn computing() -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<_, _> = ALLOWED.map(|call| (call, Vec::new())).into();
    let not_executable = without(2, libc::PROT_EXEC as u64)?;
    rules.insert(libc::SYS_mmap, vec![rule(vec![not_executable.clone()])?]);
    rules.insert(libc::SYS_mprotect, vec![rule(vec![not_executable])?]);
    // A thread of this process, and no other process.
    rules.insert(
        libc::SYS_clone,
        vec![rule(vec![with(0, libc::CLONE_THREAD as u64)?])?],
    );
    rules.insert(
        libc::SYS_prctl,
        vec![rule(vec![equal(0, libc::PR_SET_NAME as u64)?])?],
    );
    // Its own limits, to be read.
    rules.insert(
        libc::SYS_prlimit64,
        vec![rule(vec![equal(0, 0)?, equal(2, 0)?])?],
    );
    // The end by `abort`.
    rules.insert(
        libc::SYS_tgkill,
        vec![rule(vec![equal(0, u64::from(std::process::id()))?])?],
    );
    program(
        rules,
        SeccompAction::Errno(libc::EPERM as u32),
        SeccompAction::Allow,
    )
}

fn program(
    rules: BTreeMap<libc::c_long, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> io::Result<BpfProgram> {
    let processor = std::env::consts::ARCH
        .try_into()
        .map_err(io::Error::other)?;
    let filter =
        SeccompFilter::new(rules, otherwise, listed, processor).map_err(io::Error::other)?;
    filter.try_into().map_err(io::Error::other)
}

fn rule(conditions: Vec<SeccompCondition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}

/// The argument has this value.
fn equal(argument: u8, value: u64) -> io::Result<SeccompCondition> {
    condition(argument, SeccompCmpOp::Eq, value)
}

/// The argument has these bits.
fn with(argument: u8, bits: u64) -> io::Result<SeccompCondition> {
    condition(argument, SeccompCmpOp::MaskedEq(bits), bits)
}

/// The argument has none of these bits.
fn without(argument: u8, bits: u64) -> io::Result<SeccompCondition> {
    condition(argument, SeccompCmpOp::MaskedEq(bits), 0)
}

fn condition(argument: u8, compared: SeccompCmpOp, value: u64) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, compared, value)
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::IntoRawFd;
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    use super::*;

    /// Says in a process of its own which protection is tried there.
    const PROBE: &str = "COUNTERSIGN_CONFINE_PROBE";

    /// Runs the test `probe` in a process that `protection` confines.
    fn in_a_process_of_its_own(protection: &str) {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kernel::confine::tests::probe", "--nocapture"])
            .env(PROBE, protection)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned()
            + &String::from_utf8_lossy(&done.stderr);
        assert!(
            done.status.success() && said.contains("1 passed"),
            "{protection}: {said}"
        );
    }

    #[test]
    fn no_file_is_opened_and_no_server_reached_by_landlock_alone() {
        in_a_process_of_its_own("landlock");
    }

    #[test]
    fn no_file_socket_or_process_is_opened_by_seccomp_alone() {
        in_a_process_of_its_own("seccomp");
    }

    #[test]
    fn both_together_leave_threads_and_memory() {
        in_a_process_of_its_own("both");
    }

    /// A container may forbid the calls; that is not a kernel without them.
    #[test]
    fn a_protection_that_is_forbidden_is_not_taken_for_one_that_the_kernel_lacks() {
        in_a_process_of_its_own("forbidden");
    }

    #[test]
    fn a_protection_that_the_kernel_lacks_is_told() {
        in_a_process_of_its_own("lacking");
    }

    #[test]
    fn what_was_inherited_is_closed_and_nothing_is_missing() {
        in_a_process_of_its_own("whole");
    }

    /// Lets these calls fail with this error from here on.
    fn deny(calls: &[libc::c_long], error: i32) {
        let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
        let denied = SeccompAction::Errno(error as u32);
        let filter = program(rules, SeccompAction::Allow, denied).unwrap();
        apply_filter_all_threads(&filter).unwrap();
    }

    fn forbidden() {
        deny(&[libc::SYS_landlock_restrict_self], libc::EPERM);
        confine_files().expect_err("the rules cannot be put in force");
        deny(&[libc::SYS_landlock_create_ruleset], libc::EPERM);
        confine_files().expect_err("it cannot be asked for");
        let advice = protect().unwrap_err().to_string();
        assert!(advice.contains("by Landlock") && advice.ends_with("`landlock_*` and `seccomp`"));
        deny(&[libc::SYS_close_range], libc::EPERM);
        keep_pipes().expect_err("they cannot be closed");
        // The last filter that can be set.
        deny(&[libc::SYS_seccomp], libc::EINVAL);
        confine_calls().expect_err("filters cannot be set");
    }

    fn lacking() {
        deny(&[libc::SYS_landlock_create_ruleset], libc::EOPNOTSUPP);
        assert!(!confine_files().unwrap(), "it was not started");
        deny(&[libc::SYS_close_range], libc::ENOSYS);
        assert!(!keep_pipes().unwrap());
        deny(&[libc::SYS_seccomp], libc::ENOSYS);
        assert_eq!(
            protect().unwrap(),
            [("Landlock", false), ("seccomp", false)]
        );
    }

    fn whole() {
        let inherited = File::open("/etc/passwd").unwrap().into_raw_fd();
        let missing = confine().unwrap();
        assert!(missing.is_empty(), "the kernel lacks {missing:?}");
        let mut byte = 0_u8;
        // SAFETY: a plain system call; the pointer is to one byte.
        let read = unsafe { libc::read(inherited, (&raw mut byte).cast(), 1) };
        let error = io::Error::last_os_error().raw_os_error();
        assert_eq!((read, error), (-1, Some(libc::EBADF)));
    }

    /// Empty without the variable, which the tests above set.
    #[test]
    fn probe() {
        let Ok(protection) = std::env::var(PROBE) else {
            return;
        };
        match protection.as_str() {
            "forbidden" => return forbidden(),
            "lacking" => return lacking(),
            "whole" => return whole(),
            _ => {}
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        drop(TcpStream::connect(server).unwrap());
        drop(File::open("/etc/passwd").unwrap());
        match protection.as_str() {
            "landlock" => assert!(confine_files().unwrap(), "the kernel has no Landlock"),
            "seccomp" => assert!(confine_calls().unwrap(), "the kernel has no seccomp"),
            "both" => assert_eq!(protect().unwrap(), [("Landlock", true), ("seccomp", true)]),
            other => panic!("{other}"),
        }
        let refused = |what: io::Result<()>, name: &str| {
            let error = what.expect_err(name);
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{name}");
        };
        refused(File::open("/etc/passwd").map(drop), "a file");
        refused(File::open("/proc/self/status").map(drop), "a file of /proc");
        refused(
            File::create(std::env::temp_dir().join("countersign-confined")).map(drop),
            "a new file",
        );
        refused(std::fs::read_dir("/").map(drop), "a folder");
        refused(TcpStream::connect(server).map(drop), "a server");
        if protection != "landlock" {
            refused(UdpSocket::bind("127.0.0.1:0").map(drop), "UDP");
            refused(UnixDatagram::unbound().map(drop), "a local socket");
            refused(Command::new("/bin/true").spawn().map(drop), "a program");
            // SAFETY: plain system calls. What they return is only compared with a failure.
            unsafe {
                assert_eq!(libc::fork(), -1, "another process");
                assert_eq!(libc::kill(libc::getppid(), 0), -1, "a signal");
                let code = libc::mmap(
                    std::ptr::null_mut(),
                    4096,
                    libc::PROT_READ | libc::PROT_EXEC,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                );
                assert_eq!(code, libc::MAP_FAILED, "memory that can be run");
            }
        }
        let sum = std::thread::Builder::new().name("adds".into()).spawn(|| {
            vec![1_u8; 8 << 20]
                .iter()
                .map(|one| u64::from(*one))
                .sum::<u64>()
        });
        assert_eq!(sum.unwrap().join().unwrap(), 8_u64 << 20);
    }
}
