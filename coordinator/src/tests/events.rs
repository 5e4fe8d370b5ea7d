//! The feed of events: pages, streams, and what is left after a restart.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use countersign_protocol::{KeyId, Outcome};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::world::*;
use crate::testkit::*;

fn kinds(page: &Value) -> Vec<&str> {
    let events = page["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_feed_tells_every_change_of_state_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    let wallet = world.make_wallet(&mut nodes).await;
    let page = world.get("/v1/events").await;
    let made = [
        "task.accepted",
        "task.offered",
        "task.started",
        "wallet.created",
        "task.completed",
    ];
    assert_eq!(kinds(&page), made);
    for event in page["events"].as_array().unwrap() {
        let of = event["data"]["task"]["wallet"].as_str();
        let of = of.or(event["data"]["wallet"]["id"].as_str());
        assert_eq!(of, Some(wallet.to_string().as_str()), "{event}");
    }
    let next = page["next"].as_str().unwrap();
    let empty = world.get(&format!("/v1/events?after={next}")).await;
    assert_eq!((kinds(&empty), &empty["next"]), (vec![], &json!(next)));

    let order = new_task(3, keysign(wallet, Some(some(&[1, 2]))));
    world.post(&order).await;
    nodes[1].approve().await;
    nodes[2].approve().await;
    let id = order.parse().unwrap().id;
    nodes[1].report(id, Outcome::Signed(signature())).await;
    world.ended(id).await;
    let page = world.get(&format!("/v1/events?after={next}&limit=2")).await;
    assert_eq!(kinds(&page), ["task.accepted", "task.offered"]);
    let next = page["next"].as_str().unwrap();
    let filtered = format!("/v1/events?after={next}&type=task.completed,task.failed&wait=9");
    let page = world.get(&filtered).await;
    assert_eq!(kinds(&page), ["task.completed"]);
    assert_eq!(page["events"][0]["data"]["task"]["id"], json!(id));
    let others = format!("/v1/events?wallet={}", KeyId::from_bytes([9; 16]).unwrap());
    assert_eq!(kinds(&world.get(&others).await), [""; 0]);
}

#[tokio::test]
async fn a_feed_goes_on_after_a_restart_and_no_event_has_two_ids() {
    let dir = tempfile::tempdir().unwrap();
    let before = {
        let world = World::open(dir.path(), |_| ());
        let mut nodes = three(&world).await;
        world.make_wallet(&mut nodes).await;
        let told = world.get("/v1/events").await;
        for node in nodes {
            node.disconnect().await;
        }
        told
    };
    let world = World::open(dir.path(), |_| ());
    assert_eq!(world.get("/v1/events").await, before);
    world.post(&new_task(9, keygen())).await;
    let after = world
        .get(&format!(
            "/v1/events?after={}",
            before["next"].as_str().unwrap()
        ))
        .await;
    assert_eq!(kinds(&after), ["task.accepted"]);
    let ids: std::collections::BTreeSet<_> = [&before, &after]
        .iter()
        .flat_map(|page| page["events"].as_array().unwrap())
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 6);
}

#[tokio::test]
async fn a_cursor_of_another_feed_is_gone_and_one_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    for (after, status, expected) in [
        ("7", StatusCode::GONE, "cursor-gone"),
        ("-1", StatusCode::BAD_REQUEST, "cursor-malformed"),
        ("x", StatusCode::BAD_REQUEST, "cursor-malformed"),
    ] {
        let path = format!("/v1/events?after={after}");
        let (is, body) = world
            .ask(Some(&world.key), "GET", &path, String::new())
            .await;
        assert_eq!((is, code(&body)), (status, expected));
    }
}

/// The frames of a stream up to one that contains `until`.
async fn read_until(response: axum::response::Response, until: &str) -> String {
    let mut body = response.into_body();
    let mut text = String::new();
    while !text.contains(until) {
        let frame = body.frame().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    text
}

fn stream(world: &World, path: &str, last: Option<&str>) -> Request<Body> {
    let request = Request::get(path)
        .header("authorization", format!("Bearer {}", world.key))
        .header("accept", "text/event-stream");
    let request = match last {
        Some(last) => request.header("last-event-id", last),
        None => request,
    };
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_stream_begins_now_or_right_behind_what_the_reader_has() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    world.post(&new_task(2, keygen())).await;
    let open = stream(&world, "/v1/events", None);
    let response = world.router.clone().oneshot(open).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    world.post(&new_task(3, keygen())).await;
    let text = read_until(response, "data: ").await;
    assert!(text.starts_with("id: 1\n\n"), "{text}");
    let text = text.trim_start_matches("id: 1\n\n");
    let line = |line: &str| text.lines().any(|other| other == line);
    assert!(line("id: 2") && line("event: task.accepted"), "{text}");
    assert!(!line("id: 1"), "{text}");

    let again = stream(&world, "/v1/events", Some("0"));
    let response = world.router.clone().oneshot(again).await.unwrap();
    let text = read_until(response, "id: 2").await;
    assert!(text.contains("id: 1"), "{text}");
    let now = world.get("/v1/events?after=now").await;
    assert_eq!((kinds(&now), &now["next"]), (vec![], &json!("2")));
    let gone = stream(&world, "/v1/events", Some("77"));
    let response = world.router.clone().oneshot(gone).await.unwrap();
    assert_eq!(response.status(), StatusCode::GONE);
}

#[tokio::test]
async fn one_key_cannot_take_all_streams_and_a_stream_ends_with_the_coordinator() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut open = Vec::new();
    loop {
        let request = stream(&world, "/v1/events", None);
        let response = world.router.clone().oneshot(request).await.unwrap();
        if response.status() != StatusCode::OK {
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
            assert!(response.headers().contains_key("retry-after"));
            break;
        }
        open.push(response);
    }
    assert_eq!(open.len(), 64);
    world.stop.send_replace(true);
    for response in open {
        let rest = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(rest, "id: 0\n\n");
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_up_nobody_and_misses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let open = stream(&world, "/v1/events", None);
    let silent = world.router.clone().oneshot(open).await.unwrap();
    let open = stream(&world, "/v1/events", None);
    let reading = world.router.clone().oneshot(open).await.unwrap();
    for id in 0..40 {
        assert_eq!(
            world.post(&new_task(id, keygen())).await.0,
            StatusCode::CREATED
        );
    }
    read_until(reading, "id: 40\n").await;
    let late = read_until(silent, "id: 40\n").await;
    let ids: Vec<&str> = late
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .collect();
    let all: Vec<String> = (0..=40).map(|id| id.to_string()).collect();
    assert_eq!(ids, all);
}
