//! Requests that are signed by a requester's key, at the API.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{Request, Response, StatusCode};
use countersign_protocol::request::HttpRequest;
use countersign_protocol::{RequesterId, UnixMillis};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::{World, code, keygen, new_task, submission};
use crate::api_key::{ApiKey, ApiKeys, Credential, REQUESTS, Scope};
use crate::clock;
use crate::http::{App, LIMITS, Patience, router};

fn desk() -> SigningKey {
    SigningKey::from_bytes(&[21; 32])
}

fn requester(key: &SigningKey) -> RequesterId {
    RequesterId::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

/// The world's API, with a requester that may do as listed and a clock that has run for long.
fn api(world: &World, scopes: Vec<Scope>) -> Router {
    let entry = ApiKey {
        name: "desk".into(),
        credential: Credential::Requester(requester(&desk())),
        scopes,
        wallets: None,
        expires: None,
    };
    let (_, other) = crate::api_key::generate("other", vec![Scope::Read]);
    with(world, ApiKeys::since(vec![other, entry], UnixMillis(0)))
}

fn with(world: &World, keys: ApiKeys) -> Router {
    router(Arc::new(App {
        keys: Arc::new(keys),
        patience: Patience {
            body: Duration::from_secs(3600),
            request: Duration::from_secs(3600),
        },
        ..(*world.app).clone()
    }))
}

/// A request with the headers that a requester's signature needs.
fn signed(key: &SigningKey, method: &str, uri: &str, body: &str) -> Builder {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let nonce = hex::encode(rand::random::<[u8; 16]>());
    let request = HttpRequest {
        coordinator: crate::testkit::coordinator_id(),
        method,
        path,
        query,
        body_sha256: Sha256::digest(body).into(),
        time: clock::now(),
        nonce: &nonce,
    };
    let signature = key.sign(&request.signed_message());
    Request::builder()
        .method(method)
        .uri(uri)
        .header("Countersign-Requester", requester(key).to_string())
        .header("Countersign-Time", request.time.0.to_string())
        .header("Countersign-Nonce", &nonce)
        .header(
            "Countersign-Content-SHA256",
            hex::encode(request.body_sha256),
        )
        .header("Countersign-Signature", hex::encode(signature.to_bytes()))
}

/// The same with the other header names.
fn biz(key: &SigningKey, method: &str, uri: &str, body: &str) -> Builder {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let nonce = clock::now().0;
    let text = format!("{method}|{path}|{nonce}|{query}|{body}");
    let signature = key.sign(&Sha256::digest(Sha256::digest(text)));
    Request::builder()
        .method(method)
        .uri(uri)
        .header("Biz-Api-Key", hex::encode(key.verifying_key().to_bytes()))
        .header("Biz-Api-Nonce", nonce.to_string())
        .header("Biz-Api-Signature", hex::encode(signature.to_bytes()))
        .header("content-length", body.len())
}

async fn raw(api: &Router, request: Request<Body>) -> Response<Body> {
    api.clone().oneshot(request).await.unwrap()
}

async fn ask(api: &Router, request: Builder, body: &str) -> (u16, Value) {
    let answer = raw(api, request.body(Body::from(body.to_owned())).unwrap()).await;
    let status = answer.status().as_u16();
    let bytes = to_bytes(answer.into_body(), 1 << 22).await.unwrap();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

async fn refused(api: &Router, request: Builder, body: &str) -> (u16, String) {
    let (status, answer) = ask(api, request, body).await;
    (status, code(&answer).to_owned())
}

#[tokio::test]
async fn a_listed_requester_needs_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let api = api(&world, vec![Scope::Read, Scope::Create]);
    let task = submission(&new_task(2, keygen()));
    for sign in [signed, biz] {
        let read = sign(&desk(), "GET", "/v1/tasks?limit=5", "");
        let (status, answer) = ask(&api, read, "").await;
        assert_eq!(status, 200, "{answer}");
        let submitted = sign(&desk(), "POST", "/v1/tasks", &task);
        let (status, answer) = ask(&api, submitted, &task).await;
        assert!(matches!(status, 200 | 201), "{answer}");
    }
}

#[tokio::test]
async fn what_is_not_signed_by_a_listed_requester_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let api = api(&world, vec![Scope::Read, Scope::Create]);
    let stranger = SigningKey::from_bytes(&[22; 32]);
    let unauthorised = (401, "unauthorised".to_owned());
    for sign in [signed, biz] {
        let by_stranger = sign(&stranger, "GET", "/v1/tasks", "");
        assert_eq!(refused(&api, by_stranger, "").await, unauthorised);
        let elsewhere = sign(&desk(), "GET", "/v1/tasks", "").uri("/v1/wallets");
        assert_eq!(refused(&api, elsewhere, "").await, unauthorised);
        // The prefix is signed as well, although routes do not see it.
        let without_prefix = sign(&desk(), "GET", "/tasks", "").uri("/v1/tasks");
        assert_eq!(refused(&api, without_prefix, "").await, unauthorised);
        let twice = sign(&desk(), "GET", "/v1/nodes", "");
        let again = twice.headers_ref().unwrap().clone();
        assert_eq!(ask(&api, twice, "").await.0, 200);
        let mut replay = Request::builder().uri("/v1/nodes");
        *replay.headers_mut().unwrap() = again;
        let repeated = (401, "request-repeated".to_owned());
        assert_eq!(refused(&api, replay, "").await, repeated);
        let both = sign(&desk(), "GET", "/v1/tasks", "")
            .header("authorization", format!("Bearer {}", world.key));
        assert_eq!(
            refused(&api, both, "").await,
            (400, "signed-request".into())
        );
    }
    let body = signed(&desk(), "POST", "/v1/tasks", "one");
    assert_eq!(
        refused(&api, body, "two").await,
        (401, "request-body".into())
    );
    let body = biz(&desk(), "POST", "/v1/tasks", "one");
    assert_eq!(refused(&api, body, "two").await, unauthorised);
    let unsigned = signed(&desk(), "POST", "/v1/tasks", "");
    assert_eq!(
        refused(&api, unsigned, "x").await,
        (401, "request-body".into())
    );
}

