//! A raw TCP server that says any bytes at any pace, and the callback plugin that asks it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign_host::{
    Code, Evaluation, Grants, Host, HostLimits, HttpClient, HttpOptions, KeyGrant, KeyRing,
    KeyUsage, Keygen, LocalServices, Operation, Plugin, PluginSpec, Principal, Role, Task, Verdict,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::forge::{node_key, server_key};

/// A request as the server received it.
#[derive(Clone, Debug)]
pub struct Received {
    /// The node's token.
    pub token: String,
    /// Its claims.
    pub claims: Value,
    /// The CallbackRequest's bytes.
    pub document: Vec<u8>,
    /// The CallbackRequest.
    pub request: Value,
}

/// The server's behaviour.
pub enum Reply {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes after a pause.
    Late(Duration, Vec<u8>),
    /// These bytes one by one with this pause between them.
    Trickle(Vec<u8>, Duration),
    /// The first bytes, then the second ones for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// These bytes, then silence on an open connection.
    Stall(Vec<u8>),
    /// These bytes, then a reset.
    Reset(Vec<u8>),
}

/// A whole HTTP response.
pub fn http(status: &str, body: impl AsRef<[u8]>) -> Reply {
    Reply::Bytes(response(status, "", body))
}

/// The bytes of one. `headers` are whole lines.
pub fn response(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    pub async fn start(script: impl Fn(usize, &Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let received = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        let count = asked.clone();
        let log = received.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let n = count.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::spawn(serve(stream, n, script.clone(), log.clone()));
            }
        });
        Self {
            address,
            asked,
            received,
        }
    }

    /// A server that nobody has any business with.
    pub async fn bystander() -> Self {
        Self::start(|_, _| http("200 OK", "")).await
    }

    pub fn url(&self) -> String {
        format!("http://{}/v2/check", self.address)
    }

    /// Connections so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    n: usize,
    script: Arc<impl Fn(usize, &Received) -> Reply>,
    log: Arc<Mutex<Vec<Received>>>,
) {
    let Some(received) = receive(&mut stream).await else {
        return;
    };
    log.lock().unwrap().push(received.clone());
    let reply = script(n, &received);
    if let Reply::Reset(bytes) = &reply {
        // A client that gives up may close first, here and below.
        drop(stream.write_all(bytes).await);
        return stream.set_zero_linger().unwrap();
    }
    say(&mut stream, reply).await;
    drop(stream.shutdown().await);
}

/// Writes the reply at its own pace.
pub async fn say(stream: &mut (impl AsyncWrite + Unpin), reply: Reply) {
    match reply {
        Reply::Bytes(bytes) | Reply::Reset(bytes) => drop(stream.write_all(&bytes).await),
        Reply::Late(pause, bytes) => {
            tokio::time::sleep(pause).await;
            drop(stream.write_all(&bytes).await);
        }
        Reply::Trickle(bytes, pause) => {
            for byte in bytes {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        }
        Reply::Endless(first, again) => {
            let mut ok = stream.write_all(&first).await.is_ok();
            while ok {
                ok = stream.write_all(&again).await.is_ok();
            }
        }
        Reply::Stall(bytes) => {
            drop(stream.write_all(&bytes).await);
            std::future::pending().await
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))?;
        if body.len() == length.parse::<usize>().unwrap() {
            return Some(open(body));
        }
    }
}

fn open(body: &str) -> Received {
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
    let document = STANDARD
        .decode(claims["package_data"].as_str().unwrap())
        .unwrap();
    let request = serde_json::from_slice(&document).unwrap();
    Received {
        token: token.into(),
        claims,
        document,
        request,
    }
}

/// An entry of the callback plugin: `config` beside the servers.
pub fn spec(urls: &[String], config: Value) -> PluginSpec {
    let grant = |name: &str, usage| KeyGrant {
        name: name.into(),
        usage,
    };
    let mut document = json!({"retry_times": 0, "sleep_seconds": 0, "request_timeout": 1});
    document["servers"] = urls
        .iter()
        .map(|url| json!({"url": url, "key": "cb"}))
        .collect();
    for (name, value) in config.as_object().unwrap() {
        document[name] = value.clone();
    }
    PluginSpec {
        name: "jwt-callback".into(),
        file: component(),
        digest: None,
        config: document,
        grants: Grants {
            keys: vec![
                grant("callback", KeyUsage::SignJwt),
                grant("cb", KeyUsage::Verify),
            ],
            http: urls.iter().map(|url| url.parse().unwrap()).collect(),
            ..Grants::default()
        },
        role: Role::default(),
        written: None,
    }
}

/// Asks the servers behind `urls` about [`keygen`].
pub async fn evaluate(urls: &[String], config: Value) -> Evaluation {
    evaluate_within(urls, config, services(None), Duration::from_secs(20)).await
}

