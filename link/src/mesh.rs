//! Keeps one live tunnel per roster peer over the current link.
//!
//! The roster is the node's own; the coordinator cannot add to it. A frame given
//! to a tunnel is never sent in its successor: sessions must handle frames lost
//! with a tunnel ([`MeshEvent::Down`]).

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, warn};

use crate::backoff::{Reconnect, random};
use crate::dial::PairOpener;
use crate::frame::{FrameError, MAX_FRAME};
use crate::identity::{Identity, PeerKey};
use crate::tunnel::{Tunnel, TunnelError, TunnelReceiver, TunnelSender, dials};

/// All tunnels of one node. Dropping it ends them.
pub struct Mesh {
    shared: Arc<Shared>,
    openers: watch::Sender<Option<PairOpener>>,
    roster: Mutex<HashMap<PeerKey, DropGuard>>,
}

/// Tunnel events, in order per peer: `Up`, frames, `Down`, `Up`, ...
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeshEvent {
    /// A tunnel is live; both keys are proven.
    Up(PeerKey),
    /// The tunnel is gone. Frames in transit, in either direction, are lost.
    Down(PeerKey),
    /// A frame from the peer that the tunnel's key proves.
    Frame(PeerKey, Vec<u8>),
}

/// Limits and ages of a mesh.
#[derive(Debug, Clone)]
pub struct MeshConfig {
    /// Maximum number of events that wait for the consumer. When full, peers are slowed down, so
    /// drain it without waiting on a session.
    pub events: usize,
    /// Maximum number of frames that wait for one peer's tunnel; a full
    /// queue makes [`Mesh::send`] wait.
    pub outgoing: usize,
    /// Age at which a tunnel is renewed, with fresh keys, once it is idle.
    pub renew_after: Duration,
    /// A tunnel without a frame for this long is idle. Longer than the silence
    /// of any protocol step.
    pub idle: Duration,
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            events: 64,
            outgoing: 64,
            renew_after: Duration::from_secs(60 * 60),
            idle: Duration::from_secs(5 * 60),
        }
    }
}

/// The reason a frame was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No live tunnel to the peer, or it went down while the frame waited.
    #[error(
        "no live tunnel to the peer: wait until it is up, and check that it is online and has us on its roster"
    )]
    NotConnected,
    /// The frame is over [`crate::MAX_FRAME`].
    #[error("frame of {len} bytes is over the bound of {MAX_FRAME}: send less at a time")]
    TooLarge {
        /// Size of the refused frame in bytes.
        len: usize,
    },
}

impl Mesh {
    /// Creates a mesh without roster and link. Events come out of the receiver; tunnels stall
    /// when nobody drains it.
    pub fn new(identity: Arc<Identity>, config: MeshConfig) -> (Self, mpsc::Receiver<MeshEvent>) {
        let (events, receiver) = mpsc::channel(config.events);
        let shared = Arc::new(Shared {
            identity,
            config,
            events,
            live: Mutex::default(),
        });
        let mesh = Self {
            shared,
            openers: watch::Sender::new(None),
            roster: Mutex::default(),
        };
        (mesh, receiver)
    }

    /// Switches to a new link, in which all tunnels are made anew.
    /// Call after each [`crate::dial::connect`].
    pub fn attach(&self, pairs: PairOpener) {
        self.openers.send_replace(Some(pairs));
    }

    /// Ends all tunnels and releases the link.
    pub fn detach(&self) {
        self.openers.send_replace(None);
    }

    /// Replaces the roster. Tunnels to peers no longer on it end; our own key is skipped. Must be
    /// called inside a tokio runtime.
    pub fn set_roster(&self, peers: impl IntoIterator<Item = PeerKey>) {
        let own = self.shared.identity.public();
        let wanted: HashSet<_> = peers.into_iter().filter(|peer| *peer != own).collect();
        let mut roster = lock(&self.roster);
        roster.retain(|peer, _| wanted.contains(peer));
        for peer in wanted {
            roster.entry(peer).or_insert_with(|| self.keep(peer));
        }
    }

    /// Queues a frame for `peer`; waits while its queue is full. `Ok` means queued, not delivered.
    /// Do not await it in the task that drains the events: two nodes that both wait to send would
    /// then wait for ever.
    pub async fn send(&self, peer: &PeerKey, frame: Vec<u8>) -> Result<(), SendError> {
        if frame.len() > MAX_FRAME {
            return Err(SendError::TooLarge { len: frame.len() });
        }
        let queue = lock(&self.shared.live)
            .get(peer)
            .cloned()
            .ok_or(SendError::NotConnected)?;
        queue.send(frame).await.map_err(|_| SendError::NotConnected)
    }

    /// True while a tunnel to `peer` is live.
    pub fn connected(&self, peer: &PeerKey) -> bool {
        lock(&self.shared.live).contains_key(peer)
    }

    fn keep(&self, peer: PeerKey) -> DropGuard {
        let removed = CancellationToken::new();
        let keeper = Keeper {
            shared: self.shared.clone(),
            openers: self.openers.subscribe(),
            peer,
            removed: removed.clone(),
            reconnect: Reconnect::tunnel(),
        };
        tokio::spawn(keeper.run());
        removed.drop_guard()
    }
}

struct Shared {
    identity: Arc<Identity>,
    config: MeshConfig,
    events: mpsc::Sender<MeshEvent>,
    live: Mutex<HashMap<PeerKey, mpsc::Sender<Vec<u8>>>>,
}

