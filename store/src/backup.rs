//! Backups: one age file with a consistent copy of everything that a node needs to go on.
//!
//! Inside the age layer: a line of magic, a line of JSON ([`Contents`]), and the files one after
//! the other. The secrets in it stay sealed as they are on the disk. The outer layer hides the
//! node's id, its keys and its tasks, and reveals every change of the file.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use countersign_protocol::UnixMillis;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files;
use crate::journal::JOURNAL_FILE;
use crate::passphrase::Passphrase;
use crate::seal::{
    BackupKey, DEFAULT_WORK_FACTOR, MAX_WORK_FACTOR, Recipients, Unsealed, open_backup, seal_backup,
};
use crate::secrets::{IDENTITY_FILE, SECRETS_FILE, files_in};

const MAGIC: &str = "countersign backup";
/// Version of the format that this program writes.
const FORMAT: u16 = 1;
/// The files of a node in the order of restoring. The identity is last: it makes them a store.
const FILES: [&str; 3] = [JOURNAL_FILE, SECRETS_FILE, IDENTITY_FILE];
/// The largest backup, in bytes, since it is read into memory.
const MAX_BACKUP: u64 = 4 << 30;
/// Bytes that are sealed between two reports of progress.
const PART: usize = 1 << 20;
/// The largest file with an age identity, in bytes.
const MAX_IDENTITY: u64 = 64 * 1024;

// A backup's passphrase costs as much to guess as the store's.
const _: () = assert!(DEFAULT_WORK_FACTOR <= MAX_WORK_FACTOR);

/// The header of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Version of the format, from 1.
    pub format: u16,
    /// The node's id, as text.
    pub node: String,
    /// The generation of the secrets file.
    pub generation: u64,
    /// The time at which it was made.
    pub made: UnixMillis,
    /// The program that made it, with its version.
    pub software: String,
    /// The files in it, in the order of restoring.
    pub files: Vec<Entry>,
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name in the node's folder.
    pub name: String,
    /// The length, in bytes.
    pub length: u64,
    /// SHA-256 of the content, in hex.
    pub sha256: String,
}

/// Is told how many bytes are done, of how many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// The key that a backup is sealed to.
pub enum SealTo<'a> {
    /// A passphrase, stretched with scrypt.
    Passphrase(&'a Passphrase),
    /// Native age recipients (`age1…`), at least one.
    Recipients(&'a [String]),
}

/// The key that opens a backup.
pub enum OpenWith<'a> {
    /// The passphrase that it was sealed with.
    Passphrase(&'a Passphrase),
    /// The path of an age identity file, as `age-keygen` writes it.
    Identity(&'a Path),
}

/// An opened backup, whose files were verified by length and digest.
pub struct Backup {
    /// The header of the backup.
    pub contents: Contents,
    files: Vec<Vec<u8>>,
}

/// The reason why a backup was not made, or cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The operating system refused access to a file.
    #[error("{path}: {error}; check space, owner and permissions")]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// The target exists, and is never overwritten.
    #[error("{path} already exists and is not overwritten; choose another name")]
    Exists {
        /// The path of the file.
        path: PathBuf,
    },
    /// The text is not a native age recipient (X25519).
    #[error("`{0}` is not an age recipient; give one that begins with age1")]
    Recipient(String),
    /// Neither a passphrase that is long enough nor a recipient was given.
    #[error("a backup needs a passphrase of at least {min} characters, or at least one recipient", min = Passphrase::MIN_CHARS)]
    NoKey,
    /// The passphrase or identity is not the one that the backup was sealed to.
    #[error("the passphrase or identity does not open {path}; use the one that it was made with")]
    WrongKey {
        /// The path of the backup.
        path: PathBuf,
    },
    /// The file was changed, cut off, or is not a backup.
    #[error("{path} is not a whole backup ({what}); use another copy of it")]
    Damaged {
        /// The path of the backup.
        path: PathBuf,
        /// The flaw, as a clause for people.
        what: String,
    },
    /// The backup was made by a later program.
    #[error(
        "{path} has format {format}, which this program does not know; restore it with the program that made it or a later one"
    )]
    NewerFormat {
        /// The path of the backup.
        path: PathBuf,
        /// The version of the format, as stored.
        format: u16,
    },
}

/// Seals the files of `dir` into a new file `out` of mode 0600. Nothing may write them meanwhile.
/// `journal`: the copy of the journal to seal.
pub fn write(
    dir: &Path,
    journal: &Path,
    contents: Contents,
    to: &SealTo<'_>,
    out: &Path,
    progress: Progress<'_>,
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
    seal(&contents, &files, to, out, progress)?;
    Ok(contents)
}

/// Finds a file that was added to the store since it was last written whole.
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
    progress: Progress<'_>,
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
            write_parts(files, writer, progress)
        })
    });
    written
        .and_then(|()| files::publish(&staged, out))
        .map_err(|error| {
            // Half a backup is useless.
            let _ = files::remove_if_there(&staged);
            io(error)
        })
}

fn write_parts(
    files: &[Vec<u8>],
    writer: &mut dyn Write,
    progress: Progress<'_>,
) -> io::Result<()> {
    let all: u64 = files.iter().map(|bytes| bytes.len() as u64).sum();
    let mut done = 0;
    for part in files.iter().flat_map(|bytes| bytes.chunks(PART)) {
        writer.write_all(part)?;
        done += part.len() as u64;
        progress(done, all);
    }
    Ok(())
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

impl fmt::Debug for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
