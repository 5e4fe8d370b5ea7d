//! A receiver of events as an organisation would run it: verifies each token (form field
//! `TSS_JWT_MSG`) and keeps its claims.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::{Form, Router, extract::State, http::StatusCode, routing::post};
use rsa::RsaPublicKey;
use rsa::pkcs8::DecodePublicKey;
use serde_json::Value;

use crate::approver::open;

/// A running server on loopback.
pub struct EventServer {
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

struct Shared {
    keys: Vec<RsaPublicKey>,
    seen: Mutex<Vec<Value>>,
}

impl EventServer {
    /// A port of loopback that is free now, for a server that is started later.
    pub fn reserve() -> anyhow::Result<SocketAddr> {
        Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
    }

    /// URL for the nodes.
    pub fn url(address: SocketAddr) -> String {
        format!("http://{address}/v2/event")
    }

    /// Listens, and accepts tokens signed with one of these keys (PEM).
    pub async fn start(address: SocketAddr, keys: &[String]) -> anyhow::Result<Self> {
        let keys = keys
            .iter()
            .map(|pem| RsaPublicKey::from_public_key_pem(pem))
            .collect::<Result<_, _>>()?;
        let shared = Arc::new(Shared {
            keys,
            seen: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind(address).await?;
        let router = Router::new()
            .route("/v2/event", post(receive))
            .with_state(shared.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("the listener works")
        });
        Ok(Self { shared, server })
    }

    /// Every event so far that carried a known node's signature.
    pub fn seen(&self) -> Vec<Value> {
        self.shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for this number of events, and returns them.
    pub async fn wait_for(&self, count: usize) -> anyhow::Result<Vec<Value>> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.seen().len() < count {
            anyhow::ensure!(
                Instant::now() < deadline,
                "only {} events came: {:#?}",
                self.seen().len(),
                self.seen()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(self.seen())
    }
}

impl Drop for EventServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, &'static str) {
    let token = form
        .get("TSS_JWT_MSG")
        .map(String::as_str)
        .unwrap_or_default();
    match open(&shared.keys, token) {
        Ok(event) => {
            shared
                .seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(event);
            (StatusCode::OK, "")
        }
        Err(_) => (StatusCode::BAD_REQUEST, "the token is not a node's"),
    }
}
