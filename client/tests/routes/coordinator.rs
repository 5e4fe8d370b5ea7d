//! A coordinator that answers as it is scripted, and remembers what it was asked.

use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_client::RequesterKey;
use serde_json::{Value, json};

use crate::forged::coordinator::{coordinator_id, node};

pub const JSON: &str = "application/json";
pub const STREAM: &str = "text/event-stream";

/// A request: method, path below `/v1`, query, body.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub body: Value,
    /// True if the client wants server-sent events.
    pub stream: bool,
}

impl Asked {
    /// Method and path.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Status, media type and body of an answer.
pub type Told = (u16, &'static str, String);

type Script = Box<dyn Fn(&Asked) -> Told + Send + Sync>;

struct Shared {
    script: Script,
    asked: Mutex<Vec<Asked>>,
}

pub struct Scripted {
    pub dir: tempfile::TempDir,
    pub own: RequesterKey,
    shared: Arc<Shared>,
}

impl Scripted {
    /// Starts it, and writes a profile that calls the nodes n1 to n4.
    pub async fn start(script: impl Fn(&Asked) -> Told + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let own = RequesterKey::create(&dir.path().join("requester.key")).unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            asked: Mutex::default(),
        });
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, app).into_future());
        let nodes: String = (1..=4)
            .map(|seed| format!("  n{seed}: {}\n", node(seed)))
            .collect();
        let id = coordinator_id();
        let profile = format!(
            "coordinator: http://{address}\ncoordinator_id: {id}\nrequester_key_file: requester.key\nnodes:\n{nodes}"
        );
        std::fs::write(dir.path().join("profile.yaml"), profile).unwrap();
        Self { dir, own, shared }
    }

    /// Runs the program.
    pub async fn run(&self, args: &[&str]) -> Output {
        crate::binary(self.dir.path(), args).await
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let accept = head.headers.get(header::ACCEPT);
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().strip_prefix("/v1").unwrap().to_owned(),
        query: head.uri.query().unwrap_or_default().replace("%2C", ","),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        stream: accept.is_some_and(|accept| accept == STREAM),
    };
    let (status, kind, text) = (shared.script)(&asked);
    shared.asked.lock().unwrap().push(asked);
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// An answer of JSON.
pub fn told(body: Value) -> Told {
    (200, JSON, body.to_string())
}

/// A refusal.
pub fn problem(status: u16, code: &str) -> Told {
    let body = json!({"title": "No", "status": status, "code": code, "detail": "no; do not"});
    (status, "application/problem+json", body.to_string())
}

/// A stream that ends after these events.
pub fn streamed(events: &[Value]) -> Told {
    let frame = |event: &Value| {
        let cursor = event["cursor"].as_str().unwrap();
        format!("id: {cursor}\nevent: x\ndata: {event}\n\n")
    };
    let text: String = events.iter().map(frame).collect();
    (200, STREAM, format!(": hello\n\n{text}"))
}
