//! The process that holds a lock on a file, for messages, so that operators need not search for it.
//!
//! The source is the kernel. A process id recorded by the holder itself could belong to a process
//! that is long gone.

use std::fmt;
use std::path::Path;

use countersign_system::lock_holder;

/// The process that holds a lock, as far as it is visible. It is displayed as ` (pid 4711)` after
/// the words that name it, or as nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder(Option<u32>);

impl Holder {
    /// Finds the holder of a lock (`flock`) on this file. It is unknown if it is not visible,
    /// as in another container.
    pub fn of(file: &Path) -> Self {
        Self(lock_holder(file))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_shown_by_its_number_or_not_at_all() {
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
