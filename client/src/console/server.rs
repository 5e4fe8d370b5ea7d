//! The server of the console: from a request to its answer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_door::{Limits, Tls};
use countersign_vote::RelyingParty;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::assets::{Asset, Assets};
use super::cookie::Cookie;
use super::gate::Origin;
use super::people::{PeopleError, Person};
use super::problem::Problem;
use super::register::Register;
use super::session::{Key, Session, Sessions};
use super::sign_in::{Answer, Challenges, Page};
use super::upstream::{Asked, Upstream};
use super::{labels, organisation, upstream};
use crate::book::Book;
use crate::error::ClientError;
use crate::profile::Profile;

/// The longest body of a sign-in, in bytes.
const MAX_BODY: usize = 16 * 1024;
/// Time limit for receiving a body.
const BODY: Duration = Duration::from_secs(15);
/// The longest API key, in bytes.
const MAX_KEY: usize = 512;
/// The most attempts to sign in at once. Each asks the coordinator.
const SIGNING_IN: usize = 4;
/// The prefix of what is passed on to the coordinator.
const COORDINATOR: &str = "/coordinator";
/// The header with the session's token.
const TOKEN: HeaderName = HeaderName::from_static("countersign-csrf");
/// The policy of every answer but the page.
const CLOSED: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";
/// What the page may use of its device: passkeys, and the clipboard for ids.
const DEVICE: &str = "publickey-credentials-get=(self), publickey-credentials-create=(self), clipboard-write=(self), \
     camera=(), geolocation=(), microphone=(), payment=(), usb=()";
/// Limits on connections, and on how slow they may be. Streams of events stay open.
const LIMITS: Limits = Limits {
    connections: 1024,
    of_one_address: 64,
    streams: 32,
    head: Duration::from_secs(15),
    stall: Duration::from_secs(30),
    life: None,
    grace: Duration::from_secs(3),
};

/// The pages of an organisation, and its way to the coordinator.
pub struct Console {
    origin: Origin,
    assets: Assets,
    profile: Profile,
    book: Book,
    labels: Option<PathBuf>,
    upstream: Upstream,
    sessions: Arc<Sessions>,
    signing_in: Semaphore,
    /// As `signing_in`, for people whose passkey has proved that they are there. Attempts with
    /// made-up API keys do not keep them out.
    proved: Semaphore,
    people: Option<Entrance>,
}

/// The way in by passkey.
struct Entrance {
    /// The domain to which passkeys are bound.
    rp_id: String,
    page: Page,
    challenges: Challenges,
    register: Arc<Register>,
}

/// What somebody who signs in sends: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    #[serde(default)]
    api_key: Option<String>,
    #[serde(default)]
    passkey: Option<Answer>,
}

/// Whose session begins: the API key, and the person who proved by passkey that she is there.
type Newcomer = (Key, Option<Arc<Person>>);

impl Console {
    /// A console that is opened at `origin`.
    pub fn new(profile: Profile, origin: Origin, assets: Assets) -> Result<Self, ClientError> {
        Ok(Self {
            origin,
            assets,
            book: Book::new(&profile.wallet_book),
            labels: None,
            upstream: Upstream::new(&profile)?,
            profile,
            sessions: Arc::default(),
            signing_in: Semaphore::new(SIGNING_IN),
            proved: Semaphore::new(SIGNING_IN),
            people: None,
        })
    }

    /// The same with the organisation's labels of addresses, which are read whenever somebody signs
    /// in.
    pub fn with_labels(self, labels: Option<PathBuf>) -> Self {
        Self { labels, ..self }
    }

    /// The same with people who sign in by passkey, as the file at `path` lists them. The profile's
    /// `passkeys` have this console's origin.
    pub fn with_people(self, path: PathBuf) -> Result<Self, PeopleError> {
        let origin = self.origin.to_string();
        let elsewhere = || PeopleError::Page(origin.clone());
        let pages = self.profile.passkeys.as_ref().ok_or_else(elsewhere)?;
        if !pages.origins.contains(&origin) {
            return Err(elsewhere());
        }
        // Whoever signed on another page of the organisation did not sign in here.
        let page = RelyingParty::new(&pages.rp_id, [&*origin]).map_err(|_| elsewhere())?;
        let approvers = self.profile.approvers.clone();
        let register = Register::read(path, approvers, self.sessions.clone())?;
        let entrance = Entrance {
            rp_id: pages.rp_id.clone(),
            page: Page::new(origin.clone(), page),
            challenges: Challenges::default(),
            register: Arc::new(register),
        };
        Ok(Self {
            people: Some(entrance),
            ..self
        })
    }

    /// The people who sign in by passkey, to have their file read again.
    pub fn register(&self) -> Option<Arc<Register>> {
        self.people
            .as_ref()
            .map(|entrance| entrance.register.clone())
    }

