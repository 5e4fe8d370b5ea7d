//! Monitoring: `/live`, `/ready` and `/metrics` over HTTP, on this machine only and only if the
//! operator enables it, and pushes to an InfluxDB if the operator names one. It is read-only, and
//! shows no secret, no key id and no content of a task.

mod counters;
pub mod influx;
mod lines;
mod snapshot;
mod text;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use countersign_door::Limits;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Metrics;
pub use counters::{Counters, Ended};
pub use snapshot::{JournalSnapshot, Snapshot, Sources};

/// Takes a snapshot of the node.
pub type Look = Arc<dyn Fn() -> BoxFuture<'static, Snapshot> + Send + Sync>;

/// Binds the listener; `None` if the operator has not enabled it.
pub async fn listen(metrics: &Metrics) -> std::io::Result<Option<TcpListener>> {
    match metrics.listen {
        None => Ok(None),
        Some(address) => TcpListener::bind(address).await.map(Some),
    }
}

/// Limits on concurrent connections and on the time for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Limits on connections: descriptors held by clients are not available to the node's work.
    pub door: Limits,
    /// Time limit for a snapshot, for instance when a disk does not respond.
    pub look: Duration,
}

impl Default for Bounds {
    /// A scraper, a supervisor and an operator need one connection each, and
    /// their requests are short.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        let door = Limits {
            connections: 16,
            // Every client is on this machine.
            of_one_address: 16,
            streams: 16,
            head: seconds(7),
            stall: seconds(7),
            life: Some(seconds(60)),
            grace: seconds(2),
        };
        Self {
            door,
            look: seconds(5),
        }
    }
}

/// Serves requests until `stop` is cancelled.
pub async fn serve(
    listener: TcpListener,
    names: Metrics,
    look: Look,
    bounds: Bounds,
    stop: CancellationToken,
) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "metrics server listening: /live, /ready, /metrics");
    }
    let ready = look.clone();
    let names = Arc::new(names);
    let router = Router::new()
        .route("/live", get(async || "live\n"))
        .route(
            "/ready",
            get(async move || answer(&ready, bounds.look, |snapshot| readiness(&snapshot)).await),
        )
        .route(
            "/metrics",
            get(async move || {
                answer(&look, bounds.look, |snapshot| metrics(snapshot, &names)).await
            }),
        );
    countersign_door::serve(listener, router, bounds.door, stop.cancelled_owned()).await;
}

/// Turns a snapshot into a response, or reports that none could be taken in time.
async fn answer(look: &Look, within: Duration, tell: impl Fn(Snapshot) -> Response) -> Response {
    match tokio::time::timeout(within, look()).await {
        Ok(snapshot) => tell(snapshot),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "store: it does not answer; check the disk\n",
        )
            .into_response(),
    }
}

/// Returns 200, or 503 with one reason per line.
fn readiness(snapshot: &Snapshot) -> Response {
    let reasons = snapshot.not_ready();
    if reasons.is_empty() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response()
    }
}

fn metrics(snapshot: Snapshot, names: &Metrics) -> Response {
    match text::text(snapshot, names) {
        Ok(text) => ([(header::CONTENT_TYPE, text::CONTENT_TYPE)], text).into_response(),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be encoded\n",
        )
            .into_response(),
    }
}

#[cfg(test)]
mod tests;
