//! Finds the process that holds a lock, in the kernel's `/proc/locks`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

/// The process that holds a lock (`flock`) on this file. `None` if it is not visible, as in another
/// container.
pub fn lock_holder(file: &Path) -> Option<u32> {
    let file = std::fs::metadata(file).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    holder(&locks, file.dev(), file.ino())
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
    }
}
