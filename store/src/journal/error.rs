//! Errors of the journal, one enum per kind of call. Each text ends with the remedy.

use std::io;
use std::path::{Path, PathBuf};

use countersign_files::Holder;
use countersign_protocol::{Hash, KeyId, NodeId, TaskId};

use super::codec::Unreadable;
use super::pair::Unfit;
use crate::files::NotPrivate;

/// The reason why the journal was not opened or created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalOpenError {
    /// A journal exists already, and is never overwritten.
    #[error("{path} already exists; choose another data directory, or move the old journal away")]
    Exists {
        /// The path of the journal's file.
        path: PathBuf,
    },
    /// There is no file of that name.
    #[error(
        "{path} is not there, and without it the node would sign old tasks again; restore the newest copy from a backup"
    )]
    Missing {
        /// The path of the journal's file.
        path: PathBuf,
    },
    /// Another process has the file open.
    #[error("{path} is in use by another process{holder}; stop that one first")]
    Locked {
        /// The path of the journal's file.
        path: PathBuf,
        /// The process that uses it, if it is known.
        holder: Holder,
    },
    /// The file was written by a later program.
    #[error(
        "{path} has format {version}, which this program does not know; run the program that wrote it or a later one"
    )]
    NewerFormat {
        /// The path of the journal's file.
        path: PathBuf,
        /// The version of the format, as stored.
        version: u64,
    },
    /// The file's mode, or its folder's, lets others open it.
    #[error("{path} has mode {mode:03o}, others can open it; run `chmod go-rwx {path}`")]
    Exposed {
        /// The path of the file or its folder.
        path: PathBuf,
        /// The permission bits, as `chmod` takes them.
        mode: u32,
    },
    /// The file is not a journal, or not as it was written.
    #[error("{path} is damaged: {what}; restore it from a backup")]
    Damaged {
        /// The path of the journal's file.
        path: PathBuf,
        /// The flaw, as a clause for people.
        what: String,
    },
    /// The operating system refused access.
    #[error("cannot open {path} ({error}); check space, owner and permissions")]
    Io {
        /// The path of the journal's file.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
}

/// The reason why a read failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadJournalError {
    /// The record was written by a later program.
    #[error(
        "a journal record has format {version}, which this program does not know; run the program that wrote it or a later one"
    )]
    NewerFormat {
        /// The version of the format, as stored.
        version: u8,
    },
    /// The record cannot be decoded.
    #[error(
        "a record in the journal's table `{table}` is damaged; restore the journal from a backup"
    )]
    Damaged {
        /// The table's name in the database.
        table: &'static str,
    },
    /// The recording does not have the hash in its task's row.
    #[error(
        "the recording of task {task} was changed: it is not the one that the task's record vouches for; keep the file as evidence and compare it with a backup"
    )]
    Recording {
        /// The id of the task.
        task: TaskId,
    },
    /// The signature of a passkey's order is not one.
    #[error(
        "the requester's signature of task {task} was changed: it cannot be read; keep the file as evidence and compare it with a backup"
    )]
    Order {
        /// The id of the task.
        task: TaskId,
    },
    /// The configuration has another digest than the one under which it is kept.
    #[error(
        "the configuration kept under SHA-256 {digest} was changed: it has another digest; keep the file as evidence and compare it with a backup"
    )]
    Configuration {
        /// The digest under which it is kept.
        digest: Hash,
    },
    /// redb panicked on a page, or a page does not fit its checksum.
    #[error(
        "a page of the journal is damaged ({0}); stop the node, restore the journal from a backup, and check the disk"
    )]
    Page(String),
    /// redb or the disk failed.
    #[error("the journal cannot be read ({0}); check the disk and restart the node")]
    Database(Box<redb::Error>),
}

/// The reason why a write failed. None of the operation is in the journal then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteJournalError {
    /// The operation contradicts the records; the journal goes on.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A record that the operation needs cannot be read.
    #[error(transparent)]
    Read(#[from] ReadJournalError),
    /// The disk or the database failed. Nothing may be signed before a restart.
    #[error(
        "the journal cannot be written ({0}), nothing is signed; remove the cause (disk full?), then restart the node"
    )]
    Failed(String),
    /// The file was removed or replaced. Data written into it is lost when it is closed.
    #[error("nothing is recorded and nothing is signed any more: {0}")]
    Moved(String),
    /// The journal had ended before. The text tells the reason and the remedy.
    #[error("{0}")]
    Ended(String),
    /// The writer's thread is gone.
    #[error("the journal is closed, nothing is signed; restart the node")]
    Closed,
}

