//! Keys that nodes hold and this coordinator does not know: the nodes are asked to show them, a
//! few at a time.

use std::collections::BTreeMap;

use countersign_protocol::control::{Held, MAX_GENERATIONS, MAX_SHOWN, ToNode};
use countersign_protocol::{KeyDescriptor, KeyId, NodeId, UnixMillis};
use tracing::{info, warn};

use super::{Connection, Inner, QUEUE, TaskRegistry};

/// Limit on the keys to be requested from one node.
const MAX_WANTED: usize = 50_000;

/// Keys that a node is asked to show, and the question it is answering.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Keys that it reports and that are not known here, with the generation reported and
    /// the first one wanted.
    keys: BTreeMap<KeyId, Claim>,
    /// The last question, until it is answered.
    asked: Option<BTreeMap<KeyId, Claim>>,
}

#[derive(Debug, Clone, Copy)]
struct Claim {
    says: u32,
    from: u32,
}

impl Wanted {
    pub(super) fn is_idle(&self) -> bool {
        self.keys.is_empty() || self.asked.is_some()
    }

    /// Returns false if there was no room for all of them.
    fn add(&mut self, claims: BTreeMap<KeyId, Claim>) -> bool {
        let room = MAX_WANTED.saturating_sub(self.keys.len());
        let all = claims.len() <= room;
        self.keys.extend(claims.into_iter().take(room));
        all
    }

    fn next(&mut self) -> Vec<Held> {
        let mut asked = BTreeMap::new();
        while asked.len() < MAX_SHOWN
            && let Some((key, claim)) = self.keys.pop_first()
        {
            asked.insert(key, claim);
        }
        let held = asked
            .iter()
            .map(|(key, claim)| Held {
                key: *key,
                generation: claim.from,
            })
            .collect();
        self.asked = Some(asked);
        held
    }
}

impl TaskRegistry {
    /// Handles a node's answer. Generations without proof are ignored.
    pub(super) fn shown(
        &self,
        connection: Connection,
        generations: &[KeyDescriptor],
        now: UnixMillis,
    ) {
        let Some(asked) = self.lock().asked(connection) else {
            return;
        };
        let full = generations.len() >= MAX_GENERATIONS;
        let mut left = asked.clone();
        for chain in generations.chunk_by(|one, next| one.key == next.key) {
            let key = chain[0].key;
            let Some(claim) = left.remove(&key) else {
                continue;
            };
            match self.take_in(chain, None, now) {
                Ok(taken) if taken.wallet.generation < claim.says && full => {
                    left.insert(
                        key,
                        Claim {
                            from: taken.wallet.generation + 1,
                            ..claim
                        },
                    );
                }
                Ok(_) => {}
                Err(refused) => {
                    warn!(node = %connection.node, %key, error = %refused, "a wallet that a node reported is rejected");
                }
            }
        }
        let mut inner = self.lock();
        if full && !generations.is_empty() {
            inner.want(connection, left);
        } else if let Some((key, claim)) = left.first_key_value() {
            warn!(node = %connection.node, %key, generation = claim.says, keys = left.len(),
                "the node says that it holds what it does not prove; it is not believed, examine that node");
        }
        self.ask(&mut inner, connection.node);
    }

    /// Asks a node for the next few keys that it reported and that are not known here.
    pub(super) fn ask(&self, inner: &mut Inner, node: NodeId) {
        let Some(presence) = inner.nodes.get_mut(&node) else {
            return;
        };
        if presence.wanted.is_idle() || presence.queue.capacity() < QUEUE / 2 {
            return;
        }
        let keys = presence.wanted.next();
        inner.send(node, ToNode::Show { keys });
    }
}

impl Inner {
    /// Notes the keys that a node reports beyond what is known here, to ask for them later.
    pub(super) fn note_claims(&mut self, connection: Connection, keys: &[Held]) {
        let mut claims = BTreeMap::new();
        for held in keys {
            let from = match (self.moved.get(&held.key), self.wallets.contains(&held.key)) {
                (Some(newest), _) if *newest >= held.generation => continue,
                (Some(newest), _) => newest + 1,
                (None, true) if held.generation == 0 => continue,
                (None, true) => 1,
                (None, false) => 0,
            };
            claims.insert(
                held.key,
                Claim {
                    says: held.generation,
                    from,
                },
            );
        }
        if !claims.is_empty() {
            info!(node = %connection.node, keys = claims.len(), "the node says that it holds what is not known here; it is asked to prove it");
            self.want(connection, claims);
        }
    }

    fn want(&mut self, connection: Connection, claims: BTreeMap<KeyId, Claim>) {
        let Some(presence) = self.nodes.get_mut(&connection.node) else {
            return;
        };
        if !presence.wanted.add(claims) {
            warn!(node = %connection.node, "the node says that it holds more than can be asked for; it is asked again when it reconnects");
        }
    }

    fn asked(&mut self, connection: Connection) -> Option<BTreeMap<KeyId, Claim>> {
        if !self.is_current(connection) {
            return None;
        }
        self.nodes.get_mut(&connection.node)?.wanted.asked.take()
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::Hash;

    use super::*;

    #[test]
    fn a_node_that_invents_keys_takes_so_much_memory_and_no_more() {
        let mut wanted = Wanted::default();
        let mut add = |number: usize| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            let claim = Claim { says: 0, from: 0 };
            let has_room = wanted.add([(KeyId::of_task(&Hash(hash)), claim)].into());
            assert!(wanted.keys.len() <= MAX_WANTED);
            has_room
        };
        assert!((0..MAX_WANTED).all(&mut add));
        assert!(!add(MAX_WANTED));
        wanted.next();
        let claim = Claim { says: 0, from: 0 };
        assert!(
            wanted.add([(KeyId::of_task(&Hash([1; 32])), claim)].into()),
            "what was asked makes room"
        );
    }
}