#[tokio::test]
async fn scopes_and_times_hold_for_signed_requests() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let reader = api(&world, vec![Scope::Read]);
    for sign in [signed, biz] {
        let request = sign(&desk(), "POST", "/v1/tasks", "{}");
        assert_eq!(refused(&reader, request, "{}").await, (403, "scope".into()));
    }
    let entry = ApiKey {
        name: "desk".into(),
        credential: Credential::Requester(requester(&desk())),
        scopes: vec![Scope::Read],
        wallets: None,
        expires: None,
    };
    let fresh = with(&world, ApiKeys::new(vec![entry]));
    for sign in [signed, biz] {
        let request = sign(&desk(), "GET", "/v1/tasks", "");
        assert_eq!(
            refused(&fresh, request, "").await,
            (503, "just-started".into())
        );
        let mut old = sign(&desk(), "GET", "/v1/tasks", "");
        for name in ["Countersign-Time", "Biz-Api-Nonce"] {
            if let Some(time) = old.headers_mut().unwrap().get_mut(name) {
                *time = "1764453908123".parse().unwrap();
            }
        }
        assert_eq!(
            refused(&reader, old, "").await,
            (401, "request-time".into())
        );
    }
}

/// An answer that waits for its caller is a request under way.
#[tokio::test]
async fn an_answer_that_is_not_taken_in_keeps_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let api = api(&world, vec![Scope::Read]);
    let ask = async || {
        let request = signed(&desk(), "GET", "/v1/nodes", "");
        raw(&api, request.body(Body::empty()).unwrap()).await
    };
    let mut unread = Vec::new();
    for _ in 0..REQUESTS / 2 {
        unread.push(ask().await);
        assert_eq!(unread.last().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(ask().await.status(), StatusCode::TOO_MANY_REQUESTS);
    unread.pop();
    assert_eq!(ask().await.status(), StatusCode::OK);
}

async fn serve(api: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(countersign_door::serve(
        listener,
        api,
        LIMITS,
        std::future::pending(),
    ));
    address
}

/// Sends the head alone.
async fn begin(address: SocketAddr, head: Builder) -> TcpStream {
    let request = head.body(()).unwrap();
    let mut text = format!(
        "{} {} HTTP/1.1\r\nhost: x\r\n",
        request.method(),
        request.uri()
    );
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.write_all(b"\r\n").await.unwrap();
    stream
}

async fn status(mut stream: TcpStream) -> String {
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    String::from_utf8(head[9..].to_vec()).unwrap()
}

fn with_length(head: Builder, length: usize) -> Builder {
    let mut head = head;
    let headers = head.headers_mut().unwrap();
    headers.insert("content-length", length.into());
    head
}

#[tokio::test]
async fn bodies_that_prove_nothing_have_little_room_and_take_none_from_others() {
    const LARGE: usize = 3 << 20;
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let address = serve(api(&world, vec![Scope::Read, Scope::Create])).await;
    let unproven = || with_length(biz(&desk(), "POST", "/v1/tasks", "{}"), LARGE);
    let mut waiting = Vec::new();
    // 32 MiB are room for ten of them.
    for _ in 0..10 {
        waiting.push(begin(address, unproven()).await);
    }
    loop {
        let late = begin(address, unproven()).await;
        let mut first = [0; 12];
        let answer = tokio::time::timeout(Duration::from_secs(1), late.readable()).await;
        if answer.is_ok() && late.try_read(&mut first).is_ok() {
            assert_eq!(&first[9..], b"503");
            break;
        }
        waiting.push(late);
        assert!(waiting.len() < 30, "they have room without end");
    }
    // Whoever signs the hash proves itself first, and nobody else is read.
    let body = "{}";
    let mut proven = begin(
        address,
        with_length(signed(&desk(), "POST", "/v1/tasks", body), 2),
    )
    .await;
    proven.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(status(proven).await, "400", "it is read, and is no task");
    let stranger = SigningKey::from_bytes(&[22; 32]);
    let forged = signed(&stranger, "POST", "/v1/tasks", body);
    assert_eq!(
        status(begin(address, with_length(forged, LARGE)).await).await,
        "401"
    );
    let mut forged = with_length(signed(&desk(), "POST", "/v1/tasks", body), LARGE);
    let other = hex::encode([1; 64]).parse().unwrap();
    forged
        .headers_mut()
        .unwrap()
        .insert("countersign-signature", other);
    assert_eq!(status(begin(address, forged).await).await, "401");
    // Without a body there is nothing to wait for.
    let read = begin(address, biz(&desk(), "GET", "/v1/tasks", "")).await;
    assert_eq!(status(read).await, "200");
    let long = with_length(biz(&desk(), "POST", "/v1/tasks", ""), LARGE + 1);
    assert_eq!(status(begin(address, long).await).await, "413");
    let mut endless = biz(&desk(), "POST", "/v1/tasks", "").header("transfer-encoding", "chunked");
    endless.headers_mut().unwrap().remove("content-length");
    assert_eq!(status(begin(address, endless).await).await, "411");
}

#[tokio::test]
async fn a_task_names_the_requester_whose_signed_request_handed_it_in() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let api = api(&world, vec![Scope::Create]);
    let body = submission(&new_task(1, keygen()));
    let (status, made) = ask(&api, signed(&desk(), "POST", "/v1/tasks", &body), &body).await;
    let by = serde_json::json!({"name": "desk", "requester": requester(&desk())});
    assert_eq!((status, &made["submitted_by"]), (201, &by));
}
