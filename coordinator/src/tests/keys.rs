//! API keys that are made, limited, rotated and revoked while the coordinator runs.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use countersign_api::AuditPage;
use countersign_audit::{Act, ActsHead};
use countersign_protocol::{Hash, KeyId};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use super::world::*;
use crate::api_key::Scope;
use crate::clock;
use crate::testkit::*;

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

impl World {
    async fn key(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let path = format!("/v1/api-keys{path}");
        self.ask(Some(&self.admin), method, &path, body).await
    }

    async fn status(&self, key: &str, path: &str) -> StatusCode {
        self.ask(Some(key), "GET", path, String::new()).await.0
    }
}

#[tokio::test]
async fn a_key_is_made_rotated_and_revoked_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let spec = json!({"sha256": sha256("one"), "scopes": ["read"]});
    let (status, made) = world.key("PUT", "/desk", spec.clone()).await;
    assert_eq!(
        (status, &made["origin"]),
        (StatusCode::CREATED, &json!("api"))
    );
    assert_eq!(
        world.key("PUT", "/desk", spec).await.0,
        StatusCode::OK,
        "the same again"
    );
    assert_eq!(world.status("one", "/v1/tasks").await, StatusCode::OK);
    assert_eq!(
        world.status("one", "/v1/api-keys").await,
        StatusCode::FORBIDDEN
    );

    let to = json!({"sha256": sha256("two"), "overlap_seconds": 60});
    for _ in 0..2 {
        let (status, rotated) = world.key("POST", "/desk/rotate", to.clone()).await;
        assert_eq!(
            (status, &rotated["spec"]["sha256"]),
            (StatusCode::OK, &json!(sha256("two")))
        );
        assert_eq!(rotated["previous"]["sha256"], json!(sha256("one")));
    }
    for key in ["one", "two"] {
        assert_eq!(
            world.status(key, "/v1/tasks").await,
            StatusCode::OK,
            "{key}"
        );
    }
    world
        .key("POST", "/desk/rotate", json!({"sha256": sha256("three")}))
        .await;
    for (key, expected) in [
        ("one", StatusCode::UNAUTHORIZED),
        ("two", StatusCode::UNAUTHORIZED),
        ("three", StatusCode::OK),
    ] {
        assert_eq!(world.status(key, "/v1/tasks").await, expected, "{key}");
    }
    drop(world);

    let world = World::open(dir.path(), |_| ());
    assert_eq!(
        world.status("three", "/v1/tasks").await,
        StatusCode::OK,
        "after a restart"
    );
    for _ in 0..2 {
        assert_eq!(
            world.key("DELETE", "/desk", Value::Null).await.0,
            StatusCode::NO_CONTENT
        );
    }
    assert_eq!(
        world.status("three", "/v1/tasks").await,
        StatusCode::UNAUTHORIZED
    );
    let log = world
        .ask(Some(&world.admin), "GET", "/v1/audit", String::new())
        .await
        .1;
    let actions: Vec<_> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                entry["by"].as_str().unwrap(),
                entry["action"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        "api-key.put",
        "api-key.put",
        "api-key.rotate",
        "api-key.rotate",
        "api-key.rotate",
        "api-key.revoke",
    ];
    assert_eq!(actions, expected.map(|action| ("boss", action)));
}

#[tokio::test]
async fn a_key_ends_at_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let now = clock::now().0;
    for (expires, expected) in [
        (now + 3_600_000, StatusCode::OK),
        (now - 1, StatusCode::UNAUTHORIZED),
    ] {
        let spec = json!({"sha256": sha256("one"), "scopes": ["read"], "expires": expires});
        world.key("PUT", "/desk", spec).await;
        assert_eq!(world.status("one", "/v1/tasks").await, expected);
    }
    let asked = world.ask(Some("one"), "GET", "/v1/tasks", String::new());
    let (_, body) = asked.await;
    assert!(
        body["detail"].as_str().unwrap().contains("expired"),
        "{body}"
    );
}

