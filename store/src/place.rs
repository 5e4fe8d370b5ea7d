//! A check that an open file is still at its path. A file that was unlinked or replaced goes on
//! taking writes, and all of them are lost when it is closed.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The path of a file, with the device and inode that identify it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// The reason why a file at a node's path is no longer the node's own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MovedError {
    /// The file was removed.
    #[error(
        "{path} was removed while the node used it, and nothing that the node would write from now on would be kept; the node \
         must not go on. Do not make a new one: put the file back, or restore the newest backup, then start the node",
        path = path.display()
    )]
    Gone {
        /// The path at which the node opened it.
        path: PathBuf,
    },
    /// Another file has its name now.
    #[error(
        "{path} was replaced by another file while the node used it, and the node must not go on. Find out who did that and \
         which file is the newer one, put that one there, then start the node",
        path = path.display()
    )]
    Replaced {
        /// The path at which the node opened it.
        path: PathBuf,
    },
    /// The operating system refused to tell.
    #[error("{path} can no longer be examined ({error}); check the disk, then start the node", path = path.display())]
    Unknown {
        /// The path at which the node opened it.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
}

impl Place {
    /// The place of an open file, by its metadata.
    pub(crate) fn of(path: &Path, known: &Metadata) -> Self {
        Self {
            path: path.into(),
            device: known.dev(),
            inode: known.ino(),
        }
    }

    /// The place of the file that is now at `path`.
    pub(crate) fn look(path: &Path) -> io::Result<Self> {
        Ok(Self::of(path, &fs::metadata(path)?))
    }

    /// Compares with the file at the path now, in one system call.
    pub(crate) fn check(&self) -> Result<(), MovedError> {
        let path = self.path.clone();
        match Self::look(&self.path) {
            Ok(now) if now == *self => Ok(()),
            Ok(_) => Err(MovedError::Replaced { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(MovedError::Gone { path }),
            Err(error) => Err(MovedError::Unknown { path, error }),
        }
    }
}
