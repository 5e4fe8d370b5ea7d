//! The switch of a key from one generation to the next: the journal decides it, and
//! the secrets file follows.
//!
//! Switches run one at a time, and never while a next share is being stored: that share has no
//! record yet, and would be mistaken for an orphaned one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_protocol::{Hash, KeyDescriptor, KeyId, UnixMillis};
use countersign_store::{Journal, KeyRecord, KeyStatus, ReadJournalError, WriteJournalError};

use crate::task::succession::{self, Standing, Step};
use crate::vault::{HeldShare, Vault, VaultError};

/// Reasons why the journal and the secrets file could not be reconciled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadJournalError),
    /// The journal cannot be written.
    #[error(transparent)]
    Write(#[from] WriteJournalError),
    /// The secrets file could not be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The journal refers to a share that is not in the store.
    #[error(
        "the share of {key} of generation {generation} is not in the store; restore the newest backup, or let the other members reshare the key"
    )]
    ShareMissing {
        /// The key that cannot be used here.
        key: KeyId,
        /// The generation that the journal says is in force.
        generation: u32,
    },
}

/// The journal and the secrets file, which must agree on keys.
pub struct KeySwitch {
    journal: Journal,
    vault: Arc<Vault>,
    turn: Mutex<()>,
}

/// Exclusive access: no other switch runs while this exists.
pub struct Switching<'a> {
    switch: &'a KeySwitch,
    _turn: MutexGuard<'a, ()>,
}

impl KeySwitch {
    /// Guards the keys of this journal and this vault.
    pub fn new(journal: Journal, vault: Arc<Vault>) -> Self {
        Self {
            journal,
            vault,
            turn: Mutex::default(),
        }
    }

