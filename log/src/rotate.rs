//! A file of limited size. When it is full it is renamed, its predecessors make room, and a new one
//! begins.

use std::fmt::Display;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::FileSettings;

/// The file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log file {} cannot be opened: {source}; make its folder writable for this user, or set log.file.filename",
    path.display()
)]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

/// The open file.
pub struct RotatingFile {
    file: File,
    length: u64,
    /// The last line is incomplete.
    torn: bool,
    path: PathBuf,
    limit: u64,
    backups: u64,
}

impl RotatingFile {
    /// Opens the file to append to it. Creates it, with mode 600, and its folder, with mode 700.
    pub fn open(settings: &FileSettings) -> Result<Self, OpenError> {
        let path = settings.path.clone();
        let (file, length) = match append_to(&path) {
            Ok(opened) => opened,
            Err(source) => return Err(OpenError { path, source }),
        };
        Ok(Self {
            file,
            length,
            torn: false,
            path,
            limit: settings.limit,
            backups: settings.backups,
        })
    }

    /// Appends a line. A line that could be written only in part ends before the next one.
    pub fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.length > 0 && self.length.saturating_add(length) > self.limit {
            self.rotate()?;
        }
        if self.torn {
            self.file.write_all(b"\n")?;
        }
        self.torn = true;
        self.file.write_all(line)?;
        self.torn = false;
        self.length += length;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        // Created first: without a new file, the earlier ones stay where they are.
        let new = self.beside("new");
        let (file, length) = append_to(&new)?;
        for number in (1..self.backups).rev() {
            rename(&self.beside(number), &self.beside(number + 1))?;
        }
        if self.backups > 0 {
            rename(&self.path, &self.beside(1))?;
        }
        fs::rename(&new, &self.path)?;
        self.file = file;
        self.length = length;
        self.torn = false;
        Ok(())
    }

    fn beside(&self, end: impl Display) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{end}"));
        path.into()
    }
}

/// Returns the open file and its length in bytes.
fn append_to(path: &Path) -> io::Result<(File, u64)> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    let file = options.custom_flags(libc::O_NONBLOCK).open(path)?;
    let file = countersign_files::regular(file)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// Someone may have removed the file.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to).or_else(unless_absent)
}

fn unless_absent(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}
