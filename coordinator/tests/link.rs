//! The coordinator over real QUIC: who gets in, and what nodes hear of its stop.

use std::path::Path;
use std::sync::Arc;

use countersign_coordinator::{Config, Coordinator, identity};
use countersign_link::dial::{self, DialError};
use countersign_link::{Closed, Identity, Link, PeerKey};
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::{NodeId, PROTOCOL_VERSION, decode, encode};

fn node(seed: u8) -> Arc<Identity> {
    Arc::new(Identity::from_seed(&[seed; 32]).unwrap())
}

async fn start(dir: &Path) -> Coordinator {
    identity::create(&dir.join("identity.key")).unwrap();
    let admitted = NodeId::from_bytes(node(1).public().0).unwrap();
    let nodes = format!("nodes: [{{name: a, id: {admitted}}}]");
    let text = format!("listen_quic: 127.0.0.1:0\nlisten_http: 127.0.0.1:0\ndata: .\n{nodes}\n");
    Coordinator::start(Config::parse(&text, dir).unwrap()).await.unwrap()
}

async fn connect(coordinator: &Coordinator, seed: u8) -> Result<Link, DialError> {
    let hello = FromNode::Hello { protocol: PROTOCOL_VERSION, software: "test".into(), pending: vec![] };
    let key = PeerKey(*coordinator.id.as_bytes());
    dial::connect(coordinator.quic, &node(seed), key, &encode(&hello)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_nodes_get_in_and_all_hear_of_the_stop() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = start(dir.path()).await;
    let link = connect(&coordinator, 1).await.unwrap();
    assert!(matches!(decode(&link.welcome).unwrap(), ToNode::Welcome { protocol: PROTOCOL_VERSION, .. }));
    let refused = connect(&coordinator, 2).await.unwrap_err();
    assert!(matches!(refused, DialError::Closed(Closed::NotAdmitted)), "{refused}");
    let closed = link.handle.closed();
    coordinator.stop().await;
    let reason = closed.await;
    assert!(matches!(&reason, Closed::ByPeer { reason } if reason.contains("stops")), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_come_and_go_with_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let mut coordinator = start(dir.path()).await;
    let link = connect(&coordinator, 1).await.unwrap();
    let admitted = NodeId::from_bytes(node(2).public().0).unwrap();
    let text = format!(
        "listen_quic: 127.0.0.1:0\nlisten_http: 127.0.0.1:0\ndata: .\nnodes: [{{name: b, id: {admitted}}}]\n"
    );
    coordinator.reload(Config::parse(&text, dir.path()).unwrap());
    let reason = link.handle.closed().await;
    assert!(matches!(&reason, Closed::ByPeer { reason } if reason.contains("removed")), "{reason}");
    connect(&coordinator, 2).await.unwrap();
    let refused = connect(&coordinator, 1).await.unwrap_err();
    assert!(matches!(refused, DialError::Closed(Closed::NotAdmitted)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_speaks_nonsense_is_told_why_it_is_disconnected() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = start(dir.path()).await;
    let mut link = connect(&coordinator, 1).await.unwrap();
    link.control.sender.send(&[0xff; 9]).await.unwrap();
    let reason = link.handle.closed().await;
    assert!(matches!(&reason, Closed::ByPeer { reason } if reason.contains("misbehaved")), "{reason}");
    connect(&coordinator, 1).await.unwrap();
}
