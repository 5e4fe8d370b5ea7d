//! Routes frames from the mesh to the sessions that they belong to.
//!
//! A session hears only its own parties, and each has a share of its bounded inbox, in frames and
//! in bytes. A party that overfills its share ends that session, by name, and nothing else. A frame
//! that is longer than its phase allows does not even get there. Frames that come before their task
//! are [held](Hold) for a moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use countersign_link::{Mesh, MeshEvent, PeerKey};
use countersign_protocol::frame::{Body, Frame, SignedMark};
use countersign_protocol::session::Rooms;
use countersign_protocol::session::hold::{self, Hold};
use countersign_protocol::{NodeId, TaskId, decode};
use tokio::sync::mpsc;

use super::hearing::{self, Ears, Hearing, Said};
use super::news::{News, PeerNews};

/// The most frames that wait for one session.
const INBOX: usize = 256;

/// An event that reaches a session from the network.
#[derive(Debug)]
pub enum Arrival {
    /// A frame of this session's task.
    Frame(NodeId, Box<Frame>),
    /// This party sent a frame that is longer than its phase allows. It was dropped.
    Overlong(NodeId),
    /// The tunnel to this peer broke.
    Lost(NodeId),
    /// This party sent more than the session could take. Nothing comes after it.
    Flood(NodeId),
}

/// The table of open sessions, between the mesh and their inboxes.
pub struct Router {
    mesh: Mesh,
    news: News,
    /// For frames about reshares.
    ears: Ears,
    hearing: Mutex<Option<Hearing>>,
    /// For reports of others' signatures, and for answers to the reports of this node's own.
    uses: Ears,
    counts: Ears,
    counting: Mutex<Option<Counting>>,
    /// The operator's names for the peers.
    names: ArcSwap<BTreeMap<NodeId, String>>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    sessions: HashMap<TaskId, InboxSender>,
    hold: Hold,
}

/// The queues of frames about the counting of signatures.
pub struct Counting {
    /// Reports by peers of their own signatures.
    pub told: Hearing,
    /// Answers of peers to this node's reports, and tunnels that came up.
    pub answers: Hearing,
}

/// The sending end of a session's inbox.
struct InboxSender {
    arrivals: mpsc::Sender<Sized>,
    quotas: Arc<Quotas>,
    rooms: Rooms,
}

/// An arrival with its size in bytes.
type Sized = (Arrival, usize);

/// The use of a session's inbox by each party.
struct Quotas {
    waiting: BTreeMap<NodeId, Waiting>,
    /// The most waiting frames of one party.
    frames: usize,
    /// The most bytes in them.
    bytes: usize,
    /// The first party that exceeded its share.
    flood: OnceLock<NodeId>,
}

#[derive(Default)]
struct Waiting {
    frames: AtomicUsize,
    bytes: AtomicUsize,
}

/// The receiving end of a session's inbox. The session is closed when it is dropped.
pub struct Inbox {
    task: TaskId,
    router: Arc<Router>,
    arrivals: mpsc::Receiver<Sized>,
    quotas: Arc<Quotas>,
}

impl Router {
    /// Creates the router of `mesh`. `names`: the operator's names for the peers.
    pub fn new(mesh: Mesh, names: BTreeMap<NodeId, String>) -> Arc<Self> {
        let [(ears, hearing), (uses, told), (counts, answers)] = [(); 3].map(|()| hearing::queue());
        let hearing = Mutex::new(Some(hearing));
        let counting = Mutex::new(Some(Counting { told, answers }));
        let (news, open) = Default::default();
        Arc::new(Self {
            mesh,
            news,
            ears,
            hearing,
            uses,
            counts,
            counting,
            names: ArcSwap::from_pointee(names),
            open,
        })
    }

    /// Returns the queue of news about peers.
    pub fn news(&self) -> &News {
        &self.news
    }