#[tokio::test]
async fn whoever_sends_nothing_holds_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let spec = json!({"sha256": sha256(""), "scopes": ["read"]});
    let (status, body) = world.key("PUT", "/desk", spec).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::BAD_REQUEST, "api-key-credential")
    );
    let spec = json!({"sha256": sha256("one"), "scopes": ["read"]});
    world.key("PUT", "/desk", spec).await;
    let to = json!({"sha256": sha256(""), "overlap_seconds": 0});
    let (status, _) = world.key("POST", "/desk/rotate", to).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        world.status("", "/v1/tasks").await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(world.status("one", "/v1/tasks").await, StatusCode::OK);
}

#[tokio::test]
async fn the_end_of_a_key_ends_the_credential_before_it_and_never_revives_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let now = clock::now().0;
    let base = json!({"sha256": sha256("two"), "scopes": ["read"]});
    let ended = json!({"sha256": sha256("two"), "scopes": ["read"], "expires": now - 1});
    for (method, path, past, never) in [
        ("PUT", "", ended, base),
        (
            "POST",
            "/expire",
            json!({"expires": now - 1}),
            json!({"expires": null}),
        ),
    ] {
        let spec = json!({"sha256": sha256("one"), "scopes": ["read"]});
        world.key("PUT", "/desk", spec).await;
        let to = json!({"sha256": sha256("two"), "overlap_seconds": 600});
        world.key("POST", "/desk/rotate", to).await;
        assert_eq!(world.status("one", "/v1/tasks").await, StatusCode::OK);
        let path = format!("/desk{path}");
        let (status, shown) = world.key(method, &path, past).await;
        assert_eq!(
            (status, &shown["previous"]["expires"]),
            (StatusCode::OK, &json!(now - 1))
        );
        for key in ["one", "two"] {
            let status = world.status(key, "/v1/tasks").await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {key}");
        }
        world.key(method, &path, never).await;
        assert_eq!(world.status("two", "/v1/tasks").await, StatusCode::OK);
        let status = world.status("one", "/v1/tasks").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method}");
        world.key("DELETE", "/desk", Value::Null).await;
    }
}

#[tokio::test]
async fn the_end_of_a_key_is_set_without_making_it_or_changing_it_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let wallet = KeyId::from_bytes([9; 16]).unwrap();
    let spec = json!({"sha256": sha256("one"), "scopes": ["read"], "wallets": [wallet]});
    let (_, made) = world.key("PUT", "/desk", spec).await;
    let end = clock::now().0 + 3_600_000;
    let (_, shown) = world
        .key("POST", "/desk/expire", json!({"expires": end}))
        .await;
    let mut expected = made.clone();
    expected["spec"]["expires"] = json!(end);
    assert_eq!(shown, expected);
    let (status, body) = world.key("POST", "/desk/expire", json!({})).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::BAD_REQUEST, "body-malformed"),
        "nothing is not never"
    );
    let never = json!({"expires": null});
    assert_eq!(
        world.key("POST", "/desk/expire", never.clone()).await.1,
        made
    );
    world.key("DELETE", "/desk", Value::Null).await;
    for (name, status, expected) in [
        ("desk", StatusCode::NOT_FOUND, "api-key-unknown"),
        ("ops", StatusCode::CONFLICT, "api-key-in-file"),
    ] {
        let path = format!("/{name}/expire");
        let (is, body) = world.key("POST", &path, never.clone()).await;
        assert_eq!((is, code(&body)), (status, expected));
    }
    assert_eq!(
        world.status("one", "/v1/tasks").await,
        StatusCode::UNAUTHORIZED,
        "it stays revoked"
    );
}