    /// Waits until no other switch is running.
    pub fn alone(&self) -> Switching<'_> {
        Switching {
            switch: self,
            _turn: self.turn.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Switching<'_> {
    /// Brings the secrets file in line with the journal's record of a key, and returns that record.
    pub fn align(&self, now: UnixMillis, key: KeyId) -> Result<Option<KeyRecord>, SwitchError> {
        align(self.journal(), self.vault(), now, key)?;
        Ok(self.journal().key(&key)?)
    }

    /// The journal, under the exclusive access.
    pub fn journal(&self) -> &Journal {
        &self.switch.journal
    }

    /// The vault, under the exclusive access.
    pub fn vault(&self) -> &Vault {
        &self.switch.vault
    }
}

/// Brings the secrets file in line with the journal's record of a key. Idempotent. Must run one at
/// a time, and never while a next share is being stored ([`KeySwitch`]): that share would be
/// mistaken for an orphaned one. A destruction is recorded before it is carried out: after a crash
/// between the two, the storage key is renewed nevertheless, and the destruction recorded again.
pub fn align(
    journal: &Journal,
    vault: &Vault,
    now: UnixMillis,
    key: KeyId,
) -> Result<(), SwitchError> {
    let Some(record) = journal.key(&key)? else {
        return Ok(());
    };
    let present = vault.held(key)?;
    let next = vault.next_of(key)?;
    if agree(record.status, record.descriptor.digest(), present, &next) {
        return Ok(());
    }
    let next = NextShares::of(journal, next)?;
    let passed = |share: &&KeyDescriptor| share.generation < record.descriptor.generation;
    let orphaned: Vec<&KeyDescriptor> = next.orphaned.iter().filter(passed).collect();
    if !orphaned.is_empty() {
        journal.destroyed(now, record.descriptor.clone())?;
    }
    orphaned
        .into_iter()
        .try_for_each(|share| vault.drop_next_share(share))?;
    match record.status {
        KeyStatus::Released => {
            // A share of the same generation may be complete elsewhere: it goes with the next one.
            let passed = |(share, _): &&Next| share.generation < record.descriptor.generation;
            let to_delete: Vec<KeyDescriptor> = next
                .ended
                .iter()
                .filter(passed)
                .map(|(share, _)| share.clone())
                .collect();
            if present.is_some() || !to_delete.is_empty() {
                journal.destroyed(now, record.descriptor)?;
                vault.release_share(key, &to_delete)?;
            }
            Ok(())
        }
        KeyStatus::Active => promote(journal, vault, now, record.descriptor, present, next),
        KeyStatus::Pending | KeyStatus::Leaving => Ok(()),
    }
}

/// True if the store has exactly the shares of a key that the journal calls for.
fn agree(
    status: KeyStatus,
    digest: Hash,
    present: Option<HeldShare>,
    next: &[KeyDescriptor],
) -> bool {
    next.is_empty()
        && match status {
            KeyStatus::Active => present.is_some_and(|present| present.digest == digest),
            KeyStatus::Released => present.is_none(),
            KeyStatus::Pending | KeyStatus::Leaving => true,
        }
}

/// A share of a next generation, and the reshare that made it.
type Next = (KeyDescriptor, Step);

/// The next shares of a key, by the state of their reshares.
#[derive(Default)]
struct NextShares {
    /// Shares without a record: stored the moment before a failure, or the journal is an
    /// older copy than the store and an acknowledgement is out. They are deleted once the key
    /// is in a later generation.
    orphaned: Vec<KeyDescriptor>,
    /// Of reshares that are in doubt. They are kept, whatever else becomes of the key.
    waiting: Vec<Next>,
    /// Of completed or aborted reshares, including the one in force.
    ended: Vec<Next>,
}

impl NextShares {
    fn of(journal: &Journal, shares: Vec<KeyDescriptor>) -> Result<Self, SwitchError> {
        let mut next = Self::default();
        for share in shares {
            let Some(known) = journal.prepared(&share.task)? else {
                next.orphaned.push(share);
                continue;
            };
            match Standing::of(known.stage) {
                Standing::InDoubt => next.waiting.push((share, Step::of(&known))),
                Standing::Aborted | Standing::Committed => {
                    next.ended.push((share, Step::of(&known)))
                }
            }
        }
        Ok(next)
    }
}

fn promote(
    journal: &Journal,
    vault: &Vault,
    now: UnixMillis,
    record: KeyDescriptor,
    present: Option<HeldShare>,
    next: NextShares,
) -> Result<(), SwitchError> {
    let digest = record.digest();
    if present.is_some_and(|present| present.digest == digest) {
        return Ok(());
    }
    let missing = SwitchError::ShareMissing {
        key: record.key,
        generation: record.generation,
    };
    let mut all = next.ended.iter().chain(&next.waiting);
    let (promoted, taken) = all
        .find(|(share, _)| share.digest() == digest)
        .ok_or(missing)?;
    let to_delete = next
        .ended
        .iter()
        .filter(|(_, other)| succession::supersedes(taken, other));
    let to_delete: Vec<KeyDescriptor> = to_delete.map(|(share, _)| share.clone()).collect();
    // A node that joins has nothing to destroy, unless it stored for an aborted reshare before.
    if present.is_some() || !to_delete.is_empty() {
        journal.destroyed(now, record)?;
    }
    vault.promote_share(promoted, &to_delete)?;
    Ok(())
}

/// Aligns every key at startup, before anything is signed. The rows and records of keys that agree
/// already are not read again.
pub fn align_all(journal: &Journal, vault: &Vault, now: UnixMillis) -> Result<(), SwitchError> {
    for (key, known) in journal.known_keys()? {
        if agree(
            known.status,
            known.digest,
            vault.held(key)?,
            &vault.next_of(key)?,
        ) {
            continue;
        }
        match align(journal, vault, now, key) {
            // The other keys keep working; a task of this key is refused when its share is opened.
            Err(error @ SwitchError::ShareMissing { .. }) => {
                tracing::error!(%error, "a share is missing")
            }
            aligned => aligned?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "key_switch_tests.rs"]
mod tests;
