//! The nodes' side of the coordinator: every connection that the hub admits gets a session, and so
//! does every guest. The only file that sees the link.

use std::sync::Arc;

use countersign_link::{
    Control, ControlReceiver, ControlSender, FrameError, GuestLink, Guests, Hub, NodeLink, PeerKey,
};
use countersign_protocol::contact::Contact;
use countersign_protocol::invitation::Token;
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
                Some(link) => {
                    let node = serve_node(link, registry.clone(), desk.clone(), spoken);
                    drop(sessions.spawn(node));
                }
                None => break,
            },
            Some(guest) = hub.accept_guest() => drop(sessions.spawn(serve_guest(guest, desk.clone()))),
            // Reaps ended sessions. Of those in place one per node lives; guests and questions for
            // contacts, which are short, live beside.
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

async fn serve_node(
    link: NodeLink,
    registry: Arc<TaskRegistry>,
    desk: Arc<Desk>,
    spoken: Versions,
) {
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
    let admit = |token| admit(desk, peer, token);
    let served = session::serve(
        &registry,
        spoken,
        node,
        receiver,
        sender,
        || place.take(),
        admit,
    );
    let end = served.await;
    info!(%node, %end, "node offline");
    handle.close(&end.to_string());
}

async fn serve_guest(link: GuestLink, desk: Arc<Desk>) {
    let GuestLink {
        peer,
        address,
        control,
        handle,
        seat,
    } = link;
    let Control { sender, receiver } = control;
    let admit = |token| async move {
        seat.heard();
        let admitted = admit(desk, peer, token).await;
        if admitted.is_err() {
            seat.over();
        }
        admitted
    };
    let end = session::serve_guest(receiver, sender, admit).await;
    info!(key = %peer, %address, %end, "guest left");
    handle.close(&end.to_string());
}

/// Shows a token at the desk.
async fn admit(desk: Arc<Desk>, peer: PeerKey, token: Token) -> Result<Vec<Contact>, NotJoined> {
    let admitted = tokio::task::spawn_blocking(move || desk.receive(peer.0, &token, clock::now()));
    admitted.await.unwrap_or_else(|error| {
        tracing::error!(%error, "the admission of a guest panicked");
        Err(NotJoined::Store)
    })
}

/// Lets in those that the desk wants to see.
pub fn guests(desk: &Arc<Desk>) -> Guests {
    let desk = desk.clone();
    Arc::new(move |key: &PeerKey| desk.lets_in(&key.0))
}

/// Ends the connections of nodes that are no longer admitted. One whose handshake is over and that
/// has not said hello yet has no place; its session asks the registry again.
pub fn dismiss(hub: &Hub, registry: &TaskRegistry) {
    let removed = hub.connected().into_iter();
    for key in removed.filter(|key| !is_admitted(registry, key)) {
        hub.disconnect(
            &key,
            "this node was removed from the coordinator's configuration",
        );
    }
}

/// Admits exactly the nodes of the configuration and those that joined.
pub fn admits(registry: &Arc<TaskRegistry>) -> countersign_link::Admit {
    let registry = registry.clone();
    Arc::new(move |key: &PeerKey| is_admitted(&registry, key))
}

fn is_admitted(registry: &TaskRegistry, key: &PeerKey) -> bool {
    NodeId::from_bytes(key.0).is_ok_and(|id| registry.admits(&id))
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
