//! A house behind the door, and ways to knock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use countersign_door::{Certificate, Limits, Tls, TlsError, serve_tls};
use futures_util::stream;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub const MINUTE: Duration = Duration::from_secs(60);
/// The shortest limit that is reliable on a busy machine.
pub const SHORT: Duration = Duration::from_millis(300);
/// More than the buffers of two sockets and all windows hold.
static LARGE: [u8; 1 << 25] = [0; 1 << 25];
pub const H2: &[u8] = b"h2";
pub const H1: &[u8] = b"http/1.1";

pub fn limits() -> Limits {
    Limits {
        connections: 64,
        of_one_address: 64,
        streams: 4,
        head: MINUTE,
        stall: MINUTE,
        life: None,
        grace: SHORT,
    }
}

/// A certificate with its key.
pub struct Pair {
    pub chain: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

impl Pair {
    /// Signs itself, and is valid between the two years.
    pub fn between(from: i32, to: i32) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            chain: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
        }
    }

    pub fn new() -> Self {
        Self::between(2000, 4000)
    }

    pub fn read(&self) -> Result<Certificate, TlsError> {
        read(&self.chain, &self.key)
    }
}

pub fn read(chain: &str, key: &str) -> Result<Certificate, TlsError> {
    Certificate::from_pem(chain.as_bytes(), key.as_bytes(), SystemTime::now())
}

pub struct House {
    pub address: SocketAddr,
    pub tls: Tls,
    pub pair: Pair,
    /// Requests for `/never` that were begun.
    pub begun: Arc<AtomicUsize>,
    /// Those of them that are still under way.
    pub under_way: Arc<AtomicUsize>,
}

impl House {
    /// Opens a house: `/` answers at once, `/never` never, `/large` at length, `/events` says
    /// something ever again, `/late` only after a long silence, `/flood` without pause.
    pub async fn open(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pair = Pair::new();
        let tls = Tls::new(pair.read().unwrap()).unwrap();
        let begun = Arc::new(AtomicUsize::new(0));
        let under_way = Arc::new(AtomicUsize::new(0));
        let counters = (begun.clone(), under_way.clone());
        let never = async move || {
            counters.0.fetch_add(1, Ordering::SeqCst);
            let _under_way = UnderWay::new(&counters.1);
            std::future::pending::<()>().await
        };
        let router = Router::new()
            .route("/", get(async || "seen"))
            .route("/large", get(async || &LARGE[..]))
            .route("/never", get(never))
            .route("/events", get(async || events(SHORT / 20)))
            .route("/late", get(async || events(SHORT * 4)))
            .route("/flood", get(async || events(Duration::ZERO)));
        let served = serve_tls(
            listener,
            tls.clone(),
            router,
            limits,
            std::future::pending(),
        );
        tokio::spawn(served);
        Self {
            address,
            tls,
            pair,
            begun,
            under_way,
        }
    }

    pub async fn dial(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        dial(self.address, &client(&[&self.pair], protocols))
            .await
            .unwrap()
    }

    /// A connection of HTTP/2, of which the task ends with the connection.
    pub async fn h2(
        &self,
    ) -> (
        h2::client::SendRequest<Bytes>,
        tokio::task::JoinHandle<Result<(), h2::Error>>,
    ) {
        let stream = self.dial(&[H2]).await;
        let (ask, connection) = h2::client::handshake(stream).await.unwrap();
        (ask, tokio::spawn(connection))
    }

    /// Fails unless a new caller is served.
    pub async fn is_open(&self) {
        let (ask, _) = self.h2().await;
        let mut ask = ask.ready().await.unwrap();
        let (answer, _) = ask.send_request(request("/"), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
    }
}

/// Counts a request until it is dropped.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(counter.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn events(pause: Duration) -> Body {
    let next = move |number: usize| async move {
        tokio::time::sleep(pause).await;
        let event = Bytes::from(format!("event {number}\n"));
        Some((Ok::<_, std::convert::Infallible>(event), number + 1))
    };
    Body::from_stream(stream::unfold(0, next))
}

/// A client that believes these certificates.
pub fn client(believed: &[&Pair], protocols: &[&[u8]]) -> ClientConfig {
    let provider = aws_lc_rs::default_provider();
    client_with(provider, believed, protocols, &[&rustls::version::TLS13])
}

pub fn client_with(
    provider: CryptoProvider,
    believed: &[&Pair],
    protocols: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for pair in believed {
        roots.add(pair.der.clone()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

pub async fn dial(
    address: SocketAddr,
    config: &ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config.clone()))
        .connect(name, stream)
        .await
}

pub fn request(path: &str) -> http::Request<()> {
    let uri = format!("https://localhost{path}");
    http::Request::get(uri).body(()).unwrap()
}

/// A request of HTTP/1.1.
pub fn question(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

/// Asks by HTTP/1.1, and returns the answer once it ends with `seen`.
pub async fn ask_h1(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream.write_all(question("/").as_bytes()).await?;
    let mut heard = Vec::new();
    while !heard.ends_with(b"seen") {
        if stream.read_buf(&mut heard).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(String::from_utf8(heard).unwrap())
}

/// Waits until the other end has closed the stream; reads what comes.
pub async fn closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    while !matches!(stream.read(&mut [0; 4096]).await, Ok(0) | Err(_)) {}
}

/// Waits until the other end has closed the stream, and answers its pings: the caller is alive.
pub async fn closed_alive(stream: &mut TlsStream<TcpStream>) {
    const PING: u8 = 6;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).await.is_err() {
            return;
        }
        if head[3] == PING && head[4] == 0 {
            let pong = frame(PING, 1, 0, &payload);
            drop(stream.write_all(&pong).await);
        }
    }
}

/// Begins a connection of HTTP/2 by hand, with the given settings.
pub async fn by_hand(house: &House, settings: &[u8]) -> TlsStream<TcpStream> {
    let mut stream = house.dial(&[H2]).await;
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&frame(4, 0, 0, settings)).await.unwrap();
    stream
}

/// A frame (RFC 9113, section 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The fields of a GET request, without compression (RFC 7541).
pub fn fields(path: &str) -> Vec<u8> {
    // `:method: GET` and `:scheme: https` are in the static table, as are the names of the others.
    let mut fields = vec![0x82, 0x87];
    for (name, value) in [(0x04, path), (0x01, "localhost")] {
        fields.push(name);
        fields.push(value.len() as u8);
        fields.extend(value.as_bytes());
    }
    fields
}
