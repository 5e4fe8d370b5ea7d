//! What requests may look like, whoever sends them: paths, headers, cursors, and bodies all
//! together.

use std::pin::Pin;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use countersign_protocol::NodeStatus;
use countersign_protocol::control::FromNode;
use countersign_protocol::node_status::{Guards, PluginState, PluginStatus};
use futures_util::{poll, stream};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use super::world::*;
use crate::testkit::*;

async fn problem(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let kind = response.headers().get("content-type").cloned();
    assert_eq!(kind.unwrap(), "application/problem+json", "{status}");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

impl World {
    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// A reader that is limited to this wallet.
    async fn limited(&self, wallet: &Value) -> String {
        let text = "a secret of a limited reader";
        let hash = hex::encode(Sha256::digest(text));
        let spec =
            json!({"sha256": hash, "scopes": ["read", "create"], "wallets": [wallet]}).to_string();
        let made = self.ask(Some(&self.admin), "PUT", "/v1/api-keys/limited", spec);
        assert_eq!(made.await.0, StatusCode::CREATED);
        text.to_owned()
    }
}

/// A task whose body announces no length and does not come.
fn endless(key: &str) -> Request<Body> {
    let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    Request::post("/v1/tasks")
        .header("authorization", format!("Bearer {key}"))
        .body(body)
        .unwrap()
}

#[tokio::test]
async fn one_key_cannot_take_all_room_for_bodies() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    type Waiting<'w> = Pin<Box<dyn Future<Output = Response> + 'w>>;
    let mut waiting: Vec<Waiting<'_>> = Vec::new();
    let refused = loop {
        let mut sent: Waiting<'_> = Box::pin(world.send(endless(&world.key)));
        match poll!(&mut sent) {
            std::task::Poll::Ready(response) => break response,
            std::task::Poll::Pending => waiting.push(sent),
        }
        assert!(waiting.len() < 100, "there is no end of room");
    };
    assert_eq!(waiting.len(), 11, "about half of 64 MiB, at 3 MiB each");
    assert!(refused.headers().contains_key("retry-after"));
    let (status, body) = problem(refused).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::SERVICE_UNAVAILABLE, "busy")
    );
    assert_eq!(
        world
            .ask(Some(&world.key), "GET", "/v1/tasks", String::new())
            .await
            .0,
        StatusCode::OK,
        "what has no body needs no room"
    );
    let other = world.ask(
        Some(&world.admin),
        "PUT",
        "/v1/drain",
        json!({"draining": false}).to_string(),
    );
    assert_eq!(other.await.0, StatusCode::OK, "there is room for others");
    waiting.clear();
    let (status, _) = world.post(&new_task(1, keygen())).await;
    assert_eq!(status, StatusCode::CREATED, "room is given back");
}