/// The contradiction between an operation and the records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The task id was used for other bytes.
    #[error("task {0} was recorded with other content; use a new task id")]
    OtherContent(TaskId),
    /// The task was decided on before.
    #[error("task {0} is recorded already; look it up instead")]
    Known(TaskId),
    /// The task has another outcome already.
    #[error("task {0} has ended with another outcome; a task ends once, report this")]
    OtherOutcome(TaskId),
    /// The task was never approved.
    #[error("task {0} is not recorded; report this")]
    Unknown(TaskId),
    /// The task has no reshare in doubt, or one of another key descriptor.
    #[error("no reshare of task {0} waits to be settled here; see `countersign-node task list`")]
    NoPreparedReshare(TaskId),
    /// The reshare of this task is in doubt.
    #[error(
        "the reshare of task {0} is not settled; connect all its parties, or see `countersign-node task resolve`"
    )]
    ReshareInDoubt(TaskId),
    /// The key has a later generation.
    #[error(
        "the key has come further than task {0} would bring it; compare all members' generations"
    )]
    Passed(TaskId),
    /// The set-up of this node with a peer must not be used.
    #[error("the set-up with {peer} {why}")]
    Unfit {
        /// The peer at the other end.
        peer: NodeId,
        /// The reason.
        why: Unfit,
    },
    /// Runs of a task name no peer, or one twice.
    #[error("the runs of task {0} name no peer, or one twice; report this")]
    Peers(TaskId),
    /// The name or value of a plugin's state is too long.
    #[error("plugin `{plugin}` stored a name or value that is too long; correct the plugin")]
    StateTooLarge {
        /// The plugin's name in the configuration.
        plugin: String,
    },
}

/// The first flaw found in the audit log or in the records that it vouches for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// An entry was changed, removed or put in.
    #[error(
        "the audit log was changed at entry {at}; keep the file as evidence and compare it with a backup"
    )]
    Broken {
        /// The first entry that does not follow from the one before.
        at: u64,
    },
    /// The log does not vouch for a task's row.
    #[error(
        "the record of task {task} is not the one that audit entry {at} vouches for; keep the file as evidence"
    )]
    Record {
        /// The last entry about the task.
        at: u64,
        /// The id of the task.
        task: TaskId,
    },
    /// A key's descriptor is not the one that its task made.
    #[error(
        "the record of key {key} is not the one that its task made; keep the file as evidence and compare it with a backup"
    )]
    Key {
        /// The id of the key.
        key: KeyId,
    },
    /// The log has no entry about a task's row.
    #[error("the record of task {task} has no entry in the audit log; keep the file as evidence")]
    Unlogged {
        /// The id of the task.
        task: TaskId,
    },
    /// A record is missing, and the log does not say that it was old enough to be deleted.
    #[error(
        "the record of task {task} was deleted before its time; keep the file as evidence and compare it with a backup"
    )]
    Spent {
        /// The id of the task.
        task: TaskId,
    },
    /// A recording is missing, although older ones exist.
    #[error(
        "the recording of task {task} was removed; keep the file as evidence and compare it with a backup"
    )]
    Gone {
        /// The id of the task.
        task: TaskId,
    },
    /// The log, or a record that it vouches for, cannot be read.
    #[error(transparent)]
    Read(#[from] ReadJournalError),
}

impl JournalOpenError {
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io {
            path: path.into(),
            error,
        }
    }

    pub(super) fn locked(path: &Path) -> Self {
        Self::Locked {
            path: path.into(),
            holder: Holder::of(path),
        }
    }

    pub(super) fn damaged(path: &Path, what: impl ToString) -> Self {
        Self::Damaged {
            path: path.into(),
            what: what.to_string(),
        }
    }

    pub(super) fn private(path: &Path) -> impl Fn(NotPrivate) -> Self {
        move |error| match error {
            NotPrivate::Io(error) => Self::Io {
                path: path.into(),
                error,
            },
            NotPrivate::Mode(path, mode) => Self::Exposed { path, mode },
        }
    }

    pub(super) fn database(path: &Path) -> impl Fn(redb::Error) -> Self {
        move |error| match error {
            redb::Error::DatabaseAlreadyOpen => Self::locked(path),
            redb::Error::UpgradeRequired(version) => Self::NewerFormat {
                path: path.into(),
                version: version.into(),
            },
            redb::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => Self::Io {
                path: path.into(),
                error,
            },
            other => Self::damaged(path, other),
        }
    }
}

impl WriteJournalError {
    /// The same failure for another operation of the batch.
    pub(super) fn for_another(&self) -> Self {
        match self {
            Self::Refused(refused) => Self::Refused(refused.clone()),
            Self::Read(error) => Self::Failed(error.to_string()),
            Self::Failed(text) => Self::Failed(text.clone()),
            Self::Moved(text) => Self::Moved(text.clone()),
            Self::Ended(text) => Self::Ended(text.clone()),
            Self::Closed => Self::Closed,
        }
    }
}

impl ReadJournalError {
    pub(super) fn record(table: &'static str, error: Unreadable) -> Self {
        match error {
            Unreadable::Newer(version) => Self::NewerFormat { version },
            Unreadable::Malformed => Self::Damaged { table },
        }
    }
}

macro_rules! from_redb {
    ($($from:ident),*) => {$(
        impl From<redb::$from> for ReadJournalError {
            fn from(error: redb::$from) -> ReadJournalError {
                ReadJournalError::Database(Box::new(error.into()))
            }
        }
        impl From<redb::$from> for AuditError {
            fn from(error: redb::$from) -> AuditError {
                AuditError::Read(error.into())
            }
        }
        impl From<redb::$from> for WriteJournalError {
            fn from(error: redb::$from) -> WriteJournalError {
                WriteJournalError::Failed(error.to_string())
            }
        }
    )*};
}
from_redb!(
    TransactionError,
    TableError,
    StorageError,
    CommitError,
    SetDurabilityError
);
