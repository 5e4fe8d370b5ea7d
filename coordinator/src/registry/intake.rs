//! Imports wallets created elsewhere from nodes that hold the keys, and from clients with their
//! wallet books, so that an empty coordinator can replace one that was lost.
//!
//! Nobody is taken at their word. A generation proves itself by the acknowledgements of all its
//! parties; the members of the newest must be nodes that this coordinator admits, and each
//! generation must succeed the one before. A wallet's origin is proven by the KeyGen that created
//! it, whose hash is the wallet's id, and by nothing else: anybody who invents a first generation
//! can sign it. So of two histories that begin differently the one with the KeyGen stays, and of
//! two that diverge later the longer one.

use countersign_api::{EventKind, TaskResult};
use countersign_protocol::{KeyDescriptor, KeyId, NodeId, SignedTask, TaskId, UnixMillis};
use tracing::{error, info};

use super::moved::Moved;
use super::{Inner, TaskRegistry, origin};
use crate::store::{NewEvent, StoreError, Ticket};
use crate::task::record::TaskRecord;

/// Limit on generations per import.
const MAX: usize = 256;

/// Why a wallet is not imported. Each has a stable [code](IntakeError::code).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// There are none, too many, or they are of several wallets.
    #[error("send 1 to {max} generations of one wallet, oldest first", max = MAX)]
    Count,
    /// An acknowledgement or a field is invalid.
    #[error(
        "{0}; send the generations of one wallet, oldest first, each with the acknowledgements of all its parties"
    )]
    Unproven(&'static str),
    /// A member is not admitted here.
    #[error(
        "member {0} is not admitted at this coordinator; add it under `nodes` in its configuration"
    )]
    UnknownNode(NodeId),
    /// A different history is known here.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "this coordinator knows another generation {generation} of {wallet}; ask the operators of its nodes which one they hold"
    )]
    Conflict { wallet: KeyId, generation: u32 },
    /// A generation is missing between those known and those imported.
    #[error("generation {0} of the wallet is not known here; send it, too")]
    Gap(u32),
    /// The KeyGen is not the one that created the wallet.
    #[error(
        "the order is not the one that made the wallet ({0}); leave it out, or take it from a wallet book"
    )]
    Order(String),
    /// The store cannot be read or written.
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

/// An imported wallet.
#[derive(Debug)]
pub struct TakenIn {
    /// Its newest generation here.
    pub wallet: KeyDescriptor,
    /// False if the wallet was known here before, in whatever generation.
    pub new: bool,
    /// To be waited for before the import is confirmed.
    pub ticket: Ticket,
}

