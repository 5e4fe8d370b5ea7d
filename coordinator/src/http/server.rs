//! Accepts HTTP connections, a bounded number of them, each with a limit on how slowly it may speak.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::places::{Activity, Places};
use crate::run::stopped;

/// Serves until `stop` turns true, then lets requests under way finish for a while.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Places::new(MAX_CONNECTIONS, MAX_OF_ONE_ADDRESS, Instant::now()));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
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
            () = stopped(&mut stop) => break,
        };
        let Some((number, activity)) = places.take(peer, Instant::now()) else {
            debug!(%peer, "all connections are busy; one more was closed");
            continue;
        };
        // An answer in two segments must not wait for the caller's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "answers on this connection may be slow");
        }
        let service = Watched { inner: TowerToHyperService::new(router.clone()), activity };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(MAX_HEADERS);
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        let leaving = Leaving { places: places.clone(), number };
        let task = connections.spawn(async move {
            let _leaving = leaving;
            if let Err(error) = connection.await {
                debug!(%peer, %error, "HTTP connection ended");
            }
        });
        places.served_by(number, task);
        while connections.try_join_next().is_some() {}
    }
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        warn!("HTTP requests were cut off by the stop");
    }
}

/// Gives a connection's place back however its task ends.
struct Leaving {
    places: Arc<Places>,
    number: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.places.leave(self.number);
    }
}

/// The router, which tells whether its connection is asking for something.
struct Watched<S> {
    inner: S,
    activity: Arc<Activity>,
}

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn call(&self, request: R) -> Self::Future {
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

/// Connections at once.
const MAX_CONNECTIONS: usize = 512;
/// Connections of one address elsewhere at once.
const MAX_OF_ONE_ADDRESS: usize = 128;
/// For a request's head to arrive.
const HEADERS: Duration = Duration::from_secs(15);
/// The largest head.
const MAX_HEADERS: usize = 64 * 1024;
/// After a failed accept, such as for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// For requests under way at the stop.
const GRACE: Duration = Duration::from_secs(3);
