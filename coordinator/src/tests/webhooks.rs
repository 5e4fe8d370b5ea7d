//! Webhooks, with a real receiver: what is sent, signed, tried again and sent once more.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::world::*;
use crate::clock;
use crate::testkit::*;
use crate::webhook;

/// A receiver that answers as told, and keeps what it was sent.
#[derive(Debug, Clone)]
struct Receiver {
    url: String,
    seen: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    answer: Arc<Mutex<StatusCode>>,
}

impl Receiver {
    async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            seen: Arc::default(),
            answer: Arc::new(Mutex::new(StatusCode::OK)),
        };
        let router = axum::Router::new()
            .fallback(Self::take)
            .with_state(receiver.clone());
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        receiver
    }

    async fn take(
        State(me): State<Self>,
        headers: HeaderMap,
        body: Bytes,
    ) -> (StatusCode, HeaderMap) {
        me.seen.lock().unwrap().push((headers, body));
        let mut headers = HeaderMap::new();
        headers.insert("location", me.url.parse().unwrap());
        (*me.answer.lock().unwrap(), headers)
    }

    /// Waits until so many requests have come.
    async fn seen(&self, number: usize) -> Vec<(HeaderMap, Bytes)> {
        loop {
            let seen = self.seen.lock().unwrap().clone();
            if seen.len() >= number {
                return seen;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

impl World {
    async fn manage(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.ask(Some(&self.admin), method, path, body).await
    }

    fn deliver(&self) {
        tokio::spawn(webhook::serve(
            self.app.webhooks.clone(),
            self.stop.subscribe(),
        ));
    }

    /// The newest delivery, once it is in this state.
    async fn delivery(&self, state: &str) -> Value {
        loop {
            let path = "/v1/webhooks/ops/deliveries";
            let (_, page) = self.manage("GET", path, Value::Null).await;
            let newest = page["deliveries"][0].clone();
            if newest["state"] == state {
                return newest;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

fn verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    UnparsedPublicKey::new(&ED25519, key)
        .verify(message, signature)
        .is_ok()
}

async fn public_keys(world: &World) -> Vec<Vec<u8>> {
    let keys = world.get("/.well-known/jwks.json").await;
    let keys = keys["keys"].as_array().unwrap().clone();
    keys.iter()
        .map(|key| {
            assert_eq!(
                (&key["kty"], &key["crv"]),
                (&json!("OKP"), &json!("Ed25519"))
            );
            let x = key["x"].as_str().unwrap();
            let bytes = URL_SAFE_NO_PAD.decode(x).unwrap();
            let whpk = key["whpk"].as_str().unwrap().strip_prefix("whpk_").unwrap();
            assert_eq!(STANDARD.decode(whpk).unwrap(), bytes);
            bytes
        })
        .collect()
}

#[tokio::test]
async fn a_receiver_gets_what_is_in_the_feed_signed_in_the_standard_way() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let receiver = Receiver::open().await;
    world.post(&new_task(1, keygen())).await;
    let spec = json!({"url": receiver.url, "types": ["task.accepted"]});
    let (status, view) = world.manage("PUT", "/v1/webhooks/ops", spec.clone()).await;
    assert_eq!(
        (status, &view["cursor"]),
        (StatusCode::CREATED, &json!("1")),
        "{view}"
    );
    let (status, _) = world.manage("PUT", "/v1/webhooks/ops", spec).await;
    assert_eq!(status, StatusCode::OK, "the same again");
    world.deliver();
    world.post(&new_task(2, keygen())).await;
    let (headers, body) = receiver.seen(1).await.remove(0);
    let feed = world.get("/v1/events?after=1").await;
    let sent: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(sent, feed["events"][0]);
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(json!(text("webhook-id")), sent["id"]);
    let signed = format!("{}.{}.", text("webhook-id"), text("webhook-timestamp"));
    let signed = [signed.as_bytes(), &body].concat();
    let signature = text("webhook-signature");
    let signature = STANDARD
        .decode(signature.strip_prefix("v1a,").unwrap())
        .unwrap();
    let keys = public_keys(&world).await;
    assert!(verifies(&keys[0], &signed, &signature));
    let delivery = world.delivery("delivered").await;
    assert_eq!(delivery["attempts"][0]["status"], json!(200));
    assert_eq!(delivery["event"], sent["id"]);
}

#[tokio::test]
async fn a_receiver_can_ask_for_the_signature_that_it_knows_from_cobo() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let receiver = Receiver::open().await;
    let spec = json!({"url": receiver.url, "format": "cobo-v2"});
    world.manage("PUT", "/v1/webhooks/ops", spec).await;
    world.deliver();
    world.post(&new_task(2, keygen())).await;
    let (headers, body) = receiver.seen(1).await.remove(0);
    let time = headers["BIZ_TIMESTAMP"].to_str().unwrap();
    let text = [&body[..], b"|", time.as_bytes()].concat();
    let digest = Sha256::digest(Sha256::digest(text));
    let signature = hex::decode(headers["BIZ_RESP_SIGNATURE"].as_bytes()).unwrap();
    assert!(verifies(&public_keys(&world).await[0], &digest, &signature));
}

#[tokio::test]
async fn a_failed_delivery_is_planned_again_and_sent_again_on_demand_with_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let receiver = Receiver::open().await;
    *receiver.answer.lock().unwrap() = StatusCode::FOUND;
    world
        .manage("PUT", "/v1/webhooks/ops", json!({"url": receiver.url}))
        .await;
    world.deliver();
    let order = new_task(2, keygen());
    world.post(&order).await;
    let first = receiver.seen(1).await.remove(0);
    let failed = loop {
        let waiting = world.delivery("pending").await;
        if waiting["attempts"].as_array().unwrap().len() == 1 {
            break waiting;
        }
    };
    assert_eq!(
        failed["attempts"][0]["status"],
        json!(302),
        "no redirect is followed"
    );
    assert!(failed["next_attempt"].as_u64().unwrap() >= clock::now().0 + 2000);
    let (_, view) = world.manage("GET", "/v1/webhooks/ops", Value::Null).await;
    assert!(view["failing_since"].is_u64(), "{view}");

    *receiver.answer.lock().unwrap() = StatusCode::NO_CONTENT;
    let id = order.parse().unwrap().id;
    for (number, what) in [
        json!({"events": [failed["event"]]}),
        json!({"task": id}),
        json!({"since": 0, "state": "delivered"}),
    ]
    .into_iter()
    .enumerate()
    {
        let path = "/v1/webhooks/ops/resend";
        let (status, resent) = world.manage("POST", path, what).await;
        assert_eq!(
            (status, &resent["deliveries"]),
            (StatusCode::ACCEPTED, &json!(1)),
            "{resent}"
        );
        let (headers, body) = receiver.seen(number + 2).await.pop().unwrap();
        assert_eq!(
            (&headers["webhook-id"], &body),
            (&first.0["webhook-id"], &first.1)
        );
        world.delivery("delivered").await;
    }
    let (_, view) = world.manage("GET", "/v1/webhooks/ops", Value::Null).await;
    assert_eq!(
        (&view["failing_since"], &view["pending"]),
        (&Value::Null, &json!(0))
    );
}

#[tokio::test]
async fn what_was_not_delivered_before_a_restart_is_delivered_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::open().await;
    {
        let world = World::open(dir.path(), |_| ());
        let spec = json!({"url": receiver.url});
        world.manage("PUT", "/v1/webhooks/ops", spec).await;
        world.post(&new_task(2, keygen())).await;
    }
    let world = World::open(dir.path(), |_| ());
    world.deliver();
    let (headers, _) = receiver.seen(1).await.remove(0);
    let feed = world.get("/v1/events").await;
    assert_eq!(
        json!(headers["webhook-id"].to_str().unwrap()),
        feed["events"][0]["id"]
    );
}

#[tokio::test]
async fn a_test_reaches_this_webhook_alone_and_is_not_in_the_feed() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let receiver = Receiver::open().await;
    let spec = json!({"url": receiver.url, "enabled": false});
    world.manage("PUT", "/v1/webhooks/ops", spec).await;
    world.deliver();
    world.post(&new_task(2, keygen())).await;
    let (status, begun) = world
        .manage("POST", "/v1/webhooks/ops/test", Value::Null)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (headers, body) = receiver.seen(1).await.remove(0);
    let sent: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&sent["type"], &sent["data"]["webhook"], &sent["id"]),
        (&json!("webhook.test"), &json!("ops"), &begun["event"])
    );
    assert_eq!(
        json!(headers["webhook-id"].to_str().unwrap()),
        begun["event"]
    );
    let feed = world.get("/v1/events").await;
    assert_eq!(feed["events"].as_array().unwrap().len(), 1, "{feed}");
}

