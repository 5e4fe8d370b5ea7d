//! The nodes' side of the coordinator: every connection that the hub admits gets a session. The
//! only file that sees the link.

use std::sync::Arc;

use countersign_link::{Control, ControlReceiver, ControlSender, Hub, NodeLink, PeerKey};
use countersign_protocol::NodeId;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::info;

use crate::desk::Desk;
use crate::run::stopped;
use crate::session::{self, Sink, Source};

/// Serves nodes until `stop` turns true, then tells them.
pub async fn serve(hub: Arc<Hub>, desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            link = hub.accept_aside() => match link {
                Some(link) => drop(sessions.spawn(serve_node(link, desk.clone()))),
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

async fn serve_node(link: NodeLink, desk: Arc<Desk>) {
    let NodeLink {
        peer,
        control,
        handle,
        place,
    } = link;
    let Ok(node) = NodeId::from_bytes(peer.0) else {
        info!(key = %peer, "a key that is no node's was admitted; the connection is closed");
        return handle.close("this key is no node id");
    };
    let Control { sender, receiver } = control;
    let end = session::serve(&desk, node, receiver, sender, || place.take()).await;
    info!(%node, %end, "node off line");
    handle.close(&end.to_string());
}

/// Ends the connections of nodes that are not admitted any more: `admits` is asked at handshakes
/// only.
pub fn dismiss(hub: &Hub, desk: &Desk) {
    let rules = desk.rules();
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
pub fn admits(desk: &Arc<Desk>) -> countersign_link::Admit {
    let desk = desk.clone();
    Arc::new(move |key: &PeerKey| {
        NodeId::from_bytes(key.0).is_ok_and(|id| desk.rules().nodes.contains_key(&id))
    })
}

impl Source for ControlReceiver {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        self.recv().await.map_err(|error| error.to_string())
    }
}

impl Sink for ControlSender {
    async fn send(&mut self, frame: &[u8]) -> Result<(), String> {
        Self::send(self, frame)
            .await
            .map_err(|error| error.to_string())
    }
}
