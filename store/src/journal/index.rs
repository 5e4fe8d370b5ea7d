//! An index of all keys and reshares in memory, so that events at one key need not read the rows of
//! all the others.
//!
//! It is built from the rows at the first question, each read once and let go. The writer then
//! keeps it up to date: the index has the changes of a commit before anybody is told of the commit.
//! None of it is on the disk, so no other program can leave it behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use countersign_protocol::{Committee, Hash, KeyId, NodeId, TaskId, UnixMillis};

use super::prepared::{PreparedReshare, ReshareStage};
use super::row::{KeyRecord, KeyStatus};

/// A key's entry in the index, known without reading the key's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// The use that may be made of the key.
    pub status: KeyStatus,
    /// The time at which the node stored it.
    pub created: UnixMillis,
    /// The task that made this generation.
    pub task: TaskId,
    /// The number of its generation, from 0.
    pub generation: u32,
    /// The digest of its key descriptor.
    pub digest: Hash,
    /// The name of its auxiliary information.
    pub aux: Option<Hash>,
    /// The members that hold this generation.
    pub committee: Arc<Committee>,
}

/// The number of keys in each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// Keys that wait for their members' confirmation.
    pub pending: usize,
    /// Keys that can be used.
    pub active: usize,
    /// Keys that others hold now.
    pub released: usize,
    /// Keys that others hold now, while this node keeps its share.
    pub leaving: usize,
}

/// A committed change that the index follows.
pub(super) enum Change {
    Key(Box<KeyRecord>),
    NoKey(KeyId),
    PreparedReshare(Box<PreparedReshare>),
}

/// The content of the index.
#[derive(Debug, Default)]
pub(super) struct Known {
    keys: BTreeMap<KeyId, KnownKey>,
    counts: KeyCounts,
    pending: BTreeSet<KeyId>,
    committees: HashMap<Arc<Committee>, OfCommittee>,
    stages: HashMap<TaskId, ReshareStage>,
    at_stage: HashMap<ReshareStage, BTreeSet<TaskId>>,
    of_key: BTreeMap<KeyId, BTreeSet<TaskId>>,
}

/// The keys that one committee holds.
#[derive(Debug, Default)]
struct OfCommittee {
    keys: BTreeSet<KeyId>,
    /// Active keys that have auxiliary information, the oldest first.
    with_aux: BTreeSet<(UnixMillis, KeyId)>,
}

/// The index, shared by the journal and its writer.
#[derive(Debug, Clone, Default)]
pub(super) struct Index(Arc<Mutex<Option<Known>>>);

impl Index {
    /// Answers a question. The first one builds the index with `load`; commits wait meanwhile.
    pub(super) fn ask<T, E>(
        &self,
        load: impl FnOnce(&mut Known) -> Result<(), E>,
        question: impl FnOnce(&Known) -> T,
    ) -> Result<T, E> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known {
            return Ok(question(known));
        }
        let mut new = Known::default();
        load(&mut new)?;
        Ok(question(known.insert(new)))
    }

    /// Takes in committed changes. An index that was not built yet reads them from the rows later.
    pub(super) fn follow(&self, changes: &[Change]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = &mut *known else { return };
        for change in changes {
            match change {
                Change::Key(record) => known.put_key(record),
                Change::NoKey(key) => known.remove_key(key),
                Change::PreparedReshare(prepared) => known.put_prepared(prepared),
            }
        }
    }
}

impl Known {
    pub(super) fn keys(&self) -> &BTreeMap<KeyId, KnownKey> {
        &self.keys
    }

    pub(super) fn counts(&self) -> KeyCounts {
        self.counts
    }

    pub(super) fn pending(&self) -> Vec<(KeyId, TaskId)> {
        self.pending
            .iter()
            .filter_map(|key| Some((*key, self.keys.get(key)?.task)))
            .collect()
    }

