//! What a process does to itself, on every system: cores, file modes, signals, users and limits.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::kernel::{hide_memory, limit_addresses};

/// Disables core dumps and `ptrace` by others, and makes new files private. Call this before
/// anything else in `main`.
pub fn harden_process() -> io::Result<()> {
    // SAFETY: a plain system call.
    unsafe { libc::umask(0o077) };
    hide_memory()?;
    limit(Resource::Core, 0)
}

/// Lets the process end silently when its output is closed, as by `head`. For commands that only
/// print; a daemon must not die of it.
pub fn end_on_closed_output() {
    // SAFETY: sets a signal's action to the default, before any thread is started.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
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
pub fn become_owner_of(folder: &Path) -> io::Result<()> {
    // SAFETY: a plain system call.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(());
    }
    let (user, group) = match std::fs::metadata(folder) {
        Ok(folder) => (folder.uid(), folder.gid()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if user == 0 {
        return Ok(());
    }
    // SAFETY: plain system calls; the pointer is to one group. Of root, POSIX has `setgid` and
    // `setuid` set the saved ids as well, so there is no way back.
    let gave_up = unsafe {
        libc::setgroups(1, &group) == 0 && libc::setgid(group) == 0 && libc::setuid(user) == 0
    };
    if gave_up {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Limits of a child process. They are permanent: hard limits cannot be raised again.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Virtual address space in bytes. `None`: no limit of its own.
    pub address_space: Option<u64>,
    /// Writable private memory in bytes. Addresses that threads reserve and never use do not count.
    pub data: u64,
    /// Number of open file descriptors.
    pub files: u64,
}

/// Sets the limits of a child process, and takes away every right to write a file. Call this before
/// any thread is started.
pub fn limit_process(limits: &Limits) -> io::Result<()> {
    if let Some(address_space) = limits.address_space {
        limit_addresses(address_space)?;
    }
    limit(Resource::Data, limits.data)?;
    limit(Resource::Nofile, limits.files)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Core, 0)
}

/// Limits the processor time of this process, in seconds.
pub fn limit_cpu(seconds: u64) -> io::Result<()> {
    limit(Resource::Cpu, seconds)
}

/// Sets a hard limit.
pub(crate) fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    Ok(setrlimit(resource, limit)?)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::fs::chown;
    use std::process::Command;

    use rustix::process::getrlimit;

    use super::*;

    /// Says in a process of its own what it is to do, and in which folder.
    const PROBE: &str = "COUNTERSIGN_PROCESS_PROBE";
    const FOLDER: &str = "COUNTERSIGN_PROCESS_FOLDER";
    const NOBODY: u32 = 65_534;

    /// Runs the test `probe` in a process of its own.
    fn in_a_process_of_its_own(what: &str, folder: &Path) {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::tests::probe", "--nocapture"])
            .env(PROBE, what)
            .env(FOLDER, folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned()
            + &String::from_utf8_lossy(&done.stderr);
        assert!(
            done.status.success() && said.contains("1 passed"),
            "{what}: {said}"
        );
    }

    #[test]
    fn every_limit_of_a_child_is_hard_and_it_writes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        in_a_process_of_its_own("limits", dir.path());
    }

    #[test]
    fn root_becomes_the_owner_of_the_folder_for_good() {
        let dir = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        in_a_process_of_its_own("owner", dir.path());
    }

    fn limited(folder: &Path) {
        outlive_file_limits();
        let mut file = File::create(folder.join("file")).unwrap();
        limit_cpu(1000).unwrap();
        let limits = Limits {
            address_space: Some(5 << 30),
            data: 3 << 30,
            files: 20,
        };
        limit_process(&limits).unwrap();
        for (resource, most) in [
            (Resource::Cpu, 1000),
            (Resource::As, 5 << 30),
            (Resource::Data, 3 << 30),
            (Resource::Nofile, 20),
            (Resource::Fsize, 0),
            (Resource::Core, 0),
        ] {
            let found = getrlimit(resource);
            let found = (found.current, found.maximum);
            assert_eq!(found, (Some(most), Some(most)), "{resource:?}");
        }
        let error = file.write_all(b"a").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    /// Real, effective, saved and file system's ids, and the groups.
    fn owned(folder: &Path) {
        let ids = |name: &str| {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let ids = line.unwrap().split_whitespace();
            ids.map(|id| id.parse::<u32>().unwrap()).collect::<Vec<_>>()
        };
        let before = ids("Uid:");
        become_owner_of(&folder.join("none")).unwrap();
        become_owner_of(Path::new("/")).unwrap();
        assert_eq!(ids("Uid:"), before);
        become_owner_of(folder).unwrap();
        let owner = std::fs::metadata(folder).unwrap();
        assert_eq!(ids("Uid:"), [owner.uid(); 4]);
        if before[1] == 0 {
            assert_eq!(ids("Gid:"), [owner.gid(); 4]);
            assert_eq!(ids("Groups:"), [owner.gid()]);
            // SAFETY: plain system calls.
            let back = unsafe { (libc::setuid(0), libc::setgid(0)) };
            assert_eq!(back, (-1, -1), "root again");
        }
    }

    /// Empty without the variable, which the tests above set.
    #[test]
    fn probe() {
        let Ok(what) = std::env::var(PROBE) else {
            return;
        };
        let folder = std::env::var(FOLDER).unwrap();
        match what.as_str() {
            "limits" => limited(Path::new(&folder)),
            "owner" => owned(Path::new(&folder)),
            other => panic!("{other}"),
        }
    }
}
