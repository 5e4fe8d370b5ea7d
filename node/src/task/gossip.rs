//! Gossip of complete reshares. Nodes send them to each other through their tunnels, unasked, until
//! every node concerned has acknowledged them. So nobody depends on the coordinator to pass them
//! on, and no co-signer can show its acknowledgement to some and withhold it from others.
//!
//! A generation proves itself, so it does not matter who sends it. Each peer has a small share of
//! the queue, and its frames are read one after the other. A peer that sends a generation without
//! proof is muted for a while.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use countersign_link::PeerKey;
use countersign_protocol::control::Held;
use countersign_protocol::frame::{Body, Frame, MAX_PROOFS, NO_TASK};
use countersign_protocol::{GenerationProof, KeyId, NodeId, encode};
use countersign_store::{Generation, Journal, KeyStatus, ReadJournalError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::participant::{self, Learned, Participant, ParticipantError};
use super::resolve::Unfit;
use super::settle;
use crate::node_key::NodeKey;
use crate::off_thread::{off_thread, with_journal};
use crate::session::Router;
use crate::session::hearing::{Hearing, Said};

/// The interval for repeating what is not acknowledged.
const AGAIN: Duration = Duration::from_secs(15);
/// The most generations in one round. The next round continues after them.
const ROUND: usize = 1024;
/// The most generations sent to one peer in one round.
const AT_ONCE: usize = 4 * MAX_PROOFS;

/// The longest time for sending a frame to a peer.
const SEND_LIMIT: Duration = Duration::from_secs(2);

/// The two ends of the gossip at this node: the router sends, the participant takes in.
#[allow(missing_docs, reason = "the type's documentation explains both fields")]
#[derive(Clone)]
pub struct Exchange {
    pub participant: Arc<Participant>,
    pub router: Arc<Router>,
}

impl Exchange {
    fn own(&self) -> &NodeKey {
        &self.participant.own
    }

    fn me(&self) -> NodeId {
        self.own().id()
    }

    fn journal(&self) -> &Journal {
        &self.participant.register.journal
    }

    fn is_up(&self, peer: &NodeId) -> bool {
        self.router.mesh().connected(&PeerKey(*peer.as_bytes()))
    }

    /// Sends a peer the generations after those that it says it has, whatever it has acknowledged
    /// before: it may have been restored from a backup. The peer's own report is enough, so nobody
    /// else can prevent it.
    pub async fn remind(&self, peer: NodeId, theirs: Vec<Held>) {
        match with_journal(self.journal(), move |journal| {
            later(journal, &peer, &theirs)
        })
        .await
        {
            Ok(proofs) if proofs.is_empty() => {}
            Ok(proofs) => drop(tell(self, peer, Body::Generations(proofs)).await),
            Err(error) => {
                tracing::error!(%error, "cannot look up later generations of a peer's keys")
            }
        }
    }
}

/// Sends and receives until the node stops.
pub async fn follow(exchange: Exchange, mut hearing: Hearing, stopping: CancellationToken) {
    let mut gossip = Gossip::default();
    let mut again = tokio::time::interval_at(Instant::now() + AGAIN, AGAIN);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        gossip.round(&exchange).await;
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = again.tick() => {
                gossip.forget();
                ask(&exchange, None).await;
            }
            () = exchange.participant.changed.notified() => {}
            said = hearing.next() => match said {
                Some(said) => gossip.hear(&exchange, said).await,
                None => return,
            }
        }
    }
}

/// A generation of a key.
type Place = (KeyId, u32);

/// The memory of what was sent, from one repetition to the next.
#[derive(Default)]
struct Gossip {
    /// By peer and generation: the number of in-force acknowledgements sent along.
    told: HashMap<(NodeId, Place), usize>,
    /// Peers that sent a generation without proof.
    muted: BTreeSet<NodeId>,
    /// The start of the next round.
    next: Option<Place>,
}

/// The generations that are due in one round.
#[derive(Default)]
struct Round {
    /// Each generation that some node has not acknowledged.
    generations: BTreeMap<Place, Generation>,
    /// Those of them that this node itself has not acknowledged.
    mine: Vec<Place>,
}

impl Gossip {
    fn forget(&mut self) {
        self.told.clear();
        self.muted.clear();
    }

