//! Recovery files and their passwords, as named by an operator; and the writing of secret files.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use zeroize::Zeroizing;

use crate::{ExportedShare, MAX_FILE, OpenedShare, Password, Recovery, read};

/// The files to use, and the wallet.
#[derive(Debug, Args)]
pub struct Files {
    /// Recovery files, each of another node.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,
    /// The wallet's group id, as the files have it.
    #[arg(long, value_name = "ID")]
    group_id: String,
    /// A file (mode 600) with the password of a recovery file: once for each, in the
    /// same order. Default: typed.
    #[arg(long, value_name = "FILE")]
    password_file: Vec<PathBuf>,
}

impl Files {
    /// Reads the files and checks that they are of one wallet and of different nodes. Asks
    /// for no password yet.
    pub fn load(&self) -> anyhow::Result<Recovery> {
        let passwords = self.password_file.len();
        ensure!(
            passwords == 0 || passwords == self.files.len(),
            "{} recovery files but {passwords} password files: give --password-file once for each, in the same order",
            self.files.len()
        );
        let files = self
            .files
            .iter()
            .map(|path| self.load_one(path))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Recovery::new(files)?)
    }

    /// Opens every share with its password.
    pub fn open(&self, recovery: &Recovery) -> anyhow::Result<Vec<OpenedShare>> {
        let open = |(i, share): (usize, &ExportedShare)| {
            let path = &self.files[i];
            let password = self.password(i, share)?;
            share
                .open(&password)
                .with_context(|| path.display().to_string())
        };
        recovery.files().iter().enumerate().map(open).collect()
    }

    /// The name of a file, by its index.
    pub fn name(&self, place: usize) -> String {
        self.files[place].display().to_string()
    }

    fn load_one(&self, path: &Path) -> anyhow::Result<ExportedShare> {
        let name = || path.display().to_string();
        let bytes = read_file(path, MAX_FILE)?;
        read(&bytes, &self.group_id).with_context(name)
    }

    fn password(&self, place: usize, share: &ExportedShare) -> anyhow::Result<Password> {
        if let Some(path) = self.password_file.get(place) {
            return Password::from_file(path).with_context(|| path.display().to_string());
        }
        let node = &share.participant().node_id;
        Ok(Password::new(&typed(
            &format!("Password of {} (node {node}): ", self.name(place)),
            "--password-file",
        )?)?)
    }
}

/// Reads a whole regular file of at most `max` bytes.
pub fn read_file(path: &Path, max: usize) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    let unreadable = |error| anyhow!("cannot read {name} ({error}): check the path and its owner");
    match countersign_files::read(path, max as u64) {
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            bail!("{name} has more than {max} bytes: check its name")
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            bail!("{name} is not a file: name a file")
        }
        read => read.map_err(unreadable),
    }
}

/// Reads from the terminal without echo.
pub fn typed(prompt: &str, instead: &str) -> anyhow::Result<Zeroizing<String>> {
    let typed = rpassword::prompt_password(prompt);
    typed
        .map(Zeroizing::new)
        .map_err(|error| anyhow!("there is no terminal to type on ({error}): use {instead}"))
}

/// Writes a new file of mode 600, in a folder that is created with mode 700 if it is missing. Never
/// replaces a file; one that cannot be written to its end is removed.
pub fn write_secret(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = path.display();
    let unwritable = |error| {
        anyhow!("cannot write {name} ({error}): name another folder, or remove what is in the way")
    };
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(unwritable)?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = file.map_err(unwritable)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(path);
    }
    written.map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_written_once_and_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/list.csv");
        write_secret(&path, b"first").unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            std::fs::metadata(path.parent().unwrap())
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o700
        );
        assert!(write_secret(&path, b"second").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn only_files_within_the_limit_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_file(&path, 5).unwrap(), b"12345");
        assert!(read_file(&path, 4).is_err());
        assert!(read_file(dir.path(), 5).is_err());
        assert!(read_file(&dir.path().join("none"), 5).is_err());
    }
}