#[tokio::test]
async fn a_key_that_is_limited_to_wallets_knows_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let mut nodes = three(&world).await;
    let wallet = world.make_wallet(&mut nodes).await;
    let order = new_task(3, keysign(wallet, Some(some(&[1, 2]))));
    world.post(&order).await;
    let id = order.parse().unwrap().id;
    let other = KeyId::from_bytes([9; 16]).unwrap();
    for (name, limit) in [("in", wallet), ("out", other)] {
        let spec =
            json!({"sha256": sha256(name), "scopes": ["read", "create"], "wallets": [limit]});
        world.key("PUT", &format!("/{name}"), spec).await;
    }
    let get = async |key: &str, path: &str| world.ask(Some(key), "GET", path, String::new()).await;
    for path in [
        format!("/v1/tasks/{id}"),
        format!("/v1/tasks/{id}/explain"),
        format!("/v1/wallets/{wallet}"),
        format!("/v1/wallets/{wallet}/generations"),
    ] {
        assert_eq!(get("in", &path).await.0, StatusCode::OK, "{path}");
        assert_eq!(get("out", &path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for (path, list) in [
        ("/v1/tasks".to_owned(), "tasks"),
        (format!("/v1/tasks?wallet={wallet}"), "tasks"),
        ("/v1/wallets".into(), "wallets"),
        ("/v1/events".into(), "events"),
        (format!("/v1/events?wallet={wallet}"), "events"),
    ] {
        let found = async |key| get(key, &path).await.1[list].as_array().unwrap().len();
        assert!(found("in").await > 0, "{path}");
        assert_eq!(found("out").await, 0, "{path}");
    }
    let cancel = format!("/v1/tasks/{id}/cancel");
    let (status, _) = world.ask(Some("out"), "POST", &cancel, String::new()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    for order in [new_task(4, keysign(wallet, None)), new_task(5, keygen())] {
        let body = submission(&order);
        let (status, body) = world.ask(Some("out"), "POST", "/v1/tasks", body).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::FORBIDDEN, "wallet-scope")
        );
    }
    let body = submission(&new_task(6, keysign(wallet, None)));
    let (status, _) = world.ask(Some("in"), "POST", "/v1/tasks", body).await;
    assert_eq!(status, StatusCode::CREATED);
    let body = json!({"generations": []}).to_string();
    let (status, _) = world.ask(Some("in"), "POST", "/v1/wallets", body).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_what_waits_with_it() {
    what_waits_ends_by("DELETE", Value::Null).await;
}

#[tokio::test]
async fn a_key_that_may_no_longer_read_ends_what_waits_with_it() {
    let spec = json!({"sha256": sha256("one"), "scopes": ["create"]});
    what_waits_ends_by("PUT", spec).await;
}

#[tokio::test]
async fn a_key_that_is_limited_to_wallets_ends_what_waits_with_it() {
    let other = KeyId::from_bytes([9; 16]).unwrap();
    let spec = json!({"sha256": sha256("one"), "scopes": ["read"], "wallets": [other]});
    what_waits_ends_by("PUT", spec).await;
}

/// The change of a key that reads, while requests wait with it.
async fn what_waits_ends_by(method: &str, change: Value) {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let spec = json!({"sha256": sha256("one"), "scopes": ["read"]});
    world.key("PUT", "/desk", spec).await;
    let order = new_task(3, keygen());
    let (_, task) = world.post(&order).await;
    let id = order.parse().unwrap().id;
    let revision = &task["revision"];
    let poll = format!("/v1/tasks/{id}?wait=30&revision={revision}");
    let feed = "/v1/events?after=1&wait=30";
    let stream = Request::get("/v1/events")
        .header("authorization", "Bearer one")
        .header("accept", "text/event-stream");
    let stream = world
        .router
        .clone()
        .oneshot(stream.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    let (polled, fed, rest, _) = tokio::join!(
        world.status("one", &poll),
        world.status("one", feed),
        stream.into_body().collect(),
        async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            world.key(method, "/desk", change).await
        }
    );
    assert_eq!(
        (polled, fed),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
    );
    assert_eq!(rest.unwrap().to_bytes(), "id: 1\n\n");
}

#[tokio::test]
async fn what_makes_no_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let one = sha256("one");
    let wallet = KeyId::from_bytes([9; 16]).unwrap();
    world
        .key("PUT", "/desk", json!({"sha256": one, "scopes": ["read"]}))
        .await;
    for (name, spec, status, expected) in [
        (
            "Desk",
            json!({"sha256": one, "scopes": ["read"]}),
            400,
            "api-key-name",
        ),
        ("a", json!({"scopes": ["read"]}), 400, "api-key-credential"),
        (
            "a",
            json!({"sha256": sha256("a"), "scopes": []}),
            400,
            "api-key-scopes",
        ),
        (
            "a",
            json!({"sha256": sha256("a"), "scopes": ["admin"], "wallets": [wallet]}),
            400,
            "api-key-scopes",
        ),
        (
            "a",
            json!({"sha256": sha256("a"), "scopes": ["root"]}),
            400,
            "body-malformed",
        ),
        (
            "a",
            json!({"sha256": one, "scopes": ["read"]}),
            409,
            "api-key-taken",
        ),
        (
            "desk",
            json!({"sha256": sha256("a"), "scopes": ["read"]}),
            409,
            "api-key-other",
        ),
        (
            "ops",
            json!({"sha256": sha256("a"), "scopes": ["read"]}),
            409,
            "api-key-in-file",
        ),
    ] {
        let (is, body) = world.key("PUT", &format!("/{name}"), spec).await;
        assert_eq!((is.as_u16(), code(&body)), (status, expected));
    }
    for (name, to, status, expected) in [
        (
            "desk",
            json!({"sha256": sha256("b"), "overlap_seconds": 604_801}),
            400,
            "api-key-overlap",
        ),
        (
            "nobody",
            json!({"sha256": sha256("b")}),
            404,
            "api-key-unknown",
        ),
        (
            "ops",
            json!({"sha256": sha256("b")}),
            409,
            "api-key-in-file",
        ),
    ] {
        let (is, body) = world.key("POST", &format!("/{name}/rotate"), to).await;
        assert_eq!((is.as_u16(), code(&body)), (status, expected));
    }
    let (status, body) = world.key("DELETE", "/ops", Value::Null).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::CONFLICT, "api-key-in-file")
    );
}

