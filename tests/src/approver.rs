//! A callback server as an organisation would run it, with a script: RS256 JWT in, RS256 JWT
//! out (form field `TSS_JWT_MSG`).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use axum::response::{IntoResponse, Response};
use axum::{Form, Router, extract::State, http::StatusCode, routing::post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs8::DecodePublicKey;
use rsa::{RsaPrivateKey, RsaPublicKey};
use serde_json::{Value, json};

use crate::jwt;

/// The server's behaviour for the next requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// Approve.
    Approve,
    /// Reject, for this reason.
    Reject(String),
    /// Approve with a key that nobody pinned.
    WrongKey,
    /// Approve in a token with `alg: none`.
    AlgNone,
    /// Approve another request.
    OtherRequest,
    /// Answer after this long.
    Slow(Duration),
    /// Note the request, and approve once there is another script.
    Held,
    /// Approve under HS256 with the pinned public key, which everybody knows, as the secret.
    SharedSecret,
    /// Approve in a token with this `exp`; without one if it is null.
    Expiry(Value),
    /// Approve with these members in place of the sound ones.
    Response(Value),
    /// Approve and reject in one document.
    Both,
    /// Send the first sound token again.
    Replay,
    /// Send the node's own token back.
    Reflect,
    /// Send this body.
    Body(String),
    /// Approve with this HTTP status.
    Status(u16),
    /// Redirect the node to another URL.
    Redirect(String),
}

/// A running server.
pub struct Approver {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

struct Shared {
    key: RsaPrivateKey,
    other_key: RsaPrivateKey,
    nodes: Mutex<Vec<RsaPublicKey>>,
    script: Mutex<Script>,
    changed: tokio::sync::Notify,
    seen: Mutex<Vec<Value>>,
    /// The first sound token.
    first: Mutex<Option<String>>,
}

impl Approver {
    /// Listens on a free port of loopback.
    pub async fn start() -> anyhow::Result<Self> {
        let (key, other_key) = tokio::task::spawn_blocking(jwt::keys).await?.clone();
        let shared = Arc::new(Shared {
            key,
            other_key,
            nodes: Mutex::default(),
            script: Mutex::new(Script::Approve),
            changed: tokio::sync::Notify::new(),
            seen: Mutex::default(),
            first: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/v2/check", post(check))
            .with_state(shared.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("the listener works")
        });
        Ok(Self {
            shared,
            address,
            server,
        })
    }

    /// URL for the nodes.
    pub fn url(&self) -> String {
        format!("http://{}/v2/check", self.address)
    }

    /// The key that nodes pin.
    pub fn public_key_pem(&self) -> anyhow::Result<String> {
        jwt::public_pem(&self.shared.key)
    }

    /// Trusts requests of this node.
    pub fn trust(&self, callback_public_key: &str) -> anyhow::Result<()> {
        lock(&self.shared.nodes).push(RsaPublicKey::from_public_key_pem(callback_public_key)?);
        Ok(())
    }

    /// Sets the behaviour from now on.
    pub fn script(&self, script: Script) {
        *lock(&self.shared.script) = script;
        self.shared.changed.notify_waiters();
    }

    /// Waits until this many requests have come.
    pub async fn asked(&self, times: usize) {
        loop {
            let changed = self.shared.changed.notified();
            if self.seen().len() >= times {
                return;
            }
            changed.await;
        }
    }

    /// Every request so far that carried a known node's signature.
    pub fn seen(&self) -> Vec<Value> {
        lock(&self.shared.seen).clone()
    }
}

impl Drop for Approver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn check(
    State(shared): State<Arc<Shared>>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let script = lock(&shared.script).clone();
    if let Script::Slow(delay) = &script {
        tokio::time::sleep(*delay).await;
    }
    if script == Script::Held {
        hold(&shared, &form).await;
    }
    let status = match &script {
        Script::Status(status) => StatusCode::from_u16(*status).unwrap_or(StatusCode::OK),
        Script::Redirect(_) => StatusCode::TEMPORARY_REDIRECT,
        _ => StatusCode::OK,
    };
    let location = match &script {
        Script::Redirect(target) => target.clone(),
        _ => String::new(),
    };
    let answered = tokio::task::spawn_blocking(move || answer(&shared, &script, &form)).await;
    match answered
        .map_err(anyhow::Error::from)
        .and_then(std::convert::identity)
    {
        Ok(body) if location.is_empty() => (status, body).into_response(),
        Ok(body) => (status, [("location", location)], body).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

/// Waits until the script changes.
async fn hold(shared: &Shared, form: &HashMap<String, String>) {
    let request = form
        .get("TSS_JWT_MSG")
        .and_then(|token| open(&lock(&shared.nodes), token).ok());
    lock(&shared.seen).extend(request);
    shared.changed.notify_waiters();
    loop {
        let changed = shared.changed.notified();
        if *lock(&shared.script) != Script::Held {
            return;
        }
        changed.await;
    }
}

fn answer(
    shared: &Shared,
    script: &Script,
    form: &HashMap<String, String>,
) -> anyhow::Result<String> {
    let token = form
        .get("TSS_JWT_MSG")
        .context("the form has no TSS_JWT_MSG")?;
    let request = open(&lock(&shared.nodes), token)?;
    if *script != Script::Held {
        lock(&shared.seen).push(request.clone());
    }
    let expires = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 120;
    let response = response(
        script,
        request["request_id"].as_str().context("no request_id")?,
    );
    let mut claims =
        json!({ "exp": expires, "iss": "approver", "package_data": STANDARD.encode(response) });
    match script {
        Script::Expiry(Value::Null) => {
            drop(claims.as_object_mut().map(|claims| claims.remove("exp")))
        }
        Script::Expiry(exp) => claims["exp"] = exp.clone(),
        _ => {}
    }
    Ok(match script {
        Script::AlgNone => jwt::unsealed(&claims),
        Script::WrongKey => jwt::seal(&shared.other_key, &claims),
        Script::SharedSecret => jwt::seal_shared(&shared.key, &claims)?,
        Script::Reflect => token.clone(),
        Script::Body(body) => body.clone(),
        Script::Replay => lock(&shared.first)
            .clone()
            .context("nothing was approved yet")?,
        _ => {
            let token = jwt::seal(&shared.key, &claims);
            lock(&shared.first).get_or_insert_with(|| token.clone());
            token
        }
    })
}

/// The text of the CallbackResponse.
fn response(script: &Script, id: &str) -> String {
    let mut response = json!({ "status": 0, "request_id": id, "action": "APPROVE", "error": "" });
    match script {
        Script::Reject(reason) => {
            response["action"] = "REJECT".into();
            response["error"] = reason.as_str().into();
        }
        Script::OtherRequest => response["request_id"] = "0000:1".into(),
        Script::Response(Value::Object(members)) => {
            members
                .iter()
                .for_each(|(name, value)| response[name] = value.clone());
        }
        Script::Both => {
            return response
                .to_string()
                .replacen('{', "{\"action\":\"REJECT\",", 1);
        }
        _ => {}
    }
    response.to_string()
}

/// Verifies a node's token and extracts its document.
pub(crate) fn open(nodes: &[RsaPublicKey], token: &str) -> anyhow::Result<Value> {
    let claims = jwt::claims(nodes, token)?;
    let package = claims["package_data"].as_str().context("no package_data")?;
    Ok(serde_json::from_slice(&STANDARD.decode(package)?)?)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
