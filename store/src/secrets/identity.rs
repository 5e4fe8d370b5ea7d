//! The file of the node's age identity.

use std::io;
use std::path::Path;

use super::error::{CreateError, OpenError};
use super::folder::{IDENTITY_FILE, STAGED_IDENTITY};
use super::sealed::read_private;
use crate::files;
use crate::passphrase::Passphrase;
use crate::seal::{MAX_WORK_FACTOR, NodeKey, Unsealed};

pub(super) fn check_choice(passphrase: &Passphrase, work_factor: u8) -> Result<(), CreateError> {
    if !passphrase.is_long_enough() {
        return Err(CreateError::ShortPassphrase);
    }
    if !(1..=MAX_WORK_FACTOR).contains(&work_factor) {
        return Err(CreateError::WorkFactor(work_factor));
    }
    Ok(())
}

pub(super) fn publish_identities(
    dir: &Path,
    keys: &[&NodeKey],
    passphrase: &Passphrase,
    work_factor: u8,
) -> io::Result<()> {
    let staged = dir.join(STAGED_IDENTITY);
    let sealed = NodeKey::seal(keys, passphrase, work_factor)?;
    files::stage(&staged, |file| io::Write::write_all(file, &sealed))?;
    files::publish(&staged, &dir.join(IDENTITY_FILE))
}

pub(super) fn open_identities(
    path: &Path,
    passphrase: &Passphrase,
) -> Result<Vec<NodeKey>, OpenError> {
    let sealed = read_private(path)?;
    NodeKey::unseal(&sealed, passphrase).map_err(|error| match error {
        Unsealed::WrongKey => OpenError::WrongPassphrase { path: path.into() },
        Unsealed::NotForUs => OpenError::damaged(path, "it is not sealed with a passphrase"),
        Unsealed::Damaged(what) => OpenError::damaged(path, what),
    })
}