#[tokio::test]
async fn what_is_not_there_is_not_found_by_any_key_and_the_error_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    for (method, path) in [
        ("GET", "/v1/nothing"),
        ("GET", "/v1"),
        ("GET", "/v1/"),
        ("POST", "/v1/tasks/"),
        ("GET", "/v1/webhooks/ops/nothing"),
        ("GET", "/v1/api-keys-of-tomorrow"),
        ("GET", "/v1/tasks/%ff"),
        ("GET", "/v1/wallets/%ff/addresses"),
        ("GET", "/nothing"),
    ] {
        let request = |key: Option<&str>| {
            let request = Request::builder().method(method).uri(path);
            let request = match key {
                Some(key) => request.header("authorization", format!("Bearer {key}")),
                None => request,
            };
            request.body(Body::empty()).unwrap()
        };
        let (status, body) = problem(world.send(request(Some(&world.key))).await).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::NOT_FOUND, "no-such-path"),
            "{method} {path}"
        );
        if path.starts_with("/v1") && path != "/v1/" {
            let (status, _) = problem(world.send(request(None)).await).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} without a key");
        }
    }
    let (status, body) = world
        .ask(Some(&world.key), "GET", "/v1/webhooks", String::new())
        .await;
    assert_eq!((status, code(&body)), (StatusCode::FORBIDDEN, "scope"));
    let bad = world.ask(Some(&world.admin), "PUT", "/v1/api-keys/%ff", String::new());
    assert_eq!(bad.await.0, StatusCode::NOT_FOUND);
    for path in [
        "/live",
        "/ready",
        "/v1/docs",
        "/v1/openapi.json",
        "/.well-known/jwks.json",
    ] {
        let request = Request::post(path).body(Body::empty()).unwrap();
        let (status, body) = problem(world.send(request).await).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::METHOD_NOT_ALLOWED, "no-such-method"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_secret_is_presented_once_and_its_scheme_has_no_case() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let key = world.key.as_str();
    for (headers, expected) in [
        (vec![format!("Bearer {key}")], StatusCode::OK),
        (vec![format!("bearer {key}")], StatusCode::OK),
        (vec![format!("BEARER  {key}")], StatusCode::OK),
        (vec![format!("Basic {key}")], StatusCode::UNAUTHORIZED),
        (vec![format!("Bearer{key}")], StatusCode::UNAUTHORIZED),
        (vec![key.to_owned()], StatusCode::UNAUTHORIZED),
        (vec!["Bearer ".into()], StatusCode::UNAUTHORIZED),
        (
            vec![format!("Bearer {key}"), "Bearer x".into()],
            StatusCode::BAD_REQUEST,
        ),
        (
            vec!["Bearer x".into(), format!("Bearer {key}")],
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let mut request = Request::get("/v1/tasks");
        for header in &headers {
            request = request.header("authorization", header);
        }
        let response = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), expected, "{headers:?}");
    }
}

#[tokio::test]
async fn a_stream_is_for_those_who_accept_one() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    for (accepted, streams) in [
        (&["text/event-stream"][..], true),
        (&["TEXT/Event-Stream; Q=0.5"], true),
        (&["application/json, text/event-stream"], true),
        (&["application/json", "text/event-stream"], true),
        (&["text/event-stream;q=0"], false),
        (&["text/event-stream; q=0.000, */*"], false),
        (&["application/json, text/event-stream;q=0.1"], false),
        (&["text/event-stream-of-tomorrow"], false),
        (&["*/*"], false),
        (&[], false),
    ] {
        let mut request =
            Request::get("/v1/events").header("authorization", format!("Bearer {}", world.key));
        for value in accepted {
            request = request.header("accept", *value);
        }
        let response = world.send(request.body(Body::empty()).unwrap()).await;
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert_eq!(kind == "text/event-stream", streams, "{accepted:?}");
    }
}

