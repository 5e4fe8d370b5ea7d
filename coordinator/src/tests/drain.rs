//! Nodes and a coordinator that finish their tasks and begin no others, and links of several
//! versions.

use axum::http::StatusCode;
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::{Outcome, PROTOCOL_VERSION, TaskId};
use serde_json::{Value, json};

use super::world::*;
use crate::clock;
use crate::session::End;
use crate::testkit::*;

const DRAINING: FromNode = FromNode::Draining { draining: true };
const TAKING: FromNode = FromNode::Draining { draining: false };

async fn says(node: &mut FakeNode, frame: FromNode) {
    let FromNode::Draining { draining } = frame else {
        panic!("{frame:?}")
    };
    node.say(frame).await;
    assert_eq!(node.hear().await, ToNode::Draining { draining });
}

async fn order(world: &World, id: u8, operation: countersign_protocol::Operation) -> TaskId {
    let order = new_task(id, operation);
    assert_eq!(world.post(&order).await.0, StatusCode::CREATED);
    order.parse().unwrap().id
}

async fn state(world: &World, id: TaskId) -> Value {
    world.get(&format!("/v1/tasks/{id}")).await["state"].clone()
}

async fn drain(world: &World, draining: bool) -> Value {
    let body = json!({ "draining": draining }).to_string();
    let asked = world.ask(Some(&world.admin), "PUT", "/v1/drain", body);
    let (status, view) = asked.await;
    assert_eq!(status, StatusCode::OK, "{view}");
    view
}

#[tokio::test]
async fn a_draining_node_is_offered_no_new_task_until_it_takes_them_again() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    let wallet = world.make_wallet(&mut nodes).await;
    says(&mut nodes[0], DRAINING).await;
    let listed = world.get("/v1/nodes").await;
    let draining = |listed: &Value| {
        let nodes = listed["nodes"].as_array().unwrap().iter();
        nodes.filter(|node| node["draining"] == true).count()
    };
    assert_eq!(draining(&listed), 1);
    // Whoever is asked for by name is waited for.
    let mine = nodes[0].id;
    let named = keysign(wallet, Some(vec![mine, nodes[1].id]));
    let named = order(&world, 40, named).await;
    for id in 41..45 {
        order(&world, id, keysign(wallet, None)).await;
    }
    for _ in 41..45 {
        nodes[1].offered().await;
        nodes[2].offered().await;
    }
    assert_eq!(state(&world, named).await, "waiting");
    assert!(nodes[0].hear.try_recv().is_err(), "an offer came");
    says(&mut nodes[0], TAKING).await;
    world.app.registry.tick(clock::now());
    assert_eq!(nodes[0].offered().await, named);
    assert_eq!(draining(&world.get("/v1/nodes").await), 0);
}

/// Each would step all tasks under the lock that all nodes share.
#[tokio::test]
async fn a_node_that_talks_of_draining_all_the_time_moves_no_task_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    let wallet = world.make_wallet(&mut nodes).await;
    says(&mut nodes[0], DRAINING).await;
    let both = vec![nodes[0].id, nodes[1].id];
    let waiting = order(&world, 40, keysign(wallet, Some(both))).await;
    for _ in 0..10 {
        says(&mut nodes[0], DRAINING).await;
        says(&mut nodes[0], TAKING).await;
    }
    assert_eq!(state(&world, waiting).await, "waiting");
    world.app.registry.tick(clock::now());
    assert_eq!(nodes[0].offered().await, waiting);
}

#[tokio::test]
async fn a_node_that_asks_for_its_contacts_again_is_told_when_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut node = FakeNode::connect(&world, 0, vec![]).await;
    node.say(FromNode::AskContacts).await;
    let ToNode::Contacts { contacts } = node.hear().await else {
        panic!("no contacts")
    };
    assert_eq!(contacts.len(), 2);
    node.say(FromNode::AskContacts).await;
    says(&mut node, DRAINING).await;
    let registry = &world.app.registry;
    let mut rules = (*registry.rules()).clone();
    rules.nodes.insert(crowd()[3], "d".into());
    registry.set_rules(rules);
    registry.tell_contacts(clock::now());
    let ToNode::Contacts { contacts } = node.hear().await else {
        panic!("no contacts")
    };
    assert_eq!(contacts.len(), 3);
}

