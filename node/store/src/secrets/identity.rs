//! The node's age identity in its file: put there, opened, and replaced by a new one.

use std::io;
use std::path::Path;
use std::sync::PoisonError;

use super::error::{CreateError, OpenError, RenewError};
use super::{
    IDENTITY_FILE, Open, SECRETS_FILE, STAGED_IDENTITY, STAGED_SECRETS, Secrets, additions,
    check_choice, places, read_private, rebuild, write_secrets,
};
use crate::files;
use crate::passphrase::Passphrase;
use crate::seal::{NodeKey, Unsealed};

impl Secrets {
    /// Seals the store to a new age identity under the same passphrase: whoever has a copy of the
    /// old identity opens only files of before. Interrupted at any point the store opens, under the
    /// one or the other.
    pub fn renew_identity(
        mut self,
        passphrase: &Passphrase,
        work_factor: u8,
    ) -> Result<Self, RenewError> {
        let dir = self.dir.clone();
        let identity = dir.join(IDENTITY_FILE);
        let secrets = dir.join(SECRETS_FILE);
        // With another passphrase the operator would be locked out.
        open_identities(&identity, passphrase)?;
        check_choice(passphrase, work_factor)?;
        let new = NodeKey::generate();
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let old = state.take().ok_or(RenewError::Closed)?;
        let image = rebuild(Some(&old), &[])?;
        let generation = old.generation + 1;
        let io = CreateError::io(&dir);
        publish_identities(&dir, &[&new, &self.key], passphrase, work_factor).map_err(&io)?;
        let staged = dir.join(STAGED_SECRETS);
        let room =
            write_secrets(&staged, &new, &self.recipients, &image, generation).map_err(&io)?;
        files::publish(&staged, &secrets)
            .and_then(|()| additions::remove(&dir, generation))
            .map_err(&io)?;
        publish_identities(&dir, &[&new], passphrase, work_factor).map_err(&io)?;
        *state = Some(Open {
            room,
            ..Open::new(image, generation)?
        });
        self.key = new;
        *self.places() = places(&dir).map_err(&io)?;
        Ok(self)
    }
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
