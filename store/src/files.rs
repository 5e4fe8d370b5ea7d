//! Files that only their owner may open, replaced whole or not at all, whatever their content.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The reason why a path does not count as private.
#[derive(Debug)]
pub(crate) enum NotPrivate {
    Io(io::Error),
    Mode(PathBuf, u32),
}

/// Makes a directory with mode 0700, or checks that an existing one is private.
pub(crate) fn private_dir(dir: &Path) -> Result<(), NotPrivate> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => dir
            .parent()
            .map_or(Ok(()), sync_dir)
            .map_err(NotPrivate::Io),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_private(dir),
        Err(error) => Err(NotPrivate::Io(error)),
    }
}

/// Checks that neither group nor others have any right to this path.
pub(crate) fn check_private(path: &Path) -> Result<(), NotPrivate> {
    let mode = path
        .metadata()
        .map_err(NotPrivate::Io)?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(NotPrivate::Mode(path.into(), mode))
    }
}

/// Opens a new, empty file with mode 0600. Replaces a file left behind.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    remove_if_there(path)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Writes a file under its temporary name, and syncs it.
pub(crate) fn stage(
    path: &Path,
    write: impl FnOnce(&mut io::BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let file = create_private(path)?;
    let mut buffered = io::BufWriter::new(&file);
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    file.sync_all()
}

/// Gives a staged file its name. From here on the new content survives a power cut.
pub(crate) fn publish(staged: &Path, name: &Path) -> io::Result<()> {
    fs::rename(staged, name)?;
    name.parent().map_or(Ok(()), sync_dir)
}

pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}

pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// An advisory lock (`flock`) that ends with this value or with the process.
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Unlocked explicitly, since a child that was just forked has the file open until it
        // executes its program. If this fails, the lock ends with the last of them.
        let _ = self.0.unlock();
    }
}

/// Takes the lock. `None` if another process has it.
pub(crate) fn try_lock(path: &Path) -> io::Result<Option<Lock>> {
    // Opening a pipe in its place would block.
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK);
    let file = countersign_files::regular(options.open(path)?)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
