//! HTTP listeners that cannot be exhausted: the number of connections is bounded, slow ones are cut
//! off, and idle ones do not keep active callers out.
//!
//! Each connection costs a descriptor, which the program then lacks for storing its work. So a
//! listener never takes more than half of the process's limit.
//!
//! [`serve`] speaks HTTP/1.1; [`serve_tls`] speaks TLS 1.3, and in it HTTP/2 or HTTP/1.1 as the
//! caller chooses. Bounds are the same for both. An answer may go on without end, as long as its
//! caller takes in what is sent: whoever sends events should send a comment now and then, which
//! finds callers that are gone. A request counts until its answer is taken in, so a program that
//! counts requests should hold its place in the answer's body.

mod activity;
mod answer;
mod frames;
mod pace;
mod places;
mod tls;
mod visit;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use places::Places;
pub use tls::{Certificate, Tls, TlsError};
use visit::Visit;

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
    /// Maximum number of concurrent requests of one connection (HTTP/2).
    pub streams: u32,
    /// Time limit for a TLS handshake, for a request's head, and for the pause between two
    /// requests.
    pub head: Duration,
    /// Time that a caller may let an answer wait. Only bytes that it takes in restore it, at 16 KiB
    /// a second, so it cannot take in a byte now and then for ever.
    pub stall: Duration,
    /// Maximum lifetime of a connection, after which a running request may still finish. `None`: as
    /// long as requests come in.
    pub life: Option<Duration>,
    /// Time for running requests to finish, at the stop and at the end of a connection's lifetime.
    pub grace: Duration,
}

/// Serves plain HTTP until `stop`, then gives running requests some time to finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    receive(listener, None, router, limits, stop).await;
}

/// Serves HTTP over TLS until `stop`, then gives running requests some time to finish.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Tls,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    receive(listener, Some(tls), router, limits, stop).await;
}

async fn receive(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let connections = limits.connections.min(affordable());
    let places = Arc::new(Places::new(connections, limits.of_one_address));
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
        let visit = Visit {
            stream,
            peer,
            tls: tls.clone(),
            router: router.clone(),
            activity,
            limits,
            stopping: stopping.clone(),
        };
        let task = visits.spawn(async move {
            let _leaving = leaving;
            visit.run().await;
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

#[cfg(test)]
mod tests;
