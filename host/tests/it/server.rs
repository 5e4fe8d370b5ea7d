//! A small scripted callback server: plain HTTP/1.1 on loopback, one answer for each connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign_host::rs256::SigningKey;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::guests::{node_key, server_key};

/// A request as the server received it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Request line and headers, lower case.
    pub head: String,
    /// The CallbackRequest, after its signature was verified with the node's public key.
    pub request: Value,
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Answers the n-th request (from 1) with the bytes of a whole HTTP response; `None` never
    /// answers.
    pub async fn start(
        script: impl Fn(usize, &Received) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        let log = received.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), log.clone()));
            }
        });
        Self { address, received }
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Arc<impl Fn(usize, &Received) -> Option<String>>,
    log: Arc<Mutex<Vec<Received>>>,
) {
    let received = receive(&mut stream).await;
    let n = {
        let mut log = log.lock().unwrap();
        log.push(received.clone());
        log.len()
    };
    match script(n, &received) {
        // A client that is satisfied or gives up may close first.
        Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
        None => std::future::pending().await,
    }
}

async fn receive(stream: &mut TcpStream) -> Received {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let n = stream.read(&mut piece).await.unwrap();
        assert!(n > 0, "the request is cut off");
        bytes.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .expect("no content-length");
        if body.len() == length.parse::<usize>().unwrap() {
            return Received {
                head,
                request: open(body),
            };
        }
    }
}

fn open(body: &str) -> Value {
    let token = body
        .strip_prefix("TSS_JWT_MSG=")
        .expect("another form field");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(
        node_key()
            .verifying_key()
            .verify(signed.as_bytes(), &signature),
        "not signed by the node"
    );
    let claims = URL_SAFE_NO_PAD
        .decode(signed.split_once('.').unwrap().1)
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let package = STANDARD
        .decode(claims["package_data"].as_str().unwrap())
        .unwrap();
    serde_json::from_slice(&package).unwrap()
}

/// An HTTP response.
pub fn http(status: &str, body: &str) -> Option<String> {
    let length = body.len();
    Some(format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))
}

/// The token of a server that decides `action` on the request `id`.
pub fn token(key: &SigningKey, header: Value, id: &Value, action: &str) -> String {
    let answer = json!({"status": 0, "request_id": id, "action": action, "error": "because"});
    let claims =
        json!({"package_data": STANDARD.encode(answer.to_string()), "exp": 4_000_000_000_u64});
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = key.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The sound answer to `received`.
pub fn sound(received: &Received, action: &str) -> String {
    token(
        &server_key(),
        json!({"alg": "RS256", "typ": "JWT"}),
        &received.request["request_id"],
        action,
    )
}