    /// Takes the queue of frames about reshares; `None` after the first call.
    pub fn hearing(&self) -> Option<Hearing> {
        self.hearing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Takes the queues of frames about signatures; `None` after the first call.
    pub fn counting(&self) -> Option<Counting> {
        self.counting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Returns the mesh of tunnels to the peers.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Replaces the operator's names for the peers.
    pub fn set_names(&self, names: BTreeMap<NodeId, String>) {
        self.names.store(Arc::new(names));
    }

    /// Handles the events of the mesh until it ends.
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
                        self.counts.take(Said::Up(node));
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

    /// Opens the inbox of a task for frames of `parties` within these `rooms`; `None` if
    /// it is open already.
    pub fn open(self: &Arc<Self>, task: TaskId, parties: &[NodeId], rooms: Rooms) -> Option<Inbox> {
        let mut open = self.lock();
        if open.sessions.contains_key(&task) {
            return None;
        }
        let (feed, arrivals) = InboxSender::new(parties, rooms);
        let quotas = feed.quotas.clone();
        let held = open.hold.take(task);
        // A flood that was held ends the session like one that comes later: the inbox tells it.
        if held
            .into_iter()
            .all(|(from, frame, bytes)| feed.frame(from, frame, bytes))
        {
            open.sessions.insert(task, feed);
        }
        Some(Inbox {
            task,
            router: self.clone(),
            arrivals,
            quotas,
        })
    }

    /// Returns the number of open sessions.
    pub fn sessions(&self) -> usize {
        self.lock().sessions.len()
    }

    /// The operator's name of a peer.
    pub(crate) fn name(&self, peer: PeerKey) -> String {
        let named = NodeId::from_bytes(peer.0)
            .ok()
            .and_then(|node| self.names.load().get(&node).cloned());
        named.unwrap_or_else(|| "?".into())
    }

    fn frame(&self, peer: PeerKey, bytes: &[u8]) {
        let (Ok(from), Ok(frame)) = (NodeId::from_bytes(peer.0), decode::<Frame>(bytes)) else {
            return tracing::warn!(
                peer = self.name(peer),
                "dropped a frame that cannot be read; compare the versions of both nodes"
            );
        };
        let frame = match frame.body {
            Body::HighWater(said) => return self.news.put(from, PeerNews::Said(said)),
            Body::Behind(then) => return self.news.put(from, PeerNews::Behind(then)),
            Body::Generations(_) | Body::Heard(_) | Body::Lacks(_) => {
                return self.ears.take(Said::Told(from, Box::new(frame.body)));
            }
            Body::Used(_) | Body::Released(_) => {
                return self.uses.take(Said::Told(from, Box::new(frame.body)));
            }
            Body::Counted { .. } => {
                return self.counts.take(Said::Told(from, Box::new(frame.body)));
            }
            Body::Ready(_) | Body::Run { .. } | Body::Abort(_) | Body::Met(_) => frame,
        };
        let mut open = self.lock();
        let task = frame.task;
        match open.sessions.get(&task) {
            None => open.hold.put(Instant::now(), from, frame, bytes.len()),
            Some(feed) if feed.frame(from, frame, bytes.len()) => {}
            Some(_) => {
                tracing::warn!(%task, peer = self.name(peer), "a session could not keep up with this peer and ends");
                open.sessions.remove(&task);
            }
        }
    }

    /// Queues the high-water mark that a party showed in a session.
    pub fn marked(&self, peer: NodeId, mark: SignedMark) {
        self.news.put(peer, PeerNews::Marked(mark));
    }

    fn lost(&self, peer: PeerKey) {
        let Ok(node) = NodeId::from_bytes(peer.0) else {
            return;
        };
        self.lock().sessions.retain(|_, feed| feed.lost(node));
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InboxSender {
    fn new(parties: &[NodeId], rooms: Rooms) -> (Self, mpsc::Receiver<Sized>) {
        let frames = INBOX / parties.len().saturating_sub(1).max(1);
        let quotas = Quotas {
            waiting: parties
                .iter()
                .map(|party| (*party, Waiting::default()))
                .collect(),
            frames,
            bytes: rooms.queued(frames),
            flood: OnceLock::new(),
        };
        // Room for every share, including reports of broken tunnels, which count against the
        // share of their party.
        let (arrivals, receiver) = mpsc::channel(frames * parties.len().max(1));
        (
            Self {
                arrivals,
                quotas: Arc::new(quotas),
                rooms,
            },
            receiver,
        )
    }

    /// False if this party overfilled its share, which ends the session.
    fn frame(&self, from: NodeId, frame: Frame, bytes: usize) -> bool {
        if !self.quotas.waiting.contains_key(&from) {
            tracing::debug!(task = %frame.task, %from, "dropped a frame of a node that is not a party");
            return true;
        }
        if self.rooms.fits(&frame) {
            self.put(from, Arrival::Frame(from, Box::new(frame)), bytes)
        } else {
            self.put(from, Arrival::Overlong(from), 0)
        }
    }

    fn lost(&self, peer: NodeId) -> bool {
        !self.quotas.waiting.contains_key(&peer) || self.put(peer, Arrival::Lost(peer), 0)
    }

    fn put(&self, from: NodeId, arrival: Arrival, bytes: usize) -> bool {
        let fits =
            self.quotas.take(&from, bytes) && self.arrivals.try_send((arrival, bytes)).is_ok();
        // A session that has ended by itself cannot be flooded; it leaves the router when
        // its inbox is dropped.
        if !fits && !self.arrivals.is_closed() {
            self.quotas.flood.get_or_init(|| from);
        }
        fits || self.arrivals.is_closed()
    }
}

impl Quotas {
    /// False if the share is used up.
    fn take(&self, party: &NodeId, bytes: usize) -> bool {
        let Some(waiting) = self.waiting.get(party) else {
            return false;
        };
        let frames = waiting.frames.fetch_add(1, Ordering::Relaxed);
        let before = waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
        frames < self.frames && before + bytes <= self.bytes
    }

    fn give_back(&self, (arrival, bytes): &Sized) {
        let (Arrival::Frame(party, _)
        | Arrival::Overlong(party)
        | Arrival::Lost(party)
        | Arrival::Flood(party)) = arrival;
        if let Some(waiting) = self.waiting.get(party) {
            waiting.frames.fetch_sub(1, Ordering::Relaxed);
            waiting.bytes.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}

impl Inbox {
    /// Waits for the next arrival; `None` when the session was cut off.
    pub async fn next(&mut self) -> Option<Arrival> {
        let arrival = self.arrivals.recv().await;
        if let Some(arrival) = &arrival {
            self.quotas.give_back(arrival);
        }
        match self.quotas.flood.get() {
            Some(party) => Some(Arrival::Flood(*party)),
            None => arrival.map(|(arrival, _)| arrival),
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.router.lock().sessions.remove(&self.task);
    }
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
