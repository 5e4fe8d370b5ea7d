//! Votes over HTTP: taken, refused for the right reason, carried, and told.

use std::path::Path;

use axum::http::StatusCode;
use countersign_protocol::control::ToNode;
use countersign_protocol::{Choice, Collect, Hash, KeyId, SignedTask, TaskId, UnixMillis, Vote};
use countersign_vote::testing::Key;
use serde_json::Value;
use sha2::Digest;

use super::world::*;
use crate::approvers::testing::people;
use crate::clock;
use crate::testkit::*;

pub(super) const ANN: u8 = 11;
const BEN: u8 = 12;
const DORA: u8 = 13;

fn with_people(dir: &Path) -> World {
    World::open(dir, |rules| {
        rules.approvers = people(&[("ann", ANN), ("ben", BEN), ("dora", DORA)], &["dora"]);
    })
}

/// A KeyGen that collects this many votes.
pub(super) fn collecting(id: u8, votes: u16) -> SignedTask {
    let now = clock::now();
    let mut order = task(id, now, keygen());
    order.collect = Some(Collect {
        votes,
        until: UnixMillis(now.0 + 60_000),
    });
    sign_task(&order)
}

pub(super) fn vote(seed: u8, task: Hash, choice: Choice) -> Vote {
    Key::new(seed).vote(task, choice, clock::now().0)
}

impl World {
    async fn cast(&self, id: TaskId, vote: &Vote) -> (StatusCode, Value) {
        let path = format!("/v1/tasks/{id}/votes");
        self.ask(Some(&self.key), "POST", &path, vote.to_json())
            .await
    }

    async fn pending(&self, votes: u16) -> (TaskId, Hash) {
        let order = collecting(1, votes);
        let (status, body) = self.post(&order).await;
        assert_eq!(
            (status, &body["state"]),
            (StatusCode::CREATED, &"pending".into())
        );
        (order.parse().unwrap().id, order.hash())
    }
}

#[tokio::test]
async fn votes_are_listed_told_and_carried_to_the_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let world = with_people(dir.path());
    let mut nodes = three(&world).await;
    let (id, hash) = world.pending(2).await;
    let first = vote(ANN, hash, Choice::Approve);
    let (status, list) = world.cast(id, &first).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(list["collecting"]["approved"], 1);
    assert_eq!(list["missing"], serde_json::json!(["ben", "dora"]));
    assert_eq!(world.cast(id, &first).await.0, StatusCode::OK, "again");
    let second = vote(BEN, hash, Choice::Approve);
    assert_eq!(world.cast(id, &second).await.0, StatusCode::CREATED);
    for node in &mut nodes {
        let ToNode::OfferVoted { votes, .. } = node.hear().await else {
            panic!("it is offered with its votes");
        };
        assert_eq!(votes, [first.clone(), second.clone()]);
    }
    let listed = world.get(&format!("/v1/tasks/{id}/votes")).await;
    let names: Vec<&Value> = (0..2).map(|at| &listed["votes"][at]["name"]).collect();
    assert_eq!(names, ["ann", "ben"]);
    let events = world.get("/v1/events").await;
    let kinds: Vec<&str> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    let told = [
        "task.pending",
        "task.voted",
        "task.voted",
        "task.accepted",
        "task.offered",
    ];
    assert_eq!(kinds, told);
    let again = world.cast(id, &first).await;
    assert_eq!(
        again.0,
        StatusCode::OK,
        "even after its end, the same vote is the same"
    );
    let late = vote(DORA, hash, Choice::Reject);
    let (status, body) = world.cast(id, &late).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::CONFLICT, "task-not-pending")
    );
}

#[tokio::test]
async fn a_vote_is_refused_for_its_own_reason() {
    let dir = tempfile::tempdir().unwrap();
    let world = with_people(dir.path());
    let (id, hash) = world.pending(2).await;
    let genuine = vote(ANN, hash, Choice::Approve);
    let now = clock::now().0;
    let forged = genuine.to_json().replace("\"approve\"", "\"reject\"");
    let early = Key::new(ANN).vote(hash, Choice::Approve, now + 40_000);
    for (json, expected) in [
        (forged, "vote-not-genuine"),
        (
            vote(ANN, Hash([7; 32]), Choice::Approve).to_json(),
            "vote-not-genuine",
        ),
        (
            vote(99, hash, Choice::Approve).to_json(),
            "vote-unknown-approver",
        ),
        (early.to_json(), "vote-time"),
        ("{}".into(), "body-malformed"),
    ] {
        let path = format!("/v1/tasks/{id}/votes");
        let (status, body) = world.ask(Some(&world.key), "POST", &path, json).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::BAD_REQUEST, expected),
            "{body}"
        );
    }
    let list = world.get(&format!("/v1/tasks/{id}/votes")).await;
    assert_eq!(list["votes"], serde_json::json!([]));
    let (status, body) = world.cast(TaskId([9; 16]), &genuine).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::NOT_FOUND, "task-unknown")
    );
    let path = format!("/v1/tasks/{id}/votes");
    let (status, body) = world
        .ask(Some(&world.reader), "POST", &path, genuine.to_json())
        .await;
    assert_eq!((status, code(&body)), (StatusCode::FORBIDDEN, "scope"));
}

