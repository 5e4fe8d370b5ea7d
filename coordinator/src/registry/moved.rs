//! Notifies nodes of keys that were reshared without them, at once or when they return.
//!
//! A generation carries its own proof, so a node only needs the generations it missed. A former
//! member that took no part in the reshare learns of it here, and destroys its share.

use std::collections::BTreeMap;

use countersign_api::{State, TaskResult};
use countersign_protocol::control::{Held, MAX_GENERATIONS, ToNode};
use countersign_protocol::{KeyDescriptor, KeyId, NodeId};
use tracing::{error, info, warn};

use super::{Connection, Inner, QUEUE, TaskRegistry};
use crate::store::StoreError;
use crate::task::flow::Flow;

/// Limit on the keys that a node is told of at a time, so that no other caller waits for long.
const AT_ONCE: usize = 64;

/// A new generation of a key.
pub(super) struct Moved {
    to: KeyDescriptor,
    /// Members of the previous generation that took no part.
    absent: Vec<NodeId>,
}

impl Moved {
    /// A generation created elsewhere. Former holders hear of it when they report their keys.
    pub(super) fn to(wallet: KeyDescriptor) -> Self {
        Self {
            to: wallet,
            absent: Vec::new(),
        }
    }

    /// The generation that this task created, if it was a reshare.
    pub(super) fn by(flow: &Flow) -> Option<Self> {
        let Some(TaskResult::Reshared(to)) = &flow.record.result else {
            return None;
        };
        let took_part = |node: &NodeId| flow.record.parties.iter().any(|party| party.node == *node);
        let before = flow.moves()?.from.committee.members().iter().copied();
        Some(Self {
            to: (**to).clone(),
            absent: before.filter(|node| !took_part(node)).collect(),
        })
    }
}

impl Inner {
    /// Tells the absent members that are online. Tasks still waiting for their nodes will
    /// use the new generation.
    pub(super) fn tell(&mut self, moved: Moved) {
        let Moved { to, absent } = moved;
        info!(wallet = %to.key, generation = to.generation, "wallet moved");
        self.moved.insert(to.key, to.generation);
        for active in self.tasks.values_mut() {
            let is_open = matches!(active.flow.record.state, State::Pending | State::Waiting);
            if active.flow.uses() == Some(to.key) && is_open {
                active.flow.set_wallet(Some(to.clone()));
            }
        }
        for node in absent {
            self.send(
                node,
                ToNode::Replaced {
                    generations: vec![to.clone()],
                },
            );
        }
    }
}

impl TaskRegistry {
    /// Compares the keys that a node holds with those known here.
    pub(super) fn compare(&self, connection: Connection, keys: &[Held]) {
        let mut inner = self.lock();
        if !inner.is_current(connection) {
            return;
        }
        let newest = |held: &Held| inner.moved.get(&held.key).copied().unwrap_or(0);
        let behind: BTreeMap<KeyId, u32> = keys
            .iter()
            .filter(|held| held.generation < newest(held))
            .map(|held| (held.key, held.generation))
            .collect();
        inner.note_claims(connection, keys);
        if let Some(presence) = inner.nodes.get_mut(&connection.node) {
            presence.behind.extend(behind);
        }
        self.catch_up(&mut inner, connection.node);
        self.ask(&mut inner, connection.node);
    }

    pub(super) fn catch_up_all(&self, inner: &mut Inner) {
        let behind = inner
            .nodes
            .iter()
            .filter(|(_, presence)| !presence.behind.is_empty());
        for node in behind.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.catch_up(inner, node);
        }
        let waiting = inner
            .nodes
            .iter()
            .filter(|(_, presence)| !presence.wanted.is_idle());
        for node in waiting.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.ask(inner, node);
        }
    }

    /// Sends a node a few of the generations that it missed, if it keeps reading; the rest
    /// at the next tick.
    fn catch_up(&self, inner: &mut Inner, node: NodeId) {
        for _ in 0..AT_ONCE {
            let Some(presence) = inner.nodes.get_mut(&node) else {
                return;
            };
            if presence.queue.capacity() < QUEUE / 2 {
                return;
            }
            let Some((key, held)) = presence.behind.pop_first() else {
                return;
            };
            match self.missed(&node, key, held) {
                Ok(generations) if generations.is_empty() => {
                    warn!(%node, %key, held, "the node holds a key although it was not a member; examine it");
                }
                Ok(generations) => inner.send(node, ToNode::Replaced { generations }),
                Err(error) => {
                    error!(%node, %key, %error, "the generations of a key cannot be read")
                }
            }
        }
    }

    /// Returns the generations after the one that a node holds, in order. Only members are
    /// told of a key.
    fn missed(
        &self,
        node: &NodeId,
        key: KeyId,
        held: u32,
    ) -> Result<Vec<KeyDescriptor>, StoreError> {
        let member = |known: &KeyDescriptor| known.committee.index_of(node).is_some();
        if !self
            .store
            .generation(key, held)?
            .is_some_and(|known| member(&known))
        {
            return Ok(Vec::new());
        }
        self.store.generations(key, held + 1, MAX_GENERATIONS)
    }
}
