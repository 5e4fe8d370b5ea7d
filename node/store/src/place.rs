//! Whether a file that is open still lies where it was opened. One that was unlinked or replaced
//! goes on taking writes, and all of them are gone when it is closed.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where a file lies, and which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Why the files under a node's feet are not its own any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MovedError {
    /// Nothing there.
    #[error(
        "{path} was removed while the node used it, and nothing that the node would write from now on would be kept; the node \
         must not go on. Do not make a new one: put the file back, or restore the newest backup, then start the node",
        path = path.display()
    )]
    Gone {
        /// Which file.
        path: PathBuf,
    },
    /// Another file of the same name.
    #[error(
        "{path} was replaced by another file while the node used it, and the node must not go on. Find out who did that and \
         which file is the newer one, put that one there, then start the node",
        path = path.display()
    )]
    Replaced {
        /// Which file.
        path: PathBuf,
    },
    /// Nobody can say.
    #[error("{path} cannot be looked at any more ({error}); check the disk, then start the node", path = path.display())]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl Place {
    /// The place of the file of which this is known.
    pub(crate) fn of(path: &Path, known: &Metadata) -> Self {
        Self {
            path: path.into(),
            device: known.dev(),
            inode: known.ino(),
        }
    }

    /// The place of what lies there now.
    pub(crate) fn look(path: &Path) -> io::Result<Self> {
        Ok(Self::of(path, &std::fs::metadata(path)?))
    }

    /// One system call.
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
