//! One editor of a file at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::create::folder;

/// Time that another editor may take.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// Locks the folder of the file that this path leads to, until the value is dropped or the process
/// ends. Everybody who reads, changes and [replaces](crate::replace()) the file holds it meanwhile.
/// Fails with [`io::ErrorKind::ResourceBusy`] if somebody else holds it for ten seconds.
pub fn lock_beside(path: impl AsRef<Path>) -> io::Result<File> {
    lock_within(path.as_ref(), PATIENCE)
}

fn lock_within(path: &Path, patience: Duration) -> io::Result<File> {
    let folder = File::open(folder(&path.canonicalize()?))?;
    let began = Instant::now();
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(TryLockError::WouldBlock) if began.elapsed() < patience => {
                std::thread::sleep(PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                let reason = "another process is changing it; wait for that one to end";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, reason));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_editor_also_by_way_of_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let link = elsewhere.path().join("b");
        std::fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let held = lock_beside(&path).unwrap();
        let second = lock_within(&link, Duration::ZERO).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::ResourceBusy);
        drop(held);
        assert!(lock_within(&link, Duration::ZERO).is_ok());
    }
}