#[tokio::test]
async fn a_key_that_is_replaced_signs_beside_the_new_one_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let receiver = Receiver::open().await;
    let (_, keys) = world.manage("GET", "/v1/webhook-keys", Value::Null).await;
    let old = json!({"kid": keys["keys"][0]["kid"]});
    let (_, rotated) = world
        .manage("POST", "/v1/webhook-keys/rotate", old.clone())
        .await;
    assert_eq!(rotated["keys"][1], keys["keys"][0]);
    let (_, again) = world.manage("POST", "/v1/webhook-keys/rotate", old).await;
    assert_eq!(again, rotated, "a repeated request replaces nothing more");
    world
        .manage("PUT", "/v1/webhooks/ops", json!({"url": receiver.url}))
        .await;
    world.deliver();
    world.post(&new_task(2, keygen())).await;
    let (headers, body) = receiver.seen(1).await.remove(0);
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let signed = format!("{}.{}.", text("webhook-id"), text("webhook-timestamp"));
    let signed = [signed.as_bytes(), &body].concat();
    let signatures = text("webhook-signature");
    let public = public_keys(&world).await;
    for (key, signature) in public.iter().zip(signatures.split(' ')) {
        let signature = STANDARD
            .decode(signature.strip_prefix("v1a,").unwrap())
            .unwrap();
        assert!(verifies(key, &signed, &signature));
    }
    assert_eq!((public.len(), signatures.split(' ').count()), (2, 2));
}