#[tokio::test]
async fn a_task_and_the_audit_log_name_who_handed_it_in() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let order = new_task(1, keygen());
    let (_, made) = world.post(&order).await;
    let by = json!({"name": "ops"});
    assert_eq!(made["submitted_by"], by, "hashes of keys are for admins");
    // Whoever hands in the same again did not hand it in.
    let spec = json!({"sha256": sha256("other"), "scopes": ["create"]});
    world.key("PUT", "/other", spec).await;
    let body = submission(&order);
    let again = world.ask(Some("other"), "POST", "/v1/tasks", body).await;
    assert_eq!((again.0, &again.1["submitted_by"]), (StatusCode::OK, &by));
    let id = order.parse().unwrap().id;
    let spec = json!({"sha256": sha256("chief"), "scopes": ["read", "admin"]});
    world.key("PUT", "/chief", spec).await;
    let path = format!("/v1/tasks/{id}");
    let shown = world.ask(Some("chief"), "GET", &path, String::new()).await;
    let hash = sha256(&world.key);
    assert_eq!(
        shown.1["submitted_by"],
        json!({"name": "ops", "sha256": hash})
    );
    let log = world.ask(Some(&world.admin), "GET", "/v1/audit", String::new());
    let log = log.await.1["entries"].as_array().unwrap().clone();
    let named: Vec<_> = log
        .iter()
        .map(|entry| (&entry["action"], &entry["by"]))
        .collect();
    assert_eq!(
        named,
        [
            (&json!("task.submit"), &json!("ops")),
            (&json!("api-key.put"), &json!("boss")),
            (&json!("api-key.put"), &json!("boss"))
        ]
    );
    assert_eq!(log[0]["target"], id.to_string());
    assert_eq!(log[0]["sha256"], sha256(&world.key));
    assert!(!json!(log).to_string().contains(&world.key));
    drop(world);
    let world = World::open(dir.path(), |_| ());
    let kept = world.get(&format!("/v1/tasks/{id}")).await;
    assert_eq!(kept["submitted_by"], by, "after a restart");
}

