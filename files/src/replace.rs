//! Replaces a file as a whole.

use std::fs::{File, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::create::{create_by, sync_folder};

/// Replaces the contents of a file, or creates it. After a crash the file has either the old or the
/// new contents, and once this returns, it has the new ones. It keeps its owner, its group and its
/// mode, or nothing changes; a new file has mode 600. Of two at once, the later one stays: whoever
/// reads before holds [`lock_beside`](crate::lock_beside).
pub fn replace(path: impl AsRef<Path>, contents: &[u8]) -> io::Result<()> {
    // A link stays one.
    let path = match path.as_ref().canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.as_ref().to_path_buf(),
        Err(error) => return Err(error),
    };
    let present = match std::fs::metadata(&path) {
        Ok(present) => Some(present),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let fresh = beside(&path)?;
    create_by(&fresh, |file| {
        file.write_all(contents)?;
        if let Some(present) = &present {
            give(file, present)?;
        }
        file.sync_all()?;
        std::fs::rename(&fresh, &path)
    })?;
    sync_folder(&path)
}

/// Gives a file the owner, the group and the mode of the one that it replaces.
fn give(file: &File, present: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    let other = |wanted: u32, own: u32| (wanted != own).then_some(wanted);
    let owner = other(present.uid(), own.uid());
    let group = other(present.gid(), own.gid());
    if owner.is_some() || group.is_some() {
        fchown(file, owner, group).map_err(|error| {
            let reason = format!(
                "the new file cannot be given to user {} and group {} ({error}); run this as that user or as root",
                present.uid(),
                present.gid()
            );
            io::Error::new(error.kind(), reason)
        })?;
    }
    file.set_permissions(PermissionsExt::from_mode(present.mode() & 0o777))
}

/// A name for the new contents that nobody can occupy in advance.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    // Its keys are random.
    let random = RandomState::new().hash_one(std::process::id());
    let mut fresh = std::ffi::OsString::from(".");
    fresh.push(name);
    fresh.push(format!(".{random:016x}.new"));
    Ok(path.with_file_name(fresh))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_its_owners_and_a_present_one_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        replace(&path, b"one").unwrap();
        assert_eq!(
            (std::fs::read(&path).unwrap(), mode(&path)),
            (b"one".to_vec(), 0o600)
        );
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(
            (std::fs::read(&path).unwrap(), mode(&path)),
            (b"two".to_vec(), 0o640)
        );
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left over"
        );
    }

    /// Only root can give files away; for others there is nothing to test.
    #[test]
    fn a_file_keeps_its_owner_and_its_group() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: needs root");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        for (owner, group) in [(0, 65_534), (65_534, 0), (65_534, 65_533)] {
            std::fs::write(&path, b"one").unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
            std::os::unix::fs::chown(&path, Some(owner), Some(group)).unwrap();
            replace(&path, b"two").unwrap();
            let kept = std::fs::metadata(&path).unwrap();
            assert_eq!((kept.uid(), kept.gid(), mode(&path)), (owner, group, 0o640));
        }
    }

    /// Each name is used once, so neither a leftover, which may be open to others, nor a link that
    /// somebody put there is written to.
    #[test]
    fn the_new_contents_are_written_under_a_name_that_cannot_be_foreseen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let names: Vec<PathBuf> = (0..100).map(|_| beside(&path).unwrap()).collect();
        let mut different = names.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), names.len());
    }

    #[test]
    fn nothing_is_left_over_if_the_file_cannot_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"two").is_err());
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_link_still_leads_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let link = dir.path().join("b");
        std::fs::write(&path, b"one").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
