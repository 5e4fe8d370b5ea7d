//! Backups: one age file with everything that a node needs to go on, as it is at one moment.
//!
//! Inside the age layer: a line of magic, a line of JSON ([`Contents`]), and the files one after
//! the other. The secrets in it stay sealed as they are on the disk; the outer layer hides which
//! node, which keys and which tasks there are, and makes every change of the file noticeable.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use countersign_protocol::UnixMillis;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files;
use crate::journal::JOURNAL_FILE;
use crate::passphrase::Passphrase;
use crate::seal::{BackupKey, MAX_WORK_FACTOR, Recipients, Unsealed, open_backup, seal_backup};
use crate::secrets::{IDENTITY_FILE, SECRETS_FILE, files_in};

const MAGIC: &str = "countersign backup";
/// The format that this program writes.
const FORMAT: u16 = 1;
/// The files of a node, in the order in which they are written back: the identity last, since it
/// makes the others a store.
const FILES: [&str; 3] = [JOURNAL_FILE, SECRETS_FILE, IDENTITY_FILE];
/// A backup is read into memory: no more than this, in bytes.
const MAX_BACKUP: u64 = 4 << 30;
/// The largest file with an age identity, in bytes.
const MAX_IDENTITY: u64 = 64 * 1024;

// A backup's passphrase costs as much to guess as the store's.
const _: () = assert!(crate::DEFAULT_WORK_FACTOR <= MAX_WORK_FACTOR);

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Of which format it is.
    pub format: u16,
    /// Id of the node.
    pub node: String,
    /// Generation of the secrets file.
    pub generation: u64,
    /// When it was made.
    pub made: UnixMillis,
    /// Program and version that made it.
    pub software: String,
    /// What is in it.
    pub files: Vec<Entry>,
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the node's folder.
    pub name: String,
    /// Its length, in bytes.
    pub length: u64,
    /// Its SHA-256, hex.
    pub sha256: String,
}

/// To whom a backup is sealed.
pub enum SealTo<'a> {
    /// Whoever knows a passphrase.
    Passphrase(&'a Passphrase),
    /// Age recipients (`age1…`).
    Recipients(&'a [String]),
}

/// What opens a backup.
pub enum OpenWith<'a> {
    /// Its passphrase.
    Passphrase(&'a Passphrase),
    /// An age identity file, as `age-keygen` writes it.
    Identity(&'a Path),
}

/// An opened backup: its files are whole and those that were put in.
pub struct Backup {
    /// What it says of itself.
    pub contents: Contents,
    files: Vec<Vec<u8>>,
}

/// Why there is no backup, or none that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A file cannot be read or written.
    #[error("{path}: {error}; check space, owner and permissions")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The target is there.
    #[error("{path} is there already and is not overwritten; choose another name")]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// No age recipient.
    #[error("`{0}` is no age recipient; give one that begins with age1")]
    Recipient(String),
    /// Neither passphrase nor recipient.
    #[error("a backup needs a passphrase of at least {min} characters, or at least one recipient", min = Passphrase::MIN_CHARS)]
    NoKey,
    /// The wrong key.
    #[error("the passphrase or identity does not open {path}; use the one that it was made with")]
    WrongKey {
        /// Which file.
        path: PathBuf,
    },
    /// Cut, flipped, or something else.
    #[error("{path} is no whole backup ({what}); use another copy of it")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Made by a later program.
    #[error(
        "{path} has format {format}, which this program does not know; restore it with the program that made it or a later one"
    )]
    NewerFormat {
        /// Which file.
        path: PathBuf,
        /// Its format.
        format: u16,
    },
}

/// Seals the files of `dir` into a new file `out`, mode 0600. Nothing may write them meanwhile;
/// `journal` is the file to take the journal from.
pub fn write(
    dir: &Path,
    journal: &Path,
    contents: Contents,
    to: &SealTo<'_>,
    out: &Path,
) -> Result<Contents, BackupError> {
    if let Some(path) = added(dir)? {
        let error = io::Error::other("it is part of the store and would not be in the backup");
        return Err(BackupError::Io { path, error });
    }
    let place = |name: &str| {
        if name == JOURNAL_FILE {
            journal.to_path_buf()
        } else {
            dir.join(name)
        }
    };
    let mut files = Vec::new();
    for name in FILES {
        let path = place(name);
        files.push(
            countersign_files::read(&path, MAX_BACKUP)
                .map_err(|error| BackupError::Io { path, error })?,
        );
    }
    let entry = |(name, bytes): (&str, &Vec<u8>)| Entry {
        name: name.into(),
        length: bytes.len() as u64,
        sha256: sha256(bytes),
    };
    let entries = FILES.into_iter().zip(&files).map(entry).collect();
    let contents = Contents {
        format: FORMAT,
        files: entries,
        ..contents
    };
    if out.exists() {
        return Err(BackupError::Exists { path: out.into() });
    }
    seal(&contents, &files, to, out)?;
    Ok(contents)
}

/// A file that was added to the store since it was last written whole.
fn added(dir: &Path) -> Result<Option<PathBuf>, BackupError> {
    let files = files_in(dir).map_err(|error| BackupError::Io {
        path: dir.into(),
        error,
    })?;
    Ok(files
        .into_iter()
        .find(|path| FILES.iter().all(|name| !path.ends_with(name))))
}

