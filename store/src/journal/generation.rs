//! The generations of keys with all their acknowledgements, and the nodes that have yet to hear of
//! them. A node that knows that a reshare is complete tells everybody concerned until each has said
//! that it knows, so a coordinator can withhold nothing.

use std::collections::BTreeSet;

use countersign_protocol::{GenerationProof, KeyDescriptor, KeyId, NodeId, SignedAck};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::codec::{self, Stored};
use super::error::{ReadJournalError, WriteJournalError};
use super::read::read;
use super::written::{Done, Written};

/// Key id and number to [`Generation`].
pub(super) const GENERATIONS: TableDefinition<Place, &'static [u8]> =
    TableDefinition::new("generations");
/// Generations that some node concerned may not know yet.
pub(super) const UNHEARD: TableDefinition<Place, ()> = TableDefinition::new("unheard");

/// Key id and number of the generation, big-endian.
pub(super) type Place = &'static [u8; 20];

/// One generation of a key, as far as this node knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The key descriptor with the acknowledgements of all parties, and those by which members say
    /// that it is in force at them.
    pub proof: GenerationProof,
    /// The nodes that have to know: its parties, and the holders of the generation before.
    pub concerned: Vec<NodeId>,
    /// Those of them that have said that they know all that they need.
    pub heard: Vec<NodeId>,
}

impl Stored for Generation {}

impl Generation {
    /// True if this is the generation of exactly that key descriptor.
    pub fn is(&self, descriptor: &KeyDescriptor) -> bool {
        self.proof.descriptor.digest() == descriptor.digest()
    }

    /// True if every acknowledgement of the other proof is known here.
    pub fn covers(&self, other: &GenerationProof) -> bool {
        self.proof.descriptor == other.descriptor
            && other
                .in_force
                .iter()
                .all(|ack| self.proof.in_force.contains(ack))
    }

    /// The nodes that may not know yet. A member that has the generation in force knows.
    pub fn unheard(&self) -> impl Iterator<Item = &NodeId> {
        let in_force = |node: &NodeId| self.proof.in_force.iter().any(|ack| ack.node == *node);
        self.concerned
            .iter()
            .filter(move |node| !self.heard.contains(node) && !in_force(node))
    }

    /// Adds acknowledgements of members that have none here. True if there was one.
    fn merge(&mut self, acks: Vec<SignedAck>) -> bool {
        let before = self.proof.in_force.len();
        for ack in acks {
            if let Err(place) = self
                .proof
                .in_force
                .binary_search_by_key(&ack.node, |known| known.node)
            {
                self.proof.in_force.insert(place, ack);
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

/// The key and the generation's number, the inverse of [`place`].
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

pub(super) struct Generations<'t> {
    all: Table<'t, Place, &'static [u8]>,
    unheard: Table<'t, Place, ()>,
}

impl<'t> Generations<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            all: transaction.open_table(GENERATIONS)?,
            unheard: transaction.open_table(UNHEARD)?,
        })
    }

    fn get(&self, place: &[u8; 20]) -> Result<Option<Generation>, WriteJournalError> {
        let row = self.all.get(place)?;
        Ok(row
            .map(|row| read("generations", row.value()))
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

    /// Keeps the generation that a key has come to. All parties must hear of it, and `holders`, who
    /// held the one before. Known acknowledgements stay, unless they belong to another descriptor
    /// with the same number.
    pub(super) fn keep(
        &mut self,
        descriptor: &KeyDescriptor,
        holders: &[NodeId],
    ) -> Result<(), WriteJournalError> {
        let place = place(&descriptor.key, descriptor.generation);
        let known = self.get(&place)?.filter(|known| known.is(descriptor));
        let mut generation = known.unwrap_or_else(|| Generation {
            proof: GenerationProof {
                descriptor: descriptor.clone(),
                in_force: Vec::new(),
            },
            concerned: Vec::new(),
            heard: Vec::new(),
        });
        let mut concerned = concerned(descriptor, holders);
        concerned.extend(&generation.concerned);
        generation.concerned = concerned.into_iter().collect();
        self.put(&place, &generation)
    }

    /// Adds members' verified acknowledgements that they have a generation in force.
    pub(super) fn in_force(&mut self, key: KeyId, generation: u32, acks: Vec<SignedAck>) -> Done {
        self.change(key, generation, |known| known.merge(acks))
    }

    /// Notes that these nodes know all that they need of a generation.
    pub(super) fn heard(&mut self, key: KeyId, generation: u32, nodes: &[NodeId]) -> Done {
        self.change(key, generation, |known| {
            let new =
                |node: &&NodeId| known.concerned.contains(node) && !known.heard.contains(node);
            let new: Vec<NodeId> = nodes.iter().filter(new).copied().collect();
            known.heard.extend(&new);
            !new.is_empty()
        })
    }

    fn change(
        &mut self,
        key: KeyId,
        generation: u32,
        change: impl FnOnce(&mut Generation) -> bool,
    ) -> Done {
        let place = place(&key, generation);
        let Some(mut known) = self.get(&place)? else {
            return Ok(Written::Already);
        };
        if !change(&mut known) {
            return Ok(Written::Already);
        }
        self.put(&place, &known)?;
        Ok(Written::Now)
    }
}

/// The nodes that must hear of a generation: nobody of the first, since its members made it
/// together.
fn concerned(descriptor: &KeyDescriptor, holders: &[NodeId]) -> BTreeSet<NodeId> {
    if descriptor.generation == 0 {
        return BTreeSet::new();
    }
    let acked = descriptor.acks.iter().map(|ack| &ack.node);
    let members = descriptor.committee.members();
    let parties = descriptor.parties.iter().chain(acked).chain(members);
    parties.chain(holders).copied().collect()
}
