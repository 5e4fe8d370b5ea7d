//! Wallets that were made elsewhere, brought by whoever has them: nodes that hold the keys, and
//! clients with their wallet books. So a coordinator that was lost is replaced by an empty one.
//!
//! Nobody's word counts. A generation proves itself by the marks of all its parties; the members of
//! the newest must be nodes that this coordinator admits, and each generation must succeed the one
//! before. Where a wallet comes from is proven by the KeyGen that made it, whose hash is the
//! wallet's id, and by nothing else: whoever invents a first generation can sign it. So of two
//! stories that begin differently the one with the order stays, and of two that part later the
//! longer one.

use countersign_protocol::{Announcement, KeyId, NodeId, SignedTask, TaskId, UnixMillis};
use tracing::{error, info};

use super::moved::Moved;
use super::{Desk, Inner, origin};
use crate::store::{StoreError, Ticket};
use crate::task::record::{Proof, TaskRecord};

/// Generations that are brought at once.
const MAX: usize = 256;

/// Why a wallet is not taken in. Each has a stable [code](IntakeError::code).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// None, too many, or not of one wallet.
    #[error("bring 1 to {max} generations of one wallet, oldest first", max = MAX)]
    Count,
    /// Marks or facts.
    #[error(
        "{0}; bring the generations of one wallet, oldest first, each with the marks of all its parties"
    )]
    Unproven(&'static str),
    /// A member that may not connect here.
    #[error(
        "member {0} is not admitted at this coordinator; add it under `nodes` in its configuration"
    )]
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
            Self::Count => "wallet-generations",
            Self::Unproven(_) => "wallet-unproven",
            Self::UnknownNode(_) => "node-unknown",
            Self::Conflict { .. } => "wallet-conflict",
            Self::Gap(_) => "wallet-gap",
            Self::Order(_) => "wallet-order",
            Self::Store(_) => "store",
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
    /// Takes in the generations of one wallet, oldest first, if they prove it. The KeyGen that made
    /// the first lets others check where the wallet comes from.
    pub fn take_in(
        &self,
        chain: &[Announcement],
        order: Option<&SignedTask>,
        now: UnixMillis,
    ) -> Result<TakenIn, IntakeError> {
        // Signatures are checked before anybody has to wait for it.
        let newest = self.check_chain(chain)?;
        let order = order
            .map(|order| origin::record(&chain[0], order, now))
            .transpose()?;
        let mut inner = self.lock();
        let before = self.store.wallet(newest.key)?;
        let replaced = match &before {
            Some(known) => self.check_against(known, chain, order.is_some())?,
            None => false,
        };
        for generation in chain {
            self.store.put_wallet(generation)?;
        }
        if let Some((task, record)) = order {
            self.remember(&mut inner, task, record)?;
        }
        inner.wallets.insert(newest.key);
        let new = replaced || before.is_none_or(|before| before.generation < newest.generation);
        if new {
            info!(wallet = %newest.key, generation = newest.generation, "wallet taken in");
        }
        if new && (replaced || newest.generation > 0) {
            inner.tell(Moved::to(newest.clone()));
        }
        let wallet = self
            .store
            .wallet(newest.key)?
            .unwrap_or_else(|| newest.clone());
        Ok(TakenIn {
            wallet,
            ticket: self.store.now(),
        })
    }

    /// A task that ended elsewhere, as far as it can be known here.
    fn remember(
        &self,
        inner: &mut Inner,
        task: TaskId,
        mut record: TaskRecord,
    ) -> Result<(), StoreError> {
        if self.record_of(inner, task)?.is_none() {
            record.sequence = inner.last_sequence + 1;
            self.store.put_task(task, &record)?;
            inner.last_sequence += 1;
        }
        Ok(())
    }

    /// Proves the newest generation by those before it and by the marks of nodes that are admitted
    /// here.
    fn check_chain<'a>(&self, chain: &'a [Announcement]) -> Result<&'a Announcement, IntakeError> {
        let rules = self.rules();
        let (Some(first), Some(newest)) = (chain.first(), chain.last()) else {
            return Err(IntakeError::Count);
        };
        if chain.len() > MAX || first.key != newest.key {
            return Err(IntakeError::Count);
        }
        let readable = newest.name.len() <= 64 && !newest.name.chars().any(char::is_control);
        if !readable || countersign_verify::result::root_key(newest).is_err() {
            return Err(IntakeError::Unproven("its name or root key is none"));
        }
        if let Some(stranger) = newest
            .committee
            .members()
            .iter()
            .find(|node| !rules.nodes.contains_key(node))
        {
            return Err(IntakeError::UnknownNode(*stranger));
        }
        if !first.is_complete() || chain.windows(2).any(|pair| !pair[1].succeeds(&pair[0])) {
            return Err(IntakeError::Unproven("not all marks are there and verify"));
        }
        Ok(newest)
    }

    /// What is brought must meet what is known: at a generation that both have, or right behind it.
    /// True if it took the place of what was known.
    fn check_against(
        &self,
        known: &Announcement,
        chain: &[Announcement],
        proven: bool,
    ) -> Result<bool, IntakeError> {
        for brought in chain {
            let same = self.store.generation(known.key, brought.generation)?;
            if same.is_some_and(|same| same.digest() != brought.digest()) {
                return self.prefer(known, brought, chain, proven).map(|()| true);
            }
        }
        let first = &chain[0];
        let last = &chain[chain.len() - 1];
        // Older ones than are known must lead to those.
        if last.generation < known.generation {
            let next = self.store.generation(known.key, last.generation + 1)?;
            return match next {
                Some(next) if next.succeeds(last) => Ok(false),
                Some(_) => Err(IntakeError::Conflict {
                    wallet: known.key,
                    generation: last.generation,
                }),
                None => Err(IntakeError::Gap(last.generation + 1)),
            };
        }
        match first.generation.checked_sub(known.generation) {
            Some(0) | None => Ok(false),
            Some(1) if first.succeeds(known) => Ok(false),
            Some(1) => Err(IntakeError::Conflict {
                wallet: known.key,
                generation: known.generation,
            }),
            Some(_) => Err(IntakeError::Gap(known.generation + 1)),
        }
    }

    /// Two stories, which part at this generation of the one that is brought.
    fn prefer(
        &self,
        known: &Announcement,
        parting: &Announcement,
        chain: &[Announcement],
        proven: bool,
    ) -> Result<(), IntakeError> {
        let wallet = known.key;
        let generation = parting.generation;
        let before = match generation.checked_sub(1) {
            Some(before) => self.store.generation(wallet, before)?,
            None => None,
        };
        let parts_later = before.is_some_and(|before| parting.succeeds(&before));
        let longer = chain[chain.len() - 1].generation > known.generation;
        let truer = proven && !self.begins_with(&chain[0])? && !self.is_proven(wallet)?;
        if !(truer || parts_later && longer) {
            return Err(IntakeError::Conflict { wallet, generation });
        }
        error!(%wallet, generation, "two stories of a wallet: another one takes the place of what was known; ask the operators of its nodes");
        Ok(self.store.replace_generations(chain, known.generation)?)
    }

    fn begins_with(&self, first: &Announcement) -> Result<bool, StoreError> {
        let known = self.store.generation(first.key, 0)?;
        Ok(known.is_some_and(|known| known.digest() == first.digest()))
    }

    /// True if the KeyGen that made what is known of a wallet's beginning is on record.
    fn is_proven(&self, wallet: KeyId) -> Result<bool, StoreError> {
        let Some(first) = self.store.generation(wallet, 0)? else {
            return Ok(false);
        };
        let record = self.store.task(first.task)?;
        let made = record.and_then(|record| match record.result {
            Some(Proof::Created(made)) => Some(*made),
            Some(Proof::Signed(_) | Proof::Reshared(_) | Proof::Intact(_)) | None => None,
        });
        Ok(made.is_some_and(|made| made.digest() == first.digest()))
    }
}
