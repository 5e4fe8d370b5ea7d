//! A coordinator and nodes on loopback. The coordinator answers each hello and then echoes control
//! frames.

use std::collections::HashSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_link::dial::{DialError, connect};
use countersign_link::hub::Recorder;
use countersign_link::mesh::MeshConfig;
use countersign_link::{
    Closed, Hub, Identity, Link, LinkHandle, Mesh, MeshEvent, NodeLink, PeerKey,
};
use tokio::sync::mpsc;

pub fn identity(number: u8) -> Arc<Identity> {
    Arc::new(Identity::from_seed(&[number; 32]).unwrap())
}

/// Two identities, the lower key (which dials) first.
pub fn ordered_pair() -> [Arc<Identity>; 2] {
    let mut pair = [identity(1), identity(2)];
    pair.sort_by_key(|id| id.public());
    pair
}

/// Fails a test instead of letting it hang.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(8), future)
        .await
        .unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// Keys that may connect, changeable while the hub runs.
pub type Admitted = Arc<Mutex<HashSet<PeerKey>>>;

pub struct Coordinator {
    pub hub: Arc<Hub>,
    pub key: PeerKey,
    pub admitted: Admitted,
}

impl Coordinator {
    pub fn start(nodes: &[&Arc<Identity>]) -> Self {
        Self::start_with(nodes, "127.0.0.1:0".parse().unwrap(), None)
    }

    pub fn start_with(
        nodes: &[&Arc<Identity>],
        address: SocketAddr,
        recorder: Option<Recorder>,
    ) -> Self {
        let identity = identity(200);
        let admitted: Admitted = Arc::new(Mutex::new(nodes.iter().map(|id| id.public()).collect()));
        let list = admitted.clone();
        let admit = Arc::new(move |key: &PeerKey| list.lock().unwrap().contains(key));
        let hub = Arc::new(Hub::bind(address, &identity, admit, recorder).unwrap());
        tokio::spawn(answer_all(hub.clone()));
        Self {
            hub,
            key: identity.public(),
            admitted,
        }
    }

    pub async fn connect(&self, identity: &Arc<Identity>) -> Result<Link, DialError> {
        soon(
            "connect",
            connect(self.hub.address(), identity, self.key, b"hello"),
        )
        .await
    }
}

async fn answer_all(hub: Arc<Hub>) {
    while let Some(link) = hub.accept().await {
        tokio::spawn(answer(link));
    }
}

async fn answer(mut link: NodeLink) {
    let mut welcome = true;
    while let Ok(Some(frame)) = link.control.receiver.recv().await {
        let reply = if std::mem::take(&mut welcome) {
            [b"welcome, ", &frame[..]].concat()
        } else {
            frame
        };
        if link.control.sender.send(&reply).await.is_err() {
            break;
        }
    }
    // A node whose control stream is unusable is of no use.
    link.handle.close("control stream ended");
}

/// A node with a mesh on a link.
pub struct Node {
    pub key: PeerKey,
    pub mesh: Mesh,
    pub events: mpsc::Receiver<MeshEvent>,
    pub link: Link,
}

impl Node {
    pub async fn start(
        coordinator: &Coordinator,
        identity: &Arc<Identity>,
        roster: &[PeerKey],
    ) -> Self {
        Self::start_with(coordinator, identity, roster, MeshConfig::default()).await
    }

    pub async fn start_with(
        coordinator: &Coordinator,
        identity: &Arc<Identity>,
        roster: &[PeerKey],
        config: MeshConfig,
    ) -> Self {
        let link = coordinator.connect(identity).await.unwrap();
        let (mesh, events) = Mesh::new(identity.clone(), config);
        mesh.set_roster(roster.iter().copied());
        mesh.attach(link.pairs.clone());
        Self {
            key: identity.public(),
            mesh,
            events,
            link,
        }
    }

    pub async fn event(&mut self) -> MeshEvent {
        soon("mesh event", self.events.recv()).await.unwrap()
    }

    pub async fn closed(&self) -> Closed {
        closed(&self.link.handle).await
    }
}

pub async fn closed(handle: &LinkHandle) -> Closed {
    soon("end of connection", handle.closed()).await
}
