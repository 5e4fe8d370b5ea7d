//! Nodes tell each other of reshares that are complete, through their tunnels and unasked, until
//! everybody whom it concerns has said that it knows. So nobody depends on what the coordinator
//! hands on, and no co-signer can show its mark to some and not to others.
//!
//! What is told proves itself, so it does not matter who tells it. Each peer has a small share of
//! the queue, and what it sends is read one after the other; a peer that sends what proves nothing
//! is not heard for a while.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign_link::PeerKey;
use countersign_protocol::control::Held;
use countersign_protocol::frame::{Body, Frame, MAX_PROOFS, NO_TASK};
use countersign_protocol::{GenerationProof, KeyId, NodeId, encode};
use countersign_store::{Generation, Journal, KeyStatus, ReadJournalError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::handover::{self, HandoverError, Learned};
use super::resolve::Unfit;
use super::settle;
use crate::core::Core;

/// How often what nobody has acknowledged is told again.
const AGAIN: Duration = Duration::from_secs(15);
/// Generations that one round looks at. The next round goes on behind them.
const ROUND: usize = 1024;
/// Generations that one round tells one peer.
const AT_ONCE: usize = 4 * MAX_PROOFS;
/// Frames of one peer that may wait. More are dropped: it tells again.
const SHARE: usize = 4;

/// How long a peer may keep a frame waiting.
const SEND_LIMIT: Duration = Duration::from_secs(2);

/// What reaches the gossip from the network.
#[derive(Debug)]
pub enum Said {
    /// The tunnel to this peer is up.
    Up(NodeId),
    /// What a peer tells that belongs to no session.
    Told(NodeId, Box<Body>),
}

/// The queue in front of [`follow`]. One peer can neither fill it nor hold up another.
pub struct Ears {
    queue: mpsc::Sender<Said>,
    waiting: Arc<Mutex<HashMap<NodeId, usize>>>,
}

/// The other end of [`Ears`].
pub struct Hearing {
    queue: mpsc::Receiver<Said>,
    waiting: Arc<Mutex<HashMap<NodeId, usize>>>,
}

/// A queue for so many peers.
pub fn queue(peers: usize) -> (Ears, Hearing) {
    let (sender, receiver) = mpsc::channel((peers + 1) * (SHARE + 1));
    let waiting: Arc<Mutex<HashMap<NodeId, usize>>> = Arc::default();
    (
        Ears {
            queue: sender,
            waiting: waiting.clone(),
        },
        Hearing {
            queue: receiver,
            waiting,
        },
    )
}

impl Ears {
    /// Takes what a peer says, or drops it: it will be said again.
    pub fn take(&self, said: Said) {
        let (Said::Up(peer) | Said::Told(peer, _)) = &said;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(*peer).or_default();
        if *count < SHARE && self.queue.try_send(said).is_ok() {
            *count += 1;
        }
    }
}

impl Hearing {
    /// What comes next; `None`: nothing more will.
    pub async fn next(&mut self) -> Option<Said> {
        let said = self.queue.recv().await?;
        let (Said::Up(peer) | Said::Told(peer, _)) = &said;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(peer) {
            *count = count.saturating_sub(1);
        }
        drop(waiting);
        Some(said)
    }
}

/// Tells, and listens, until the node stops.
pub async fn follow(core: Arc<Core>, mut hearing: Hearing) {
    let mut gossip = Gossip::default();
    let mut again = tokio::time::interval_at(Instant::now() + AGAIN, AGAIN);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        gossip.round(&core).await;
        tokio::select! {
            () = core.stopping.cancelled() => return,
            _ = again.tick() => {
                gossip.forget();
                ask(&core, None).await;
            }
            () = core.gossip.notified() => {}
            said = hearing.next() => match said {
                Some(said) => gossip.hear(&core, said).await,
                None => return,
            }
        }
    }
}

/// A generation of a key.
type Place = (KeyId, u32);

/// What this node remembers of what it told, between one repetition and the next.
#[derive(Default)]
struct Gossip {
    /// To whom which generation was told, with how many marks that it is in force.
    told: HashMap<(NodeId, Place), usize>,
    /// Peers that sent what proves nothing.
    muted: BTreeSet<NodeId>,
    /// Where the next round begins.
    next: Option<Place>,
}

