//! A directory that only its owner should write to. It is opened once, and every file in it by a
//! plain name, without following links. A name never becomes a path.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use countersign_files::{CustodyError, custody};
use rustix::fs::{Mode, OFlags, openat};

/// Mode of files and directories that are made.
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

#[derive(Debug)]
pub(crate) struct Folder {
    open: File,
    /// For messages only.
    path: PathBuf,
}

impl Folder {
    /// Opens `path`, which may lie behind links; what counts is that only root and we can write
    /// there, or anywhere on the way.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let open = custody::open_folder(path).map_err(denied)?;
        Ok(Self {
            open,
            path: path.into(),
        })
    }

    /// Opens `path`, and makes it first (mode 700) if it is not there.
    pub(crate) fn open_or_create(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)?;
        Self::open(path)
    }

    /// Reads the whole file `name`, if only root and we can write it: the folder
    /// prevents others from exchanging it, but not from changing it. More than `limit`
    /// bytes are an [`io::ErrorKind::FileTooLarge`].
    pub(crate) fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.open, plain(name)?, flags, Mode::empty())?);
        custody::check_opened(&file, &self.path.join(name)).map_err(denied)?;
        read_regular(file, limit)
    }

    /// Replaces the file `name` (mode 600) whole: after a crash it has the old bytes
    /// or the new ones.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = format!(".{}.{:016x}.tmp", plain(name)?, nonce()?);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.open, &*temporary, flags, PRIVATE_FILE)?);
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let renamed = written.and_then(|()| {
            Ok(rustix::fs::renameat(
                &self.open,
                &*temporary,
                &self.open,
                name,
            )?)
        });
        if renamed.is_err() {
            let _ = rustix::fs::unlinkat(&self.open, &*temporary, rustix::fs::AtFlags::empty());
        }
        renamed.and_then(|()| self.open.sync_all())
    }

    /// Removes the file `name`, or the link of that name.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(
            &self.open,
            plain(name)?,
            rustix::fs::AtFlags::empty(),
        )?)
    }

    /// Names of all files, in order.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.open)? {
            names.extend(entry?.file_name().to_str().map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Locks the directory against other processes until the result is dropped.
    pub(crate) fn lock(&self) -> io::Result<Self> {
        let lock = self.open.try_clone()?;
        lock.lock()?;
        Ok(Self {
            open: lock,
            path: self.path.clone(),
        })
    }
}

/// Reads the whole file at `path`, which must be a regular file and not a link.
pub(crate) fn read_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_at(path, OFlags::NOFOLLOW, limit)
}

/// Reads the whole file at `path` or behind the link there. It must be a regular file, so that no
/// pipe is waited for. More than `limit` bytes are an [`io::ErrorKind::FileTooLarge`].
pub fn read_linked(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_at(path, OFlags::empty(), limit)
}

/// Does not wait for the writer of a pipe.
fn read_at(path: &Path, more: OFlags, limit: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | more;
    read_regular(
        File::from(rustix::fs::open(path, flags, Mode::empty())?),
        limit,
    )
}

/// Reads once; a device, a pipe or a directory is refused before it could block or never end.
pub(crate) fn read_regular(file: File, limit: u64) -> io::Result<Vec<u8>> {
    countersign_files::read_opened(file, limit)
}

fn denied(error: CustodyError) -> io::Error {
    match error {
        CustodyError::Io(error) => error,
        unsafe_place => io::Error::new(io::ErrorKind::PermissionDenied, unsafe_place),
    }
}

fn plain(name: &str) -> io::Result<&str> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a plain file name",
        ));
    }
    Ok(name)
}

fn nonce() -> io::Result<u64> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(u64::from_ne_bytes(bytes))
}