#[tokio::test]
async fn the_audit_log_is_a_chain_whose_end_the_coordinator_signs() {
    let dir = tempfile::tempdir().unwrap();
    let spec = |secret: &str| json!({"sha256": sha256(secret), "scopes": ["read"]});
    let world = World::open(dir.path(), |_| ());
    world.key("PUT", "/one", spec("one")).await;
    world.key("PUT", "/two", spec("two")).await;
    drop(world);
    let world = World::open(dir.path(), |_| ());
    world.key("PUT", "/three", spec("three")).await;
    let page = world.ask(Some(&world.admin), "GET", "/v1/audit", String::new());
    let page: AuditPage = serde_json::from_value(page.await.1).unwrap();
    let mut previous = Hash([0; 32]);
    for (number, entry) in (1..).zip(&page.entries) {
        let link = entry.link.unwrap();
        assert_eq!((link.number, link.previous), (number, previous));
        let act = Act {
            link: None,
            ..Act::from(entry.clone())
        };
        assert_eq!(act.link_behind(number, previous).hash, link.hash);
        previous = link.hash;
    }
    let end = page.end.unwrap();
    let head = ActsHead::from(end);
    assert!(head.verifies());
    assert_eq!(head.coordinator, world.app.id);
    assert_eq!((head.number, head.hash), (3, previous));
    let part = world.ask(
        Some(&world.admin),
        "GET",
        "/v1/audit?limit=2",
        String::new(),
    );
    let part: AuditPage = serde_json::from_value(part.await.1).unwrap();
    assert_eq!(part.end, None, "the page does not reach the end");
}

/// A crash between two writes would keep the task and lose its entry.
#[tokio::test]
async fn a_task_and_its_entry_in_the_audit_log_are_one_write() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let admitted = world
        .app
        .keys
        .admit(Some(&world.key), Scope::Create, clock::now());
    let (caller, _place) = admitted.unwrap();
    let registry = &world.app.registry;
    let submitted = registry
        .submit(new_task(1, keygen()), Some(&caller), clock::now())
        .unwrap();
    assert_eq!(submitted.ticket, registry.store().now(), "one write");
    registry.store().durable(submitted.ticket).await.unwrap();
    let (entries, _) = registry.store().audit_log(0, 10).unwrap();
    let named: Vec<_> = entries.iter().map(|(_, entry)| &entry.target).collect();
    assert_eq!(named, [&submitted.id.to_string()]);
}

/// A crash between two writes would keep the change and lose its entry.
#[tokio::test]
async fn a_change_of_a_key_and_its_entry_in_the_audit_log_are_one_write() {
    let one = json!({"sha256": sha256("one"), "scopes": ["read"]});
    let two = json!({"sha256": sha256("two"), "scopes": ["read"]});
    let more = json!({"sha256": sha256("one"), "scopes": ["read", "create"]});
    for (method, path, body, action) in [
        ("PUT", "/other", two, "api-key.put"),
        ("PUT", "/desk", more, "api-key.put"),
        (
            "POST",
            "/desk/rotate",
            json!({"sha256": sha256("two"), "overlap_seconds": 60}),
            "api-key.rotate",
        ),
        (
            "POST",
            "/desk/expire",
            json!({"expires": 5}),
            "api-key.expire",
        ),
        ("DELETE", "/desk", Value::Null, "api-key.revoke"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let world = World::open(dir.path(), |_| ());
        world.key("PUT", "/desk", one.clone()).await;
        let before = world.key("GET", "", Value::Null).await.1;
        world.app.registry.store().break_off_after(1);
        let (status, _) = world.key(method, path, body).await;
        assert!(status.is_server_error(), "{method} {path}: {status}");
        drop(world);
        let world = World::open(dir.path(), |_| ());
        let made = |list: Value| {
            let mut keys = list["api_keys"].as_array().unwrap().clone();
            keys.retain(|key| key["origin"] == "api");
            keys
        };
        let after = world.key("GET", "", Value::Null).await.1;
        assert_ne!(made(after), made(before), "{method} {path} was stored");
        let (entries, _) = world.app.registry.store().audit_log(0, 10).unwrap();
        let actions: Vec<_> = entries.iter().map(|(_, entry)| &*entry.action).collect();
        assert_eq!(actions, ["api-key.put", action], "{method} {path}");
    }
}

#[test]
fn rows_of_an_earlier_version_name_nobody() {
    let text = include_str!("../../fixtures/audit-row-v1.json");
    let entry: countersign_api::AuditEntry = serde_json::from_str(text).unwrap();
    assert_eq!(
        (entry.by.as_str(), entry.sha256, entry.requester),
        ("boss", None, None)
    );
    let row = include_bytes!("../../fixtures/task-row-v1.bin");
    let record: crate::task::record::TaskRecord = serde_json::from_slice(&row[1..]).unwrap();
    assert_eq!(record.submitted_by, None);
}