    /// Serves until `stop`. Without TLS, the listener is on loopback.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<Tls>,
        stop: impl Future<Output = ()>,
    ) {
        let router = Router::new().fallback(enter).with_state(Arc::new(self));
        match tls {
            Some(tls) => countersign_door::serve_tls(listener, tls, router, LIMITS, stop).await,
            None => countersign_door::serve(listener, router, LIMITS, stop).await,
        }
    }

    async fn answer(&self, head: &Parts, body: Body) -> Result<Response, Problem> {
        let Parts {
            method,
            uri,
            headers,
            ..
        } = head;
        self.origin.admit(method, uri, headers)?;
        match (method, uri.path()) {
            (&Method::GET, "/") => Ok(self.page()),
            (&Method::GET, "/session") => {
                Ok(as_json(&token_of(&self.session(headers)?)).into_response())
            }
            (&Method::POST, "/session") => self.sign_in(headers, body).await,
            (&Method::GET, "/sign-in") => {
                let rp_id = self.people.as_ref().map(|entrance| &entrance.rp_id);
                Ok(as_json(&json!({ "rp_id": rp_id })).into_response())
            }
            (&Method::POST, "/sign-in") => self.challenge(),
            (&Method::DELETE, "/session") => {
                self.sessions.end(&self.proved(headers)?);
                Ok(signed_out())
            }
            (&Method::DELETE, "/sessions") => {
                self.sessions.end_everywhere(&self.proved(headers)?);
                Ok(signed_out())
            }
            (&Method::GET, "/organisation") => {
                self.proved(headers)?;
                self.organisation().await
            }
            (&Method::GET | &Method::POST | &Method::PUT | &Method::DELETE, path)
                if path.starts_with(COORDINATOR) =>
            {
                let session = self.proved(headers)?;
                let path = &path[COORDINATOR.len()..];
                let asked = Asked {
                    method,
                    path,
                    query: uri.query(),
                    headers,
                    body: whole(headers, body, upstream::limit(method, path)).await?,
                };
                self.upstream.pass(asked, &session).await
            }
            (&Method::GET, path) => self.asset(path),
            _ => Err(nowhere()),
        }
    }

    fn page(&self) -> Response {
        let mut response = file(self.assets.page(), "no-store");
        if let Ok(policy) = HeaderValue::from_str(self.assets.policy()) {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    /// Files are named by their digests, so they never change.
    fn asset(&self, path: &str) -> Result<Response, Problem> {
        let asset = self.assets.at(path).ok_or_else(nowhere)?;
        Ok(file(asset, "public, max-age=31536000, immutable"))
    }

    /// The session of a request, by its cookie.
    fn session(&self, headers: &HeaderMap) -> Result<Session, Problem> {
        let own = Cookie::SESSION.of(headers);
        let found = own.and_then(|own| self.sessions.find(own, Instant::now()));
        found.ok_or_else(signed_off)
    }

    /// The same for a request that only this console's page can make: it has the token, too.
    fn proved(&self, headers: &HeaderMap) -> Result<Session, Problem> {
        let session = self.session(headers)?;
        let mut tokens = headers.get_all(TOKEN).iter();
        match (tokens.next(), tokens.next()) {
            (Some(token), None) if token.to_str().is_ok_and(|text| session.is_token(text)) => {
                Ok(session)
            }
            _ => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "console-token",
                "the request has not the token of its session; reload the page",
            )),
        }
    }

    /// A challenge for somebody who signs in by passkey, which this browser alone can answer.
    fn challenge(&self) -> Result<Response, Problem> {
        let entrance = self.people.as_ref().ok_or_else(nowhere)?;
        let asked = entrance.challenges.begin(Instant::now());
        let nonce = json!({"nonce": hex::encode(asked.nonce)});
        let mut response = as_json(&nonce).into_response();
        if let Some(value) = Cookie::SIGN_IN.set(&asked.cookie) {
            response.headers_mut().insert(header::SET_COOKIE, value);
        }
        Ok(response)
    }

    /// Begins a session with an API key that the coordinator knows. The one before ends, so nobody
    /// goes on in a session that somebody else prepared.
    async fn sign_in(&self, headers: &HeaderMap, body: Body) -> Result<Response, Problem> {
        let body = Zeroizing::new(whole(headers, body, MAX_BODY).await?);
        let SignIn { api_key, passkey } =
            serde_json::from_slice(&body).map_err(|_| unreadable())?;
        let api_key = api_key.map(Zeroizing::new);
        let (places, (key, person)) = match (api_key, passkey) {
            (Some(api_key), None) => (&self.signing_in, by_key(api_key)?),
            (None, Some(answer)) => (&self.proved, self.by_passkey(headers, answer).await?),
            (None, None) | (Some(_), Some(_)) => return Err(unreadable()),
        };
        let Ok(_place) = places.try_acquire() else {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "console-busy",
                "too many people sign in at this moment; try again",
            ));
        };
        self.upstream.check(&key).await?;
        if let Ok(before) = self.session(headers) {
            self.sessions.end(&before);
        }
        let begun = self.sessions.begin(key, person, Instant::now());
        let begun = begun.ok_or(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "console-busy",
            "too many people are signed in; sign out elsewhere, or try again later",
        ))?;
        if !self.is_listed(&begun.session) {
            self.sessions.end(&begun.session);
            return Err(unproved());
        }
        let mut response = as_json(&token_of(&begun.session)).into_response();
        if let Some(value) = Cookie::SESSION.set(&begun.cookie) {
            response.headers_mut().insert(header::SET_COOKIE, value);
        }
        Ok(response)
    }

    /// The person whose passkey answered this browser's challenge. Whatever is wrong with the
    /// answer, it is refused in the same words.
    async fn by_passkey(&self, headers: &HeaderMap, answer: Answer) -> Result<Newcomer, Problem> {
        let entrance = self.people.as_ref().ok_or_else(nowhere)?;
        let own = Cookie::SIGN_IN.of(headers);
        let nonce = own.and_then(|own| entrance.challenges.take(own, Instant::now()));
        let nonce = nonce.ok_or_else(too_late)?;
        let people = entrance.register.people();
        let person = entrance.page.person(&people, &nonce, answer);
        let person = person.ok_or_else(unproved)?;
        let owner = person.clone();
        let key = tokio::task::spawn_blocking(move || owner.api_key()).await;
        match key {
            Ok(Ok(key)) => Ok((key, Some(person))),
            Ok(Err(_)) | Err(_) => Err(keyless()),
        }
    }

    /// False if the file of people was read again meanwhile, and has the person no more.
    fn is_listed(&self, session: &Session) -> bool {
        let entrance = self.people.as_ref().zip(session.person.as_ref());
        entrance.is_none_or(|(entrance, person)| entrance.register.people().has(person))
    }

    /// Reads the book and the labels outside the threads that serve.
    async fn organisation(&self) -> Result<Response, Problem> {
        let profile = self.profile.clone();
        let book = self.book.clone();
        let labels = self.labels.clone();
        let read = tokio::task::spawn_blocking(move || {
            let labels = labels.map_or(Ok(BTreeMap::new()), |path| labels::read(&path));
            let labels = labels.map_err(|_| unlabelled())?;
            organisation::document(&profile, &book, &labels).map_err(|_| unbooked())
        });
        let document = read.await.unwrap_or_else(|_| Err(unbooked()))?;
        Ok(as_json(&document).into_response())
    }
}