    /// The active keys of committees in which all of these nodes are.
    pub(super) fn shared(&self, nodes: &[NodeId]) -> Vec<(KeyId, u32)> {
        let theirs =
            |committee: &Committee| nodes.iter().all(|node| committee.index_of(node).is_some());
        let of = self
            .committees
            .iter()
            .filter(|(committee, _)| theirs(committee));
        let keys = of
            .flat_map(|(_, of)| &of.keys)
            .filter_map(|key| Some((*key, self.keys.get(key)?)));
        let mut shared: Vec<(KeyId, u32)> = keys
            .filter(|(_, known)| known.status == KeyStatus::Active)
            .map(|(key, known)| (key, known.generation))
            .collect();
        shared.sort_unstable();
        shared
    }

    /// The auxiliary information of the committee's newest active key that has some.
    pub(super) fn newest_aux(&self, committee: &Committee) -> Option<Hash> {
        let (_, newest) = self.committees.get(committee)?.with_aux.last()?;
        self.keys.get(newest)?.aux
    }

    /// The auxiliary information that active keys use.
    pub(super) fn auxes(&self) -> BTreeSet<Hash> {
        let with_aux = self.committees.values().flat_map(|of| &of.with_aux);
        with_aux
            .filter_map(|(_, key)| self.keys.get(key)?.aux)
            .collect()
    }

    pub(super) fn reshares_of(&self, key: &KeyId) -> Vec<TaskId> {
        self.of_key
            .get(key)
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    pub(super) fn reshares_at(&self, stage: ReshareStage) -> Vec<TaskId> {
        let tasks = self.at_stage.get(&stage);
        tasks.into_iter().flatten().copied().collect()
    }

    pub(super) fn put_key(&mut self, record: &KeyRecord) {
        let key = record.key();
        let descriptor = &record.descriptor;
        self.remove_key(&key);
        let shared = self
            .committees
            .get_key_value(&descriptor.committee)
            .map(|(shared, _)| shared.clone());
        let committee = shared.unwrap_or_else(|| Arc::new(descriptor.committee.clone()));
        let of = self.committees.entry(committee.clone()).or_default();
        of.keys.insert(key);
        match record.status {
            KeyStatus::Active if descriptor.aux.is_some() => {
                of.with_aux.insert((record.created, key));
            }
            KeyStatus::Pending => {
                self.pending.insert(key);
            }
            KeyStatus::Active | KeyStatus::Released | KeyStatus::Leaving => {}
        }
        *self.counts.of(record.status) += 1;
        let known = KnownKey {
            status: record.status,
            created: record.created,
            task: descriptor.task,
            generation: descriptor.generation,
            digest: descriptor.digest(),
            aux: descriptor.aux,
            committee,
        };
        self.keys.insert(key, known);
    }

    fn remove_key(&mut self, key: &KeyId) {
        let Some(known) = self.keys.remove(key) else {
            return;
        };
        *self.counts.of(known.status) -= 1;
        self.pending.remove(key);
        if let Some(of) = self.committees.get_mut(&known.committee) {
            of.keys.remove(key);
            of.with_aux.remove(&(known.created, *key));
            if of.keys.is_empty() {
                self.committees.remove(&known.committee);
            }
        }
    }

    pub(super) fn put_prepared(&mut self, prepared: &PreparedReshare) {
        let key = prepared.descriptor.key;
        let task = prepared.task;
        let before = self.stages.insert(task, prepared.stage);
        if let Some(others) = before.and_then(|before| self.at_stage.get_mut(&before)) {
            others.remove(&task);
        }
        self.at_stage
            .entry(prepared.stage)
            .or_default()
            .insert(task);
        self.of_key.entry(key).or_default().insert(task);
    }
}

impl KeyCounts {
    fn of(&mut self, status: KeyStatus) -> &mut usize {
        match status {
            KeyStatus::Pending => &mut self.pending,
            KeyStatus::Active => &mut self.active,
            KeyStatus::Released => &mut self.released,
            KeyStatus::Leaving => &mut self.leaving,
        }
    }
}
