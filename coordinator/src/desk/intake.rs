//! Wallets that others bring: nodes that hold keys which are not known here, and clients with their wallet books. So a
//! coordinator that was lost is replaced by an empty one.
//!
//! Nobody's word counts. A generation proves itself by the marks of all its parties; its members must be nodes that this
//! coordinator admits, and each generation must succeed the one before. Of two stories about one key the longer chain that
//! verifies stays.

use std::collections::BTreeMap;

use countersign_protocol::control::{Held, MAX_GENERATIONS, MAX_SHOWN, ToNode};
use countersign_protocol::{Announcement, KeyId, NodeId};
use tracing::{error, info, warn};

use super::moved::Moved;
use super::{Connection, Desk, Inner, QUEUE};
use crate::store::{StoreError, Ticket};
use crate::task::proof;

/// Why a wallet is not taken in. Each has a stable [code](IntakeError::code).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// Marks or facts.
    #[error("{0}; bring the generations of one wallet, oldest first, each with the marks of all its parties")]
    Unproven(&'static str),
    /// A member that may not connect here.
    #[error("member {0} is not admitted at this coordinator; add it under `nodes` in its configuration")]
    UnknownNode(NodeId),
    /// Another story.
    #[error(
        "this coordinator knows another generation {generation} of {wallet}; ask the operators of its nodes which one they hold"
    )]
    Conflict {
        /// Of which wallet.
        wallet: KeyId,
        /// Which generation.
        generation: u32,
    },
    /// Something is missing between what is known and what is brought.
    #[error("generation {0} of the wallet is not known here; bring it, too")]
    Gap(u32),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IntakeError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            IntakeError::Unproven(_) => "wallet-unproven",
            IntakeError::UnknownNode(_) => "node-unknown",
            IntakeError::Conflict { .. } => "wallet-conflict",
            IntakeError::Gap(_) => "wallet-gap",
            IntakeError::Store(_) => "store",
        }
    }
}

/// A wallet that was brought.
#[derive(Debug)]
pub struct TakenIn {
    /// Its newest generation here.
    pub wallet: Announcement,
    /// True if that was not known.
    pub new: bool,
    /// What to wait for before saying so.
    pub ticket: Ticket,
}

/// What a node that is on line is asked to show, and what it shows in answer.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Keys that it says it holds and that are not known here, with the generation that it says, and the first that is wanted.
    keys: BTreeMap<KeyId, Claim>,
    /// What it was asked for last, until it answers.
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

    fn next(&mut self) -> Vec<Held> {
        let mut asked = BTreeMap::new();
        while asked.len() < MAX_SHOWN
            && let Some((key, claim)) = self.keys.pop_first()
        {
            asked.insert(key, claim);
        }
        let held = asked.iter().map(|(key, claim)| Held { key: *key, generation: claim.from }).collect();
        self.asked = Some(asked);
        held
    }
}

impl Desk {
    /// Takes in the generations of one wallet, in order, if they prove it.
    pub fn take_in(&self, chain: &[Announcement]) -> Result<TakenIn, IntakeError> {
        // Signatures are checked before anybody has to wait for it.
        self.check_chain(chain)?;
        let mut inner = self.lock();
        let key = chain[0].key;
        let before = self.store.wallet(key)?;
        match &before {
            None => {}
            Some(known) => self.check_against(known, chain)?,
        }
        for generation in chain {
            self.store.put_wallet(generation)?;
        }
        let wallet = self.store.wallet(key)?.ok_or(IntakeError::Unproven("there is no generation"))?;
        let new = before.is_none_or(|before| before.digest() != wallet.digest());
        if new {
            info!(wallet = %key, generation = wallet.generation, "wallet taken in");
        }
        inner.wallets.insert(key);
        if new && wallet.generation > 0 {
            inner.tell(Moved::to(wallet.clone()));
        }
        Ok(TakenIn { wallet, new, ticket: self.store.now() })
    }

    fn check_chain(&self, chain: &[Announcement]) -> Result<(), IntakeError> {
        let rules = self.rules();
        let (Some(first), Some(newest)) = (chain.first(), chain.last()) else {
            return Err(IntakeError::Unproven("there is no generation"));
        };
        let readable = newest.name.len() <= 64 && !newest.name.chars().any(char::is_control);
        if !readable || proof::extended_public_key(newest).is_err() {
            return Err(IntakeError::Unproven("its name or root key is none"));
        }
        if let Some(stranger) = newest.committee.members().iter().find(|node| !rules.nodes.contains_key(node))
        {
            return Err(IntakeError::UnknownNode(*stranger));
        }
        if !first.is_complete() || chain.windows(2).any(|pair| !pair[1].succeeds(&pair[0])) {
            return Err(IntakeError::Unproven("not all marks are there and verify"));
        }
        Ok(())
    }