    /// Sends every peer in reach what it has not acknowledged, then follows up on the generations
    /// that wait for this node itself.
    async fn round(&mut self, exchange: &Exchange) {
        let me = exchange.me();
        let after = self.next;
        let round = match with_journal(exchange.journal(), move |journal| {
            Round::of(journal, me, after)
        })
        .await
        {
            Ok(round) => round,
            Err(error) => {
                return tracing::error!(%error, "cannot list the generations that others have not acknowledged");
            }
        };
        self.next = if round.generations.len() < ROUND {
            None
        } else {
            round.generations.keys().next_back().copied()
        };
        let mut due: BTreeMap<NodeId, Vec<&GenerationProof>> = BTreeMap::new();
        for (place, generation) in &round.generations {
            for peer in generation
                .unheard()
                .filter(|peer| **peer != me && exchange.is_up(peer))
            {
                let told = self.told.get(&(*peer, *place));
                if told.is_none_or(|acks| *acks < generation.proof.in_force.len()) {
                    due.entry(*peer).or_default().push(&generation.proof);
                }
            }
        }
        let mut unreached = BTreeSet::new();
        for (peer, proofs) in due {
            let now = proofs.len().min(AT_ONCE);
            for part in proofs[..now].chunks(MAX_PROOFS) {
                if tell(
                    exchange,
                    peer,
                    Body::Generations(part.iter().map(|proof| (*proof).clone()).collect()),
                )
                .await
                {
                    self.remember(peer, part)
                } else {
                    unreached.extend(part.iter().map(|proof| place(proof)))
                }
            }
            unreached.extend(proofs[now..].iter().map(|proof| place(proof)));
        }
        for place in round.mine {
            look_after(exchange, place, !unreached.contains(&place)).await;
        }
    }

    fn remember(&mut self, peer: NodeId, proofs: &[&GenerationProof]) {
        for proof in proofs {
            self.told.insert((peer, place(proof)), proof.in_force.len());
        }
    }

    async fn hear(&mut self, exchange: &Exchange, said: Said) {
        match said {
            // It may have lost what was sent through the previous tunnel.
            Said::Up(peer) => {
                self.told.retain(|(told, _), _| *told != peer);
                ask(exchange, Some(peer)).await;
            }
            Said::Told(peer, _) if self.muted.contains(&peer) => {}
            Said::Told(peer, body) => self.told(exchange, peer, *body).await,
        }
    }

    async fn told(&mut self, exchange: &Exchange, peer: NodeId, body: Body) {
        match body {
            Body::Generations(proofs) => {
                let mut known = Vec::new();
                for proof in proofs.into_iter().take(MAX_PROOFS) {
                    known.extend(self.consider(exchange, peer, proof).await);
                }
                if !known.is_empty() {
                    tell(exchange, peer, Body::Heard(known)).await;
                }
            }
            Body::Heard(places) => {
                for held in places.into_iter().take(MAX_PROOFS) {
                    let noted = move |journal: &Journal| {
                        journal.heard(held.key, held.generation, vec![peer])
                    };
                    if let Err(error) = with_journal(exchange.journal(), noted).await {
                        tracing::error!(%error, "a peer's acknowledgement of a generation was not recorded");
                    }
                }
            }
            Body::Lacks(places) => answer(exchange, peer, places).await,
            // The router delivers nothing else.
            Body::Ready(_)
            | Body::Run { .. }
            | Body::Abort(_)
            | Body::Met(_)
            | Body::HighWater(_)
            | Body::Behind(_)
            | Body::Used(_)
            | Body::Released(_)
            | Body::Counted { .. } => {}
        }
    }

    /// Takes in one generation. Returns it if this node needs to hear no more of it.
    async fn consider(
        &mut self,
        exchange: &Exchange,
        peer: NodeId,
        proof: GenerationProof,
    ) -> Option<Held> {
        let place = place(&proof);
        let acks = proof.in_force.len();
        if place.1 == 0 {
            let descriptor = proof.descriptor;
            exchange
                .participant
                .settle(descriptor.task, descriptor)
                .await;
            return None;
        }
        match exchange.participant.heed(proof).await {
            Ok(Learned::Nothing | Learned::Acks | Learned::Settled | Learned::Passed) => {}
            Err(error @ ParticipantError::Unfit(Unfit::Unproven)) => {
                tracing::warn!(%peer, key = %place.0, %error, "a peer sent a generation without proof; examine that node");
                self.muted.insert(peer);
                return None;
            }
            Err(error) => {
                tracing::debug!(%peer, key = %place.0, generation = place.1, %error, "a generation from a peer was not accepted");
                return None;
            }
        }
        look_after(exchange, place, false).await;
        let me = exchange.me();
        let kept = with_journal(exchange.journal(), move |journal| {
            journal.generation(&place.0, place.1)
        })
        .await
        .ok()
        .flatten()?;
        // The peer knew of so many. If more are known here, the next round sends them.
        self.told.insert((peer, place), acks);
        kept.unheard().all(|node| *node != me).then_some(Held {
            key: place.0,
            generation: place.1,
        })
    }
}

impl Round {
    fn of(journal: &Journal, me: NodeId, after: Option<Place>) -> Result<Self, ReadJournalError> {
        let mut round = Self::default();
        let due = journal
            .unheard()?
            .into_iter()
            .filter(|place| after.is_none_or(|after| *place > after));
        for place in due.take(ROUND) {
            let Some(generation) = journal.generation(&place.0, place.1)? else {
                continue;
            };
            if generation.unheard().any(|node| *node == me) {
                round.mine.push(place);
            }
            round.generations.insert(place, generation);
        }
        Ok(round)
    }
}

