//! High-water marks: peers remember each other's progress, so that they notice when a node runs on
//! an older copy of its files.
//!
//! A thief or an unlucky administrator who puts back an old disk image brings back old shares and
//! an old task register. The node itself cannot notice; its peers can. Each node states its
//! progress, under its signature, with every new tunnel and whenever it meets others for a task.
//! Nothing is decided by these marks: they only raise alarms, for both operators. A peer's claim
//! about this node counts only with this node's own signature, and each peer can raise few alarms.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_link::PeerKey;
use countersign_protocol::control::{Held, MAX_HELD};
use countersign_protocol::frame::{Body, Frame, HighWater, Mark, NO_TASK, SignedMark};
use countersign_protocol::{NodeId, encode};
use countersign_store::{Journal, PeerMark, ReadJournalError};
use tokio_util::sync::CancellationToken;

use crate::metrics::Counters;
use crate::node_key::NodeKey;
use crate::off_thread::{off_thread, record_alarm, with_journal};
use crate::session::{PeerNews, Router};
use crate::task::gossip::Exchange;
use crate::task::throttle::Throttle;
use crate::vault::Vault;
use crate::world::World;

/// Minimum time between two alarms of one kind about one peer; those in between are counted.
const PAUSE: Duration = Duration::from_secs(3600);
/// Maximum time that one peer may hold up the others.
const SEND_LIMIT: Duration = Duration::from_secs(2);
/// Interval at which marks received in tasks are persisted.
const WRITE: Duration = Duration::from_secs(1);

/// Reasons why this node's mark cannot be determined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MarkError {
    #[error(transparent)]
    Journal(#[from] ReadJournalError),
    #[error("the secrets file is closed ({0}); restart the node")]
    Secrets(String),
}

/// The exchange of high-water marks with peers.
pub struct Watermarks {
    pub own: NodeKey,
    pub world: World,
    /// Holds the marks that peers sent before.
    pub journal: Journal,
    pub own_mark: Arc<OwnMark>,
    pub router: Arc<Router>,
    /// Reminds peers of generations that they have missed.
    pub exchange: Exchange,
    /// Takes the peers' clocks.
    pub counters: Arc<Counters>,
}

/// Sends this node's mark to peers and compares the marks they send, until the node stops.
pub async fn follow(node: Watermarks, stopping: CancellationToken) {
    let mut peers = Peers::default();
    let mut write = tokio::time::interval(WRITE);
    write.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let (peer, news) = tokio::select! {
            () = stopping.cancelled() => break,
            news = node.router.news().next() => news,
            _ = write.tick() => {
                peers.write(&node).await;
                continue;
            }
        };
        match news {
            PeerNews::Up => tell(&node, peer).await,
            PeerNews::Said(said) => {
                hear(&node, &mut peers, peer, said.signed).await;
                let keys = said.keys.iter().copied().take(MAX_HELD).collect();
                node.exchange.remind(peer, keys).await;
                compare_keys(&node, &mut peers, peer, said.keys).await;
                peers.write(&node).await;
            }
            PeerNews::Marked(signed) => hear(&node, &mut peers, peer, signed).await,
            PeerNews::Behind(then) => told_behind(&node, &mut peers, peer, then).await,
        }
    }
    peers.write(&node).await;
}

/// Source of this node's own mark. Call it off the network's threads.
pub struct OwnMark {
    world: World,
    journal: Journal,
    vault: Arc<Vault>,
    /// Serializes readings: a later one never shows less progress.
    looking: Mutex<()>,
}

impl OwnMark {
    pub fn new(world: World, journal: Journal, vault: Arc<Vault>) -> Self {
        Self {
            world,
            journal,
            vault,
            looking: Mutex::default(),
        }
    }

    /// Returns the node's current progress.
    pub fn look(&self) -> Result<Mark, MarkError> {
        let _alone = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = self
            .vault
            .generation()
            .map_err(|error| MarkError::Secrets(error.to_string()))?;
        // The clock is read first: the progress at that moment is at most what is read after it.
        let at = self.world.now();
        Ok(Mark {
            at,
            secrets,
            audit: self.journal.audit_entries()?,
        })
    }
}

