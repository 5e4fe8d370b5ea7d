//! Brings frames from the mesh to the sessions they belong to.
//!
//! A session hears its own parties alone, and each has a share of its bounded inbox; a party that overfills its share
//! ends that session, by name, and nothing else. Frames that come before their task are [held](Hold) for a moment.

use super::news::{News, PeerNews};
use crate::task::gossip::{self, Ears, Hearing, Said};
use countersign_link::{Mesh, MeshEvent, PeerKey};
use countersign_protocol::frame::{Body, Frame, SignedMark};
use countersign_protocol::session::hold::{self, Hold};
use countersign_protocol::{NodeId, TaskId, decode};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use tokio::sync::mpsc;

/// Frames that may wait for one session.
const INBOX: usize = 256;

/// What reaches a session from the network.
#[derive(Debug)]
pub enum Arrival {
    /// A frame of this session's task.
    Frame(NodeId, Box<Frame>),
    /// The tunnel to this peer broke.
    Lost(NodeId),
    /// This party sent more than the session could take. Nothing comes after it.
    Flood(NodeId),
}

/// Knows the open sessions and the mesh.
pub struct Router {
    mesh: Mesh,
    news: News,
    /// Where what is told of reshares goes.
    ears: Ears,
    hearing: Mutex<Option<Hearing>>,
    /// What the operator calls the peers.
    names: BTreeMap<NodeId, String>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    sessions: HashMap<TaskId, Feed>,
    hold: Hold,
}

/// The sending end of a session.
struct Feed {
    arrivals: mpsc::Sender<Arrival>,
    shares: Arc<Shares>,
}

/// How much of a session's inbox each party uses.
struct Shares {
    /// Frames of each party that wait.
    waiting: BTreeMap<NodeId, AtomicUsize>,
    /// How many may.
    quota: usize,
    /// Who had more.
    flood: OnceLock<NodeId>,
}

/// The receiving end of a session; closes it when dropped.
pub struct Inbox {
    task: TaskId,
    router: Arc<Router>,
    arrivals: mpsc::Receiver<Arrival>,
    shares: Arc<Shares>,
}

impl Router {
    /// Routes what comes out of `mesh`.
    pub fn new(mesh: Mesh, names: BTreeMap<NodeId, String>) -> Arc<Router> {
        let (ears, hearing) = gossip::queue(names.len());
        let hearing = Mutex::new(Some(hearing));
        Arc::new(Router { mesh, news: News::default(), ears, hearing, names, open: Mutex::default() })
    }

    /// What concerns no session.
    pub fn news(&self) -> &News {
        &self.news
    }