/// Asks peers for the acknowledgements that this node waits for: all in reach that may have
/// them, or just one.
async fn ask(exchange: &Exchange, whom: Option<NodeId>) {
    let lacking = match with_journal(exchange.journal(), settle::lacking).await {
        Ok(lacking) => lacking,
        Err(error) => return tracing::error!(%error, "cannot list in-doubt reshares"),
    };
    let mut asked: BTreeMap<NodeId, Vec<Held>> = BTreeMap::new();
    for (held, nodes) in lacking {
        let meant = |node: &NodeId| *node != exchange.me() && whom.is_none_or(|whom| whom == *node);
        for node in nodes
            .into_iter()
            .filter(|node| meant(node) && exchange.is_up(node))
        {
            asked.entry(node).or_default().push(held);
        }
    }
    for (peer, mut places) in asked {
        places.truncate(MAX_PROOFS);
        tell(exchange, peer, Body::Lacks(places)).await;
    }
}

/// Sends a peer what it waits for, if all acknowledgements are here and it is one of the parties.
async fn answer(exchange: &Exchange, peer: NodeId, places: Vec<Held>) {
    let known = with_journal(exchange.journal(), move |journal| {
        known(journal, &peer, &places)
    })
    .await;
    match known {
        Ok(proofs) if proofs.is_empty() => {}
        Ok(proofs) => drop(tell(exchange, peer, Body::Generations(proofs)).await),
        Err(error) => {
            tracing::error!(%error, "cannot look up the generations that a peer waits for")
        }
    }
}

fn known(
    journal: &Journal,
    peer: &NodeId,
    places: &[Held],
) -> Result<Vec<GenerationProof>, ReadJournalError> {
    let mut proofs = Vec::new();
    for held in places.iter().take(MAX_PROOFS) {
        let kept = journal
            .generation(&held.key, held.generation)?
            .map(|kept| kept.proof);
        let party = |proof: &GenerationProof| {
            proof.descriptor.acks.iter().any(|ack| ack.node == *peer)
                && proof.descriptor.has_all_acks()
        };
        proofs.extend(kept.filter(party));
    }
    Ok(proofs)
}

/// Returns the generations after those that a peer has, as far as they concern it. At most
/// [`MAX_PROOFS`]: when it connects again, it says again what it has.
fn later(
    journal: &Journal,
    peer: &NodeId,
    theirs: &[Held],
) -> Result<Vec<GenerationProof>, ReadJournalError> {
    let mut proofs = Vec::new();
    for held in theirs {
        let mut number = held.generation;
        while let Some(next) = number.checked_add(1).filter(|_| proofs.len() < MAX_PROOFS) {
            match journal.generation(&held.key, next)? {
                Some(kept) if kept.concerned.contains(peer) => proofs.push(kept.proof),
                Some(_) | None => break,
            }
            number = next;
        }
    }
    Ok(proofs)
}

/// Does what this node owes a generation: signs that it is in force here, or destroys a
/// share that nobody needs.
async fn look_after(exchange: &Exchange, place: Place, handed_on: bool) {
    let participant = exchange.participant.clone();
    match off_thread(move || attend(&participant, place, handed_on)).await {
        Ok(Attended { vouched, gone }) => {
            if gone {
                tracing::info!(key = %place.0, generation = place.1, "a quorum has a later generation in force; this node's share of the key is destroyed");
                exchange.participant.activation.activate(None).await;
            }
            if vouched {
                // There is something new to tell.
                exchange.participant.changed.notify_one();
            }
        }
        Err(error) => {
            tracing::error!(key = %place.0, %error, "cannot follow up on a generation")
        }
    }
}

/// The actions of this node on a generation.
struct Attended {
    /// It signed that the generation is in force here.
    vouched: bool,
    /// It destroyed its share of an earlier one.
    gone: bool,
}

fn attend(node: &Participant, place: Place, handed_on: bool) -> Result<Attended, ParticipantError> {
    let switching = node.switch.alone();
    let journal = switching.journal();
    let vault = switching.vault();
    let vouched = participant::vouch(&node.own, journal, vault, place)?;
    let gone = participant::release(journal, vault, node.world.now(), place.0, handed_on)?;
    let done = journal
        .key(&place.0)?
        .is_some_and(|record| match record.status {
            KeyStatus::Released => true,
            KeyStatus::Active => record.descriptor.generation > place.1,
            KeyStatus::Pending | KeyStatus::Leaving => false,
        });
    if done {
        journal.heard(place.0, place.1, vec![node.own.id()])?;
    }
    Ok(Attended { vouched, gone })
}

fn place(proof: &GenerationProof) -> Place {
    (proof.descriptor.key, proof.descriptor.generation)
}

/// False if the peer could not be reached.
async fn tell(exchange: &Exchange, peer: NodeId, body: Body) -> bool {
    let frame = encode(&Frame {
        task: NO_TASK,
        seq: 0,
        body,
    });
    let key = PeerKey(*peer.as_bytes());
    let sent = exchange.router.mesh().send(&key, frame);
    match tokio::time::timeout(SEND_LIMIT, sent).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a peer was not told");
            false
        }
        Err(_) => false,
    }
}

#[cfg(test)]
#[path = "gossip_tests.rs"]
pub(crate) mod tests;
