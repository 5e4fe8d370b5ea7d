//! Sizes of files and file systems.

use std::path::Path;

/// Deepest folder that [`size`] looks into, and the most files.
const DEEPEST: usize = 4;
const MOST: usize = 10_000;

/// The space of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free for this program's user.
    pub free: u64,
    /// Free and used together.
    pub size: u64,
}

/// Looks at the file system of a path. `None` if that is not possible.
pub fn space(path: &Path) -> Option<Space> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(Space {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        size: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

/// The bytes of a file, or of all files in a folder. `None` if there is nothing. Follows no links,
/// and looks at 10,000 files at most.
pub fn size(path: &Path) -> Option<u64> {
    let mut left = MOST;
    below(path, DEEPEST, &mut left)
}

fn below(path: &Path, depth: usize, left: &mut usize) -> Option<u64> {
    let found = std::fs::symlink_metadata(path).ok()?;
    if !found.is_dir() {
        return Some(found.len());
    }
    let mut sum = 0;
    for entry in std::fs::read_dir(path).ok()?.flatten() {
        if *left == 0 || depth == 0 {
            break;
        }
        *left -= 1;
        // A file may have vanished meanwhile.
        if let Some(bytes) = below(&entry.path(), depth - 1, left) {
            sum += bytes;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_as_large_as_its_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), [0; 10]).unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        std::fs::write(dir.path().join("b/c"), [0; 5]).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("root")).unwrap();
        let link = 1;
        assert_eq!(size(dir.path()), Some(15 + link));
        assert_eq!(size(&dir.path().join("a")), Some(10));
        assert_eq!(size(&dir.path().join("none")), None);
    }

    #[test]
    fn a_file_system_has_no_more_free_space_than_space() {
        let space = space(Path::new("/")).unwrap();
        assert!(space.free <= space.size && space.size > 0, "{space:?}");
        assert_eq!(super::space(Path::new("/nowhere")), None);
    }
}
