//! The nodes' side of the coordinator: every connection that the hub admits gets a session, and so
//! does every guest. The only file that sees the link.

use std::sync::Arc;

use countersign_link::{
    Control, ControlReceiver, ControlSender, FrameError, GuestLink, Guests, Hub, NodeLink, PeerKey,
};
use countersign_protocol::{NodeId, Versions};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::info;

use crate::clock;
use crate::invitation::{Desk, NotJoined};
use crate::registry::TaskRegistry;
use crate::run::stopped;
use crate::session::{self, Sink, Source};

/// Serves nodes in these versions until `stop` turns true, then tells them.
pub async fn serve(
    hub: Arc<Hub>,
    registry: Arc<TaskRegistry>,
    desk: Arc<Desk>,
    spoken: Versions,
    mut stop: watch::Receiver<bool>,
) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            link = hub.accept_aside() => match link {
                Some(link) => drop(sessions.spawn(serve_node(link, registry.clone(), spoken))),
                None => break,
            },
            Some(guest) = hub.accept_guest() => drop(sessions.spawn(serve_guest(guest, desk.clone()))),
            // Reaps ended sessions. One per admitted node lives; an older one ends when a newer
            // connects.
            Some(ended) = sessions.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a session panicked");
                }
            }
            () = stopped(&mut stop) => break,
        }
    }
    hub.close("the coordinator stops").await;
}

async fn serve_node(link: NodeLink, registry: Arc<TaskRegistry>, spoken: Versions) {
    let NodeLink {
        peer,
        control,
        handle,
        place,
    } = link;
    let Ok(node) = NodeId::from_bytes(peer.0) else {
        info!(key = %peer, "a key that is not a node id was admitted; the connection is closed");
        return handle.close("this key is not a node id");
    };
    let Control { sender, receiver } = control;
    let end = session::serve(&registry, spoken, node, receiver, sender, || place.take()).await;
    info!(%node, %end, "node offline");
    handle.close(&end.to_string());
}

async fn serve_guest(link: GuestLink, desk: Arc<Desk>) {
    let GuestLink {
        peer,
        address,
        control,
        handle,
    } = link;
    let from = address.ip();
    let admit = async |token| {
        let admitted =
            tokio::task::spawn_blocking(move || desk.receive(peer.0, from, &token, clock::now()));
        admitted.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the admission of a guest panicked");
            Err(NotJoined::Store)
        })
    };
    let Control { sender, receiver } = control;
    let end = session::serve_guest(receiver, sender, admit).await;
    info!(key = %peer, %address, %end, "guest left");
    handle.close(&end.to_string());
}

/// True while an invitation is open.
pub fn guests(desk: &Arc<Desk>) -> Guests {
    let desk = desk.clone();
    Arc::new(move || desk.is_open())
}

/// Ends the connections of nodes that are no longer admitted: `admits` is
/// consulted at handshakes only.
pub fn dismiss(hub: &Hub, registry: &TaskRegistry) {
    let rules = registry.rules();
    let admitted =
        |key: &PeerKey| NodeId::from_bytes(key.0).is_ok_and(|id| rules.nodes.contains_key(&id));
    for key in hub.connected().into_iter().filter(|key| !admitted(key)) {
        hub.disconnect(
            &key,
            "this node was removed from the coordinator's configuration",
        );
    }
}

/// Admits exactly the nodes of the configuration and those that joined.
pub fn admits(registry: &Arc<TaskRegistry>) -> countersign_link::Admit {
    let registry = registry.clone();
    Arc::new(move |key: &PeerKey| {
        NodeId::from_bytes(key.0).is_ok_and(|id| registry.rules().nodes.contains_key(&id))
    })
}

impl Source for ControlReceiver {
    type Error = FrameError;

    async fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        self.recv().await
    }
}

impl Sink for ControlSender {
    type Error = FrameError;

    async fn send(&mut self, frame: &[u8]) -> Result<(), FrameError> {
        Self::send(self, frame).await
    }
}
