//! The process that holds a lock on a file, for messages, so that operators need not search for it.
//!
//! The source is the kernel's `/proc/locks`. A process id recorded by the holder itself could
//! belong to a process that is long gone.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

/// The process that holds a lock, as far as it is visible. It is displayed as ` (pid 4711)` after
/// the words that name it, or as nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder(Option<u32>);

impl Holder {
    /// Finds the holder of a lock (`flock`) on this file. It is unknown if it is not visible,
    /// as in another container.
    pub fn of(file: &Path) -> Self {
        let seen = std::fs::metadata(file).and_then(|file| {
            let locks = std::fs::read_to_string("/proc/locks")?;
            Ok(holder(&locks, file.dev(), file.ino()))
        });
        Self(seen.unwrap_or(None))
    }

    /// A holder that could not be found.
    pub const UNKNOWN: Self = Self(None);
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, " (pid {pid})"),
            None => Ok(()),
        }
    }
}

/// Finds the holder in `/proc/locks`. A line is
/// `1: FLOCK  ADVISORY  WRITE 4711 fd:01:123456 0 EOF`, with the file's device and inode in the
/// sixth field (`proc_locks(5)`). A waiting process has an arrow in the second field.
fn holder(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let place = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let kind = words.next()?;
        let pid = words.nth(2)?;
        let file = words.next()?;
        // The number is 0 or less for a process that is not visible from here.
        let pid = pid.parse().ok().filter(|pid| *pid > 0)?;
        (kind == "FLOCK" && file == place).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_the_one_of_this_file_alone() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fd:01:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 12 fd:01:770 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 13 fd:02:77 0 EOF\n4: -> FLOCK  ADVISORY  WRITE 14 fd:01:77 0 EOF\n\
                     5: FLOCK  ADVISORY  WRITE 0 fd:01:77 0 EOF\nnonsense\n6: FLOCK  ADVISORY  WRITE 15 fd:01:77 0 EOF\n";
        let device = rustix::fs::makedev(0xfd, 1);
        assert_eq!(holder(locks, device, 77), Some(15));
        assert_eq!(holder(locks, device, 78), None);
        assert_eq!(holder("", device, 77), None);
        assert_eq!(
            Holder(Some(15)).to_string() + &Holder::UNKNOWN.to_string(),
            " (pid 15)"
        );
    }

    #[test]
    fn who_locks_a_file_is_seen_and_nobody_if_it_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(Holder::of(&path), Holder::UNKNOWN);
        let file = std::fs::File::create(&path).unwrap();
        assert_eq!(Holder::of(&path), Holder::UNKNOWN);
        file.lock().unwrap();
        assert_eq!(Holder::of(&path), Holder(Some(std::process::id())));
    }
}