#[tokio::test]
async fn a_task_that_collects_no_votes_takes_none() {
    let dir = tempfile::tempdir().unwrap();
    let world = with_people(dir.path());
    let order = new_task(1, keygen());
    assert_eq!(world.post(&order).await.1["state"], "waiting");
    let id = order.parse().unwrap().id;
    let (status, body) = world
        .cast(id, &vote(ANN, order.hash(), Choice::Approve))
        .await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::CONFLICT, "task-not-pending")
    );
    let list = world.get(&format!("/v1/tasks/{id}/votes")).await;
    assert!(list["collecting"].is_null());
}

#[tokio::test]
async fn more_votes_than_people_are_not_collected() {
    let dir = tempfile::tempdir().unwrap();
    let world = with_people(dir.path());
    let (status, body) = world.post(&collecting(1, 4)).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::BAD_REQUEST, "too-few-approvers")
    );
}

/// However many keys sign, and however often: the votes of the listed ones are kept, each once.
#[tokio::test]
async fn ten_thousand_votes_leave_what_the_listed_keys_said_last() {
    let dir = tempfile::tempdir().unwrap();
    let world = with_people(dir.path());
    let (id, hash) = world.pending(2).await;
    let now = clock::now().0;
    let registry = &world.app.registry;
    for number in 0..10_000_u64 {
        let choice = [Choice::Approve, Choice::Reject][(number / 251 % 2) as usize];
        // Ben does not vote, or the task would be decided.
        let seed = match (number % 251) as u8 {
            BEN | DORA => ANN,
            seed => seed,
        };
        let vote = Key::new(seed).vote(hash, choice, now - 20_000 + number);
        drop(registry.vote(id, vote, UnixMillis(now)));
    }
    let record = registry.record(id).unwrap().unwrap();
    assert_eq!(record.state, countersign_api::State::Pending);
    assert!(record.history.len() <= 50, "{}", record.history.len());
    let kept = record.votes.unwrap().received;
    let of_ann = |kept: &crate::task::votes::Received| {
        let ballot = kept.vote.ballot();
        (ballot.approver == Key::new(ANN).id()).then_some(ballot.choice)
    };
    let kept: Vec<Option<Choice>> = kept.iter().map(of_ann).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.contains(&Some(Choice::Approve)) && kept.contains(&Some(Choice::Reject)));
    let events = world.get("/v1/events?type=task.voted&limit=200").await;
    assert!(
        events["events"].as_array().unwrap().len() <= 34,
        "each once in a while"
    );
}

#[tokio::test]
async fn a_key_that_only_votes_does_not_order() {
    let dir = tempfile::tempdir().unwrap();
    let world = with_people(dir.path());
    let (id, hash) = world.pending(2).await;
    let secret = "a secret of an approver";
    let spec = serde_json::json!({
        "sha256": hex::encode(sha2::Sha256::digest(secret)), "scopes": ["read", "vote"],
    });
    let path = "/v1/api-keys/ann";
    let made = world.ask(Some(&world.admin), "PUT", path, spec.to_string());
    assert_eq!(made.await.0, StatusCode::CREATED);
    let path = format!("/v1/tasks/{id}/cancel");
    let (status, body) = world.ask(Some(secret), "POST", &path, String::new()).await;
    assert_eq!((status, code(&body)), (StatusCode::FORBIDDEN, "scope"));
    let vote = vote(ANN, hash, Choice::Approve).to_json();
    let path = format!("/v1/tasks/{id}/votes");
    let (status, body) = world.ask(Some(secret), "POST", &path, vote).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
}

#[tokio::test]
async fn votes_and_a_pending_task_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = with_people(dir.path());
    let (id, hash) = world.pending(2).await;
    let first = vote(ANN, hash, Choice::Approve);
    assert_eq!(world.cast(id, &first).await.0, StatusCode::CREATED);
    drop(world);
    let world = with_people(dir.path());
    let pending = world.get("/v1/tasks?state=pending").await;
    assert_eq!(pending["tasks"][0]["collecting"]["approved"], 1);
    let mut nodes = three(&world).await;
    let second = vote(BEN, hash, Choice::Approve);
    assert_eq!(world.cast(id, &second).await.0, StatusCode::CREATED);
    assert_eq!(nodes[0].offered().await, id);
    let wallet = KeyId::of_task(&hash);
    assert_eq!(
        world.get("/v1/tasks").await["tasks"][0]["wallet"],
        wallet.to_string()
    );
}
