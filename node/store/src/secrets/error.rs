//! What can go wrong with the store, one enum per operation. Each text ends with what to do.

use std::io;
use std::path::{Path, PathBuf};

use countersign_files::Holder;

use super::Section;
use crate::files::NotPrivate;
use crate::place::MovedError;
use crate::seal::{BadRecipient, MAX_WORK_FACTOR};

/// Why the store's identity was not renewed. The store opens under the one or the other; open it
/// again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// The passphrase does not open the present identity, or it cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The files could not be written.
    #[error(transparent)]
    Write(#[from] CreateError),
    /// An earlier write failed.
    #[error("the store is closed after a failed write; restart the node")]
    Closed,
    /// The image could not be made.
    #[error("the secrets cannot be written anew ({0}); nothing was changed")]
    Database(#[from] redb::Error),
    /// The new image does not open.
    #[error("the renewed secrets cannot be opened ({0}); restart the node")]
    Image(#[from] redb::DatabaseError),
}

/// Why no store was made, or its passphrase not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// There is one.
    #[error("{path} is there already; choose another data directory, or move the old store away")]
    Exists {
        /// What was found.
        path: PathBuf,
    },
    /// A new passphrase is too easy to guess.
    #[error("the passphrase has fewer than {min} characters; choose a longer one", min = crate::Passphrase::MIN_CHARS)]
    ShortPassphrase,
    /// A work factor that nobody could use.
    #[error("the scrypt work factor {0} is not in 1 to {MAX_WORK_FACTOR}; use 16")]
    WorkFactor(u8),
    /// Not a native age recipient.
    #[error(
        "`{text}` is no age recipient; give the line that `age-keygen` shows, it begins with `age1`"
    )]
    Recipient {
        /// What was given.
        text: String,
    },
    /// The directory is not private.
    #[error("{path} has mode {mode:03o}, others can look into it; run `chmod 700 {path}`")]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process uses it.
    #[error("{dir} is in use by another process{holder}; stop that one first")]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// Which process it is.
        holder: Holder,
    },
    /// The system refused.
    #[error("cannot write in {dir} ({error}); check space, owner and permissions, then try again")]
    Io {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The database in memory failed.
    #[error(
        "the database in memory failed ({0}); check free memory, and report this if it persists"
    )]
    Database(Box<redb::Error>),
}

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The passphrase does not fit.
    #[error(
        "the passphrase does not open {path}; give the right one, or restore the file from a backup if it was damaged"
    )]
    WrongPassphrase {
        /// The identity file.
        path: PathBuf,
    },
    /// Another process has it open.
    #[error("{dir} is in use by another process{holder}; stop that one first")]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// Which process it is.
        holder: Holder,
    },
    /// Nothing there.
    #[error(
        "{path} is not there; check the data directory, or run `countersign-node init` for a new node"
    )]
    Missing {
        /// What was looked for.
        path: PathBuf,
    },
    /// Not the bytes that the node wrote.
    #[error("{path} is damaged: {what}; restore it from a backup")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Written by a later program.
    #[error(
        "{path} has format {version}, which this program does not know; run the program that wrote it or a later one"
    )]
    NewerFormat {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
    /// Others may open it.
    #[error("{path} has mode {mode:03o}, others can open it; run `chmod go-rwx {path}`")]
    Exposed {
        /// File or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a native age recipient.
    #[error(
        "`{text}` is no age recipient; give the line that `age-keygen` shows, it begins with `age1`"
    )]
    Recipient {
        /// What was given.
        text: String,
    },
    /// The system refused.
    #[error("cannot open {path} ({error}); check owner and permissions")]
    Io {
        /// Which path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Why a secret cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A write failed earlier.
    #[error(
        "the store was closed after a failed write; remove the cause (disk full?), then restart the node"
    )]
    Closed,
    /// A value of a later program.
    #[error(
        "a stored value has format {version}, which this program does not know; run the program that wrote it or a later one"
    )]
    NewerFormat {
        /// Its version.
        version: u8,
    },
    /// The database in memory failed.
    #[error(
        "the database in memory failed ({0}); restart the node, and report this if it persists"
    )]
    Database(Box<redb::Error>),
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A change that is out of bounds. The store stays open.
    #[error("{section}/{key} cannot be stored: {what}; report this", section = section.name())]
    Rejected {
        /// Where.
        section: Section,
        /// Which.
        key: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A write failed earlier.
    #[error(
        "the store was closed after a failed write; remove the cause (disk full?), then restart the node"
    )]
    Closed,
    /// The store had ended before: what ended it, and what to do.
    #[error("{0}")]
    Ended(String),
    /// The files at their places are others, or none.
    #[error("nothing secret is stored any more: {0}")]
    Moved(#[from] MovedError),
    /// The new file was not written. Everything is as it was, and can be read.
    #[error(
        "cannot write in {dir} ({error}), nothing was changed; check space, owner and permissions, then restart the node"
    )]
    Io {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The new file may have got its name or not. The store is closed now, since the disk may hold
    /// the old state or the new.
    #[error(
        "cannot replace the secrets in {dir} ({error}), the store is closed now; remove the cause, then restart the node"
    )]
    Unsure {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The database in memory failed. Everything is as it was, and the store stays open.
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
    /// Whether nothing more can be committed before a restart. After a failed write nobody knows
    /// what the disk holds.
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
