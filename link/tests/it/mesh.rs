//! Tunnels that come up by themselves, and end when they should.

use std::time::Duration;

use countersign_link::mesh::{MeshConfig, SendError};
use countersign_link::{MAX_FRAME, MeshEvent};

use crate::world::{Coordinator, Node, identity, soon};

#[tokio::test]
async fn three_nodes_meet_and_exchange_frames() {
    let ids = [identity(1), identity(2), identity(3)];
    let coordinator = Coordinator::start(&[&ids[0], &ids[1], &ids[2]]);
    let roster = ids.each_ref().map(|id| id.public());
    let mut nodes = Vec::new();
    for id in &ids {
        nodes.push(Node::start(&coordinator, id, &roster).await);
    }
    for node in &mut nodes {
        let ups = [node.event().await, node.event().await];
        assert!(
            ups.iter()
                .all(|event| matches!(event, MeshEvent::Up(peer) if *peer != node.key))
        );
        assert_ne!(ups[0], ups[1]);
    }
    for from in &nodes {
        for to in roster.iter().filter(|key| **key != from.key) {
            assert!(from.mesh.connected(to));
            from.mesh.send(to, from.key.0.to_vec()).await.unwrap();
        }
    }
    for node in &mut nodes {
        for _ in 0..2 {
            let MeshEvent::Frame(peer, frame) = node.event().await else {
                panic!("no frame")
            };
            assert_eq!(frame, peer.0);
            assert_ne!(peer, node.key);
        }
    }
}

#[tokio::test]
async fn send_refuses_what_cannot_go_and_the_tunnel_stays() {
    let ids = [identity(1), identity(2)];
    let coordinator = Coordinator::start(&[&ids[0], &ids[1]]);
    let a = Node::start(&coordinator, &ids[0], &[ids[1].public()]).await;
    let to = ids[1].public();
    assert_eq!(
        a.mesh.send(&to, vec![1]).await,
        Err(SendError::NotConnected)
    );
    let mut b = Node::start(&coordinator, &ids[1], &[ids[0].public()]).await;
    assert_eq!(b.event().await, MeshEvent::Up(a.key));
    let mut a = a;
    assert_eq!(a.event().await, MeshEvent::Up(to));
    let refused = a.mesh.send(&to, vec![0; MAX_FRAME + 1]).await;
    assert_eq!(refused, Err(SendError::TooLarge { len: MAX_FRAME + 1 }));
    a.mesh.send(&to, vec![0; MAX_FRAME]).await.unwrap();
    assert_eq!(b.event().await, MeshEvent::Frame(a.key, vec![0; MAX_FRAME]));
}

#[tokio::test]
async fn killed_peer_is_down_and_comes_back() {
    let ids = [identity(1), identity(2)];
    let coordinator = Coordinator::start(&[&ids[0], &ids[1]]);
    let mut a = Node::start(&coordinator, &ids[0], &[ids[1].public()]).await;
    let b = Node::start(&coordinator, &ids[1], &[ids[0].public()]).await;
    let peer = b.key;
    assert_eq!(a.event().await, MeshEvent::Up(peer));
    drop(b);
    assert_eq!(a.event().await, MeshEvent::Down(peer));
    assert!(!a.mesh.connected(&peer));
    let mut b = Node::start(&coordinator, &ids[1], &[ids[0].public()]).await;
    assert_eq!(
        (a.event().await, b.event().await),
        (MeshEvent::Up(peer), MeshEvent::Up(a.key))
    );
}

#[tokio::test]
async fn roster_alone_decides_who_gets_a_tunnel() {
    let ids = [identity(1), identity(2)];
    let coordinator = Coordinator::start(&[&ids[0], &ids[1]]);
    let mut a = Node::start(&coordinator, &ids[0], &[ids[1].public()]).await;
    let mut b = Node::start(&coordinator, &ids[1], &[]).await;
    // The coordinator knows both, and a asks; b does not know a.
    let nothing = tokio::time::timeout(Duration::from_millis(300), a.events.recv()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    b.mesh.set_roster([a.key]);
    assert_eq!(
        (a.event().await, b.event().await),
        (MeshEvent::Up(b.key), MeshEvent::Up(a.key))
    );
    b.mesh.set_roster([]);
    assert_eq!(
        (a.event().await, b.event().await),
        (MeshEvent::Down(b.key), MeshEvent::Down(a.key))
    );
    assert_eq!(
        b.mesh.send(&a.key, vec![1]).await,
        Err(SendError::NotConnected)
    );
}

#[tokio::test]
async fn old_idle_tunnel_is_renewed() {
    let ids = [identity(1), identity(2)];
    let coordinator = Coordinator::start(&[&ids[0], &ids[1]]);
    let hasty = MeshConfig {
        renew_after: Duration::from_millis(50),
        idle: Duration::from_millis(50),
        ..MeshConfig::default()
    };
    let mut a = Node::start_with(&coordinator, &ids[0], &[ids[1].public()], hasty.clone()).await;
    let b = Node::start_with(&coordinator, &ids[1], &[ids[0].public()], hasty).await;
    let up = MeshEvent::Up(b.key);
    let down = MeshEvent::Down(b.key);
    assert_eq!(
        [a.event().await, a.event().await, a.event().await],
        [up.clone(), down, up]
    );
}

#[tokio::test]
async fn slow_consumer_slows_its_peer_and_loses_nothing() {
    let ids = [identity(1), identity(2)];
    let coordinator = Coordinator::start(&[&ids[0], &ids[1]]);
    let tight = MeshConfig {
        events: 1,
        outgoing: 1,
        ..MeshConfig::default()
    };
    let a = Node::start_with(&coordinator, &ids[0], &[ids[1].public()], tight.clone()).await;
    let mut b = Node::start_with(&coordinator, &ids[1], &[ids[0].public()], tight).await;
    assert_eq!(b.event().await, MeshEvent::Up(a.key));
    let to = b.key;
    let key = a.key;
    let mut a_events = a.events;
    assert_eq!(soon("up", a_events.recv()).await, Some(MeshEvent::Up(to)));
    let mesh = a.mesh;
    let sender = async {
        for number in 0..60u8 {
            mesh.send(&to, vec![number; 64 * 1024]).await.unwrap();
        }
    };
    let receiver = async {
        // By now the queues are full and the sender waits.
        tokio::time::sleep(Duration::from_millis(200)).await;
        for number in 0..60u8 {
            assert_eq!(
                b.event().await,
                MeshEvent::Frame(key, vec![number; 64 * 1024])
            );
        }
    };
    soon("all frames", async { tokio::join!(sender, receiver) }).await;
}
