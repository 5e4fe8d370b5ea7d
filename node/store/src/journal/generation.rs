//! The generations of keys with all their marks, and who still has to hear of them. Whoever knows
//! that a reshare is complete tells everybody whom it concerns, until each has said that it knows;
//! so a coordinator can withhold nothing.

use std::collections::BTreeSet;

use countersign_protocol::{
    Announcement, GenerationProof, KeyId, KeyReshare, NodeId, Operation, StoredMark, Task, TaskId,
    UnixMillis,
};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::codec::{self, Stored};
use super::error::{ReadJournalError, WriteJournalError};
use super::operation::{Done, Tables, Written};
use super::row::{KeyRecord, KeyStatus};

/// Key id and number to [`Generation`].
pub(super) const GENERATIONS: TableDefinition<Place, &'static [u8]> =
    TableDefinition::new("generations");
/// Generations of which somebody whom they concern has not said yet that it knows.
pub(super) const UNHEARD: TableDefinition<Place, ()> = TableDefinition::new("unheard");

/// Key id and number of the generation, big-endian.
pub(super) type Place = &'static [u8; 20];

/// One generation of a key, as far as this node knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// With the marks of all parties, and with what is known of who has it in force.
    pub proof: GenerationProof,
    /// Who has to know: its parties, and who held the generation before.
    pub concerned: Vec<NodeId>,
    /// Who of them has said that it knows all that it needs.
    pub heard: Vec<NodeId>,
}

impl Stored for Generation {}

impl Generation {
    /// True if this is about exactly that announcement.
    pub fn is(&self, announcement: &Announcement) -> bool {
        self.proof.announcement.digest() == announcement.digest()
    }

    /// True if all of what the other proof says, mark by mark, is known here.
    pub fn covers(&self, other: &GenerationProof) -> bool {
        self.proof.announcement == other.announcement
            && other
                .in_force
                .iter()
                .all(|mark| self.proof.in_force.contains(mark))
    }

    /// Who has not said yet that it knows. A member that has the generation in force knows.
    pub fn unheard(&self) -> impl Iterator<Item = &NodeId> {
        let in_force = |node: &NodeId| self.proof.in_force.iter().any(|mark| mark.node == *node);
        self.concerned
            .iter()
            .filter(move |node| !self.heard.contains(node) && !in_force(node))
    }

    /// Adds marks that are not there. True if there was one.
    fn merge(&mut self, marks: Vec<StoredMark>) -> bool {
        let before = self.proof.in_force.len();
        for mark in marks {
            if let Err(place) = self
                .proof
                .in_force
                .binary_search_by_key(&mark.node, |known| known.node)
            {
                self.proof.in_force.insert(place, mark);
            }
        }
        self.proof.in_force.len() > before
    }
}

pub(super) fn place(key: &KeyId, generation: u32) -> [u8; 20] {
    let mut place = [0; 20];
    place[..16].copy_from_slice(key.as_bytes());
    place[16..].copy_from_slice(&generation.to_be_bytes());
    place
}

/// The key and the number of a place.
pub(super) fn split(place: &[u8; 20]) -> Result<(KeyId, u32), ReadJournalError> {
    let damaged = || ReadJournalError::Damaged {
        table: "generations",
    };
    let (key, number) = place.split_first_chunk::<16>().ok_or_else(damaged)?;
    let number = <[u8; 4]>::try_from(number).map_err(|_| damaged())?;
    Ok((
        KeyId::from_bytes(*key).map_err(|_| damaged())?,
        u32::from_be_bytes(number),
    ))
}

/// What a reshare's row ordered, if it can be read.
pub(super) fn ordered(bytes: &[u8]) -> Option<(KeyReshare, UnixMillis)> {
    let task: Task = serde_json::from_slice(bytes).ok()?;
    match task.operation {
        Operation::KeyReshare(reshare) => Some((*reshare, task.created)),
        Operation::KeyGen(_) | Operation::KeySign(_) | Operation::KeyShareSign(_) => None,
    }
}

/// The open tables.
pub(super) struct Generations<'t> {
    all: Table<'t, Place, &'static [u8]>,
    unheard: Table<'t, Place, ()>,
}

