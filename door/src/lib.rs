//! HTTP listeners that cannot be exhausted: a bounded number of connections, each with a limit on
//! its slowness, and no idle connection keeps an active caller out.
//!
//! A connection costs a descriptor, and descriptors that callers hold are missing where the program
//! stores its work. So a listener never takes more than half of the process's limit.

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
    /// Maximum number of connections; fewer if the process may have few descriptors.
    pub connections: usize,
    /// Maximum number of connections of one remote address. A proxy on this
    /// machine speaks for many.
    pub of_one_address: usize,
    /// Time limit for a request's head, and between two requests of a connection.
    pub head: Duration,
    /// The lifetime of a connection. A request under way may finish. `None`: as long
    /// as requests come in.
    pub life: Option<Duration>,
    /// Time for requests under way to finish, at the stop and at the end of a connection's life.
    pub grace: Duration,
}

/// Serves until `stop`, then gives requests under way some time to finish.
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
            debug!(%peer, "all connections are busy; one more was closed");
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
        debug!(%error, "the limit on open files stays as it is");
    }
}

/// Half of the process's descriptors: the other half is for its files and its other connections.
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
    // An answer in two segments must not wait for the caller's delayed acknowledgement.
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

/// Frees the connection's place, no matter how its task ends.
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

/// The router, which reports whether its connection is asking for something.
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