impl TaskRegistry {
    /// Imports the generations of one wallet, oldest first, if they prove it. The KeyGen that
    /// created the first lets others check where the wallet comes from.
    pub fn take_in(
        &self,
        chain: &[KeyDescriptor],
        order: Option<&SignedTask>,
        now: UnixMillis,
    ) -> Result<TakenIn, IntakeError> {
        // Signatures are verified before the lock is taken.
        let newest = self.check_chain(chain)?;
        let rules = self.rules.load();
        let order = order
            .map(|order| origin::record(&chain[0], order, rules.approvers.passkeys(), now))
            .transpose()?;
        let mut inner = self.lock();
        let before = self.store.wallet(newest.key)?;
        let unknown = before.is_none();
        let replaced = match &before {
            Some(known) => self.check_against(known, chain, order.is_some(), now)?,
            None => false,
        };
        for generation in chain {
            let last = generation.generation == newest.generation;
            let event = last.then(|| imported(generation, now));
            self.store.put_wallet(generation, event)?;
        }
        if let Some((task, record)) = order {
            self.remember(&mut inner, task, record, now)?;
        }
        inner.wallets.insert(newest.key);
        let new = replaced || before.is_none_or(|before| before.generation < newest.generation);
        if new {
            info!(wallet = %newest.key, generation = newest.generation, "wallet imported");
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
            new: unknown,
            ticket: self.store.now(),
        })
    }

    /// Records a task that ended elsewhere, as far as it can be known here.
    fn remember(
        &self,
        inner: &mut Inner,
        task: TaskId,
        mut record: TaskRecord,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        if self.record_of(inner, task)?.is_none() {
            let subject = record.subject().map_err(|error| StoreError::Row {
                table: "tasks",
                reason: error.to_string(),
            })?;
            record.sequence = inner.last_sequence + 1;
            let event = NewEvent::of_task(task, record.state, record.summary(task, &subject), now);
            self.store.put_task(task, &subject, &record, vec![event])?;
            inner.last_sequence += 1;
        }
        Ok(())
    }

    /// Proves the newest generation by those before it and by the acknowledgements
    /// of nodes admitted here.
    fn check_chain<'a>(
        &self,
        chain: &'a [KeyDescriptor],
    ) -> Result<&'a KeyDescriptor, IntakeError> {
        let rules = self.rules();
        let (Some(first), Some(newest)) = (chain.first(), chain.last()) else {
            return Err(IntakeError::Count);
        };
        if chain.len() > MAX || first.key != newest.key {
            return Err(IntakeError::Count);
        }
        let readable = newest.name.len() <= 64 && !newest.name.chars().any(char::is_control);
        if !readable || countersign_verify::result::root_key(newest).is_err() {
            return Err(IntakeError::Unproven("its name or root key is invalid"));
        }
        if let Some(stranger) = newest
            .committee
            .members()
            .iter()
            .find(|node| !rules.nodes.contains_key(node))
        {
            return Err(IntakeError::UnknownNode(*stranger));
        }
        if !first.has_all_acks() || chain.windows(2).any(|pair| !pair[1].succeeds(&pair[0])) {
            return Err(IntakeError::Unproven(
                "not all acknowledgements are there and verify",
            ));
        }
        Ok(newest)
    }

    /// Checks that the import meets what is known: at a generation that both have, or right after
    /// it. Returns true if it replaced what was known.
    fn check_against(
        &self,
        known: &KeyDescriptor,
        chain: &[KeyDescriptor],
        proven: bool,
        now: UnixMillis,
    ) -> Result<bool, IntakeError> {
        for brought in chain {
            let same = self.store.generation(known.key, brought.generation)?;
            if same.is_some_and(|same| same.digest() != brought.digest()) {
                return self
                    .prefer(known, brought, chain, proven, now)
                    .map(|()| true);
            }
        }
        let first = &chain[0];
        let last = &chain[chain.len() - 1];
        // Generations older than the known ones must lead to them.
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

    /// Chooses between two histories that diverge at this generation of the imported one.
    fn prefer(
        &self,
        known: &KeyDescriptor,
        parting: &KeyDescriptor,
        chain: &[KeyDescriptor],
        proven: bool,
        now: UnixMillis,
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
        error!(%wallet, generation, "conflicting histories of a wallet: the stored one is replaced; ask the operators of its nodes");
        let event = imported(&chain[chain.len() - 1], now);
        Ok(self
            .store
            .replace_generations(chain, known.generation, event)?)
    }

    fn begins_with(&self, first: &KeyDescriptor) -> Result<bool, StoreError> {
        let known = self.store.generation(first.key, 0)?;
        Ok(known.is_some_and(|known| known.digest() == first.digest()))
    }

    /// True if the KeyGen behind the first known generation is on record.
    fn is_proven(&self, wallet: KeyId) -> Result<bool, StoreError> {
        let Some(first) = self.store.generation(wallet, 0)? else {
            return Ok(false);
        };
        let record = self.store.task(first.task)?;
        let made = record.and_then(|record| match record.result {
            Some(TaskResult::Created(made)) => Some(*made),
            Some(TaskResult::Signed(_) | TaskResult::Reshared(_) | TaskResult::Intact(_))
            | None => None,
        });
        Ok(made.is_some_and(|made| made.digest() == first.digest()))
    }
}

fn imported(newest: &KeyDescriptor, now: UnixMillis) -> NewEvent {
    NewEvent::of_wallet(EventKind::WalletImported, newest, now)
}