/// Somebody with an API key, which the coordinator has yet to know.
fn by_key(api_key: Zeroizing<String>) -> Result<Newcomer, Problem> {
    if api_key.is_empty() || api_key.len() > MAX_KEY {
        return Err(unreadable());
    }
    Ok((Key::new(api_key), None))
}

async fn enter(State(console): State<Arc<Console>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let answered = console.answer(&head, body).await;
    let response = answered.unwrap_or_else(IntoResponse::into_response);
    dressed(response, &console.origin)
}

/// A body that a form of another page cannot send.
async fn whole(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let body = match tokio::time::timeout(BODY, to_bytes(body, limit)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(unreadable()),
        Err(_) => {
            return Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "console-request",
                "send the whole body at once",
            ));
        }
    };
    let kind = headers.get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind == "application/json");
    if body.is_empty() || is_json {
        Ok(body.to_vec())
    } else {
        Err(unreadable())
    }
}

/// The headers of every answer.
fn dressed(mut response: Response, origin: &Origin) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CLOSED),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-resource-policy", "same-origin"),
        ("origin-agent-cluster", "?1"),
        ("permissions-policy", DEVICE),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if origin.is_https() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    response
}

fn file(asset: &Asset, cache: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, asset.kind.clone()),
        (header::CACHE_CONTROL, cache.into()),
    ];
    (headers, asset.bytes).into_response()
}

fn as_json(document: &Value) -> impl IntoResponse + use<> {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (headers, document.to_string())
}

/// The token of a session, and who began it by passkey.
fn token_of(session: &Session) -> Value {
    let person = session.person.as_ref().map(|person| {
        json!({
            "name": person.name, "approver": person.approver, "credential": person.credential,
        })
    });
    json!({"csrf": session.token(), "person": person})
}

fn signed_out() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(value) = Cookie::SESSION.unset() {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

const fn signed_off() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "console-session",
        "nobody is signed in here, or the session has ended; sign in again",
    )
}

const fn too_late() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "console-challenge",
        "this browser was not asked for a passkey, or more than two minutes ago; sign in again",
    )
}

const fn unproved() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "console-passkey",
        "nobody who signs in here has this passkey, or it did not sign this; use the one that your console's operator has listed",
    )
}

const fn keyless() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "console-people",
        "the API key that is kept for you cannot be read; ask the console's operator, who finds the reason by starting the console again",
    )
}

const fn unbooked() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "console-book",
        "the wallet book cannot be used; ask the console's operator, who finds the reason with `countersign wallet list`",
    )
}

const fn unlabelled() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "console-labels",
        "the file with the labels of addresses cannot be used; ask the console's operator, who finds the reason by starting the console again",
    )
}

const fn unreadable() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "console-request",
        "the request cannot be read; reload the page, and try again",
    )
}

const fn nowhere() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "console-path",
        "there is nothing at this address; open the console itself",
    )
}