    /// What peers tell of reshares; once.
    pub fn hearing(&self) -> Option<Hearing> {
        self.hearing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The tunnels.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Drains the mesh until it ends.
    pub async fn run(&self, mut events: mpsc::Receiver<MeshEvent>) {
        let mut ages = tokio::time::interval(hold::MAX_AGE);
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                now = ages.tick() => {
                    self.lock().hold.expire(now.into_std());
                    continue;
                }
            };
            let Some(event) = event else { break };
            match event {
                MeshEvent::Up(peer) => {
                    tracing::info!(peer = self.name(peer), "tunnel up");
                    if let Ok(node) = NodeId::from_bytes(peer.0) {
                        self.news.put(node, PeerNews::Up);
                        self.ears.take(Said::Up(node));
                    }
                }
                MeshEvent::Down(peer) => {
                    tracing::info!(peer = self.name(peer), "tunnel down");
                    self.lost(peer);
                }
                MeshEvent::Frame(peer, bytes) => self.frame(peer, &bytes),
            }
        }
    }

    /// Opens the inbox of a task for what `parties` send; `None` if it is open already.
    pub fn open(self: &Arc<Self>, task: TaskId, parties: &[NodeId]) -> Option<Inbox> {
        let mut open = self.lock();
        if open.sessions.contains_key(&task) {
            return None;
        }
        let (feed, arrivals) = Feed::new(parties);
        let shares = feed.shares.clone();
        let held = open.hold.take(task);
        // A flood that was held ends the session like one that comes later: the inbox tells it.
        if held.into_iter().all(|(from, frame)| feed.frame(from, frame)) {
            open.sessions.insert(task, feed);
        }
        Some(Inbox { task, router: self.clone(), arrivals, shares })
    }

    /// How many are open.
    pub fn sessions(&self) -> usize {
        self.lock().sessions.len()
    }

    fn name(&self, peer: PeerKey) -> &str {
        let named = NodeId::from_bytes(peer.0).ok().and_then(|node| self.names.get(&node));
        named.map_or("?", String::as_str)
    }

    fn frame(&self, peer: PeerKey, bytes: &[u8]) {
        let (Ok(from), Ok(frame)) = (NodeId::from_bytes(peer.0), decode::<Frame>(bytes)) else {
            return tracing::warn!(
                peer = self.name(peer),
                "a frame that cannot be read was dropped; compare the versions of both nodes"
            );
        };
        let frame = match frame.body {
            Body::HighWater(said) => return self.news.put(from, PeerNews::Said(said)),
            Body::Behind(then) => return self.news.put(from, PeerNews::Behind(then)),
            Body::Generations(_) | Body::Heard(_) | Body::Lacks(_) => {
                return self.ears.take(Said::Told(from, Box::new(frame.body)));
            }
            Body::Ready(_) | Body::Run { .. } | Body::Abort(_) | Body::Met(_) => frame,
        };
        let mut open = self.lock();
        let task = frame.task;
        match open.sessions.get(&task) {
            None => open.hold.put(Instant::now(), from, frame, bytes.len()),
            Some(feed) if feed.frame(from, frame) => {}
            Some(_) => {
                tracing::warn!(%task, peer = self.name(peer), "a session could not keep up with this peer and ends");
                open.sessions.remove(&task);
            }
        }
    }

    /// A party said in a session how far it has come.
    pub fn marked(&self, peer: NodeId, mark: SignedMark) {
        self.news.put(peer, PeerNews::Marked(mark));
    }

    fn lost(&self, peer: PeerKey) {
        let Ok(node) = NodeId::from_bytes(peer.0) else { return };
        self.lock().sessions.retain(|_, feed| feed.lost(node));
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    fn new(parties: &[NodeId]) -> (Feed, mpsc::Receiver<Arrival>) {
        let shares = Shares {
            waiting: parties.iter().map(|party| (*party, AtomicUsize::new(0))).collect(),
            quota: INBOX / parties.len().saturating_sub(1).max(1),
            flood: OnceLock::new(),
        };
        // Room for every share, and for the news of broken tunnels, which count against the share of their party.
        let (arrivals, receiver) = mpsc::channel(shares.quota * parties.len().max(1));
        (Feed { arrivals, shares: Arc::new(shares) }, receiver)
    }

    /// False: this party overfilled its share, and the session ends.
    fn frame(&self, from: NodeId, frame: Frame) -> bool {
        if !self.shares.waiting.contains_key(&from) {
            tracing::debug!(task = %frame.task, %from, "a frame of a node that is no party was dropped");
            return true;
        }
        self.put(from, Arrival::Frame(from, Box::new(frame)))
    }

    fn lost(&self, peer: NodeId) -> bool {
        !self.shares.waiting.contains_key(&peer) || self.put(peer, Arrival::Lost(peer))
    }

    fn put(&self, from: NodeId, arrival: Arrival) -> bool {
        let fits = self.shares.take(&from) && self.arrivals.try_send(arrival).is_ok();
        // A session that has ended by itself is flooded by nobody; it leaves the router when its inbox is dropped.
        if !fits && !self.arrivals.is_closed() {
            self.shares.flood.get_or_init(|| from);
        }
        fits || self.arrivals.is_closed()
    }
}

