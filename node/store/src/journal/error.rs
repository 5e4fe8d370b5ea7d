//! What can go wrong with the journal, one enum per operation. Each text ends with what to do.

use std::io;
use std::path::PathBuf;

use countersign_files::Holder;
use countersign_protocol::{Hash, KeyId, TaskId};

use super::codec::Unreadable;

/// Why the journal does not open, or was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalOpenError {
    /// There is one.
    #[error("{path} is there already; choose another data directory, or move the old journal away")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Nothing there.
    #[error(
        "{path} is not there, and without it the node would sign old tasks again; restore the newest copy from a backup"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Another process has it open.
    #[error("{path} is in use by another process{holder}; stop that one first")]
    Locked {
        /// The file.
        path: PathBuf,
        /// Which process it is.
        holder: Holder,
    },
    /// Written by a later program.
    #[error(
        "{path} has format {version}, which this program does not know; run the program that wrote it or a later one"
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// Others may open it.
    #[error("{path} has mode {mode:03o}, others can open it; run `chmod go-rwx {path}`")]
    Exposed {
        /// File or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a journal.
    #[error("{path} is damaged: {what}; restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The system refused.
    #[error("cannot open {path} ({error}); check space, owner and permissions")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadJournalError {
    /// A record of a later program.
    #[error(
        "a journal record has format {version}, which this program does not know; run the program that wrote it or a later one"
    )]
    NewerFormat {
        /// Its version.
        version: u8,
    },
    /// A record that cannot be decoded.
    #[error(
        "a record in the journal's table `{table}` is damaged; restore the journal from a backup"
    )]
    Damaged {
        /// Which table.
        table: &'static str,
    },
    /// A recording that is not the one of its task.
    #[error(
        "the recording of task {task} was changed: it is not the one that the task's record vouches for; keep the file as evidence and compare it with a backup"
    )]
    Recording {
        /// Which task.
        task: TaskId,
    },
    /// A configuration that is another one.
    #[error(
        "the configuration kept under SHA-256 {digest} was changed: it has another digest; keep the file as evidence and compare it with a backup"
    )]
    Configuration {
        /// The digest under which it is kept.
        digest: Hash,
    },
    /// A page that the database cannot make sense of.
    #[error(
        "a page of the journal is damaged ({0}); stop the node, restore the journal from a backup, and check the disk"
    )]
    Page(String),
    /// The database failed.
    #[error("the journal cannot be read ({0}); check the disk and restart the node")]
    Database(Box<redb::Error>),
}

/// Why something was not written. Nothing of the operation is in the journal then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteJournalError {
    /// The operation does not fit what is recorded; everything else goes on.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What is recorded cannot be read.
    #[error(transparent)]
    Read(#[from] ReadJournalError),
    /// The disk or the database failed. Nothing may be signed until it is remedied.
    #[error(
        "the journal cannot be written ({0}), nothing is signed; remove the cause (disk full?), then restart the node"
    )]
    Failed(String),
    /// The file was removed or replaced. What is written into it is lost when it is closed.
    #[error("nothing is recorded and nothing is signed any more: {0}")]
    Moved(String),
    /// The journal had ended before: what ended it, and what to do.
    #[error("{0}")]
    Ended(String),
    /// The writer is gone.
    #[error("the journal is closed, nothing is signed; restart the node")]
    Closed,
}

/// Why an operation does not fit what is recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The same id was used for other bytes.
    #[error("task {0} was recorded with other content; use a new task id")]
    OtherContent(TaskId),
    /// It is recorded already.
    #[error("task {0} is recorded already; look it up instead")]
    Known(TaskId),
    /// It ended otherwise.
    #[error("task {0} has ended with another outcome; a task ends once, report this")]
    OtherOutcome(TaskId),
    /// It was never approved.
    #[error("task {0} is not recorded; report this")]
    Unknown(TaskId),
    /// No reshare of this task waits to be settled, or one of another key.
    #[error("no reshare of task {0} waits to be settled here; see `countersign-node task list`")]
    NoHandover(TaskId),
    /// A reshare of the key waits to be settled.
    #[error(
        "the reshare of task {0} is not settled; connect all its parties, or see `countersign-node task resolve`"
    )]
    HandoverOpen(TaskId),
    /// The key is of a later generation.
    #[error(
        "the key has come further than task {0} would bring it; compare all members' generations"
    )]
    Passed(TaskId),
    /// A name or value of a plugin's state that is out of bounds.
    #[error("plugin `{plugin}` stored a name or value that is too long; correct the plugin")]
    StateTooLarge {
        /// Which plugin.
        plugin: String,
    },
}

/// Why the audit log is not what the node wrote.
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
    /// A task's record is not the one that the log vouches for.
    #[error(
        "the record of task {task} is not the one that audit entry {at} vouches for; keep the file as evidence"
    )]
    Record {
        /// The last entry about the task.
        at: u64,
        /// Which task.
        task: TaskId,
    },
    /// A key's record is not the one that its task made.
    #[error(
        "the record of key {key} is not the one that its task made; keep the file as evidence and compare it with a backup"
    )]
    Key {
        /// Which key.
        key: KeyId,
    },
    /// A task's record without any entry.
    #[error("the record of task {task} has no entry in the audit log; keep the file as evidence")]
    Unlogged {
        /// Which task.
        task: TaskId,
    },
    /// A recording is not there, although older ones are.
    #[error(
        "the recording of task {task} was removed; keep the file as evidence and compare it with a backup"
    )]
    Gone {
        /// Which task.
        task: TaskId,
    },
    /// The log, or what it vouches for, cannot be read.
    #[error(transparent)]
    Read(#[from] ReadJournalError),
}

impl WriteJournalError {
    /// The same failure, for the next of those who shared a commit.
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
