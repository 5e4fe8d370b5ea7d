//! The folder of a store: the names of its files, its lock, and a creation that was interrupted.

use std::io;
use std::path::{Path, PathBuf};

use countersign_files::Holder;

use super::additions;
use super::error::CreateError;
use crate::files::{self, Lock};
use crate::place::Place;

/// Name of the sealed database's file.
pub const SECRETS_FILE: &str = "secrets.redb.age";
/// Name of the file with the node's age identity under its passphrase.
pub const IDENTITY_FILE: &str = "identity.age";
const LOCK_FILE: &str = "store.lock";
/// Temporary names of files that are being written.
pub(super) const STAGED_SECRETS: &str = ".secrets.redb.age.tmp";
pub(super) const STAGED_IDENTITY: &str = ".identity.age.tmp";
/// Name of the first generation until the identity has its name; see
/// [`Secrets::create`](crate::Secrets::create).
pub(super) const FIRST_SECRETS: &str = ".secrets.redb.age.first";

/// The files of the store in this folder, including additions.
pub fn files_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let named = [SECRETS_FILE, IDENTITY_FILE]
        .iter()
        .map(|name| dir.join(name));
    let named = named.filter(|path| path.exists());
    Ok(named
        .chain(additions::list(dir)?.into_iter().map(|(_, path)| path))
        .collect())
}

/// The places of the files that make the store, and of the lock that keeps others out.
pub(super) fn places(dir: &Path) -> io::Result<Vec<Place>> {
    let named = [IDENTITY_FILE, SECRETS_FILE, LOCK_FILE]
        .iter()
        .map(|name| dir.join(name));
    let added = additions::list(dir)?.into_iter().map(|(_, path)| path);
    named.chain(added).map(|path| Place::look(&path)).collect()
}

pub(super) fn lock(dir: &Path) -> io::Result<Option<Lock>> {
    files::try_lock(&dir.join(LOCK_FILE))
}

pub(super) fn holder(dir: &Path) -> Holder {
    Holder::of(&dir.join(LOCK_FILE))
}

/// Completes a creation that was interrupted after the identity got its name.
pub(super) fn finish_creation(dir: &Path) -> io::Result<()> {
    let first = dir.join(FIRST_SECRETS);
    let secrets = dir.join(SECRETS_FILE);
    if dir.join(IDENTITY_FILE).exists() && first.exists() && !secrets.exists() {
        files::publish(&first, &secrets)?;
    }
    Ok(())
}

pub(super) fn refuse_existing(dir: &Path) -> Result<(), CreateError> {
    match files_in(dir)
        .map_err(CreateError::io(dir))?
        .into_iter()
        .next()
    {
        Some(path) => Err(CreateError::Exists { path }),
        None => Ok(()),
    }
}

pub(super) fn remove_leftovers(dir: &Path) -> io::Result<()> {
    [
        STAGED_SECRETS,
        STAGED_IDENTITY,
        FIRST_SECRETS,
        additions::STAGED,
    ]
    .iter()
    .try_for_each(|name| files::remove_if_there(&dir.join(name)))
}
