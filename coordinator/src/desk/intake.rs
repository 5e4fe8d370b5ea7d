//! Wallets that were made elsewhere, brought by whoever has them: nodes that hold the keys, and clients with their wallet books.
//! So a coordinator that was lost is replaced by an empty one.
//!
//! Nobody's word counts. A generation proves itself by the marks of all its parties; the members of the newest must be nodes
//! that this coordinator admits, and each generation must succeed the one before. Of two stories about one key the longer chain
//! that verifies stays.

use countersign_protocol::{Announcement, KeyId, NodeId, SignedTask, TaskId, UnixMillis};
use tracing::{error, info};

use super::moved::Moved;
use super::{Desk, Inner, origin};
use crate::store::{StoreError, Ticket};
use crate::task::proof;
use crate::task::record::TaskRecord;

/// Why a wallet is not taken in. Each has a stable [code](IntakeError::code).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// None, too many, or not of one wallet.
    #[error("bring 1 to {max} generations of one wallet, oldest first", max = MAX)]
    Count,
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
    /// An order that did not make it.
    #[error(
        "the order is not the one that made the wallet ({0}); leave it out, or take it from a wallet book"
    )]
    Order(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IntakeError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            IntakeError::Count => "wallet-generations",
            IntakeError::Unproven(_) => "wallet-unproven",
            IntakeError::UnknownNode(_) => "node-unknown",
            IntakeError::Conflict { .. } => "wallet-conflict",
            IntakeError::Gap(_) => "wallet-gap",
            IntakeError::Order(_) => "wallet-order",
            IntakeError::Store(_) => "store",
        }
    }
}

/// A wallet that was brought.
#[derive(Debug)]
pub struct TakenIn {
    /// Its newest generation here.
    pub wallet: Announcement,
    /// What to wait for before saying so.
    pub ticket: Ticket,
}

impl Desk {
    /// Takes in the generations of one wallet, oldest first, if they prove it. The KeyGen that made the first lets others check
    /// where the wallet comes from.
    pub fn take_in(
        &self,
        chain: &[Announcement],
        order: Option<&SignedTask>,
        now: UnixMillis,
    ) -> Result<TakenIn, IntakeError> {
        // Signatures are checked before anybody has to wait for it.
        let newest = self.check_chain(chain)?;
        let order = order.map(|order| origin::record(&chain[0], order, now)).transpose()?;
        let mut inner = self.lock();
        let before = self.store.wallet(newest.key)?;
        if let Some(known) = &before {
            self.check_against(known, chain)?;
        }
        for generation in chain {
            self.store.put_wallet(generation)?;
        }
        if let Some((task, record)) = order {
            self.remember(&mut inner, task, record)?;
        }
        inner.wallets.insert(newest.key);
        let new = before.is_none_or(|before| before.generation < newest.generation);
        if new {
            info!(wallet = %newest.key, generation = newest.generation, "wallet taken in");
        }
        if new && newest.generation > 0 {
            inner.tell(Moved::to(newest.clone()));
        }
        let wallet = self.store.wallet(newest.key)?.unwrap_or_else(|| newest.clone());
        Ok(TakenIn { wallet, ticket: self.store.now() })
    }

    /// A task that ended elsewhere, as far as it can be known here.
    fn remember(&self, inner: &mut Inner, task: TaskId, mut record: TaskRecord) -> Result<(), StoreError> {
        if self.record_of(inner, task)?.is_none() {
            record.sequence = inner.last_sequence + 1;
            self.store.put_task(task, &record)?;
            inner.last_sequence += 1;
        }
        Ok(())
    }

    /// Proves the newest generation by those before it and by the marks of nodes that are admitted here.
    fn check_chain<'a>(&self, chain: &'a [Announcement]) -> Result<&'a Announcement, IntakeError> {
        let rules = self.rules();
        let (Some(first), Some(newest)) = (chain.first(), chain.last()) else {
            return Err(IntakeError::Count);
        };
        if chain.len() > MAX || first.key != newest.key {
            return Err(IntakeError::Count);
        }
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
        Ok(newest)
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
}

/// Generations that are brought at once.
const MAX: usize = 256;