    /// What is brought must meet what is known: at a generation that both have, or right behind it.
    fn check_against(&self, known: &Announcement, chain: &[Announcement]) -> Result<(), IntakeError> {
        for brought in chain {
            let same = self.store.generation(known.key, brought.generation)?;
            if let Some(same) = same.filter(|same| same.digest() != brought.digest()) {
                return self.prefer(known, &same, chain);
            }
        }
        let (first, last) = (&chain[0], &chain[chain.len() - 1]);
        // Older ones than are known must lead to those.
        if last.generation < known.generation {
            let next = self.store.generation(known.key, last.generation + 1)?;
            return match next {
                Some(next) if next.succeeds(last) => Ok(()),
                Some(_) => Err(IntakeError::Conflict { wallet: known.key, generation: last.generation }),
                None => Err(IntakeError::Gap(last.generation + 1)),
            };
        }
        match first.generation.checked_sub(known.generation) {
            Some(0) | None => Ok(()),
            Some(1) if first.succeeds(known) => Ok(()),
            Some(1) => Err(IntakeError::Conflict { wallet: known.key, generation: known.generation }),
            Some(_) => Err(IntakeError::Gap(known.generation + 1)),
        }
    }

    /// Two stories: the longer one that verifies stays. It must begin where both agree, or at the very beginning.
    fn prefer(
        &self,
        known: &Announcement,
        other: &Announcement,
        chain: &[Announcement],
    ) -> Result<(), IntakeError> {
        let (wallet, generation) = (known.key, other.generation);
        let rooted = match chain[0].generation.checked_sub(1) {
            None => true,
            Some(before) => {
                self.store.generation(wallet, before)?.is_some_and(|before| chain[0].succeeds(&before))
            }
        };
        let longer = chain[chain.len() - 1].generation > known.generation;
        if !(rooted && longer && chain[0].is_same_key(known)) {
            return Err(IntakeError::Conflict { wallet, generation });
        }
        error!(%wallet, generation, "two stories of a wallet: the longer one takes the place of the other; ask the operators of its nodes");
        Ok(self.store.replace_generations(chain)?)
    }

    /// What a node shows in answer to a question. What proves nothing is not believed, whoever says that it holds it.
    pub(super) fn shown(&self, connection: Connection, generations: &[Announcement]) {
        let Some(asked) = self.lock().asked(connection) else { return };
        let full = generations.len() >= MAX_GENERATIONS;
        let mut left = asked.clone();
        for chain in generations.chunk_by(|one, next| one.key == next.key) {
            let key = chain[0].key;
            let Some(claim) = left.remove(&key) else { continue };
            match self.take_in(chain) {
                Ok(taken) if taken.wallet.generation < claim.says && full => {
                    left.insert(key, Claim { from: taken.wallet.generation + 1, ..claim });
                }
                Ok(_) => {}
                Err(refused) => {
                    warn!(node = %connection.node, %key, error = %refused, "a wallet that a node shows is not taken in");
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

    /// Asks a node for the next few keys that it said it holds and that are not known here.
    pub(super) fn ask(&self, inner: &mut Inner, node: NodeId) {
        let Some(presence) = inner.nodes.get_mut(&node) else { return };
        if presence.wanted.is_idle() || presence.queue.capacity() < QUEUE / 2 {
            return;
        }
        let keys = presence.wanted.next();
        inner.send(node, ToNode::Show { keys });
    }
}

impl Inner {
    /// Notes what a node says that it holds beyond what is known here: it will be asked to show it.
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
            claims.insert(held.key, Claim { says: held.generation, from });
        }
        if !claims.is_empty() {
            info!(node = %connection.node, keys = claims.len(), "the node says that it holds what is not known here; it is asked to prove it");
            self.want(connection, claims);
        }
    }

    fn want(&mut self, connection: Connection, claims: BTreeMap<KeyId, Claim>) {
        let Some(presence) = self.nodes.get_mut(&connection.node) else { return };
        let room = MAX_WANTED.saturating_sub(presence.wanted.keys.len());
        if claims.len() > room {
            warn!(node = %connection.node, "the node says that it holds more than can be asked for; it is asked again when it reconnects");
        }
        presence.wanted.keys.extend(claims.into_iter().take(room));
    }

    fn asked(&mut self, connection: Connection) -> Option<BTreeMap<KeyId, Claim>> {
        if !self.is_current(connection) {
            return None;
        }
        self.nodes.get_mut(&connection.node)?.wanted.asked.take()
    }
}

/// Keys of one node that wait to be asked for.
const MAX_WANTED: usize = 50_000;
