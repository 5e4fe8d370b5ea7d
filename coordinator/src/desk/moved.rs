//! Keys that have moved on: who is told, at once or when it returns.
//!
//! A generation carries its own proof, so a node needs only to be handed those that it missed. A
//! member of old that took no part in the reshare learns of it here, and destroys what it holds.

use std::collections::BTreeMap;

use countersign_protocol::control::{Held, MAX_GENERATIONS, ToNode};
use countersign_protocol::{Announcement, KeyId, NodeId};
use tracing::{error, info, warn};

use super::{Connection, Desk, Inner, QUEUE};
use crate::store::StoreError;
use crate::task::flow::Flow;
use crate::task::record::{Proof, State};

/// Keys that a node is told of in one go, so that nobody else waits for long.
const AT_ONCE: usize = 64;

/// A new generation of a key.
pub(super) struct Moved {
    to: Announcement,
    /// Members of the generation before that took no part.
    absent: Vec<NodeId>,
}

impl Moved {
    /// A generation that was made elsewhere. Whoever held one before hears of it when it says what
    /// it holds.
    pub(super) fn to(wallet: Announcement) -> Self {
        Self {
            to: wallet,
            absent: Vec::new(),
        }
    }

    /// What this task moved, if that is what it did.
    pub(super) fn by(flow: &Flow) -> Option<Self> {
        let Some(Proof::Reshared(to)) = &flow.record.result else {
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
    /// Tells the absent members that are on line. Tasks that still wait for their nodes will use
    /// the new generation.
    pub(super) fn tell(&mut self, moved: Moved) {
        let Moved { to, absent } = moved;
        info!(wallet = %to.key, generation = to.generation, "wallet moved");
        self.moved.insert(to.key, to.generation);
        for active in self.tasks.values_mut() {
            if active.flow.uses() == Some(to.key) && active.flow.record.state == State::Waiting {
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

impl Desk {
    /// Compares what a node holds with what is known here.
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

    /// Tells a node a few of the generations that it missed, if it reads what it is sent; the rest
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
                    warn!(%node, %key, held, "the node holds a key that it was no member of; examine it");
                }
                Ok(generations) => inner.send(node, ToNode::Replaced { generations }),
                Err(error) => {
                    error!(%node, %key, %error, "the generations of a key cannot be read")
                }
            }
        }
    }

    /// The generations after the one that a node holds, in order. Nobody is told of a key that it
    /// was no member of.
    fn missed(
        &self,
        node: &NodeId,
        key: KeyId,
        held: u32,
    ) -> Result<Vec<Announcement>, StoreError> {
        let member = |known: &Announcement| known.committee.index_of(node).is_some();
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