async fn tell(node: &Watermarks, peer: NodeId) {
    let own = node.own.clone();
    let own_mark = node.own_mark.clone();
    let mine = with_journal(&node.journal, move |journal| {
        let signed = SignedMark::alone(own_mark.look()?, &own.id(), &own);
        Ok::<_, MarkError>(HighWater {
            signed,
            keys: shared(journal, &own.id(), &peer)?,
        })
    });
    match mine.await {
        Ok(mine) => send(node, peer, Body::HighWater(mine)).await,
        Err(error) => tracing::warn!(%error, "this node's high-water mark cannot be read"),
    }
}

async fn send(node: &Watermarks, peer: NodeId, body: Body) {
    let key = PeerKey(*peer.as_bytes());
    let frame = encode(&Frame {
        task: NO_TASK,
        seq: 0,
        body,
    });
    let sent = tokio::time::timeout(SEND_LIMIT, node.router.mesh().send(&key, frame)).await;
    if !matches!(sent, Ok(Ok(()))) {
        tracing::debug!(%peer, "a high-water mark was not sent");
    }
}

/// Returns the keys that both nodes hold.
fn shared(journal: &Journal, me: &NodeId, peer: &NodeId) -> Result<Vec<Held>, ReadJournalError> {
    let held = journal
        .shared_keys(&[*me, *peer])?
        .into_iter()
        .take(MAX_HELD);
    Ok(held
        .map(|(key, generation)| Held { key, generation })
        .collect())
}

/// State of every peer that was heard. Only those on the roster have a tunnel.
#[derive(Default)]
struct Peers(HashMap<NodeId, Peer>);

struct Peer {
    mark: Option<PeerMark>,
    /// The mark is not on disk yet.
    news: bool,
    /// Alarms: the peer was rolled back; it proves that this node was; its keys differ; it claims
    /// something that it cannot prove.
    rolled_back: Throttle,
    behind: Throttle,
    keys: Throttle,
    claims: Throttle,
}

impl Peer {
    fn new(mark: Option<PeerMark>) -> Self {
        let [rolled_back, behind, keys, claims] = [(); 4].map(|()| Throttle::every(PAUSE));
        Self {
            mark,
            news: false,
            rolled_back,
            behind,
            keys,
            claims,
        }
    }

    /// Takes in a peer's signed statement about itself. Returns its earlier mark if that
    /// contradicts the new one.
    fn hear(
        &mut self,
        signed: SignedMark,
        now: countersign_protocol::UnixMillis,
    ) -> Option<PeerMark> {
        let known = self
            .mark
            .filter(|known| known.is_contradicted_by(&signed.mark));
        if self
            .mark
            .is_none_or(|known| known.is_raised_by(&signed.mark))
        {
            self.mark = Some(PeerMark::new(signed, now));
            self.news = true;
        }
        known
    }
}

impl Peers {
    async fn of(&mut self, node: &Watermarks, peer: NodeId) -> &mut Peer {
        let unknown = match self.0.entry(peer) {
            Entry::Occupied(known) => return known.into_mut(),
            Entry::Vacant(unknown) => unknown,
        };
        let written = with_journal(&node.journal, move |journal| journal.peer(&peer))
            .await
            .unwrap_or_else(|error| {
                tracing::error!(%error, "a peer's high-water mark cannot be read");
                None
            });
        unknown.insert(Peer::new(written))
    }

    /// Persists the marks that are not on disk yet.
    async fn write(&mut self, node: &Watermarks) {
        let fresh = |known: &mut Peer| std::mem::take(&mut known.news).then_some(known.mark?);
        let news = self
            .0
            .iter_mut()
            .filter_map(|(peer, known)| Some((*peer, fresh(known)?)));
        let news: Vec<(NodeId, PeerMark)> = news.collect();
        if news.is_empty() {
            return;
        }
        let written = with_journal(&node.journal, move |journal| {
            news.into_iter()
                .try_for_each(|(peer, mark)| journal.raise_peer(peer, mark))
        });
        if let Err(error) = written.await {
            tracing::warn!(%error, "the peers' high-water marks were not persisted");
        }
    }
}

