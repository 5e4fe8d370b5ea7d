//! Nodes that are removed while they connect. Those that are in place are in `tests/link.rs`.

use std::time::Duration;

use countersign_protocol::PROTOCOL_VERSION;
use countersign_protocol::contact::Role;
use countersign_protocol::control::FromNode;
use countersign_protocol::invitation::{Invitation, InvitationId, Token};

use super::world::*;
use crate::clock;
use crate::session::End;
use crate::testkit::*;

fn token() -> Token {
    Token {
        invitation: Invitation {
            coordinator: coordinator_id(),
            address: "c:1".into(),
            id: InvitationId([1; 16]),
            role: Role::Node,
            name: "a".into(),
            expires: clock::now(),
        },
        mac: [0; 32],
    }
}

fn remove(world: &World, number: usize) {
    let registry = &world.app.registry;
    let mut rules = (*registry.rules()).clone();
    rules.nodes.remove(&crowd()[number]).unwrap();
    registry.set_rules(rules);
}

/// Fails a test instead of letting it hang.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(Duration::from_secs(5), future);
    in_time.await.expect("timed out")
}

/// Whoever stole an invitation may keep a spare connection for this moment.
#[tokio::test]
async fn a_node_that_was_removed_between_its_handshake_and_its_first_frame_is_sent_away() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let first_frames = [
        FromNode::Hello {
            protocol: PROTOCOL_VERSION,
            software: "fake 1".into(),
            pending: vec![],
        },
        FromNode::AskContacts,
        FromNode::Join {
            token: Box::new(token()),
        },
    ];
    let spare = first_frames.map(|frame| (FakeNode::silent(&world, 0), frame));
    remove(&world, 0);
    for (mut node, frame) in spare {
        node.say(frame).await;
        let told = soon(node.hear.recv()).await;
        assert!(told.is_none(), "it was told something");
        let end = soon(node.end).await.unwrap();
        assert!(matches!(end, End::Removed), "{end}");
    }
    assert!(world.app.registry.online().is_empty());
}

#[tokio::test]
async fn a_node_that_was_removed_between_its_hello_and_its_place_gets_none() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let registry = &world.app.registry;
    remove(&world, 0);
    let join = |number: usize| registry.join(crowd()[number], None, "", &[], clock::now());
    assert!(join(0).is_none());
    assert!(join(1).is_some());
    let online: Vec<_> = registry.online().into_keys().collect();
    assert_eq!(online, [crowd()[1]]);
}