fn seal(
    contents: &Contents,
    files: &[Vec<u8>],
    to: &SealTo<'_>,
    out: &Path,
) -> Result<(), BackupError> {
    let io = |error| BackupError::Io {
        path: out.into(),
        error,
    };
    let key = match to {
        SealTo::Passphrase(passphrase) if passphrase.is_long_enough() => {
            BackupKey::Passphrase(passphrase)
        }
        SealTo::Recipients(texts) if !texts.is_empty() => BackupKey::Recipients(
            Recipients::parse(texts).map_err(|bad| BackupError::Recipient(bad.0))?,
        ),
        _ => return Err(BackupError::NoKey),
    };
    let staged = out.with_extension("partial");
    let header = serde_json::to_string(contents).map_err(|error| io(error.into()))?;
    let written = files::stage(&staged, |file| {
        seal_backup(&key, file, |writer| {
            writeln!(writer, "{MAGIC}\n{header}")?;
            files.iter().try_for_each(|bytes| writer.write_all(bytes))
        })
    });
    written
        .and_then(|()| files::publish(&staged, out))
        .map_err(|error| {
            // Half a backup is none.
            let _ = files::remove_if_there(&staged);
            io(error)
        })
}

impl Backup {
    /// Opens a backup and checks every file in it.
    pub fn open(path: &Path, with: &OpenWith<'_>) -> Result<Self, BackupError> {
        let io = |error| BackupError::Io {
            path: path.into(),
            error,
        };
        let damaged = |what: String| BackupError::Damaged {
            path: path.into(),
            what,
        };
        let sealed =
            countersign_files::read(path, MAX_BACKUP).map_err(|error| match error.kind() {
                io::ErrorKind::FileTooLarge => damaged("it is too large".into()),
                _ => io(error),
            })?;
        let opened = match with {
            OpenWith::Passphrase(passphrase) => open_backup(&sealed, Some(passphrase), None),
            OpenWith::Identity(file) => {
                let text = countersign_files::read(file, MAX_IDENTITY).map_err(|error| {
                    BackupError::Io {
                        path: (*file).into(),
                        error,
                    }
                })?;
                open_backup(&sealed, None, Some(&text))
            }
        };
        let plain = opened.map_err(|error| match error {
            Unsealed::WrongKey | Unsealed::NotForUs => BackupError::WrongKey { path: path.into() },
            Unsealed::Damaged(what) => damaged(what),
        })?;
        read(path, &plain)
    }

    /// Writes the files into an empty folder, which is made with mode 0700 if it is not there.
    pub fn unpack(&self, dir: &Path) -> Result<(), BackupError> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |error| BackupError::Io { path, error }
        };
        match files::private_dir(dir) {
            Ok(()) => {}
            Err(files::NotPrivate::Io(error)) => return Err(io(dir)(error)),
            Err(files::NotPrivate::Mode(path, mode)) => {
                let error = io::Error::other(format!("it has mode {mode:03o}, others can open it"));
                return Err(BackupError::Io { path, error });
            }
        }
        if let Some(path) = FILES
            .iter()
            .map(|name| dir.join(name))
            .find(|path| path.exists())
        {
            return Err(BackupError::Exists { path });
        }
        for (entry, bytes) in self.contents.files.iter().zip(&self.files) {
            let path = dir.join(&entry.name);
            let staged = dir.join(format!(".{}.restored", entry.name));
            files::stage(&staged, |file| file.write_all(bytes))
                .and_then(|()| files::publish(&staged, &path))
                .map_err(io(&path))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup")
            .field("contents", &self.contents)
            .finish_non_exhaustive()
    }
}

fn read(path: &Path, plain: &[u8]) -> Result<Backup, BackupError> {
    let damaged = |what: &str| BackupError::Damaged {
        path: path.into(),
        what: what.into(),
    };
    let (magic, rest) = line(plain).ok_or_else(|| damaged("it has no header"))?;
    if magic != MAGIC.as_bytes() {
        return Err(damaged("it is something else"));
    }
    let (header, mut rest) = line(rest).ok_or_else(|| damaged("it has no header"))?;
    #[derive(Deserialize)]
    struct Format {
        format: u16,
    }
    let Format { format } =
        serde_json::from_slice(header).map_err(|error| damaged(&error.to_string()))?;
    if format > FORMAT {
        return Err(BackupError::NewerFormat {
            path: path.into(),
            format,
        });
    }
    let contents: Contents =
        serde_json::from_slice(header).map_err(|error| damaged(&error.to_string()))?;
    let names = contents.files.iter().map(|entry| entry.name.as_str());
    if !names.eq(FILES) {
        return Err(damaged("it has other files than a node"));
    }
    let mut files = Vec::new();
    for entry in &contents.files {
        let length = usize::try_from(entry.length).unwrap_or(usize::MAX);
        let (bytes, left) = rest
            .split_at_checked(length)
            .ok_or_else(|| damaged("a file in it is cut"))?;
        if sha256(bytes) != entry.sha256 {
            return Err(damaged("a file in it was changed"));
        }
        files.push(bytes.to_vec());
        rest = left;
    }
    if !rest.is_empty() {
        return Err(damaged("something follows its files"));
    }
    Ok(Backup { contents, files })
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
