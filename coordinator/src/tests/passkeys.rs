//! Orders by passkeys over HTTP: taken from the pinned page alone, offered, told and found again.

use axum::http::StatusCode;
use countersign_protocol::control::ToNode;
use countersign_protocol::{PROTOCOL_VERSION, SignedTask};
use countersign_vote::testing::Passkey;
use serde_json::json;

use super::world::*;
use crate::approvers::testing::nobody_on_the_page;
use crate::clock;
use crate::testkit::*;

fn order(id: u8, passkey: &Passkey) -> SignedTask {
    let mut order = task(id, clock::now(), keygen());
    order.requester = passkey.requester();
    passkey.order(&order)
}

#[tokio::test]
async fn an_order_by_passkey_is_taken_told_found_and_offered_as_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let passkey = Passkey::new(3);
    let by_passkey = order(1, &passkey);
    let world = World::open(dir.path(), |rules| {
        rules.approvers = nobody_on_the_page();
        rules.requesters = Some(vec![passkey.requester()]);
    });
    let mut nodes = three(&world).await;
    let (status, body) = world.post(&by_passkey).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    assert_eq!(body["signature"], json!(by_passkey.signature));
    assert_eq!(world.post(&by_passkey).await.0, StatusCode::OK);
    for node in &mut nodes {
        let ToNode::Offer { task, .. } = node.hear().await else {
            panic!("an offer");
        };
        assert_eq!(task, by_passkey);
    }
    let id = passkey.requester();
    for (of, count) in [(id, 1), (Passkey::new(4).requester(), 0)] {
        let found = world.get(&format!("/v1/tasks?requester={of}")).await;
        let tasks = found["tasks"].as_array().unwrap();
        assert_eq!(tasks.len(), count, "{of}");
        assert!(tasks.iter().all(|task| task["requester"] == json!(of)));
    }
    let (status, body) = world
        .post(&sign_task(&task(2, clock::now(), keygen())))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["code"], "requester-unknown");
}

#[tokio::test]
async fn an_order_by_passkey_that_the_pinned_page_did_not_ask_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |rules| rules.approvers = nobody_on_the_page());
    let mut elsewhere = Passkey::new(3);
    elsewhere.rp_id = "evil.example".into();
    let mut unverified = Passkey::new(3);
    unverified.flags &= !4;
    let mut altered = order(1, &Passkey::new(3));
    altered.bytes.push(b' ');
    let by_key = SignedTask {
        signature: [7; 64].into(),
        ..order(1, &Passkey::new(3))
    };
    for (order, code) in [
        (order(1, &elsewhere), "requester-passkey"),
        (order(1, &unverified), "requester-passkey"),
        (altered, "requester-passkey"),
        (by_key, "requester-signature"),
    ] {
        let (status, body) = world.post(&order).await;
        let refused = (status, body["code"].as_str());
        assert_eq!(refused, (StatusCode::BAD_REQUEST, Some(code)));
    }
    let dir = tempfile::tempdir().unwrap();
    let without = World::open(dir.path(), |_| ());
    let (status, body) = without.post(&order(1, &Passkey::new(3))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["code"], "requester-passkey");
}

/// The form of the order came with version 2. A node that cannot read it is sent nothing of it.
#[tokio::test]
async fn a_node_of_the_version_before_is_sent_no_order_by_passkey() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |rules| rules.approvers = nobody_on_the_page());
    let before = PROTOCOL_VERSION - 1;
    let (mut old, _) = FakeNode::dial(&world, 0, before, vec![]).await;
    let (mut one, _) = FakeNode::dial(&world, 1, PROTOCOL_VERSION, vec![]).await;
    let (_two, _) = FakeNode::dial(&world, 2, PROTOCOL_VERSION, vec![]).await;
    let by_passkey = order(1, &Passkey::new(3));
    assert_eq!(world.post(&by_passkey).await.0, StatusCode::CREATED);
    assert!(matches!(one.hear().await, ToNode::Offer { task, .. } if task == by_passkey));
    let by_key = new_task(2, keygen());
    assert_eq!(world.post(&by_key).await.0, StatusCode::CREATED);
    assert!(matches!(old.hear().await, ToNode::Offer { task, .. } if task == by_key));
}
