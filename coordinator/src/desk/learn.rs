//! Wallets that were made before this coordinator was, brought by whoever has them: a client its wallet book.
//!
//! A wallet's announcement proves itself only to somebody who knows its members. So every member of the newest generation must
//! be admitted here, and have signed it; the generations before it must lead there. Whoever brings a wallet needs no right beyond
//! handing in tasks, and is not believed.

use countersign_protocol::{Announcement, KeyId, NodeId, Operation, Outcome, SignedTask, TaskId, UnixMillis};
use tracing::info;

use super::{Desk, Inner};
use crate::store::{StoreError, Ticket};
use crate::task::proof;
use crate::task::record::{Event, Party, Proof, State, TaskRecord};

/// Why a wallet is not taken in. Each has a stable [code](LearnError::code).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// None, too many, or not of one wallet.
    #[error("hand in 1 to {max} generations of one wallet, oldest first", max = MAX)]
    Count,
    /// Marks are missing or wrong, or a generation does not follow from the one before.
    #[error("generation {0} of the wallet does not prove itself; take it from a wallet book or a node again")]
    Unproven(u32),
    /// A member that may not connect here.
    #[error(
        "{0} holds the wallet and is not admitted at this coordinator; add it under `nodes` in its configuration if it should be"
    )]
    UnknownNode(NodeId),
    /// Another wallet, or another history of it, is known here.
    #[error(
        "wallet {wallet} is known here with another generation {generation}; ask the operators of its nodes which is right"
    )]
    Conflict {
        /// Which wallet.
        wallet: KeyId,
        /// Of which generation there are two.
        generation: u32,
    },
    /// An order that did not make it.
    #[error(
        "the order is not the one that made the wallet ({0}); leave it out, or take it from a wallet book"
    )]
    Order(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LearnError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            LearnError::Count => "wallet-generations",
            LearnError::Unproven(_) => "wallet-unproven",
            LearnError::UnknownNode(_) => "node-unknown",
            LearnError::Conflict { .. } => "wallet-conflict",
            LearnError::Order(_) => "wallet-order",
            LearnError::Store(_) => "store",
        }
    }
}

impl Desk {
    /// Takes in what is not known yet of a wallet: its generations, oldest first, and the KeyGen that made it, which lets others
    /// check where it comes from. Returns what to wait for before saying so.
    pub fn learn(
        &self,
        generations: &[Announcement],
        order: Option<&SignedTask>,
        now: UnixMillis,
    ) -> Result<Ticket, LearnError> {
        let newest = self.check_history(generations)?;
        let order = order.map(|order| origin(generations, order, now)).transpose()?;
        let mut inner = self.lock();
        self.check_known(generations)?;
        for one in generations {
            if self.store.generation(one.key, one.generation)?.is_none() && self.store.put_wallet(one)? {
                // From here on nodes that hold an older generation are told.
                inner.moved.insert(one.key, one.generation);
            }
        }
        if let Some((task, record)) = order {
            self.remember(&mut inner, task, record)?;
        }
        info!(wallet = %newest.key, generation = newest.generation, "wallet taken in");
        Ok(self.store.now())
    }

    /// By the marks of nodes that are admitted here.
    fn check_history<'a>(&self, generations: &'a [Announcement]) -> Result<&'a Announcement, LearnError> {
        let newest = generations.last().filter(|_| generations.len() <= MAX).ok_or(LearnError::Count)?;
        if generations.iter().any(|one| one.key != newest.key) {
            return Err(LearnError::Count);
        }
        for pair in generations.windows(2) {
            if !pair[1].succeeds(&pair[0]) {
                return Err(LearnError::Unproven(pair[1].generation));
            }
        }
        for one in generations {
            if !one.is_complete() || proof::extended_public_key(one).is_err() {
                return Err(LearnError::Unproven(one.generation));
            }
        }
        let members = newest.committee.members();
        let rules = self.rules.load();
        match members.iter().find(|node| !rules.nodes.contains_key(node)) {
            Some(stranger) => Err(LearnError::UnknownNode(*stranger)),
            None => Ok(newest),
        }
    }

    /// What is known here stays, and must be part of the same history.
    fn check_known(&self, generations: &[Announcement]) -> Result<(), LearnError> {
        let (Some(first), Some(last)) = (generations.first(), generations.last()) else { return Ok(()) };
        let conflict = |generation| LearnError::Conflict { wallet: first.key, generation };
        for one in generations {
            let known = self.store.generation(one.key, one.generation)?;
            if known.is_some_and(|known| known.digest() != one.digest()) {
                return Err(conflict(one.generation));
            }
        }
        let Some(known) = self.store.wallet(first.key)? else { return Ok(()) };
        let meets = (first.generation..=last.generation).contains(&known.generation)
            || first.succeeds(&known)
            || self.store.generation(last.key, last.generation)?.is_some();
        if meets { Ok(()) } else { Err(conflict(known.generation)) }
    }

    /// A task that ended elsewhere, as far as it can be known here.
    fn remember(&self, inner: &mut Inner, task: TaskId, mut record: TaskRecord) -> Result<(), LearnError> {
        if self.record_of(inner, task)?.is_none() {
            record.sequence = inner.last_sequence + 1;
            self.store.put_task(task, &record)?;
            inner.last_sequence += 1;
        }
        Ok(())
    }
}

/// The record of the KeyGen that made the first generation, if this order is it.
fn origin(
    generations: &[Announcement],
    order: &SignedTask,
    now: UnixMillis,
) -> Result<(TaskId, TaskRecord), LearnError> {
    let bad = |reason: &str| LearnError::Order(reason.into());
    let first = generations.first().ok_or(LearnError::Count)?;
    let task = order.parse().map_err(|error| LearnError::Order(error.to_string()))?;
    let text = String::from_utf8(order.bytes.clone()).map_err(|_| bad("it is no text"))?;
    if !task.requester.verify(&SignedTask::signed_message(&order.bytes), &order.signature) {
        return Err(bad("its requester did not sign it"));
    }
    if !matches!(task.operation, Operation::KeyGen(_)) {
        return Err(bad("it is no KeyGen"));
    }
    let members = first.committee.members();
    let ordered = proof::Order { task: &task, hash: order.hash(), wallet: None, parties: members };
    let outcome = Outcome::Created(first.clone());
    proof::check(&ordered, &members[0], &outcome).map_err(LearnError::Order)?;
    let party = |node: &NodeId| Party { node: *node, decision: None, progress: None, report: None };
    let record = TaskRecord {
        sequence: 0,
        revision: 1,
        task: text,
        signature: order.signature,
        state: State::Completed,
        submitted: task.created,
        offered: None,
        started: None,
        ended: Some(now),
        parties: members.iter().map(party).collect(),
        reason: None,
        result: Some(Proof::Created(Box::new(first.clone()))),
        stored: None,
        void: Vec::new(),
        asked: None,
        events: vec![Event {
            at: now,
            text: "brought by a client: carried out through another coordinator".into(),
        }],
    };
    Ok((task.id, record))
}

/// Generations in one request.
const MAX: usize = 256;
