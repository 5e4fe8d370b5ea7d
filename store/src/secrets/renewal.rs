//! Renewal of the node's age identity.

use std::sync::PoisonError;

use super::database::{Open, rebuild, write_secrets};
use super::error::{CreateError, RenewError};
use super::folder::{IDENTITY_FILE, SECRETS_FILE, STAGED_SECRETS, places};
use super::identity::{check_choice, open_identities, publish_identities};
use super::{Secrets, additions};
use crate::files;
use crate::passphrase::Passphrase;
use crate::seal::NodeKey;

impl Secrets {
    /// Seals the store to a new age identity under the same passphrase. A copy of the old identity
    /// opens only older files. After an interruption at any point the store opens, with the old
    /// identity or the new one.
    pub fn renew_identity(
        mut self,
        passphrase: &Passphrase,
        work_factor: u8,
    ) -> Result<Self, RenewError> {
        let dir = self.dir.clone();
        let identity = dir.join(IDENTITY_FILE);
        let secrets = dir.join(SECRETS_FILE);
        // A wrong passphrase would lock the operator out.
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
