//! Accepts HTTP connections, a bounded number of them, each with a limit on how slowly it may speak.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::run::stopped;

/// Serves until `stop` turns true, then lets requests under way finish for a while.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            () = stopped(&mut stop) => break,
        };
        // An answer in two segments must not wait for the caller's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "answers on this connection may be slow");
        }
        let service = TowerToHyperService::new(router.clone());
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(MAX_HEADERS);
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "HTTP connection ended");
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        warn!("HTTP requests were cut off by the stop");
    }
}

/// Connections at once; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 512;
/// For a request's head to arrive.
const HEADERS: Duration = Duration::from_secs(15);
/// The largest head.
const MAX_HEADERS: usize = 64 * 1024;
/// After a failed accept, such as for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// For requests under way at the stop.
const GRACE: Duration = Duration::from_secs(3);
