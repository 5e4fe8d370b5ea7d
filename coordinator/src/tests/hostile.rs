//! Hostile documents at every route that takes one, as the document of the API lists them.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use countersign_protocol::Choice;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use super::world::*;
use super::{intake, votes};
use crate::http::openapi_document;
use crate::testkit::*;

/// A route that takes a body, and the names of the body's members.
struct Route {
    method: String,
    path: String,
    operation: String,
    members: Vec<String>,
}

fn routes() -> Vec<Route> {
    let document: Value = serde_json::from_str(&openapi_document()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["post", "put", "patch"] {
            let Some(operation) = item.get(method) else {
                continue;
            };
            let Some(body) = operation.get("requestBody") else {
                continue;
            };
            let schema = &body["content"]["application/json"]["schema"];
            let name = schema["$ref"].as_str().unwrap().rsplit('/').next();
            let schema = &document["components"]["schemas"][name.unwrap()];
            let members = schema["properties"].as_object().unwrap().iter();
            routes.push(Route {
                method: method.to_uppercase(),
                path: path
                    .replace("{id}", &"00".repeat(16))
                    .replace("{name}", "desk"),
                operation: operation["operationId"].as_str().unwrap().to_owned(),
                members: members.map(|(name, _)| name.clone()).collect(),
            });
        }
    }
    routes
}

impl Route {
    fn key<'a>(&self, world: &'a World) -> &'a str {
        let of_users = ["/v1/tasks", "/v1/wallets"];
        if of_users.iter().any(|start| self.path.starts_with(start)) {
            &world.key
        } else {
            &world.admin
        }
    }
}

async fn send(world: &World, route: &Route, body: Vec<u8>) -> (StatusCode, String, Vec<u8>) {
    let request = Request::builder()
        .method(route.method.as_str())
        .uri(&route.path)
        .header("authorization", format!("Bearer {}", route.key(world)))
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let answer = world.router.clone().oneshot(request).await.unwrap();
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let kind = kind.map(|kind| kind.to_str().unwrap().to_owned());
    let status = answer.status();
    let bytes = to_bytes(answer.into_body(), 1 << 22).await.unwrap();
    (status, kind.unwrap_or_default(), bytes.to_vec())
}

