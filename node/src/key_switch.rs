//! The switch of a key from one generation to the next: the journal decides it, and the secrets
//! file follows.
//!
//! One at a time, and never while a next share is being stored: that share has no record yet, and
//! would be taken for one that nobody needs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_protocol::{KeyId, UnixMillis};
use countersign_store::{Journal, KeyRecord};

use crate::task::handover::{self, HandoverError};
use crate::vault::Vault;

/// Journal and secrets file, as far as they must agree on keys.
pub struct KeySwitch {
    journal: Journal,
    vault: Arc<Vault>,
    turn: Mutex<()>,
}

/// Nothing else switches meanwhile.
pub struct Switching<'a> {
    switch: &'a KeySwitch,
    _turn: MutexGuard<'a, ()>,
}

impl KeySwitch {
    /// Of this journal and this vault.
    pub fn new(journal: Journal, vault: Arc<Vault>) -> Self {
        Self {
            journal,
            vault,
            turn: Mutex::default(),
        }
    }

    /// Waits for its turn.
    pub fn alone(&self) -> Switching<'_> {
        Switching {
            switch: self,
            _turn: self.turn.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Switching<'_> {
    /// Brings the secrets file to what the journal says of a key, and gives that.
    pub fn align(&self, now: UnixMillis, key: KeyId) -> Result<Option<KeyRecord>, HandoverError> {
        handover::align(self.journal(), self.vault(), now, key)?;
        Ok(self.journal().key(&key)?)
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.switch.journal
    }

    /// The secrets.
    pub fn vault(&self) -> &Vault {
        &self.switch.vault
    }
}
