//! One connection, from its first byte to its end.

use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::Limits;
use crate::activity::{Activity, End};
use crate::answer::Answer;
use crate::frames::Metered;
use crate::tls::{self, Tls};

/// The maximum size of a request's head, in bytes: HTTP/1.1.
const MAX_HEAD: usize = 64 * 1024;
/// The same for HTTP/2, where each of many requests may have as much.
const MAX_H2_HEAD: u32 = 16 * 1024;
/// Bytes of one request's body that may come before they are read (HTTP/2).
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all requests of a connection.
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// Bytes of one answer that may wait for the caller.
const SEND_BUFFER: usize = 16 * 1024;
/// Requests that the caller withdrew before they were begun.
const WITHDRAWN: usize = 32;
/// Requests that we refused. A client may begin a hundred before it hears how many it may have.
const REFUSED: usize = 128;
/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// Time for a misdirected caller to read why it is refused.
const FAREWELL: Duration = Duration::from_secs(1);
const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 43\r\nconnection: close\r\n\r\n\
                           This port speaks TLS; use an https:// URL.\n";

/// A caller at the door, and what is behind it.
pub struct Visit {
    pub stream: TcpStream,
    pub peer: IpAddr,
    pub tls: Option<Tls>,
    pub router: Router,
    pub activity: Arc<Activity>,
    pub limits: Limits,
    pub stopping: CancellationToken,
}

impl Visit {
    /// Serves the connection until it ends, is too slow, or has lasted too long.
    pub async fn run(self) {
        let Self { stream, peer, .. } = &self;
        // The second segment of an answer must not wait for the caller's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "answers on this connection may be slow");
        }
        match self.tls.clone() {
            None => self.plain().await,
            Some(tls) => self.encrypted(&tls).await,
        }
    }

    async fn plain(self) {
        let (stream, hall) = self.split();
        hall.http1(stream).await;
    }

    async fn encrypted(self, tls: &Tls) {
        let peer = self.peer;
        let head = self.limits.head;
        let stopping = self.stopping.clone();
        let greeted = async move {
            let mut first = [0];
            if self.stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
                send_away(self.stream).await?;
                return Ok(None);
            }
            let (stream, hall) = self.split();
            Ok::<_, std::io::Error>(Some((tls.accept(stream).await?, hall)))
        };
        let greeted = tokio::select! {
            greeted = tokio::time::timeout(head, greeted) => greeted,
            () = stopping.cancelled() => return,
        };
        match greeted {
            Ok(Ok(Some((stream, hall)))) if tls::speaks_h2(&stream) => hall.http2(stream).await,
            Ok(Ok(Some((stream, hall)))) => hall.http1(stream).await,
            Ok(Ok(None)) => debug!(%peer, "a caller did not speak TLS"),
            Ok(Err(error)) => debug!(%peer, %error, "a TLS handshake failed"),
            Err(_) => debug!(%peer, "a TLS handshake took too long"),
        }
    }

    fn split(self) -> (TcpStream, Hall) {
        let service = Watched {
            inner: TowerToHyperService::new(self.router),
            activity: self.activity.clone(),
            stall: self.limits.stall,
        };
        let hall = Hall {
            peer: self.peer,
            service,
            activity: self.activity,
            limits: self.limits,
            stopping: self.stopping,
        };
        (self.stream, hall)
    }
}

/// Tells a caller that speaks plain HTTP to a TLS port what to do.
async fn send_away(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(SPEAK_TLS).await?;
    stream.shutdown().await?;
    // Closing with bytes unread would take the answer back.
    let mut rest = (&mut stream).take(MAX_HEAD as u64);
    let mut nowhere = tokio::io::sink();
    let read = tokio::io::copy(&mut rest, &mut nowhere);
    match tokio::time::timeout(FAREWELL, read).await {
        Ok(read) => read.map(drop),
        Err(_) => Ok(()),
    }
}

/// A connection that speaks HTTP.
struct Hall {
    peer: IpAddr,
    service: Watched,
    activity: Arc<Activity>,
    limits: Limits,
    stopping: CancellationToken,
}

impl Hall {
    async fn http1(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), self.service.clone());
        self.attend(connection).await;
    }

    async fn http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.streams)
            .max_header_list_size(MAX_H2_HEAD)
            .max_pending_accept_reset_streams(WITHDRAWN)
            .max_local_error_reset_streams(REFUSED)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            // Finds callers that are gone without a word.
            .keep_alive_interval(self.limits.stall)
            .keep_alive_timeout(self.limits.stall)
            .serve_connection(TokioIo::new(Metered::new(stream)), self.service.clone());
        self.attend(connection).await;
    }

    /// Lets the connection go on until it ends or must end.
    async fn attend(&self, connection: impl Conversation) {
        let peer = self.peer;
        let mut connection = pin!(connection);
        let over = async {
            match self.limits.life {
                Some(life) => tokio::time::sleep(life).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = over => None,
            () = self.stopping.cancelled() => None,
            end = self.activity.overdue(&self.limits) => match end {
                End::Idle => None,
                End::Stalled => return debug!(%peer, "a caller did not take in its answer and was cut off"),
            },
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().wind_up();
                match tokio::time::timeout(self.limits.grace, connection).await {
                    Ok(ended) => ended,
                    Err(_) => {
                        return debug!(%peer, "an HTTP connection took too long and was cut off");
                    }
                }
            }
        };
        if let Err(error) = ended {
            debug!(%peer, %error, "HTTP connection ended");
        }
    }
}

/// A connection of either protocol version.
trait Conversation: Future<Output = hyper::Result<()>> {
    /// Takes no further requests, and ends when those under way are answered.
    fn wind_up(self: Pin<&mut Self>);
}

impl<S> Conversation for http1::Connection<TokioIo<S>, Watched>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    fn wind_up(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Conversation for http2::Connection<TokioIo<S>, Watched, TokioExecutor>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    fn wind_up(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

type Inner = TowerToHyperService<Router>;

/// The router, which records whose turn each request is.
#[derive(Clone)]
struct Watched {
    inner: Inner,
    activity: Arc<Activity>,
    stall: Duration,
}

impl Service<Request<Incoming>> for Watched {
    type Response = Response<Answer>;
    type Error = <Inner as Service<Request<Incoming>>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let turn = self.activity.begin(self.stall, Instant::now());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer: Response<Body> = answer.await?;
            Ok(answer.map(|body| Answer::new(body, turn)))
        })
    }
}
