//! The cached public side of all shares, limited to the fields that are needed at every change of a
//! key, so that their records need not be read.

use std::collections::{BTreeMap, HashMap};

use countersign_protocol::{Hash, KeyDescriptor, KeyId, TaskId};
use countersign_store::{Change, Section};

use super::error::VaultError;
use super::record::descriptor_in;

/// The public side of a share in force, or of a new key's share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldShare {
    /// Digest of its key descriptor.
    pub digest: Hash,
    /// Generation of the key that it belongs to.
    pub generation: u32,
    /// Digest of the auxiliary information that it is used with.
    pub aux: Option<Hash>,
}

#[derive(Default)]
pub(super) struct Shares {
    held: BTreeMap<KeyId, HeldShare>,
    next: BTreeMap<KeyId, BTreeMap<TaskId, KeyDescriptor>>,
    /// Number of shares, including next ones, that use each piece of auxiliary information.
    users: HashMap<Hash, usize>,
}

impl Shares {
    pub(super) fn held(&self, key: &KeyId) -> Option<HeldShare> {
        self.held.get(key).copied()
    }

    pub(super) fn keys(&self) -> Vec<KeyId> {
        self.held.keys().copied().collect()
    }

    pub(super) fn next_of(&self, key: &KeyId) -> Vec<KeyDescriptor> {
        self.next
            .get(key)
            .into_iter()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect()
    }

    /// Returns the auxiliary information that only this key's share uses, and will
    /// not use any more.
    pub(super) fn unused_aux(&self, key: &KeyId, kept: Option<Hash>) -> Option<Hash> {
        let aux = self.held.get(key)?.aux?;
        (self.users.get(&aux) == Some(&1) && kept != Some(aux)).then_some(aux)
    }

    pub(super) fn put(&mut self, share: &KeyDescriptor) {
        let held = HeldShare {
            digest: share.digest(),
            generation: share.generation,
            aux: share.aux,
        };
        self.uses(share.aux);
        let before = self.held.insert(share.key, held);
        self.drops(before.and_then(|before| before.aux));
    }

    pub(super) fn put_next(&mut self, share: KeyDescriptor) {
        self.uses(share.aux);
        let before = self
            .next
            .entry(share.key)
            .or_default()
            .insert(share.task, share);
        self.drops(before.and_then(|before| before.aux));
    }

    /// Applies a change of the store.
    pub(super) fn follow(&mut self, change: &Change) -> Result<(), VaultError> {
        let (section, key, value) = match change {
            Change::Put {
                section,
                key,
                value,
            } => (section, key, Some(value)),
            Change::Delete { section, key } => (section, key, None),
        };
        match (section, value) {
            (Section::Share, Some(value)) => self.put(&descriptor_in(key, value)?),
            (Section::PendingShare, Some(value)) => self.put_next(descriptor_in(key, value)?),
            (Section::Share, None) => {
                let gone = key
                    .parse()
                    .ok()
                    .and_then(|key: KeyId| self.held.remove(&key));
                self.drops(gone.and_then(|gone| gone.aux));
            }
            (Section::PendingShare, None) => {
                let gone = self.take_next(key);
                self.drops(gone.and_then(|gone| gone.aux));
            }
            // Nothing else in the store is a share.
            (_, Some(_) | None) => {}
        }
        Ok(())
    }

    /// Removes a next share by its name in the store.
    fn take_next(&mut self, name: &str) -> Option<KeyDescriptor> {
        let (key, task) = name.split_once('/')?;
        let key: KeyId = key.parse().ok()?;
        let task: TaskId = task.parse().ok()?;
        let next = self.next.get_mut(&key)?;
        let gone = next.remove(&task);
        if next.is_empty() {
            self.next.remove(&key);
        }
        gone
    }

    fn uses(&mut self, aux: Option<Hash>) {
        if let Some(aux) = aux {
            *self.users.entry(aux).or_default() += 1;
        }
    }

    fn drops(&mut self, aux: Option<Hash>) {
        let Some(aux) = aux else { return };
        if let Some(users) = self.users.get_mut(&aux) {
            *users -= 1;
            if *users == 0 {
                self.users.remove(&aux);
            }
        }
    }
}