impl Shared {
    /// Returns false when nobody listens any more.
    async fn report(&self, event: MeshEvent) -> bool {
        self.events.send(event).await.is_ok()
    }
}

/// Maintains the tunnel to one peer.
struct Keeper {
    shared: Arc<Shared>,
    openers: watch::Receiver<Option<PairOpener>>,
    peer: PeerKey,
    removed: CancellationToken,
    reconnect: Reconnect,
}

/// The keeper's next action after a tunnel, or an attempt at one.
enum Next {
    /// Take the new link at once.
    NewLink,
    /// Try again after a pause.
    Retry,
    /// The peer left the roster, or the mesh is gone.
    Stop,
}

impl Keeper {
    async fn run(mut self) {
        let removed = self.removed.clone();
        while let Some(opener) = removed.run_until_cancelled(self.opener()).await.flatten() {
            match self.once(opener).await {
                Next::NewLink => {}
                Next::Retry => self.pause().await,
                Next::Stop => break,
            }
        }
    }

    /// The current link, once there is a live one; `None` when the mesh is gone.
    async fn opener(&mut self) -> Option<PairOpener> {
        let alive = |opener: &Option<PairOpener>| opener.as_ref().is_some_and(PairOpener::is_alive);
        self.openers.wait_for(alive).await.ok()?.clone()
    }

    /// Runs one tunnel from opening to end.
    async fn once(&mut self, opener: PairOpener) -> Next {
        let tunnel = tokio::select! {
            () = self.removed.cancelled() => return Next::Stop,
            changed = self.openers.changed() => return new_link(changed),
            tunnel = open(opener, &self.shared.identity, self.peer) => tunnel,
        };
        match tunnel {
            Ok(tunnel) => self.live(tunnel).await,
            Err(error) => {
                warn!(peer = %self.peer.node_id(), %error, "no tunnel");
                Next::Retry
            }
        }
    }

    /// Serves a tunnel from `Up` to `Down`.
    async fn live(&mut self, tunnel: Tunnel) -> Next {
        let (queue, outgoing) = mpsc::channel(self.shared.config.outgoing);
        lock(&self.shared.live).insert(self.peer, queue);
        self.reconnect.connected(Instant::now());
        debug!(peer = %self.peer.node_id(), "tunnel up");
        let next = if self.shared.report(MeshEvent::Up(self.peer)).await {
            self.carry(tunnel, outgoing).await
        } else {
            Next::Stop
        };
        lock(&self.shared.live).remove(&self.peer);
        debug!(peer = %self.peer.node_id(), "tunnel down");
        if self.shared.report(MeshEvent::Down(self.peer)).await {
            next
        } else {
            Next::Stop
        }
    }

    async fn carry(&mut self, tunnel: Tunnel, outgoing: mpsc::Receiver<Vec<u8>>) -> Next {
        let (sender, receiver) = tunnel.split();
        let frames = AtomicU64::new(0);
        let end = tokio::select! {
            () = self.removed.cancelled() => return Next::Stop,
            changed = self.openers.changed() => return new_link(changed),
            end = send_all(sender, outgoing, &frames) => end,
            end = receive_all(receiver, &self.shared, self.peer, &frames) => end,
            () = due(&self.shared, self.peer, &frames) => Ok(()),
        };
        match end {
            Ok(()) => debug!(peer = %self.peer.node_id(), "tunnel ended cleanly"),
            Err(error) => warn!(peer = %self.peer.node_id(), %error, "tunnel broke"),
        }
        Next::Retry
    }

    /// Waits for the back-off, cut short by a new link or the end.
    async fn pause(&mut self) {
        let delay = self.reconnect.lost(Instant::now(), random());
        let mut openers = self.openers.clone();
        tokio::select! {
            () = self.removed.cancelled() => {}
            _ = openers.changed() => {}
            () = sleep(delay) => {}
        }
    }
}

async fn open(
    opener: PairOpener,
    identity: &Arc<Identity>,
    peer: PeerKey,
) -> Result<Tunnel, TunnelError> {
    let stream = opener.open(peer).await.map_err(TunnelError::Broken)?;
    Tunnel::establish(stream, identity, peer).await
}

async fn send_all(
    mut sender: TunnelSender,
    mut outgoing: mpsc::Receiver<Vec<u8>>,
    frames: &AtomicU64,
) -> Result<(), FrameError> {
    while let Some(frame) = outgoing.recv().await {
        frames.fetch_add(1, Ordering::Relaxed);
        sender.send(&frame).await?;
    }
    Ok(())
}

async fn receive_all(
    mut receiver: TunnelReceiver,
    shared: &Shared,
    peer: PeerKey,
    frames: &AtomicU64,
) -> Result<(), FrameError> {
    while let Some(frame) = receiver.recv().await? {
        frames.fetch_add(1, Ordering::Relaxed);
        if !shared.report(MeshEvent::Frame(peer, frame)).await {
            break;
        }
    }
    Ok(())
}

/// Resolves when the tunnel is old and idle, on the dialling side: one side is enough.
async fn due(shared: &Shared, peer: PeerKey, frames: &AtomicU64) {
    if !dials(&shared.identity, peer) {
        return std::future::pending().await;
    }
    sleep(shared.config.renew_after).await;
    loop {
        let before = frames.load(Ordering::Relaxed);
        sleep(shared.config.idle).await;
        if frames.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

fn new_link(changed: Result<(), watch::error::RecvError>) -> Next {
    match changed {
        Ok(()) => Next::NewLink,
        Err(_) => Next::Stop,
    }
}

/// The maps behind these locks are valid between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
