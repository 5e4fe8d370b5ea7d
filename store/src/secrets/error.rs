//! Errors of the store, one enum per kind of call. Each text ends with the remedy.

use std::io;
use std::path::{Path, PathBuf};

use countersign_files::Holder;

use super::section::Section;
use crate::files::NotPrivate;
use crate::passphrase::Passphrase;
use crate::place::MovedError;
use crate::seal::{BadRecipient, MAX_WORK_FACTOR};

/// The reason why the identity was not renewed. The store opens with the old or the new one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// The passphrase does not open the present identity, or it cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new files were not written.
    #[error(transparent)]
    Write(#[from] CreateError),
    /// The store was closed by a failed write.
    #[error("the store is closed after a failed write; restart the node")]
    Closed,
    /// The new image was not made.
    #[error("the secrets cannot be written anew ({0}); nothing was changed")]
    Database(#[from] redb::Error),
    /// The new image does not open.
    #[error("the renewed secrets cannot be opened ({0}); restart the node")]
    Image(#[from] redb::DatabaseError),
}

/// The reason why a store was not created, or its passphrase not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// A store exists already, and is never overwritten.
    #[error("{path} already exists; choose another data directory, or move the old store away")]
    Exists {
        /// The path of the file that exists.
        path: PathBuf,
    },
    /// The new passphrase is too easy to guess.
    #[error("the passphrase has fewer than {min} characters; choose a longer one", min = Passphrase::MIN_CHARS)]
    ShortPassphrase,
    /// The scrypt work factor is zero, or takes more memory than any reader allows.
    #[error("the scrypt work factor {0} is not in 1 to {MAX_WORK_FACTOR}; use 16")]
    WorkFactor(u8),
    /// The text is not a native age recipient (X25519).
    #[error(
        "`{text}` is not an age recipient; give the line that `age-keygen` shows, it begins with `age1`"
    )]
    Recipient {
        /// The text that was given.
        text: String,
    },
    /// The directory's mode lets others look into it.
    #[error("{path} has mode {mode:03o}, others can look into it; run `chmod 700 {path}`")]
    Exposed {
        /// The path of the data directory.
        path: PathBuf,
        /// The permission bits, as `chmod` takes them.
        mode: u32,
    },
    /// Another process has the store open.
    #[error("{dir} is in use by another process{holder}; stop that one first")]
    Locked {
        /// The node's data directory.
        dir: PathBuf,
        /// The process that uses it, if it is known.
        holder: Holder,
    },
    /// The operating system refused access.
    #[error("cannot write in {dir} ({error}); check space, owner and permissions, then try again")]
    Io {
        /// The node's data directory.
        dir: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// redb failed on the image in memory.
    #[error(
        "the database in memory failed ({0}); check free memory, and report this if it persists"
    )]
    Database(Box<redb::Error>),
}

/// The reason why the store does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The passphrase is wrong, or the identity file was damaged.
    #[error(
        "the passphrase does not open {path}; give the right one, or restore the file from a backup if it was damaged"
    )]
    WrongPassphrase {
        /// The path of the identity file.
        path: PathBuf,
    },
    /// Another process has the store open.
    #[error("{dir} is in use by another process{holder}; stop that one first")]
    Locked {
        /// The node's data directory.
        dir: PathBuf,
        /// The process that uses it, if it is known.
        holder: Holder,
    },
    /// There is no file of that name.
    #[error(
        "{path} is not there; check the data directory, or run `countersign-node init` for a new node"
    )]
    Missing {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file is not as the node wrote it.
    #[error("{path} is damaged: {what}; restore it from a backup")]
    Damaged {
        /// The path of the file.
        path: PathBuf,
        /// The flaw, as a clause for people.
        what: String,
    },
    /// The file was written by a later program.
    #[error(
        "{path} has format {version}, which this program does not know; run the program that wrote it or a later one"
    )]
    NewerFormat {
        /// The path of the file.
        path: PathBuf,
        /// The version of the format, as stored.
        version: u16,
    },
    /// The file's mode, or its folder's, lets others open it.
    #[error("{path} has mode {mode:03o}, others can open it; run `chmod go-rwx {path}`")]
    Exposed {
        /// The path of the file or its folder.
        path: PathBuf,
        /// The permission bits, as `chmod` takes them.
        mode: u32,
    },
    /// The text is not a native age recipient (X25519).
    #[error(
        "`{text}` is not an age recipient; give the line that `age-keygen` shows, it begins with `age1`"
    )]
    Recipient {
        /// The text that was given.
        text: String,
    },
    /// The operating system refused access.
    #[error("cannot open {path} ({error}); check owner and permissions")]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
}

