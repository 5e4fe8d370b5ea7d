//! The console's server, in front of a coordinator that tells what it was asked.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
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
use countersign_client::console::{Assets, Console, Register};
use countersign_protocol::{Assertion, Ballot, Choice, Hash, UnixMillis};
use countersign_vote::SignIn;
use countersign_vote::testing::{self, Passkey, other_s};
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
    register: Option<Arc<Register>>,
    dir: tempfile::TempDir,
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
    // An answer before the end of a long body would reset the connection.
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await;
    let length = body.unwrap().len();
    asked.lock().unwrap().push([method, path.clone(), key]);
    if !is_known {
        let problem = json!({"code": "unauthorised", "detail": "no"}).to_string();
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        return (StatusCode::UNAUTHORIZED, kind, problem).into_response();
    }
    match path.as_str() {
        "/v1/wallets" => ([(CONTENT_TYPE, "text/html")], "<script>1</script>").into_response(),
        "/v1/tasks" if length > 0 => {
            ([(CONTENT_TYPE, "application/json")], length.to_string()).into_response()
        }
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

/// Writes a file that its owner alone may read.
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The line of a person with this passkey, whose API key is in the file with her name.
fn listed(name: &str, passkey: &Passkey, credential: &str) -> String {
    let id = passkey.id();
    format!(
        "{name}: {{api_key_file: {name}.key, passkeys: [{{id: {id}, credential: {credential}}}]}}\n"
    )
}

impl World {
    async fn new() -> Self {
        Self::with_people("").await
    }

    /// A console where these people sign in by passkey.
    async fn with_people(people: &str) -> Self {
        let asked = Asked::default();
        let (listener, upstream) = listen().await;
        let router = Router::new()
            .fallback(coordinator)
            .with_state(asked.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let (listener, address) = listen().await;
        let origin = format!("http://localhost:{}", address.port());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.yaml");
        let pages = format!("passkeys: {{rp_id: localhost, origins: ['{origin}']}}\n");
        std::fs::write(&path, format!("coordinator: http://{upstream}\n{pages}")).unwrap();
        let profile = Profile::load(&path).unwrap();
        let mut console = Console::new(profile, origin.parse().unwrap(), assets()).unwrap();
        if !people.is_empty() {
            write(&dir.path().join("ann.key"), &format!("{ANN}\n"));
            write(&dir.path().join("ben.key"), &format!("{BEN}\n"));
            let path = dir.path().join("people.yaml");
            write(&path, people);
            console = console.with_people(path).unwrap();
        }
        let register = console.register();
        tokio::spawn(console.serve(listener, None, std::future::pending()));
        let http = reqwest::Client::builder().no_proxy();
        // The listener is on the one address alone.
        let http = http.resolve("localhost", address).build().unwrap();
        Self {
            origin,
            asked,
            http,
            register,
            dir,
        }
    }

    /// Has the console read other people.
    fn reload(&self, people: &str) {
        write(&self.dir.path().join("people.yaml"), people);
        self.register.as_ref().unwrap().reload().unwrap();
    }

    /// A passkey whose sign-ins are genuine on this console's page.
    fn passkey(&self, seed: u8) -> Passkey {
        let mut passkey = Passkey::new(seed);
        passkey.rp_id = "localhost".into();
        passkey.client_data = passkey.client_data.replace(testing::ORIGIN, &self.origin);
        passkey
    }

    /// Asks for a challenge.
    async fn challenge(&self) -> Challenge {
        let answer = self.send(Method::POST, "/sign-in", &[], "").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let set = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
        for rule in ["__Host-", "Secure", "HttpOnly", "SameSite=Strict"] {
            assert!(set.contains(rule), "{rule}");
        }
        let document: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let mut nonce = [0; 32];
        hex::decode_to_slice(document["nonce"].as_str().unwrap(), &mut nonce).unwrap();
        Challenge {
            cookie: set.split(';').next().unwrap().to_owned(),
            nonce,
        }
    }

    /// What the passkey returns for a challenge.
    fn signed(&self, passkey: &Passkey, challenge: &Challenge) -> Assertion {
        let asked = SignIn {
            origin: &self.origin,
            nonce: &challenge.nonce,
        };
        passkey.assertion(&asked.signed_message())
    }

    /// Hands in an assertion, with these cookies.
    async fn enter(&self, credential: &str, assertion: &Assertion, cookies: &str) -> Response {
        let answer = json!({
            "credential": credential,
            "client_data": hex::encode(&assertion.client_data),
            "authenticator_data": hex::encode(&assertion.authenticator_data),
            "signature": hex::encode(&assertion.signature),
        });
        let headers = [("content-type", "application/json"), ("cookie", cookies)];
        let body = json!({ "passkey": answer }).to_string();
        self.send(Method::POST, "/session", &headers, &body).await
    }

    /// Signs in by passkey.
    async fn enters(&self, passkey: &Passkey, credential: &str) -> Response {
        let challenge = self.challenge().await;
        let assertion = self.signed(passkey, &challenge);
        self.enter(credential, &assertion, &challenge.cookie).await
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

/// What a browser was asked to sign.
struct Challenge {
    cookie: String,
    nonce: [u8; 32],
}

/// The code of a refusal, which began no session.
async fn refused(answer: Response) -> String {
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(!answer.headers().contains_key(SET_COOKIE));
    let problem: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    problem["code"].as_str().unwrap().to_owned()
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

/// The people of most tests.
fn both() -> String {
    listed("ann", &Passkey::new(3), "QUFB") + &listed("ben", &Passkey::new(4), "QkJC")
}

#[tokio::test]
async fn a_person_signs_in_with_her_passkey_and_her_own_key_is_used() {
    let world = World::with_people(&both()).await;
    let told = world.send(Method::GET, "/sign-in", &[], "").await;
    assert_eq!(told.text().await.unwrap(), r#"{"rp_id":"localhost"}"#);
    for (seed, credential, name, key) in [(3, "QUFB", "ann", ANN), (4, "QkJC", "ben", BEN)] {
        let one = person(world.enters(&world.passkey(seed), credential).await).await;
        let session = world.by(&one, Method::GET, "/session").await;
        let text = session.text().await.unwrap();
        assert!(!text.contains(key), "no page learns the key");
        let session: Value = serde_json::from_str(&text).unwrap();
        let approver = json!(Passkey::new(seed).id());
        let expected = json!({"name": name, "approver": approver, "credential": credential});
        assert_eq!(session["person"], expected);
        world.asked.lock().unwrap().clear();
        world.by(&one, Method::GET, "/coordinator/v1/tasks").await;
        assert_eq!(world.asked.lock().unwrap()[0][2], format!("Bearer {key}"));
    }
    let by_key = world.sign_in(ANN, &[]).await.text().await.unwrap();
    assert!(by_key.contains(r#""person":null"#), "{by_key}");
}

#[tokio::test]
async fn without_a_list_of_people_nobody_signs_in_by_passkey() {
    let world = World::new().await;
    let told = world.send(Method::GET, "/sign-in", &[], "").await;
    assert_eq!(told.text().await.unwrap(), r#"{"rp_id":null}"#);
    let asked = world.send(Method::POST, "/sign-in", &[], "").await;
    assert_eq!(asked.status(), StatusCode::NOT_FOUND);
    let challenge = Challenge {
        cookie: format!("__Host-countersign-sign-in={}", "ab".repeat(32)),
        nonce: [0; 32],
    };
    let assertion = world.signed(&world.passkey(3), &challenge);
    let answer = world.enter("QUFB", &assertion, &challenge.cookie).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_forged_signature_and_a_credential_of_nobody_are_refused_alike() {
    let world = World::with_people(&both()).await;
    let mut answers = Vec::new();
    for (seed, credential) in [(4, "QUFB"), (3, "QkJC"), (3, "QkJD"), (3, "")] {
        let refused = world.enters(&world.passkey(seed), credential).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{credential}");
        answers.push((refused.headers().len(), refused.text().await.unwrap()));
    }
    let challenge = world.challenge().await;
    let mut malleated = world.signed(&world.passkey(3), &challenge);
    malleated.signature = other_s(&malleated.signature);
    let refused = world.enter("QUFB", &malleated, &challenge.cookie).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    answers.push((refused.headers().len(), refused.text().await.unwrap()));
    assert!(answers.iter().all(|one| *one == answers[0]), "{answers:?}");
    assert!(world.asked.lock().unwrap().is_empty(), "nobody was asked");
}

#[tokio::test]
async fn a_passkey_of_another_page_or_without_its_user_signs_nobody_in() {
    let world = World::with_people(&both()).await;
    let different = |change: &dyn Fn(&mut Passkey)| {
        let mut passkey = world.passkey(3);
        change(&mut passkey);
        passkey
    };
    let evil = "http://localhost:1";
    for (what, passkey) in [
        (
            "another origin",
            different(&|one| one.client_data = one.client_data.replace(&world.origin, evil)),
        ),
        (
            "another domain",
            different(&|one| one.rp_id = "evil.example".into()),
        ),
        ("user not verified", different(&|one| one.flags &= !4)),
        ("user not present", different(&|one| one.flags &= !1)),
        ("malleated", different(&|one| one.high_s = true)),
    ] {
        let answer = world.enters(&passkey, "QUFB").await;
        assert_eq!(refused(answer).await, "console-passkey", "{what}");
    }
}

#[tokio::test]
async fn an_answer_is_taken_once_and_from_the_browser_that_was_asked() {
    let world = World::with_people(&both()).await;
    let ann = world.passkey(3);
    let challenge = world.challenge().await;
    let assertion = world.signed(&ann, &challenge);
    let first = world.enter("QUFB", &assertion, &challenge.cookie).await;
    assert_eq!(first.status(), StatusCode::OK);
    let again = world.enter("QUFB", &assertion, &challenge.cookie).await;
    assert_eq!(refused(again).await, "console-challenge", "replayed");
    // A browser that somebody else prepared: his answer, and her cookie or none.
    let [his, hers] = [world.challenge().await, world.challenge().await];
    let assertion = world.signed(&ann, &his);
    let answer = world.enter("QUFB", &assertion, &hers.cookie).await;
    assert_eq!(refused(answer).await, "console-passkey");
    let both = format!("{}; {}", his.cookie, hers.cookie);
    for cookies in ["", &both] {
        let answer = world.enter("QUFB", &assertion, cookies).await;
        assert_eq!(refused(answer).await, "console-challenge", "{cookies}");
    }
    // A challenge is used up by a wrong answer, too.
    let challenge = world.challenge().await;
    let forged = world.signed(&world.passkey(4), &challenge);
    world.enter("QUFB", &forged, &challenge.cookie).await;
    let genuine = world.signed(&ann, &challenge);
    let answer = world.enter("QUFB", &genuine, &challenge.cookie).await;
    assert_eq!(refused(answer).await, "console-challenge");
}

#[tokio::test]
async fn what_a_passkey_signed_for_a_vote_signs_nobody_in() {
    let world = World::with_people(&both()).await;
    let ann = world.passkey(3);
    let ballot = |nonce| Ballot {
        task: Hash(nonce),
        choice: Choice::Approve,
        approver: ann.id(),
        time: UnixMillis(1_800_000_000_000),
    };
    for is_vote in [true, false] {
        let challenge = world.challenge().await;
        let message = if is_vote {
            ballot(challenge.nonce).signed_message()
        } else {
            challenge.nonce
        };
        let vote = ann.assertion(&message);
        let answer = world.enter("QUFB", &vote, &challenge.cookie).await;
        assert_eq!(refused(answer).await, "console-passkey");
    }
}

#[tokio::test]
async fn a_person_who_is_listed_no_more_is_signed_out_and_stays_out() {
    let world = World::with_people(&both()).await;
    let ann = person(world.enters(&world.passkey(3), "QUFB").await).await;
    let ben = person(world.enters(&world.passkey(4), "QkJC").await).await;
    let asked_before = world.challenge().await;
    world.reload(&listed("ben", &Passkey::new(4), "QkJC"));
    assert!(!world.is_in(&ann).await && world.is_in(&ben).await);
    let assertion = world.signed(&world.passkey(3), &asked_before);
    let answer = world.enter("QUFB", &assertion, &asked_before.cookie).await;
    assert_eq!(refused(answer).await, "console-passkey");
    write(&world.dir.path().join("people.yaml"), "ben: [");
    assert!(world.register.as_ref().unwrap().reload().is_err());
    assert!(world.is_in(&ben).await, "a file of no use changes nothing");
}

#[tokio::test]
async fn a_session_of_a_passkey_is_a_new_one_and_ends_with_all_of_its_person() {
    let world = World::with_people(&both()).await;
    let by_key = world.person(ANN).await;
    let challenge = world.challenge().await;
    let assertion = world.signed(&world.passkey(3), &challenge);
    let cookies = format!("{}; {}", by_key.cookie, challenge.cookie);
    let by_passkey = person(world.enter("QUFB", &assertion, &cookies).await).await;
    assert_ne!(by_key.cookie, by_passkey.cookie);
    assert!(!world.is_in(&by_key).await, "it ended with the new one");
    let again = world.person(ANN).await;
    let ben = world.person(BEN).await;
    world.by(&again, Method::DELETE, "/sessions").await;
    assert!(!world.is_in(&by_passkey).await && world.is_in(&ben).await);
}

#[tokio::test]
async fn a_person_whose_key_the_coordinator_does_not_know_is_not_signed_in() {
    let world = World::with_people(&both()).await;
    write(&world.dir.path().join("ann.key"), "another-key\n");
    let answer = world.enters(&world.passkey(3), "QUFB").await;
    assert_eq!(refused(answer).await, "console-key");
    std::fs::remove_file(world.dir.path().join("ann.key")).unwrap();
    let answer = world.enters(&world.passkey(3), "QUFB").await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
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
async fn an_order_goes_on_with_the_key_of_the_person_and_no_other_long_body_does() {
    let world = World::new().await;
    let ann = world.person(ANN).await;
    world.asked.lock().unwrap().clear();
    let text = |length| format!("\"{}\"", "x".repeat(length));
    let [order, long] = [text(2 << 20), text(17 << 10)];
    let headers = [
        ("cookie", ann.cookie.as_str()),
        ("countersign-csrf", ann.token.as_str()),
        ("content-type", "application/json"),
    ];
    let votes = format!("{TASK}/votes");
    for (path, body, status) in [
        ("/coordinator/v1/tasks", &order, StatusCode::OK),
        (&*votes, &long, StatusCode::BAD_REQUEST),
        (
            "/coordinator/v1/webhooks/ops/test",
            &long,
            StatusCode::BAD_REQUEST,
        ),
        ("/session", &long, StatusCode::BAD_REQUEST),
    ] {
        let answer = world.send(Method::POST, path, &headers, body).await;
        assert_eq!(answer.status(), status, "{path}");
        if status == StatusCode::OK {
            assert_eq!(answer.text().await.unwrap(), body.len().to_string());
        }
    }
    let order = ["POST".into(), "/v1/tasks".into(), format!("Bearer {ANN}")];
    assert_eq!(*world.asked.lock().unwrap(), [order]);
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
        "/coordinator/v1/wallets",
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