#[tokio::test]
async fn only_an_admin_manages_webhooks_and_only_sound_ones_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let spec = json!({"url": "https://example.com/hook"}).to_string();
    for key in [&world.key, &world.reader] {
        let (status, body) = world
            .ask(Some(key), "PUT", "/v1/webhooks/ops", spec.clone())
            .await;
        assert_eq!((status, code(&body)), (StatusCode::FORBIDDEN, "scope"));
        let (status, _) = world
            .ask(Some(key), "GET", "/v1/webhooks", String::new())
            .await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    for (name, spec, expected) in [
        ("Ops", json!({"url": "https://example.com"}), "webhook-name"),
        ("ops", json!({"url": "http://example.com"}), "webhook-url"),
        (
            "ops",
            json!({"url": "http://localhost.example.com"}),
            "webhook-url",
        ),
        (
            "ops",
            json!({"url": "https://user:word@example.com"}),
            "webhook-url",
        ),
        ("ops", json!({"url": "file:///etc/passwd"}), "webhook-url"),
        (
            "ops",
            json!({"url": "https://example.com", "secret": "x"}),
            "body-malformed",
        ),
        (
            "ops",
            json!({"url": "https://example.com", "types": ["task.vanished"]}),
            "body-malformed",
        ),
    ] {
        let (status, body) = world
            .manage("PUT", &format!("/v1/webhooks/{name}"), spec)
            .await;
        assert_eq!((status, code(&body)), (StatusCode::BAD_REQUEST, expected));
    }
    let (_, list) = world.manage("GET", "/v1/webhooks", Value::Null).await;
    assert_eq!(list, json!({"webhooks": []}));
    for _ in 0..2 {
        let (status, _) = world
            .manage("DELETE", "/v1/webhooks/ops", Value::Null)
            .await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    let (status, body) = world
        .manage("POST", "/v1/webhooks/ops/test", Value::Null)
        .await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::NOT_FOUND, "webhook-unknown")
    );
}