/// The reason why a secret cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The store was closed by a failed write.
    #[error(
        "the store was closed after a failed write; remove the cause (disk full?), then restart the node"
    )]
    Closed,
    /// The value was written by a later program.
    #[error(
        "a stored value has format {version}, which this program does not know; run the program that wrote it or a later one"
    )]
    NewerFormat {
        /// The version of the format, as stored.
        version: u8,
    },
    /// redb failed on the image in memory.
    #[error(
        "the database in memory failed ({0}); restart the node, and report this if it persists"
    )]
    Database(Box<redb::Error>),
}

/// The reason why a commit failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A name or value is out of bounds. The store stays open.
    #[error("{section}/{key} cannot be stored: {what}; report this", section = section.name())]
    Rejected {
        /// The section of the value.
        section: Section,
        /// The value's name in the section.
        key: String,
        /// The flaw, as a clause for people.
        what: &'static str,
    },
    /// The store was closed by a failed write.
    #[error(
        "the store was closed after a failed write; remove the cause (disk full?), then restart the node"
    )]
    Closed,
    /// The store had ended before. The text tells the reason and the remedy.
    #[error("{0}")]
    Ended(String),
    /// A file of the store was removed or replaced.
    #[error("nothing secret is stored any more: {0}")]
    Moved(#[from] MovedError),
    /// The new file was not written. The old state stays, and can be read.
    #[error(
        "cannot write in {dir} ({error}), nothing was changed; check space, owner and permissions, then restart the node"
    )]
    Io {
        /// The node's data directory.
        dir: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// The new file may or may not have got its name. The store is closed, since the disk may hold
    /// the old state or the new one.
    #[error(
        "cannot replace the secrets in {dir} ({error}), the store is closed now; remove the cause, then restart the node"
    )]
    Unsure {
        /// The node's data directory.
        dir: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// redb failed on the image in memory. The old state stays.
    #[error(
        "the database in memory failed ({0}), nothing was changed; check free memory, and report this if it persists"
    )]
    Database(Box<redb::Error>),
}

impl CreateError {
    pub(super) fn io(dir: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io {
            dir: dir.into(),
            error,
        }
    }

    pub(super) fn directory(dir: &Path, error: NotPrivate) -> Self {
        match error {
            NotPrivate::Io(error) => Self::Io {
                dir: dir.into(),
                error,
            },
            NotPrivate::Mode(path, mode) => Self::Exposed { path, mode },
        }
    }
}

impl OpenError {
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io {
            path: path.into(),
            error,
        }
    }

    pub(super) fn private(path: &Path, error: NotPrivate) -> Self {
        match error {
            NotPrivate::Io(error) => Self::Io {
                path: path.into(),
                error,
            },
            NotPrivate::Mode(path, mode) => Self::Exposed { path, mode },
        }
    }

    pub(super) fn damaged(path: &Path, what: impl ToString) -> Self {
        Self::Damaged {
            path: path.into(),
            what: what.to_string(),
        }
    }
}

macro_rules! from_bad_recipient {
    ($($error:ident),*) => {$(
        impl From<BadRecipient> for $error {
            fn from(BadRecipient(text): BadRecipient) -> $error {
                $error::Recipient { text }
            }
        }
    )*};
}
from_bad_recipient!(CreateError, OpenError);

macro_rules! from_redb {
    ($($error:ident: $($from:ident),*;)*) => {$($(
        impl From<redb::$from> for $error {
            fn from(error: redb::$from) -> $error {
                $error::Database(Box::new(error.into()))
            }
        }
    )*)*};
}
from_redb! {
    CreateError: Error, DatabaseError;
    CommitError: Error, DatabaseError;
    ReadError: TransactionError, TableError, StorageError;
}

impl CommitError {
    /// True if nothing more can be committed before a restart. After a failed write nobody knows
    /// the state of the disk.
    pub(super) fn ends_the_store(&self) -> bool {
        match self {
            Self::Rejected { .. } => false,
            Self::Closed
            | Self::Ended(_)
            | Self::Moved(_)
            | Self::Io { .. }
            | Self::Unsure { .. }
            | Self::Database(_) => true,
        }
    }
}
