//! HTTP listeners that cannot be exhausted: the number of connections is bounded, slow ones are cut
//! off, and idle ones do not keep active callers out.
//!
//! Each connection costs a descriptor, which the program then lacks for storing its work. So a
//! listener never takes more than half of the process's limit.

mod places;

use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use places::{Activity, Places};

/// The maximum size of a request's head, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Pause after a failed accept, such as for lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Limits on the number and duration of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of connections, or less if the process's limit of descriptors is low.
    pub connections: usize,
    /// Maximum number of connections of one remote address. Does not apply to this machine's own
    /// addresses, since a proxy here serves many callers.
    pub of_one_address: usize,
    /// Time limit for a request's head, and for the pause between two requests.
    pub head: Duration,
    /// Maximum lifetime of a connection, after which a running request may still finish. `None`: as
    /// long as requests come in.
    pub life: Option<Duration>,
    /// Time for running requests to finish, at the stop and at the end of a connection's lifetime.
    pub grace: Duration,
}

/// Serves until `stop`, then gives running requests some time to finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let connections = limits.connections.min(affordable());
    let places = Arc::new(Places::new(
        connections,
        limits.of_one_address,
        Instant::now(),
    ));
    let stopping = CancellationToken::new();
    let mut visits = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let Some((number, activity)) = places.take(peer, Instant::now()) else {
            debug!(%peer, "all connections are busy; a new one was refused");
            continue;
        };
        let leaving = Leaving {
            places: places.clone(),
            number,
        };
        let service = Watched {
            inner: TowerToHyperService::new(router.clone()),
            activity,
        };
        let visit = visit((stream, peer), service, limits, stopping.clone());
        let task = visits.spawn(async move {
            let _leaving = leaving;
            visit.await;
        });
        places.served_by(number, task);
        while visits.try_join_next().is_some() {}
    }
    stopping.cancel();
    let left = async { while visits.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, left).await.is_err() {
        warn!("HTTP requests were cut off by the stop");
    }
}

/// Raises the process's limit of descriptors to its maximum. On failure the process continues
/// with its present limit.
pub fn take_all_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        debug!(%error, "the limit on open files could not be raised");
    }
}

/// Returns half of the process's descriptors; the rest is for its files and other connections.
fn affordable() -> usize {
    match getrlimit(Resource::Nofile).current {
        Some(descriptors) => usize::try_from(descriptors / 2).unwrap_or(usize::MAX),
        None => usize::MAX,
    }
}

/// Serves a connection until it ends, is too slow, or has lasted too long.
async fn visit(
    (stream, peer): (TcpStream, IpAddr),
    service: Watched,
    limits: Limits,
    stopping: CancellationToken,
) {
    // The second segment of an answer must not wait for the caller's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "answers on this connection may be slow");
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MAX_HEAD);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let over = async {
        match limits.life {
            Some(life) => tokio::time::sleep(life).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { tokio::select! { () = over => (), () = stopping.cancelled() => () } } => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(limits.grace, connection).await {
                Ok(ended) => ended,
                Err(_) => return debug!(%peer, "an HTTP connection took too long and was cut off"),
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "HTTP connection ended");
    }
}

/// Frees the connection's place when dropped, however its task ends.
struct Leaving {
    places: Arc<Places>,
    number: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.places.leave(self.number);
    }
}

type Inner = TowerToHyperService<Router>;
type Incoming = hyper::Request<hyper::body::Incoming>;

/// The router, which records whether its connection is busy with a request.
struct Watched {
    inner: Inner,
    activity: Arc<Activity>,
}

impl Service<Incoming> for Watched {
    type Response = <Inner as Service<Incoming>>::Response;
    type Error = <Inner as Service<Incoming>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Incoming) -> Self::Future {
        let activity = self.activity.clone();
        activity.began();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            activity.ended(Instant::now());
            answer
        })
    }
}

#[cfg(test)]
mod tests;