/// What is to be told in one round.
#[derive(Default)]
struct Round {
    /// Each generation that somebody has not heard of.
    generations: BTreeMap<Place, Generation>,
    /// Those of them that wait for this node itself.
    mine: Vec<Place>,
}

impl Gossip {
    fn forget(&mut self) {
        self.told.clear();
        self.muted.clear();
    }

    /// Tells everybody in reach what they have not said that they know; then looks at what this
    /// node itself waited for.
    async fn round(&mut self, core: &Arc<Core>) {
        let me = core.me;
        let after = self.next;
        let round = match core
            .journal(move |journal| Round::of(journal, me, after))
            .await
        {
            Ok(round) => round,
            Err(error) => {
                return tracing::error!(%error, "what others have not heard of is not known");
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
                .filter(|peer| **peer != me && is_up(core, peer))
            {
                let told = self.told.get(&(*peer, *place));
                if told.is_none_or(|marks| *marks < generation.proof.in_force.len()) {
                    due.entry(*peer).or_default().push(&generation.proof);
                }
            }
        }
        let mut unreached = BTreeSet::new();
        for (peer, proofs) in due {
            let now = proofs.len().min(AT_ONCE);
            for part in proofs[..now].chunks(MAX_PROOFS) {
                if tell(
                    core,
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
            look_after(core, place, !unreached.contains(&place)).await;
        }
    }

    fn remember(&mut self, peer: NodeId, proofs: &[&GenerationProof]) {
        for proof in proofs {
            self.told.insert((peer, place(proof)), proof.in_force.len());
        }
    }

    async fn hear(&mut self, core: &Arc<Core>, said: Said) {
        match said {
            // It may have lost what it was told through the tunnel before.
            Said::Up(peer) => {
                self.told.retain(|(told, _), _| *told != peer);
                ask(core, Some(peer)).await;
            }
            Said::Told(peer, _) if self.muted.contains(&peer) => {}
            Said::Told(peer, body) => self.told(core, peer, *body).await,
        }
    }

    async fn told(&mut self, core: &Arc<Core>, peer: NodeId, body: Body) {
        match body {
            Body::Generations(proofs) => {
                let mut known = Vec::new();
                for proof in proofs.into_iter().take(MAX_PROOFS) {
                    known.extend(self.consider(core, peer, proof).await);
                }
                if !known.is_empty() {
                    tell(core, peer, Body::Heard(known)).await;
                }
            }
            Body::Heard(places) => {
                for held in places.into_iter().take(MAX_PROOFS) {
                    let noted = move |journal: &Journal| {
                        journal.heard(held.key, held.generation, vec![peer])
                    };
                    if let Err(error) = core.journal(noted).await {
                        tracing::error!(%error, "what a peer has heard of was not recorded");
                    }
                }
            }
            Body::Lacks(places) => answer(core, peer, places).await,
            // The router brings nothing else.
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

    /// Takes one generation in. Returns it if this node needs to hear no more of it.
    async fn consider(
        &mut self,
        core: &Arc<Core>,
        peer: NodeId,
        proof: GenerationProof,
    ) -> Option<Held> {
        let place = place(&proof);
        let marks = proof.in_force.len();
        if place.1 == 0 {
            let announcement = proof.announcement;
            handover::settle(core, announcement.task, announcement).await;
            return None;
        }
        match handover::heed(core, proof).await {
            Ok(Learned::Nothing | Learned::Marks | Learned::Settled | Learned::Passed) => {}
            Err(error @ HandoverError::Unfit(Unfit::Unproven)) => {
                tracing::warn!(%peer, key = %place.0, %error, "a peer tells of a generation that proves nothing; examine that node");
                self.muted.insert(peer);
                return None;
            }
            Err(error) => {
                tracing::debug!(%peer, key = %place.0, generation = place.1, %error, "what a peer tells was not taken");
                return None;
            }
        }
        look_after(core, place, false).await;
        let me = core.me;
        let kept = core
            .journal(move |journal| journal.generation(&place.0, place.1))
            .await
            .ok()
            .flatten()?;
        // It knew of so many; if more are known here, it hears of them in the next round.
        self.told.insert((peer, place), marks);
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

/// Asks whoever may have them for the marks that this node waits for: everybody in reach, or one
/// peer.
async fn ask(core: &Arc<Core>, whom: Option<NodeId>) {
    let lacking = match core.journal(settle::lacking).await {
        Ok(lacking) => lacking,
        Err(error) => return tracing::error!(%error, "what waits for others is not known"),
    };
    let mut asked: BTreeMap<NodeId, Vec<Held>> = BTreeMap::new();
    for (held, nodes) in lacking {
        let meant = |node: &NodeId| *node != core.me && whom.is_none_or(|whom| whom == *node);
        for node in nodes
            .into_iter()
            .filter(|node| meant(node) && is_up(core, node))
        {
            asked.entry(node).or_default().push(held);
        }
    }
    for (peer, mut places) in asked {
        places.truncate(MAX_PROOFS);
        tell(core, peer, Body::Lacks(places)).await;
    }
}

/// Tells a peer what it waits for, where all marks are here and it is one of the parties.
async fn answer(core: &Arc<Core>, peer: NodeId, places: Vec<Held>) {
    let known = core
        .journal(move |journal| known(journal, &peer, &places))
        .await;
    match known {
        Ok(proofs) if proofs.is_empty() => {}
        Ok(proofs) => drop(tell(core, peer, Body::Generations(proofs)).await),
        Err(error) => tracing::error!(%error, "what a peer waits for was not looked up"),
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
            proof
                .announcement
                .stored
                .iter()
                .any(|mark| mark.node == *peer)
                && proof.announcement.is_complete()
        };
        proofs.extend(kept.filter(party));
    }
    Ok(proofs)
}

/// Tells a peer that has an earlier generation of a key than this node how the key went on,
/// whatever it has acknowledged before: it may have been restored from a backup. What it says of
/// itself is all that it takes, so nobody else can withhold it.
pub(crate) async fn remind(core: &Arc<Core>, peer: NodeId, theirs: Vec<Held>) {
    match core
        .journal(move |journal| later(journal, &peer, &theirs))
        .await
    {
        Ok(proofs) if proofs.is_empty() => {}
        Ok(proofs) => drop(tell(core, peer, Body::Generations(proofs)).await),
        Err(error) => tracing::error!(%error, "how a peer's keys went on was not looked up"),
    }
}

/// The generations after those that a peer has, of which it was told once or should have been. At
/// most [`MAX_PROOFS`]; it says again what it has when it connects again.
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

/// What this node itself owes a generation: its word that it has it in force, or the end of a share
/// that nobody needs.
async fn look_after(core: &Arc<Core>, place: Place, handed_on: bool) {
    let node = core.clone();
    let looked = tokio::task::spawn_blocking(move || attend(&node, place, handed_on)).await;
    match looked {
        Ok(Ok(Attended { vouched, gone })) => {
            if gone {
                tracing::info!(key = %place.0, generation = place.1, "a quorum has a later generation in force; this node's share of the key is destroyed");
                core.key_active(None).await;
            }
            if vouched {
                // There is something new to tell.
                core.gossip.notify_one();
            }
        }
        Ok(Err(error)) => {
            tracing::error!(key = %place.0, %error, "a generation was not looked after")
        }
        Err(error) => {
            tracing::error!(key = %place.0, %error, "a thread died; report this with the log")
        }
    }
}

/// What this node did about a generation.
struct Attended {
    /// It signed that the generation is in force here.
    vouched: bool,
    /// It destroyed its share of an earlier one.
    gone: bool,
}

fn attend(core: &Core, place: Place, handed_on: bool) -> Result<Attended, HandoverError> {
    let switching = core.switch.alone();
    let journal = switching.journal();
    let vault = switching.vault();
    let vouched = handover::vouch(core.me, &*core.signer, journal, vault, place)?;
    let gone = handover::release(journal, vault, core.now(), place.0, handed_on)?;
    let done = journal
        .key(&place.0)?
        .is_some_and(|record| match record.status {
            KeyStatus::Released => true,
            KeyStatus::Active => record.announcement.generation > place.1,
            KeyStatus::Pending | KeyStatus::Leaving => false,
        });
    if done {
        journal.heard(place.0, place.1, vec![core.me])?;
    }
    Ok(Attended { vouched, gone })
}

fn place(proof: &GenerationProof) -> Place {
    (proof.announcement.key, proof.announcement.generation)
}

fn is_up(core: &Core, peer: &NodeId) -> bool {
    core.router.mesh().connected(&PeerKey(*peer.as_bytes()))
}

/// False if the peer could not be reached.
async fn tell(core: &Core, peer: NodeId, body: Body) -> bool {
    let frame = encode(&Frame {
        task: NO_TASK,
        seq: 0,
        body,
    });
    let key = PeerKey(*peer.as_bytes());
    let sent = core.router.mesh().send(&key, frame);
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
mod tests {
    use countersign_protocol::{
        Announcement, Committee, Hash, Scheme, SessionId, TaskId, Threshold,
    };

    use super::*;

    fn node(seed: u8) -> NodeId {
        let identity = countersign_link::Identity::from_seed(&[seed; 32]).unwrap();
        NodeId::from_bytes(identity.public().0).unwrap()
    }

    fn generation(number: u32, members: &[u8]) -> Announcement {
        let members: Vec<NodeId> = members.iter().map(|seed| node(*seed)).collect();
        Announcement {
            key: KeyId::from_bytes([2; 16]).unwrap(),
            task: TaskId([number as u8 + 1; 16]),
            session: SessionId([3; 32]),
            name: "treasury".into(),
            scheme: Scheme::Ed25519,
            committee: Committee::new(members.clone()).unwrap(),
            threshold: Threshold::try_from(2).unwrap(),
            generation: number,
            root_public_key: vec![4; 32],
            chain_code: Hash([5; 32]),
            public_shares: Hash([6; 32]),
            aux: None,
            parties: members,
            stored: Vec::new(),
        }
    }

    /// Its journal is older than what it once acknowledged, and the coordinator may be silent about
    /// it.
    #[test]
    fn a_peer_that_was_restored_is_told_again_what_it_once_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(folder.path(), private).unwrap();
        let journal = Journal::create(folder.path()).unwrap();
        let key = generation(0, &[1, 2]).key;
        for (number, members) in [(1, &[1, 2][..]), (2, &[1, 2]), (3, &[1, 3])] {
            journal
                .keep_generation(generation(number, members))
                .unwrap();
            journal.heard(key, number, vec![node(2), node(3)]).unwrap();
        }
        let told = |peer: u8, held: u32| -> Vec<u32> {
            let proofs = later(
                &journal,
                &node(peer),
                &[Held {
                    key,
                    generation: held,
                }],
            )
            .unwrap();
            proofs
                .iter()
                .map(|proof| proof.announcement.generation)
                .collect()
        };
        assert_eq!(told(2, 0), [1, 2], "all that concerns it, in order");
        assert_eq!(told(2, 1), [2]);
        assert!(told(2, 2).is_empty() && told(2, u32::MAX).is_empty());
        assert_eq!(told(3, 2), [3]);
        assert!(told(9, 0).is_empty(), "of no concern to a stranger");
        let many = vec![Held { key, generation: 0 }; 100];
        assert_eq!(later(&journal, &node(2), &many).unwrap().len(), MAX_PROOFS);
    }

    #[tokio::test]
    async fn a_peer_that_floods_takes_only_its_own_share_of_the_queue() {
        let (ears, mut hearing) = queue(2);
        (0..100).for_each(|_| ears.take(Said::Told(node(1), Box::new(Body::Heard(Vec::new())))));
        ears.take(Said::Up(node(2)));
        let mut heard = Vec::new();
        for _ in 0..=SHARE {
            let (Said::Up(peer) | Said::Told(peer, _)) = hearing.next().await.unwrap();
            heard.push(peer);
        }
        assert_eq!(heard[..SHARE], [node(1); SHARE]);
        assert_eq!(heard[SHARE], node(2));
        ears.take(Said::Told(node(1), Box::new(Body::Heard(Vec::new()))));
        assert!(hearing.next().await.is_some(), "what was heard makes room");
    }
}
