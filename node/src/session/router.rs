//! Brings frames from the mesh to the sessions they belong to.
//!
//! A session's inbox is bounded; a peer that overfills it ends that session and nothing else. Frames that come before
//! their task are [held](Hold) for a moment.

use countersign_link::{Mesh, MeshEvent, PeerKey};
use countersign_protocol::frame::Frame;
use countersign_protocol::session::hold::Hold;
use countersign_protocol::{NodeId, TaskId, decode};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::mpsc;

/// Frames that may wait for one session.
const INBOX: usize = 256;

/// What reaches a session from the network.
#[derive(Debug)]
pub enum Arrival {
    /// A frame of this session's task.
    Frame(NodeId, Frame),
    /// The tunnel to this peer broke.
    Lost(NodeId),
}

/// Knows the open sessions and the mesh.
pub struct Router {
    mesh: Mesh,
    /// What the operator calls the peers.
    names: BTreeMap<NodeId, String>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    sessions: HashMap<TaskId, mpsc::Sender<Arrival>>,
    hold: Hold,
}

/// The receiving end of a session; closes it when dropped.
pub struct Inbox {
    task: TaskId,
    router: Arc<Router>,
    arrivals: mpsc::Receiver<Arrival>,
}

impl Router {
    /// Routes what comes out of `mesh`.
    pub fn new(mesh: Mesh, names: BTreeMap<NodeId, String>) -> Arc<Router> {
        Arc::new(Router { mesh, names, open: Mutex::default() })
    }

    /// The tunnels.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Drains the mesh until it ends.
    pub async fn run(&self, mut events: mpsc::Receiver<MeshEvent>) {
        while let Some(event) = events.recv().await {
            match event {
                MeshEvent::Up(peer) => tracing::info!(peer = self.name(peer), "tunnel up"),
                MeshEvent::Down(peer) => {
                    tracing::info!(peer = self.name(peer), "tunnel down");
                    self.lost(peer);
                }
                MeshEvent::Frame(peer, bytes) => self.frame(peer, &bytes),
            }
        }
    }

    /// Opens the inbox of a task; `None` if it is open already.
    pub fn open(self: &Arc<Self>, task: TaskId) -> Option<Inbox> {
        let mut open = self.lock();
        if open.sessions.contains_key(&task) {
            return None;
        }
        let (sender, arrivals) = mpsc::channel(INBOX);
        for (from, frame) in open.hold.take(task) {
            // The inbox is larger than what is held for all peers of one session.
            drop(sender.try_send(Arrival::Frame(from, frame)));
        }
        open.sessions.insert(task, sender);
        Some(Inbox { task, router: self.clone(), arrivals })
    }

    fn name(&self, peer: PeerKey) -> &str {
        let named = NodeId::from_bytes(peer.0).ok().and_then(|node| self.names.get(&node));
        named.map_or("?", String::as_str)
    }

    fn frame(&self, peer: PeerKey, bytes: &[u8]) {
        let (Ok(from), Ok(frame)) = (NodeId::from_bytes(peer.0), decode::<Frame>(bytes)) else {
            return tracing::warn!(%peer, "a frame that cannot be read was dropped; compare the versions of both nodes");
        };
        let mut open = self.lock();
        let task = frame.task;
        match open.sessions.get(&task) {
            None => open.hold.put(Instant::now(), from, frame),
            Some(session) if session.try_send(Arrival::Frame(from, frame)).is_ok() => {}
            Some(_) => {
                tracing::warn!(%task, %from, "a session could not keep up with this peer and ends");
                open.sessions.remove(&task);
            }
        }
    }

    fn lost(&self, peer: PeerKey) {
        let Ok(node) = NodeId::from_bytes(peer.0) else { return };
        let mut open = self.lock();
        // A session whose inbox is full and cannot be told ends at its deadline; dropping it ends it now.
        open.sessions.retain(|_, session| {
            !matches!(session.try_send(Arrival::Lost(node)), Err(mpsc::error::TrySendError::Full(_)))
        });
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// What arrived next; `None` when the session was cut off.
    pub async fn next(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.router.lock().sessions.remove(&self.task);
    }
}
