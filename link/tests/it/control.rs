//! Admission to the hub, and the frames on the control stream.

use std::sync::Arc;

use countersign_link::dial::{DialError, connect};
use countersign_link::{Closed, FrameError, MAX_CONTROL_FRAME};

use crate::world::{Coordinator, closed, identity, soon};

#[tokio::test]
async fn hello_and_frames_go_both_ways() {
    let node = identity(1);
    let coordinator = Coordinator::start(&[&node]);
    let mut link = coordinator.connect(&node).await.unwrap();
    assert_eq!(link.welcome, b"welcome, hello");
    for frame in [vec![], vec![7; 3], vec![8; MAX_CONTROL_FRAME]] {
        link.control.sender.send(&frame).await.unwrap();
        assert_eq!(
            soon("echo", link.control.receiver.recv())
                .await
                .unwrap()
                .unwrap(),
            frame
        );
    }
    assert_eq!(coordinator.hub.connected(), [node.public()]);
}

#[tokio::test]
async fn unknown_node_is_refused_and_told_so() {
    let coordinator = Coordinator::start(&[&identity(1)]);
    let refused = coordinator.connect(&identity(2)).await.unwrap_err();
    assert!(
        matches!(refused, DialError::Closed(Closed::NotAdmitted)),
        "{refused:?}"
    );
    assert!(
        refused
            .to_string()
            .ends_with("ask its operator to register this node id")
    );
    assert_eq!(coordinator.hub.connected(), []);
}

#[tokio::test]
async fn wrong_coordinator_key_is_refused_and_named() {
    let node = identity(1);
    let coordinator = Coordinator::start(&[&node]);
    let dialled = connect(
        coordinator.hub.address(),
        &node,
        identity(9).public(),
        b"hello",
    );
    let refused = soon("connect", dialled).await.unwrap_err();
    assert!(
        matches!(refused, DialError::Closed(Closed::WrongPeer)),
        "{refused:?}"
    );
    assert!(
        refused
            .to_string()
            .ends_with("compare the coordinator key in the config")
    );
}

#[tokio::test]
async fn frame_over_the_bound_is_refused_and_the_link_stays() {
    let node = identity(1);
    let coordinator = Coordinator::start(&[&node]);
    let mut link = coordinator.connect(&node).await.unwrap();
    let refused = link
        .control
        .sender
        .send(&vec![0; MAX_CONTROL_FRAME + 1])
        .await;
    assert!(matches!(refused, Err(FrameError::TooLarge { .. })));
    link.control.sender.send(b"still good").await.unwrap();
    assert_eq!(
        soon("echo", link.control.receiver.recv())
            .await
            .unwrap()
            .unwrap(),
        b"still good"
    );
}

#[tokio::test]
async fn newer_connection_of_a_node_replaces_the_older() {
    let node = identity(1);
    let coordinator = Coordinator::start(&[&node]);
    let older = coordinator.connect(&node).await.unwrap();
    let mut newer = coordinator.connect(&node).await.unwrap();
    assert_eq!(closed(&older.handle).await, Closed::Replaced);
    newer.control.sender.send(b"here").await.unwrap();
    assert_eq!(
        soon("echo", newer.control.receiver.recv())
            .await
            .unwrap()
            .unwrap(),
        b"here"
    );
    assert_eq!(coordinator.hub.connected(), [node.public()]);
}

#[tokio::test]
async fn node_taken_off_the_list_cannot_come_back() {
    let node = identity(1);
    let coordinator = Coordinator::start(&[&node]);
    let link = coordinator.connect(&node).await.unwrap();
    coordinator.admitted.lock().unwrap().clear();
    coordinator.hub.disconnect(&node.public(), "revoked");
    assert_eq!(
        closed(&link.handle).await,
        Closed::ByPeer {
            reason: "revoked".into()
        }
    );
    let refused = coordinator.connect(&node).await.unwrap_err();
    assert!(
        matches!(refused, DialError::Closed(Closed::NotAdmitted)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn closing_the_hub_tells_nodes_and_ends_accept() {
    let node = identity(1);
    let coordinator = Coordinator::start(&[&node]);
    let link = coordinator.connect(&node).await.unwrap();
    soon("close", coordinator.hub.close("maintenance")).await;
    assert_eq!(
        closed(&link.handle).await,
        Closed::ByPeer {
            reason: "maintenance".into()
        }
    );
    let hub = Arc::clone(&coordinator.hub);
    assert!(soon("accept", hub.accept()).await.is_none());
}
