//! The console's server, in front of a coordinator that tells what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ORIGIN, SET_COOKIE,
};
use axum::response::{IntoResponse, Response as Answer};
use countersign_client::Profile;
use countersign_client::console::{Assets, Console};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

const POLICY: &str = "default-src 'none'; script-src 'sha256-AAAA='";
const PAGE: &[u8] = b"<!doctype html>";
const SCRIPT: &[u8] = b"start();";
const TASK: &str = "/coordinator/v1/tasks/0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";
/// The secrets of two people.
const ANN: &str = "the-key-of-ann";
const BEN: &str = "the-key-of-ben";

/// What the coordinator was asked: method, path with query, and who asked.
type Asked = Arc<Mutex<Vec<[String; 3]>>>;

struct World {
    origin: String,
    asked: Asked,
    http: reqwest::Client,
    _dir: tempfile::TempDir,
}

/// Somebody who is signed in.
#[derive(Clone)]
struct Person {
    cookie: String,
    token: String,
}

fn assets() -> Assets {
    let sha256 = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let manifest = json!({"version": 1, "csp": POLICY, "files": [
        {"path": "index.html", "type": "text/html; charset=utf-8", "sha256": sha256(PAGE)},
        {"path": "assets/app.js", "type": "text/javascript", "sha256": sha256(SCRIPT)},
    ]});
    let manifest: &'static [u8] = manifest.to_string().into_bytes().leak();
    let files = vec![
        ("manifest.json", manifest),
        ("index.html", PAGE),
        ("assets/app.js", SCRIPT),
    ];
    Assets::of(files.leak()).unwrap()
}

async fn coordinator(State(asked): State<Asked>, request: Request) -> Answer {
    let key = request.headers().get(AUTHORIZATION);
    let key = key.map_or("", |key| key.to_str().unwrap()).to_owned();
    let path = request.uri().to_string();
    let method = request.method().to_string();
    let is_known = [ANN, BEN].map(|key| format!("Bearer {key}")).contains(&key);
    asked.lock().unwrap().push([method, path.clone(), key]);
    if !is_known {
        let problem = json!({"code": "unauthorised", "detail": "no"}).to_string();
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        return (StatusCode::UNAUTHORIZED, kind, problem).into_response();
    }
    match path.as_str() {
        "/v1/wallets" => ([(CONTENT_TYPE, "text/html")], "<script>1</script>").into_response(),
        "/v1/webhooks/ops" => StatusCode::NO_CONTENT.into_response(),
        "/v1/events" => {
            let endless = futures_util::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok::<_, std::io::Error>(":\n\n"), ()))
            });
            let kind = [(CONTENT_TYPE, "text/event-stream")];
            (kind, Body::from_stream(Box::pin(endless))).into_response()
        }
        _ => {
            let headers = [
                (CONTENT_TYPE, "application/json; charset=utf-8"),
                (SET_COOKIE, "evil=1"),
            ];
            (headers, "{\"tasks\":[]}").into_response()
        }
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

