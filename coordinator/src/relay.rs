//! The nodes' side of the coordinator: every connection that the hub admits gets a session. The
//! only file that sees the link.

use std::sync::Arc;

use countersign_link::{
    Control, ControlReceiver, ControlSender, FrameError, Hub, NodeLink, PeerKey,
};
use countersign_protocol::NodeId;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::info;

use crate::registry::TaskRegistry;
use crate::run::stopped;
use crate::session::{self, Sink, Source};

/// Serves nodes until `stop` turns true, then tells them.
pub async fn serve(hub: Arc<Hub>, registry: Arc<TaskRegistry>, mut stop: watch::Receiver<bool>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            link = hub.accept_aside() => match link {
                Some(link) => drop(sessions.spawn(serve_node(link, registry.clone()))),
                None => break,
            },
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

async fn serve_node(link: NodeLink, registry: Arc<TaskRegistry>) {
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
    let end = session::serve(&registry, node, receiver, sender, || place.take()).await;
    info!(%node, %end, "node offline");
    handle.close(&end.to_string());
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

/// Admits exactly the configured nodes.
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
