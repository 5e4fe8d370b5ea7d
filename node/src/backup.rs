//! A consistent copy of a running node's files.
//!
//! The secrets are compacted into one file, and the journal is copied in a single read transaction.
//! If the secrets did not change between the first copy and the last, both show the node as it was
//! when the journal was read.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use countersign_protocol::NodeId;
use countersign_store::Journal;
use countersign_store::backup::{Contents, Progress, SealTo};
use countersign_store::journal::JOURNAL_FILE;
use countersign_store::secrets::{IDENTITY_FILE, SECRETS_FILE};
use serde::{Deserialize, Serialize};

use crate::vault::Vault;
use crate::world::now;

/// The folder for the copies, within the node's folder.
const FOLDER: &str = ".backup";
/// Attempts to copy before giving up because the secrets keep changing.
const TRIES: usize = 20;

/// Copies of a node's files, ready to be sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// The node that the files belong to.
    pub node: NodeId,
    /// Generation of the secrets file at the time of the copy.
    pub generation: u64,
    /// The folder that holds the copies.
    pub dir: PathBuf,
}

impl Staged {
    /// The path of the journal's copy.
    pub fn journal(&self) -> PathBuf {
        self.dir.join(JOURNAL_FILE)
    }
}

/// Copies the files of `dir`, after removing the remains of an earlier backup.
pub fn stage(vault: &Vault, journal: &Journal, node: NodeId, dir: &Path) -> io::Result<Staged> {
    let staging = dir.join(FOLDER);
    for _ in 0..TRIES {
        unstage(&staging)?;
        std::fs::DirBuilder::new().mode(0o700).create(&staging)?;
        let generation = vault.make_whole().map_err(io::Error::other)?;
        std::fs::copy(dir.join(IDENTITY_FILE), staging.join(IDENTITY_FILE))?;
        std::fs::copy(dir.join(SECRETS_FILE), staging.join(SECRETS_FILE))?;
        journal
            .copy_to(&staging.join(JOURNAL_FILE))
            .map_err(io::Error::other)?;
        if vault.generation().map_err(io::Error::other)? == generation {
            return Ok(Staged {
                node,
                generation,
                dir: staging,
            });
        }
    }
    unstage(&staging)?;
    Err(io::Error::other(
        "the secrets keep changing; try again later",
    ))
}

/// Seals the copies into a new file, and removes them on success and on failure.
pub fn seal(
    staged: &Staged,
    to: &SealTo<'_>,
    out: &Path,
    progress: Progress<'_>,
) -> anyhow::Result<Contents> {
    let contents = Contents {
        format: 0,
        node: staged.node.to_string(),
        generation: staged.generation,
        made: now(),
        software: format!("countersign-node {}", env!("CARGO_PKG_VERSION")),
        files: Vec::new(),
    };
    let written = countersign_store::backup::write(
        &staged.dir,
        &staged.journal(),
        contents,
        to,
        out,
        progress,
    );
    unstage(&staged.dir)?;
    Ok(written?)
}

/// Removes the copies. Succeeds if there are none.
pub fn unstage(staging: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::test_node::{empty_vault, node};

    fn store() -> (tempfile::TempDir, Vault, Journal) {
        let (dir, vault) = empty_vault();
        let journal = Journal::create(dir.path()).unwrap();
        (dir, vault, journal)
    }

    #[test]
    fn staged_copies_are_the_nodes_files_in_a_folder_of_its_own() {
        let (dir, vault, journal) = store();
        let staged = stage(&vault, &journal, node(1), dir.path()).unwrap();
        assert_eq!(staged.dir, dir.path().join(FOLDER));
        assert_eq!(staged.generation, vault.generation().unwrap());
        let mode = std::fs::metadata(&staged.dir).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        for name in [IDENTITY_FILE, SECRETS_FILE] {
            let read = |dir: &Path| std::fs::read(dir.join(name)).unwrap();
            assert_eq!(read(&staged.dir), read(dir.path()), "{name}");
        }
        assert!(staged.journal().is_file());
    }

    #[test]
    fn the_remains_of_an_earlier_backup_are_not_part_of_the_next() {
        let (dir, vault, journal) = store();
        let folder = dir.path().join(FOLDER);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("remains"), "").unwrap();
        let staged = stage(&vault, &journal, node(1), dir.path()).unwrap();
        assert!(!staged.dir.join("remains").exists());
    }

    #[test]
    fn copies_are_removed_when_they_cannot_be_sealed() {
        let (dir, vault, journal) = store();
        let staged = stage(&vault, &journal, node(1), dir.path()).unwrap();
        let out = dir.path().join("backup.age");
        assert!(seal(&staged, &SealTo::Recipients(&[]), &out, &mut |_, _| ()).is_err());
        assert!(!staged.dir.exists() && !out.exists());
    }

    #[test]
    fn removing_copies_that_are_not_there_succeeds_and_a_file_in_their_place_is_an_error() {
        let dir = crate::test_node::private_dir();
        let folder = dir.path().join(FOLDER);
        unstage(&folder).unwrap();
        std::fs::write(&folder, "").unwrap();
        assert!(unstage(&folder).is_err());
    }
}