impl World {
    async fn new() -> Self {
        let asked = Asked::default();
        let (listener, upstream) = listen().await;
        let router = Router::new()
            .fallback(coordinator)
            .with_state(asked.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.yaml");
        std::fs::write(&path, format!("coordinator: http://{upstream}\n")).unwrap();
        let profile = Profile::load(&path).unwrap();
        let (listener, address) = listen().await;
        let origin = format!("http://{address}");
        let console = Console::new(profile, origin.parse().unwrap(), assets()).unwrap();
        tokio::spawn(console.serve(listener, None, std::future::pending()));
        Self {
            origin,
            asked,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            _dir: dir,
        }
    }

    /// Sends a request as the page does, with these headers; one of these replaces the page's.
    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let url = format!("{}{path}", self.origin);
        let mut request = self.http.request(method, url).body(body.to_owned());
        if !headers.iter().any(|(name, _)| *name == ORIGIN.as_str()) {
            request = request.header(ORIGIN, &self.origin);
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn sign_in(&self, key: &str, before: &[(&str, &str)]) -> Response {
        let body = json!({"api_key": key}).to_string();
        let headers = [before, &[("content-type", "application/json")]].concat();
        self.send(Method::POST, "/session", &headers, &body).await
    }

    async fn person(&self, key: &str) -> Person {
        person(self.sign_in(key, &[]).await).await
    }

    async fn by(&self, person: &Person, method: Method, path: &str) -> Response {
        let headers = [
            ("cookie", person.cookie.as_str()),
            ("countersign-csrf", person.token.as_str()),
        ];
        self.send(method, path, &headers, "").await
    }

    async fn is_in(&self, person: &Person) -> bool {
        let answer = self.by(person, Method::GET, "/organisation").await;
        assert!([StatusCode::OK, StatusCode::UNAUTHORIZED].contains(&answer.status()));
        answer.status() == StatusCode::OK
    }
}

async fn person(answer: Response) -> Person {
    assert_eq!(answer.status(), StatusCode::OK);
    let set = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    let document: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    Person {
        cookie: set.split(';').next().unwrap().to_owned(),
        token: document["csrf"].as_str().unwrap().to_owned(),
    }
}

#[tokio::test]
async fn a_person_signs_in_with_a_key_that_the_coordinator_knows() {
    let world = World::new().await;
    for wrong in ["another-key", "with a\nline", "", &"x".repeat(600)] {
        let refused = world.sign_in(wrong, &[]).await;
        assert!(refused.status().is_client_error(), "{wrong}");
        assert!(!refused.headers().contains_key(SET_COOKIE));
    }
    let answer = world.sign_in(ANN, &[]).await;
    let set = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    for rule in ["__Host-", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(set.contains(rule), "{rule}");
    }
    let text = answer.text().await.unwrap();
    assert!(!text.contains(ANN) && !set.contains(ANN));
}

#[tokio::test]
async fn a_request_goes_on_with_the_key_of_the_person_who_made_it() {
    let world = World::new().await;
    let [ann, ben] = [world.person(ANN).await, world.person(BEN).await];
    world.asked.lock().unwrap().clear();
    let path = "/coordinator/v1/tasks?limit=50&state=pending,waiting";
    let answer = world.by(&ben, Method::GET, path).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
    assert!(!answer.headers().contains_key(SET_COOKIE));
    assert_eq!(answer.text().await.unwrap(), "{\"tasks\":[]}");
    world.by(&ann, Method::POST, &format!("{TASK}/votes")).await;
    let asked = world.asked.lock().unwrap().clone();
    let votes = format!("{}/votes", TASK.strip_prefix("/coordinator").unwrap());
    let list = "/v1/tasks?limit=50&state=pending,waiting".to_owned();
    let expected = [
        ["GET".into(), list, format!("Bearer {BEN}")],
        ["POST".into(), votes, format!("Bearer {ANN}")],
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_change_of_a_key_or_a_webhook_goes_on_and_its_empty_answer_comes_back() {
    let world = World::new().await;
    let ann = world.person(ANN).await;
    world.asked.lock().unwrap().clear();
    let path = "/coordinator/v1/webhooks/ops";
    for method in [Method::PUT, Method::DELETE] {
        let answer = world.by(&ann, method, path).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.text().await.unwrap(), "");
    }
    let methods: Vec<String> = world
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|one| one[0].clone())
        .collect();
    assert_eq!(methods, ["PUT", "DELETE"]);
    for forbidden in ["/coordinator/v1/drain", "/session", "/"] {
        let answer = world.by(&ann, Method::PUT, forbidden).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{forbidden}");
    }
    assert_eq!(world.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_request_without_session_token_or_origin_goes_no_further() {
    let world = World::new().await;
    let [ann, ben] = [world.person(ANN).await, world.person(BEN).await];
    world.asked.lock().unwrap().clear();
    let cookie = ("cookie", ann.cookie.as_str());
    let token = ("countersign-csrf", ann.token.as_str());
    let other_cookie = ("cookie", ben.cookie.as_str());
    let other_token = ("countersign-csrf", ben.token.as_str());
    let json = ("content-type", "application/json");
    for (headers, status) in [
        (vec![token], StatusCode::UNAUTHORIZED),
        (vec![cookie], StatusCode::FORBIDDEN),
        (vec![cookie, other_token], StatusCode::FORBIDDEN),
        (vec![cookie, token, token], StatusCode::FORBIDDEN),
        (vec![other_cookie, token], StatusCode::FORBIDDEN),
        (
            vec![cookie, token, ("origin", "https://evil.example")],
            StatusCode::FORBIDDEN,
        ),
        (
            vec![cookie, token, ("origin", "null")],
            StatusCode::FORBIDDEN,
        ),
        (vec![cookie, token, ("origin", "")], StatusCode::FORBIDDEN),
        (
            vec![cookie, token, ("sec-fetch-site", "cross-site")],
            StatusCode::FORBIDDEN,
        ),
        (
            vec![cookie, token, ("host", "rebound.example")],
            StatusCode::MISDIRECTED_REQUEST,
        ),
        (
            vec![cookie, token, ("content-type", "text/plain")],
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let votes = format!("{TASK}/votes");
        let answer = world.send(Method::POST, &votes, &headers, "{}").await;
        assert_eq!(answer.status(), status, "{headers:?}");
    }
    for path in [
        "/coordinator/v1/tasks",
        "/coordinator/v1/api-keys",
        "/coordinator/v1/tasks/../audit",
    ] {
        let headers = [cookie, token, json];
        let answer = world.send(Method::POST, path, &headers, "{}").await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert!(
        world.asked.lock().unwrap().is_empty(),
        "nothing was passed on"
    );
}

#[tokio::test]
async fn nobody_goes_on_in_a_session_that_somebody_else_prepared() {
    let world = World::new().await;
    let prepared = format!("__Host-countersign={}", "ab".repeat(32));
    let first = person(world.sign_in(ANN, &[("cookie", &prepared)]).await).await;
    assert_ne!(first.cookie, prepared);
    let second = person(world.sign_in(BEN, &[("cookie", &first.cookie)]).await).await;
    assert_ne!(
        (&first.cookie, &first.token),
        (&second.cookie, &second.token)
    );
    assert!(!world.is_in(&first).await, "it ended with the new one");
    assert!(world.is_in(&second).await);
}

#[tokio::test]
async fn signing_out_ends_one_session_or_all_of_the_key() {
    let world = World::new().await;
    let [phone, desk, third] = [
        world.person(ANN).await,
        world.person(ANN).await,
        world.person(ANN).await,
    ];
    let ben = world.person(BEN).await;
    let answer = world.by(&phone, Method::DELETE, "/session").await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert!(
        answer.headers()[SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    assert!(!world.is_in(&phone).await && world.is_in(&desk).await);
    world.by(&desk, Method::DELETE, "/sessions").await;
    for ended in [&desk, &third] {
        assert!(!world.is_in(ended).await);
    }
    assert!(world.is_in(&ben).await);
}

#[tokio::test]
async fn a_stream_goes_on_until_its_session_ends() {
    let world = World::new().await;
    let ann = world.person(ANN).await;
    let mut stream = world.by(&ann, Method::GET, "/coordinator/v1/events").await;
    assert_eq!(stream.headers()[CONTENT_TYPE], "text/event-stream");
    assert!(stream.chunk().await.unwrap().is_some());
    world.by(&ann, Method::DELETE, "/session").await;
    let ended = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_answer_that_is_a_page_or_a_script_is_not_passed_back() {
    let world = World::new().await;
    let ann = world.person(ANN).await;
    let answer = world.by(&ann, Method::GET, "/coordinator/v1/wallets").await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert!(!answer.text().await.unwrap().contains("script"));
}

#[tokio::test]
async fn every_answer_forbids_frames_guesses_and_other_origins() {
    let world = World::new().await;
    let ann = world.person(ANN).await;
    for (path, status) in [
        ("/", StatusCode::OK),
        ("/assets/app.js", StatusCode::OK),
        ("/manifest.json", StatusCode::NOT_FOUND),
        ("/session", StatusCode::OK),
        ("/organisation", StatusCode::OK),
        ("/coordinator/v1/tasks", StatusCode::OK),
    ] {
        let answer = world.by(&ann, Method::GET, path).await;
        assert_eq!(answer.status(), status, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap();
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "no-referrer");
        for policy in ["opener", "resource"] {
            assert_eq!(
                header(&format!("cross-origin-{policy}-policy")),
                "same-origin"
            );
        }
        assert_eq!(header("cross-origin-embedder-policy"), "require-corp");
        let closed = "default-src 'none'; frame-ancestors 'none'; sandbox";
        let policy = if path == "/" { POLICY } else { closed };
        assert_eq!(header(CONTENT_SECURITY_POLICY.as_str()), policy, "{path}");
        let kept = header(CACHE_CONTROL.as_str());
        assert_eq!(kept == "no-store", !path.starts_with("/assets/"), "{path}");
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }
}
