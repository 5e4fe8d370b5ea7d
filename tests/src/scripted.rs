//! A server on loopback that sends scripted bytes, whether they are HTTP or not,
//! and records its requests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A request as received.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Path of the request line.
    pub path: String,
    /// Request line and headers.
    pub head: String,
    /// The body, of the length in `content-length`.
    pub body: Vec<u8>,
}

impl Asked {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers
            .find(|(this, _)| this.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// The answer to one request.
#[derive(Debug, Clone)]
pub enum Say {
    /// These bytes, and closes the connection.
    Bytes(Vec<u8>),
    /// The same after a delay.
    Late(Duration, Vec<u8>),
    /// These bytes, and then more of them without end.
    Drip(Vec<u8>),
}

/// A complete HTTP answer; `status` is a number with words.
pub fn http(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port.
    pub async fn start(
        say: impl Fn(&Asked) -> Say + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        Self::at("127.0.0.1:0".parse()?, say).await
    }

    /// Listens on this address.
    pub async fn at(
        address: SocketAddr,
        say: impl Fn(&Asked) -> Say + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, asked.clone(), Arc::new(say)));
        Ok(Self {
            address,
            asked,
            task,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of this server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.asked).clone()
    }

    /// Ends it; afterwards the port is free.
    pub async fn close(mut self) {
        self.task.abort();
        // Cancelled, as intended.
        drop((&mut self.task).await);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    asked: Arc<Mutex<Vec<Asked>>>,
    say: Arc<impl Fn(&Asked) -> Say + Send + Sync + 'static>,
) {
    // Dropped together with this task, and all connections with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let asked = asked.clone();
        let say = say.clone();
        connections.spawn(async move {
            let mut stream = stream;
            if let Ok(Some(question)) = read(&mut stream).await {
                lock(&asked).push(question.clone());
                // A client that has heard enough closes first.
                drop(answer(stream, say(&question)).await);
            }
        });
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Asked>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(question) = whole(&bytes) {
            return Ok(Some(question));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// The request, if it is complete.
fn whole(bytes: &[u8]) -> Option<Asked> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let path = head.split(' ').nth(1)?.to_owned();
    let mut asked = Asked {
        path,
        head,
        body: bytes[end + 4..].to_vec(),
    };
    let length = asked
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    if asked.body.len() < length {
        return None;
    }
    asked.body.truncate(length);
    Some(asked)
}

async fn answer(mut stream: TcpStream, say: Say) -> std::io::Result<()> {
    match say {
        Say::Bytes(bytes) => stream.write_all(&bytes).await,
        Say::Late(pause, bytes) => {
            tokio::time::sleep(pause).await;
            stream.write_all(&bytes).await
        }
        Say::Drip(bytes) => loop {
            stream.write_all(&bytes).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