/// The same with other services and another time limit, which begins when the plugin is loaded.
pub async fn evaluate_within(
    urls: &[String],
    config: Value,
    services: Arc<LocalServices>,
    limit: Duration,
) -> Evaluation {
    let plugin = host().load(&spec(urls, config), services).await.unwrap();
    plugin.evaluate(&keygen(), Instant::now() + limit).await
}

/// The server is asked once, and nothing that it says is believed, because of `words`.
pub async fn assert_unsound(
    reply: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    words: &str,
) {
    let server = Server::start(move |_, received| reply(received)).await;
    let evaluation = evaluate(&[server.url()], json!({})).await;
    assert_failed(&evaluation, words);
    assert_eq!(server.asked(), 1, "asked once");
}

/// The same for a body with status 200.
pub async fn assert_disbelieved<B: AsRef<[u8]>>(
    body: impl Fn(&Received) -> B + Send + Sync + 'static,
    words: &str,
) {
    assert_unsound(move |received| http("200 OK", body(received)), words).await;
}

/// The body is believed and approves.
pub async fn assert_approved<B: AsRef<[u8]>>(
    body: impl Fn(&Received) -> B + Send + Sync + 'static,
) {
    let server = Server::start(move |_, received| http("200 OK", body(received))).await;
    let evaluation = evaluate(&[server.url()], json!({})).await;
    assert_eq!(
        evaluation.verdict,
        Verdict::Approve,
        "{:?}",
        evaluation.logs
    );
}

/// The body is believed, and is a no.
pub async fn assert_declined<B: AsRef<[u8]>>(
    body: impl Fn(&Received) -> B + Send + Sync + 'static,
    words: &str,
) {
    let server = Server::start(move |_, received| http("200 OK", body(received))).await;
    assert_rejected(&evaluate(&[server.url()], json!({})).await, words);
}

/// No answer that counts: the stable code, and the reason in one clear line.
pub fn assert_failed(evaluation: &Evaluation, words: &str) {
    let Verdict::Failed { code, reason } = &evaluation.verdict else {
        panic!("{:?}", evaluation.verdict)
    };
    assert_eq!(*code, Code::Unavailable, "{reason}");
    assert!(reason.contains(words), "{reason}");
    assert!(
        !reason.contains("panic") && !reason.contains('\n') && reason.len() <= 1100,
        "{reason}"
    );
}

/// A sound rejection.
pub fn assert_rejected(evaluation: &Evaluation, words: &str) {
    let Verdict::Reject { code, reason } = &evaluation.verdict else {
        panic!("{:?}", evaluation.verdict)
    };
    assert_eq!(code, "callback-rejected", "{reason}");
    assert!(reason.contains(words), "{reason}");
}

pub fn services(extra_ca_pem: Option<String>) -> Arc<LocalServices> {
    let mut keys = KeyRing::default();
    keys.insert_signing("callback", node_key());
    keys.insert_verifying("cb", server_key().verifying_key());
    let options = HttpOptions {
        extra_ca_pem: extra_ca_pem.map(String::into_bytes),
        ..HttpOptions::default()
    };
    Arc::new(LocalServices::new(keys, HttpClient::new(&options).unwrap()))
}

/// One host for all, so that the component is compiled once: it is kept as long as a plugin uses
/// it.
pub fn host() -> Host {
    static WARM: OnceLock<(Host, Plugin)> = OnceLock::new();
    let warm = || {
        let host = Host::new(HostLimits::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let spec = spec(&["http://127.0.0.1:9/".into()], json!({}));
        let plugin = runtime.block_on(host.load(&spec, services(None))).unwrap();
        (host, plugin)
    };
    // On a thread of its own, because the caller is inside a runtime already.
    WARM.get_or_init(|| std::thread::spawn(warm).join().unwrap())
        .0
        .clone()
}

/// The component's file, built on first use.
fn component() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
            let status = Command::new(env!("CARGO"))
                .args([
                    "build",
                    "--quiet",
                    "--profile",
                    "plugin",
                    "--target",
                    "wasm32-wasip2",
                    "--target-dir",
                ])
                .arg(target)
                .args(["-p", "countersign-rules", "-p", "countersign-jwt-callback"])
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status()
                .unwrap();
            assert!(
                status.success(),
                "the component does not build: `rustup target add wasm32-wasip2`"
            );
            target.join("wasm32-wasip2/plugin/countersign_jwt_callback.wasm")
        })
        .clone()
}

fn keygen() -> Task {
    let principal = |name: &str| Principal {
        id: format!("{name}-id"),
        name: name.into(),
    };
    Task {
        id: "task-1".into(),
        attempt: 1,
        received_at: 1_800_000_000_000,
        requester: principal("treasury"),
        coordinator: principal("main"),
        node: "csn1self".into(),
        operation: Operation::Keygen(Keygen {
            scheme: "ed25519".into(),
            curve: "ed25519".into(),
            threshold: 2,
            members: ["a", "b", "c"].map(String::from).to_vec(),
        }),
        extra: Vec::new(),
        raw: b"{}".to_vec(),
    }
}