#[tokio::test]
async fn each_list_refuses_cursors_of_all_others_and_those_that_it_never_gave() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let hook = json!({"url": "https://example.com/"}).to_string();
    world
        .ask(Some(&world.admin), "PUT", "/v1/webhooks/ops", hook)
        .await;
    for _ in 0..2 {
        let test = world.ask(
            Some(&world.admin),
            "POST",
            "/v1/webhooks/ops/test",
            String::new(),
        );
        assert_eq!(test.await.0, StatusCode::ACCEPTED);
    }
    for id in 1..4 {
        world.post(&new_task(id, keygen())).await;
    }
    let first = async |path: &str| {
        let key = if path.contains("tasks") || path.contains("events") {
            &world.key
        } else {
            &world.admin
        };
        let page = world
            .ask(Some(key), "GET", &format!("{path}?limit=1"), String::new())
            .await
            .1;
        page["next"].as_str().unwrap().to_owned()
    };
    let lists = [
        ("/v1/tasks", "cursor", first("/v1/tasks").await),
        ("/v1/events", "after", first("/v1/events").await),
        ("/v1/audit", "after", first("/v1/audit").await),
        (
            "/v1/webhooks/ops/deliveries",
            "cursor",
            first("/v1/webhooks/ops/deliveries").await,
        ),
        (
            "/v1/wallets",
            "cursor",
            countersign_protocol::KeyId::from_bytes([1; 16])
                .unwrap()
                .to_string(),
        ),
    ];
    let ask = async |path: &str, name: &str, cursor: &str| {
        let of_users = ["/v1/tasks", "/v1/events", "/v1/wallets"].contains(&path);
        let key = if of_users { &world.key } else { &world.admin };
        let path = format!("{path}?{name}={}", cursor.replace('+', "%2B"));
        world.ask(Some(key), "GET", &path, String::new()).await
    };
    for (path, name, own) in &lists {
        assert_eq!(ask(path, name, own).await.0, StatusCode::OK, "{path} {own}");
        let padded = match own.rsplit_once('-') {
            Some((list, place)) => [format!("{list}-0{place}"), format!("{list}-+{place}")],
            None => [format!("0{own}"), format!("+{own}")],
        };
        // A plain number may be a cursor of the first release, of any list of places.
        let events = &lists[1].2;
        let is_plain = |cursor: &String| cursor == events && !path.contains("wallets");
        let others = lists.iter().map(|(.., cursor)| cursor);
        let others = others.filter(|cursor| *cursor != own && !is_plain(cursor));
        for other in others
            .chain(&padded)
            .chain([&String::new(), &"x".into(), &"-1".into()])
        {
            let (status, body) = ask(path, name, other).await;
            assert_eq!(
                (status, code(&body)),
                (StatusCode::BAD_REQUEST, "cursor-malformed"),
                "{path} {other}"
            );
        }
    }
    for (path, name, own) in &lists[..4] {
        let (_, first) = own.rsplit_once('-').unwrap_or(("", own));
        // Each answer of the audit log signs its end anew.
        let page = async |cursor: &str| {
            let (status, mut body) = ask(path, name, cursor).await;
            body["end"].take();
            (status, body)
        };
        let of_first = page(first).await;
        assert_eq!(of_first.0, StatusCode::OK, "{path} {first}");
        assert_eq!(of_first, page(own).await, "the same page");
    }
    let most = u64::MAX;
    for (path, name, ahead, expected) in [
        ("/v1/tasks", "cursor", most.to_string(), "cursor-malformed"),
        ("/v1/audit", "after", most.to_string(), "cursor-gone"),
        (
            "/v1/tasks",
            "cursor",
            format!("tasks-{most}"),
            "cursor-malformed",
        ),
        (
            "/v1/webhooks/ops/deliveries",
            "cursor",
            format!("deliveries-{most}"),
            "cursor-malformed",
        ),
        ("/v1/events", "after", most.to_string(), "cursor-gone"),
        ("/v1/events", "after", "1000000".into(), "cursor-gone"),
        ("/v1/audit", "after", "audit-1000000".into(), "cursor-gone"),
    ] {
        let (_, body) = ask(path, name, &ahead).await;
        assert_eq!(code(&body), expected, "{path} {ahead}");
        if expected == "cursor-gone" {
            let text = body["detail"].as_str().unwrap();
            assert!(text.contains("ahead of the list"), "{text}");
        }
    }
    let log = world
        .ask(Some(&world.admin), "GET", "/v1/audit", String::new())
        .await
        .1;
    assert_eq!(log["entries"][0]["cursor"], "audit-1", "as `next` has it");
    let end = log["next"].as_str().unwrap();
    let (status, page) = ask("/v1/audit", "after", end).await;
    assert_eq!((status, &page["next"]), (StatusCode::OK, &json!(end)));
}