/// The node's answer to an offer that it got before still counts.
#[tokio::test]
async fn a_draining_node_finishes_its_tasks() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    let wallet = world.make_wallet(&mut nodes).await;
    let both = vec![nodes[0].id, nodes[1].id];
    let id = order(&world, 40, keysign(wallet, Some(both))).await;
    assert_eq!(nodes[0].offered().await, id);
    says(&mut nodes[0], DRAINING).await;
    nodes[1].approve().await;
    let yes = FromNode::Decision {
        task: id,
        refusal: None,
        verdicts: vec![],
    };
    nodes[0].say(yes).await;
    for node in &mut nodes[..2] {
        node.report(id, Outcome::Signed(signature())).await;
    }
    assert_eq!(world.ended(id).await["state"], "completed");
}

#[tokio::test]
async fn a_draining_coordinator_finishes_what_is_under_way_and_keeps_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    let wallet = world.make_wallet(&mut nodes).await;
    let both = || Some(vec![nodes[0].id, nodes[1].id]);
    let first = keysign(wallet, both());
    let second = keysign(wallet, both());
    let first = order(&world, 40, first).await;
    assert_eq!(nodes[0].offered().await, first);
    assert_eq!(
        drain(&world, true).await,
        json!({"draining": true, "under_way": 1, "waiting": 0})
    );
    let second = order(&world, 41, second).await;
    for node in &mut nodes[..2] {
        let yes = FromNode::Decision {
            task: first,
            refusal: None,
            verdicts: vec![],
        };
        node.say(yes).await;
    }
    assert_eq!(nodes[1].offered().await, first);
    for node in &mut nodes[..2] {
        node.report(first, Outcome::Signed(signature())).await;
    }
    assert_eq!(world.ended(first).await["state"], "completed");
    assert_eq!(state(&world, second).await, "waiting");
    let path = "/v1/drain";
    let (_, view) = world
        .ask(Some(&world.admin), "GET", path, String::new())
        .await;
    assert_eq!(
        view,
        json!({"draining": true, "under_way": 0, "waiting": 1})
    );
    drain(&world, false).await;
    assert_eq!(nodes[0].offered().await, second);
    let audit = world
        .ask(Some(&world.admin), "GET", "/v1/audit", String::new())
        .await;
    let said = audit.1.to_string().matches("drain.set").count();
    assert_eq!(said, 2, "{}", audit.1);
}

#[tokio::test]
async fn draining_that_cannot_go_on_record_does_not_happen() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    world.app.registry.store().break_off();
    let body = json!({"draining": true}).to_string();
    let asked = world.ask(Some(&world.admin), "PUT", "/v1/drain", body);
    assert!(asked.await.0.is_server_error());
    assert!(!world.app.registry.drain_state().draining);
}

#[tokio::test]
async fn only_an_admin_drains_the_coordinator() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    for key in [&world.key, &world.reader] {
        for method in ["GET", "PUT"] {
            let body = json!({"draining": true}).to_string();
            let (status, _) = world.ask(Some(key), method, "/v1/drain", body).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{method}");
        }
    }
    let unknown = json!({"draining": true, "for": 5}).to_string();
    let (status, _) = world
        .ask(Some(&world.admin), "PUT", "/v1/drain", unknown)
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_node_of_the_version_before_works_as_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let before = PROTOCOL_VERSION - 1;
    let (mut node, welcome) = FakeNode::dial(&world, 0, before, vec![]).await;
    assert!(matches!(welcome, ToNode::Welcome { protocol, .. } if protocol == before));
    let (mut other, _) = FakeNode::dial(&world, 1, before, vec![]).await;
    let (mut third, _) = FakeNode::dial(&world, 2, PROTOCOL_VERSION, vec![]).await;
    let id = order(&world, 2, keygen()).await;
    for node in [&mut node, &mut other, &mut third] {
        assert_eq!(node.offered().await, id);
    }
    // A frame that its version does not have is a fault of its program.
    node.say(DRAINING).await;
    let end = node.end.await.unwrap();
    assert!(
        matches!(&end, End::Misbehaved(why) if why.contains("version 1")),
        "{end}"
    );
}

#[tokio::test]
async fn a_version_that_is_not_spoken_is_refused_with_those_that_are() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    for version in [PROTOCOL_VERSION - 2, PROTOCOL_VERSION + 1, u16::MAX] {
        let end = FakeNode::refused(&world, 0, version).await;
        assert!(
            matches!(end, End::Version { offered, .. } if offered == version),
            "{end}"
        );
        let text = end.to_string();
        assert!(text.contains("speaks 1 to 2"), "{text}");
        // Nodes take it for a question of versions by these words.
        assert!(text.contains("protocol version"), "{text}");
    }
}
