//! Creates a file for its owner alone, completely or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Creates a new file of mode 600 with these contents. Once this returns, it survives a power cut.
/// If it fails, there is no new file, and one that was there before is left alone.
pub fn create(path: impl AsRef<Path>, contents: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    create_by(path, |file| {
        file.write_all(contents)?;
        file.sync_all()?;
        sync_folder(path)
    })
}

/// Creates a new file, and removes it again if `write` fails.
pub(crate) fn create_by(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    // Neither follows a link nor opens a file that is there.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let written = write(&mut file);
    if written.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(path);
    }
    written
}

/// Makes the names in the folder of this file durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// The folder of this file.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_new_file_is_its_owners_and_a_present_one_or_a_link_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        create(&path, b"one").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(create(&path, b"two").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        let link = dir.path().join("link");
        symlink(dir.path().join("elsewhere"), &link).unwrap();
        assert!(create(&link, b"two").is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn a_file_that_could_not_be_written_whole_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        let failed = create_by(&path, |file| {
            file.write_all(b"half of a")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(!path.exists());
        create(&path, b"whole").unwrap();
    }
}