/// Handles a peer's statement of its own progress.
async fn hear(node: &Watermarks, peers: &mut Peers, peer: NodeId, signed: SignedMark) {
    if !signed.verifies(&peer) {
        return tracing::warn!(%peer, "a peer sent a high-water mark without its valid signature");
    }
    let now = node.world.now();
    node.counters.clock(peer, signed.mark.at, now);
    let known = peers.of(node, peer).await;
    let Some(then) = known.hear(signed, now) else {
        return;
    };
    if let Some(before) = known.rolled_back.pass(Instant::now()) {
        let said = signed.mark;
        alarm(
            node,
            format!(
                "{peer} had reached generation {} of its secrets and {} audit entries, and now reports {} and {}: its store is an older copy; ask its operator",
                then.secrets, then.audit, said.secrets, said.audit
            ),
            before,
        )
        .await;
    }
    if let Some(then) = then.signed {
        send(node, peer, Body::Behind(then)).await;
    }
}

/// Handles a peer's claim that this node had progressed further: an alarm if this node signed that
/// mark and is behind it now.
async fn told_behind(node: &Watermarks, peers: &mut Peers, peer: NodeId, then: SignedMark) {
    let own_mark = node.own_mark.clone();
    let now = match off_thread(move || own_mark.look()).await {
        Ok(now) => now,
        Err(error) => return tracing::warn!(%error, "this node's high-water mark cannot be read"),
    };
    let known = peers.of(node, peer).await;
    if !is_behind(&node.own.id(), &now, &then) {
        if let Some(before) = known.claims.pass(Instant::now()) {
            tracing::warn!(%peer, before, "a peer wrongly claims that this node had progressed further; ask its operator");
        }
        return;
    }
    if let Some(before) = known.behind.pass(Instant::now()) {
        alarm(
            node,
            format!(
                "{peer} has this node's signature that it had reached generation {} of its secrets and {} audit entries, and it is at {} and {} now: this store is an older copy, or another process uses its identity; stop the node, find the newest files, or restore the newest backup",
                then.mark.secrets, then.mark.audit, now.secrets, now.audit
            ),
            before,
        )
        .await;
    }
}

/// Compares this node's own numbers with a mark that it has signed. Other signatures do not count.
fn is_behind(me: &NodeId, now: &Mark, then: &SignedMark) -> bool {
    then.verifies(me) && (now.secrets < then.mark.secrets || now.audit < then.mark.audit)
}

async fn compare_keys(node: &Watermarks, peers: &mut Peers, peer: NodeId, theirs: Vec<Held>) {
    let me = node.own.id();
    let differing = with_journal(&node.journal, move |journal| {
        Ok::<_, ReadJournalError>(differing(&shared(journal, &me, &peer)?, &theirs))
    });
    let differing = match differing.await {
        Ok(differing) => differing,
        Err(error) => return tracing::warn!(%peer, %error, "the peer's keys were not compared"),
    };
    let Some((mine, theirs)) = differing.first() else {
        return;
    };
    if let Some(before) = peers.of(node, peer).await.keys.pass(Instant::now()) {
        let text = format!(
            "{peer} holds generation {} of {}, and this node generation {} (and {} more such keys): a reshare is not settled, or one of the two stores is an older copy",
            theirs.generation,
            mine.key,
            mine.generation,
            differing.len() - 1
        );
        alarm(node, text, before).await;
    }
}

/// Returns the keys that both hold in different generations.
fn differing(mine: &[Held], theirs: &[Held]) -> Vec<(Held, Held)> {
    let theirs: HashMap<_, _> = theirs.iter().map(|held| (held.key, *held)).collect();
    let pairs = mine
        .iter()
        .filter_map(|mine| Some((*mine, *theirs.get(&mine.key)?)));
    pairs
        .filter(|(mine, theirs)| mine.generation != theirs.generation)
        .collect()
}

async fn alarm(node: &Watermarks, text: String, before: u64) {
    let text = if before == 0 {
        text
    } else {
        format!("{text} (after {before} more of this kind)")
    };
    tracing::error!("{text}");
    record_alarm(&node.journal, node.world.now(), text).await;
}

#[cfg(test)]
#[path = "high_water_tests.rs"]
mod tests;