#[tokio::test]
async fn a_key_of_one_wallet_is_told_of_no_plugin_that_guards_others() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let node = FakeNode::connect(&world, 0, vec![]).await;
    let ids = [1, 2].map(|byte| {
        countersign_protocol::KeyId::from_bytes([byte; 16])
            .unwrap()
            .to_string()
    });
    let [own, other] = &ids;
    let plugin = |name: &str, keys: &[&String], more_keys| PluginStatus {
        name: name.into(),
        state: PluginState::InForce,
        version: None,
        digest: None,
        config: None,
        remote: false,
        guards: Guards {
            keys: keys.iter().map(|key| (*key).clone()).collect(),
            more_keys,
            ..Guards::default()
        },
    };
    let status = Box::new(NodeStatus {
        software: "fake".into(),
        plugins: vec![
            plugin("all", &[], 0),
            plugin("both", &[own, other], 7),
            plugin("other", &[other], 0),
            plugin("unknown", &[], 3),
        ],
        ..NodeStatus::default()
    });
    node.say(FromNode::Status { status }).await;
    let key = world.limited(&json!(own)).await;
    let plugins = async |key: &str| loop {
        let told = world
            .ask(Some(key), "GET", "/v1/nodes", String::new())
            .await
            .1;
        let nodes = told["nodes"].as_array().unwrap().clone();
        let told = nodes
            .into_iter()
            .map(|node| node["reported"]["status"]["plugins"].clone());
        if let Some(plugins) = told.into_iter().find(Value::is_array) {
            break plugins;
        }
        tokio::task::yield_now().await;
    };
    let all = plugins(&world.reader).await;
    assert_eq!(all.as_array().unwrap().len(), 4);
    assert_eq!(all[1]["guards"]["more_keys"], 7);
    let seen = plugins(&key).await;
    let seen: Vec<_> = seen
        .as_array()
        .unwrap()
        .iter()
        .map(|plugin| {
            (
                plugin["name"].clone(),
                plugin["guards"]["keys"].clone(),
                plugin["guards"]["more_keys"].clone(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (json!("all"), json!([]), json!(0)),
            (json!("both"), json!([own]), json!(0))
        ]
    );
}

#[tokio::test]
async fn a_list_that_is_there_and_empty_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let hook = json!({"url": "https://example.com/"}).to_string();
    world
        .ask(Some(&world.admin), "PUT", "/v1/webhooks/ops", hook)
        .await;
    let hash = hex::encode(Sha256::digest("one"));
    for (method, path, body, expected) in [
        (
            "PUT",
            "/v1/webhooks/new",
            json!({"url": "https://example.com/", "types": []}),
            "webhook-filter",
        ),
        (
            "PUT",
            "/v1/webhooks/new",
            json!({"url": "https://example.com/", "wallets": []}),
            "webhook-filter",
        ),
        (
            "POST",
            "/v1/webhooks/ops/resend",
            json!({"events": []}),
            "nothing-selected",
        ),
        (
            "POST",
            "/v1/webhooks/ops/resend",
            json!({"events": [], "since": 1}),
            "nothing-selected",
        ),
        (
            "PUT",
            "/v1/api-keys/new",
            json!({"sha256": hash, "scopes": ["read"], "wallets": []}),
            "api-key-scopes",
        ),
        (
            "PUT",
            "/v1/api-keys/new",
            json!({"sha256": hash, "scopes": []}),
            "api-key-scopes",
        ),
    ] {
        let asked = world.ask(Some(&world.admin), method, path, body.to_string());
        let (status, answer) = asked.await;
        assert_eq!(
            (status, code(&answer)),
            (StatusCode::BAD_REQUEST, expected),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_told_without_the_words_of_a_library() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    for (query, named) in [
        ("limit=x", "limit"),
        ("state=never", "never"),
        ("what=1", "what"),
    ] {
        let path = format!("/v1/tasks?{query}");
        let (status, body) = world
            .ask(Some(&world.key), "GET", &path, String::new())
            .await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::BAD_REQUEST, "query-malformed")
        );
        let text = body["detail"].as_str().unwrap();
        assert!(
            text.contains(named) && !text.contains("eserialize"),
            "{text}"
        );
        assert!(text.ends_with("correct it"), "{text}");
    }
}