impl Shares {
    /// False: the share is used up.
    fn take(&self, party: &NodeId) -> bool {
        self.waiting.get(party).is_some_and(|waiting| waiting.fetch_add(1, Ordering::Relaxed) < self.quota)
    }

    fn give_back(&self, arrival: &Arrival) {
        let (Arrival::Frame(party, _) | Arrival::Lost(party) | Arrival::Flood(party)) = arrival;
        if let Some(waiting) = self.waiting.get(party) {
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Inbox {
    /// What arrived next; `None` when the session was cut off.
    pub async fn next(&mut self) -> Option<Arrival> {
        let arrival = self.arrivals.recv().await;
        if let Some(arrival) = &arrival {
            self.shares.give_back(arrival);
        }
        match self.shares.flood.get() {
            Some(party) => Some(Arrival::Flood(*party)),
            None => arrival,
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.router.lock().sessions.remove(&self.task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_link::Identity;
    use countersign_link::mesh::MeshConfig;
    use countersign_protocol::Cause;
    use countersign_protocol::encode;
    use countersign_protocol::frame::{Abort, Body};
    use futures_util::FutureExt;

    const TASK: TaskId = TaskId([1; 16]);

    fn key(seed: u8) -> PeerKey {
        Identity::from_seed(&[seed; 32]).unwrap().public()
    }

    fn node(seed: u8) -> NodeId {
        NodeId::from_bytes(key(seed).0).unwrap()
    }

    /// A router of node 1.
    fn router() -> Arc<Router> {
        let me = Arc::new(Identity::from_seed(&[1; 32]).unwrap());
        Router::new(Mesh::new(me, MeshConfig::default()).0, BTreeMap::new())
    }

    fn send(router: &Router, from: u8, count: u32) {
        for seq in 0..count {
            let (cause, code, text) = (Cause::Bug, String::new(), String::new());
            let body =
                Body::Abort(Abort { cause, code, text, accused: vec![], evidence: None, result: None });
            router.frame(key(from), &encode(&Frame { task: TASK, seq, body }));
        }
    }

    fn next(inbox: &mut Inbox) -> Option<Arrival> {
        inbox.next().now_or_never().expect("something has arrived")
    }

    #[test]
    fn who_is_no_party_cannot_fill_the_inbox() {
        let router = router();
        send(&router, 4, 10);
        let mut inbox = router.open(TASK, &[node(1), node(2), node(3)]).unwrap();
        send(&router, 4, 300);
        router.lost(key(4));
        send(&router, 2, 1);
        assert!(matches!(next(&mut inbox), Some(Arrival::Frame(from, _)) if from == node(2)));
        assert!(inbox.next().now_or_never().is_none(), "nothing else is there, and the session lives");
    }

    #[test]
    fn a_party_that_overfills_its_share_is_named() {
        let router = router();
        let mut inbox = router.open(TASK, &[node(1), node(2), node(3)]).unwrap();
        send(&router, 2, 128);
        send(&router, 3, 128);
        router.lost(key(4));
        assert!(matches!(next(&mut inbox), Some(Arrival::Frame(..))), "full shares are no flood");
        send(&router, 3, 1);
        assert!(matches!(next(&mut inbox), Some(Arrival::Flood(by)) if by == node(3)));
    }

    #[test]
    fn what_was_handled_makes_room_again() {
        let router = router();
        let mut inbox = router.open(TASK, &[node(1), node(2)]).unwrap();
        for _ in 0..3 {
            send(&router, 2, 200);
            (0..200).for_each(|_| assert!(matches!(next(&mut inbox), Some(Arrival::Frame(..)))));
        }
    }

    #[test]
    fn a_flood_before_the_task_is_named_too() {
        let router = router();
        let parties: Vec<NodeId> = (1..=9).map(node).collect();
        send(&router, 2, 60);
        let mut inbox = router.open(TASK, &parties).unwrap();
        assert!(matches!(next(&mut inbox), Some(Arrival::Flood(by)) if by == node(2)));
    }
}