/// Documents that no route takes, whatever it takes.
fn hostile(members: &[String]) -> Vec<(String, Vec<u8>)> {
    let deep = 10_000;
    let mut all: Vec<(String, Vec<u8>)> = [
        ("nothing", Vec::new()),
        ("16 MiB of blanks", vec![b' '; 16 << 20]),
        (
            "16 MiB of text",
            [b"\"", &vec![b'a'; 16 << 20][..], b"\""].concat(),
        ),
        ("deep lists", "[".repeat(deep).into_bytes()),
        (
            "deep lists that end",
            ("[".repeat(deep) + &"]".repeat(deep)).into_bytes(),
        ),
        (
            "deep objects",
            (r#"{"a":"#.repeat(deep) + "1" + &"}".repeat(deep)).into_bytes(),
        ),
        ("a NUL", b"\0".to_vec()),
        ("a NUL behind", b"{}\0".to_vec()),
        ("a NUL in a name", br#"{"\u0000":1}"#.to_vec()),
        ("bytes that are no text", b"{\"a\":\"\xff\xfe\"}".to_vec()),
        (
            "a surrogate in raw bytes",
            b"{\"a\":\"\xed\xa0\x80\"}".to_vec(),
        ),
        ("a byte order mark", "\u{feff}{}".into()),
        ("two documents", b"{} {}".to_vec()),
        ("bytes behind", b"{}x".to_vec()),
        ("not a number", br#"{"a":NaN}"#.to_vec()),
        ("an open text", br#"{"a":"b"#.to_vec()),
        ("a list", b"[]".to_vec()),
        ("a name twice", br#"{"a":1,"a":1}"#.to_vec()),
    ]
    .map(|(what, bytes)| (what.to_owned(), bytes))
    .into();
    for member in members {
        for (what, value) in [
            (
                "controls that turn text around",
                r#""\u202e\u2066x\u200f""#.to_owned(),
            ),
            ("a NUL", r#""a\u0000b""#.into()),
            ("a lone surrogate", r#""\ud800""#.into()),
            ("a lone low surrogate", r#""\udc00\ud800""#.into()),
            ("a number beyond all", "1e999".into()),
            ("a number of 4,000 digits", "9".repeat(4_000)),
            ("a negative number", "-1".into()),
            ("a small fraction", "1e-999".into()),
            ("a deep list", "[".repeat(deep) + &"]".repeat(deep)),
        ] {
            let body = format!(r#"{{"{member}":{value}}}"#);
            all.push((format!("`{member}` as {what}"), body.into_bytes()));
        }
    }
    all
}

/// Everything that can be stored, as the API shows it.
async fn stored(world: &World) -> Vec<Value> {
    let mut shown = Vec::new();
    for path in ["/v1/tasks", "/v1/wallets", "/v1/events"] {
        shown.push(world.get(path).await);
    }
    for path in [
        "/v1/webhooks",
        "/v1/api-keys",
        "/v1/audit",
        "/v1/webhook-keys",
    ] {
        let asked = world.ask(Some(&world.admin), "GET", path, String::new());
        let (status, mut body) = asked.await;
        assert_eq!(status, StatusCode::OK, "{path}");
        // The log's end is signed with the time of each answer.
        if let Some(end) = body.get_mut("end") {
            end["at"].take();
            end["signature"].take();
        }
        shown.push(body);
    }
    shown
}

fn is_a_problem(kind: &str, body: &[u8]) -> bool {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    kind == "application/problem+json" && problem["code"].is_string()
}

#[tokio::test]
async fn a_hostile_document_is_refused_at_every_route_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let before = stored(&world).await;
    let routes = routes();
    assert!(routes.len() >= 8, "the document lists them");
    for route in &routes {
        for (what, body) in hostile(&route.members) {
            let (status, kind, answer) = send(&world, route, body).await;
            let place = format!("{}: {what}: {status}", route.operation);
            assert!(status.is_client_error(), "{place}");
            assert!(is_a_problem(&kind, &answer), "{place}: {kind}");
        }
    }
    assert_eq!(stored(&world).await, before);
}

/// A body that the route takes.
async fn sound(world: &World, operation: &str) -> Value {
    match operation {
        "submitTask" => serde_json::from_str(&submission(&new_task(1, keygen()))).unwrap(),
        "putApiKey" => json!({"sha256": hex::encode(Sha256::digest("a")), "scopes": ["read"]}),
        "rotateApiKey" => json!({"sha256": hex::encode(Sha256::digest("b"))}),
        "expireApiKey" => json!({"expires": null}),
        "setDrain" => json!({"draining": false}),
        "putWebhook" => json!({"url": "https://example.com/hook"}),
        "resendEvents" => json!({"since": 0}),
        "rotateWebhookKey" => {
            let keys = world.ask(Some(&world.admin), "GET", "/v1/webhook-keys", String::new());
            json!({"kid": keys.await.1["keys"][0]["kid"]})
        }
        "voteOnTask" => {
            // Of the path's id.
            let order = votes::collecting(0, 1);
            assert_eq!(world.post(&order).await.0, StatusCode::CREATED);
            let vote = votes::vote(votes::ANN, order.hash(), Choice::Approve);
            serde_json::from_str(&vote.to_json()).unwrap()
        }
        "importWallet" => json!({"generations": intake::history().1}),
        other => panic!("{other} takes a body, of which there is no example here"),
    }
}

#[tokio::test]
async fn a_document_that_is_almost_right_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let world = intake::anew(dir.path());
    // Keys and webhooks are changed once they are there.
    let rank = |route: &Route| route.method != "PUT";
    let mut routes = routes();
    routes.sort_by_key(rank);
    for route in &routes {
        let sound = sound(&world, &route.operation).await;
        let before = stored(&world).await;
        let text = sound.to_string();
        let inner = &text[1..text.len() - 1];
        let (name, value) = sound.as_object().unwrap().iter().next().unwrap();
        for almost in [
            format!("{text}x"),
            format!("{text}\0"),
            format!("{text}{text}"),
            format!("{{{inner},\"{name}\":{value}}}"),
            format!("{{{inner},\"more\":1}}"),
            format!("[{text}]"),
            text[..text.len() - 1].to_owned(),
        ] {
            let (status, kind, answer) = send(&world, route, almost.clone().into_bytes()).await;
            assert!(status.is_client_error(), "{}: {almost}", route.operation);
            assert!(is_a_problem(&kind, &answer), "{almost}");
        }
        assert_eq!(stored(&world).await, before, "{}", route.operation);
        let (status, _, answer) = send(&world, route, text.into_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(status.is_success(), "{}: {answer}", route.operation);
    }
}

/// A URL is shown to people as it is written.
#[tokio::test]
async fn a_webhook_whose_address_hides_something_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    for url in [
        "https://example.com/\u{202e}moc.live",
        "https://example.com/\u{0}",
        "https://exam\tple.com/",
        " https://example.com/",
        "https://example.com/a b",
        "https://ex\u{430}mple.com/",
        "https://user@example.com/",
        "https://@example.com/",
        "https://:@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https:\\\\example.com/",
        "https:example.com",
        "https:/example.com/",
        "https:///example.com/",
        "HTTPS://example.com/",
        "https://ex%61mple.com/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://example.com:/",
        "https://example.com:0443/",
        "http://example.com/",
        "http://127.0.0.1.example.com/",
        "ftp://example.com/",
    ] {
        let body = json!({ "url": url }).to_string();
        let asked = world.ask(Some(&world.admin), "PUT", "/v1/webhooks/ops", body);
        let (status, body) = asked.await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::BAD_REQUEST, "webhook-url"),
            "{url:?}"
        );
    }
}

#[tokio::test]
async fn a_webhook_leads_into_no_network_that_the_operator_did_not_name() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |rules| {
        rules.webhook_networks = Default::default()
    });
    let put = async |url: &str| {
        let body = json!({ "url": url }).to_string();
        let asked = world.ask(Some(&world.admin), "PUT", "/v1/webhooks/ops", body);
        asked.await
    };
    for (url, word) in [
        ("http://127.0.0.1:1/", "[loopback]"),
        ("https://127.0.0.1/", "[loopback]"),
        ("http://localhost/", "[loopback]"),
        ("https://LOCALHOST/", "[loopback]"),
        ("https://[::1]/", "[loopback]"),
        ("https://[::ffff:127.0.0.1]/", "not written as it is meant"),
        ("https://10.0.0.1/", "[private]"),
        ("https://[fd12::1]/", "[private]"),
        ("https://169.254.169.254/", "metadata"),
        ("https://[fe80::1]/", "metadata"),
    ] {
        let (status, body) = put(url).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::BAD_REQUEST, "webhook-url"),
            "{url}"
        );
        let text = body["detail"].as_str().unwrap();
        assert!(text.contains(word), "{url}: {text}");
    }
    for url in [
        "https://93.184.216.34/",
        "https://Example.com:443/a?b",
        "https://example.com",
    ] {
        assert!(put(url).await.0.is_success(), "{url}");
    }
    let mut rules = (*world.app.registry.rules()).clone();
    rules.webhook_networks.private = true;
    rules.webhook_networks.loopback = true;
    world.app.registry.set_rules(rules);
    for url in [
        "http://127.0.0.1:1/",
        "http://localhost/",
        "https://10.0.0.1/",
    ] {
        assert!(put(url).await.0.is_success(), "{url}");
    }
    assert_eq!(
        put("https://169.254.169.254/").await.0,
        StatusCode::BAD_REQUEST
    );
}