impl<'t> Generations<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Generations {
            all: transaction.open_table(GENERATIONS)?,
            unheard: transaction.open_table(UNHEARD)?,
        })
    }

    fn get(&self, place: &[u8; 20]) -> Result<Option<Generation>, WriteJournalError> {
        let read = |bytes: &[u8]| {
            codec::decode(bytes).map_err(|e| ReadJournalError::record("generations", e))
        };
        Ok(self
            .all
            .get(place)?
            .map(|bytes| read(bytes.value()))
            .transpose()?)
    }

    fn put(&mut self, place: &[u8; 20], generation: &Generation) -> Result<(), WriteJournalError> {
        self.all
            .insert(place, codec::encode(generation).as_slice())?;
        match generation.unheard().next() {
            Some(_) => self.unheard.insert(place, ())?,
            None => self.unheard.remove(place)?,
        };
        Ok(())
    }

    /// Keeps a generation. What was known of who has it in force, and who has heard of it, stays;
    /// an announcement that takes the place of another one of its number takes nothing over.
    pub(super) fn keep(
        &mut self,
        announcement: &Announcement,
        concerned: BTreeSet<NodeId>,
    ) -> Result<(), WriteJournalError> {
        let place = place(&announcement.key, announcement.generation);
        let known = self.get(&place)?.filter(|known| known.is(announcement));
        let generation = match known {
            Some(known) => {
                let concerned = known
                    .concerned
                    .iter()
                    .copied()
                    .chain(concerned)
                    .collect::<BTreeSet<_>>();
                Generation {
                    concerned: concerned.into_iter().collect(),
                    ..known
                }
            }
            None => Generation {
                proof: GenerationProof {
                    announcement: announcement.clone(),
                    in_force: Vec::new(),
                },
                concerned: concerned.into_iter().collect(),
                heard: Vec::new(),
            },
        };
        self.put(&place, &generation)
    }
}

impl Tables<'_> {
    /// Keeps the generation that a key has come to. Whoever held the one before has to hear of it,
    /// and every party.
    pub(super) fn keep_generation(
        &mut self,
        announcement: &Announcement,
        before: &[NodeId],
    ) -> Result<(), WriteJournalError> {
        let marked = announcement.stored.iter().map(|mark| &mark.node);
        let parties = announcement
            .parties
            .iter()
            .chain(marked)
            .chain(announcement.committee.members());
        let concerned = match announcement.generation {
            // Its members met when they made it.
            0 => BTreeSet::new(),
            _ => parties.chain(before).copied().collect(),
        };
        self.generations.keep(announcement, concerned)
    }

    /// Whom a reshare takes a key from, as its order says, and its present record.
    pub(super) fn holders_before(
        &self,
        task: &TaskId,
        key: &KeyId,
    ) -> Result<Vec<NodeId>, WriteJournalError> {
        let ordered = self.row(task)?.and_then(|row| ordered(&row.bytes));
        let ordered = ordered.map(|(reshare, _)| reshare.from.committee);
        let present = self.key(key)?.map(|record| record.announcement.committee);
        let committees = ordered.into_iter().chain(present);
        Ok(committees
            .flat_map(|committee| committee.members().to_vec())
            .collect())
    }

    /// Members' marks that they have a generation in force, which the caller has verified.
    pub(super) fn in_force(&mut self, key: KeyId, generation: u32, marks: Vec<StoredMark>) -> Done {
        self.change_generation(key, generation, |known| known.merge(marks))
    }

    /// These nodes know all that they need of a generation.
    pub(super) fn heard(&mut self, key: KeyId, generation: u32, nodes: &[NodeId]) -> Done {
        self.change_generation(key, generation, |known| {
            let new =
                |node: &&NodeId| known.concerned.contains(node) && !known.heard.contains(node);
            let new: Vec<NodeId> = nodes.iter().filter(new).copied().collect();
            known.heard.extend(&new);
            !new.is_empty()
        })
    }

    fn change_generation(
        &mut self,
        key: KeyId,
        generation: u32,
        change: impl FnOnce(&mut Generation) -> bool,
    ) -> Done {
        let place = place(&key, generation);
        let Some(mut known) = self.generations.get(&place)? else {
            return Ok(Written::Already);
        };
        if !change(&mut known) {
            return Ok(Written::Already);
        }
        self.generations.put(&place, &known)?;
        Ok(Written::Now)
    }

    /// The share that this node kept of a key that has moved on is of no use to anybody any more.
    pub(super) fn release(&mut self, key: KeyId) -> Done {
        match self.key(&key)? {
            Some(record) if record.status == KeyStatus::Leaving => self.put_key(&KeyRecord {
                status: KeyStatus::Released,
                ..record
            }),
            Some(_) | None => Ok(Written::Already),
        }
    }
}
