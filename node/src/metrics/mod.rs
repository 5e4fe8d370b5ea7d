//! A node seen from outside: `/live`, `/ready` and `/metrics` over HTTP, on this machine only and
//! only if the operator wants it; and pushed to an InfluxDB, if the operator names one. Nothing can
//! be changed here, and no secret, no key id and no word of a task is shown.

pub mod influx;
mod lines;
mod reading;
mod tally;
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
pub use reading::{JournalReading, Reading};
pub use tally::{Ended, Tally};

/// Looks at the node.
pub type Look = Arc<dyn Fn() -> BoxFuture<'static, Reading> + Send + Sync>;

/// Begins to listen, if the operator wants it.
pub async fn listen(metrics: &Metrics) -> std::io::Result<Option<TcpListener>> {
    match metrics.listen {
        None => Ok(None),
        Some(address) => TcpListener::bind(address).await.map(Some),
    }
}

/// Who may look at a time, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Of connections. Descriptors that lookers hold are missing where the node stores and signs.
    pub door: Limits,
    /// How long a look may take, such as at a disk that does not answer.
    pub look: Duration,
}

impl Default for Bounds {
    /// A scraper, a supervisor and an operator need a connection each, and questions are one line.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        let door = Limits {
            connections: 16,
            // Everybody is on this machine.
            of_one_address: 16,
            head: seconds(7),
            life: Some(seconds(60)),
            grace: seconds(2),
        };
        Self {
            door,
            look: seconds(5),
        }
    }
}

/// Answers until `stop`.
pub async fn serve(
    listener: TcpListener,
    names: Metrics,
    look: Look,
    bounds: Bounds,
    stop: CancellationToken,
) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "the node can be looked at: /live, /ready, /metrics");
    }
    let ready = look.clone();
    let names = Arc::new(names);
    let router = Router::new()
        .route("/live", get(async || "live\n"))
        .route(
            "/ready",
            get(async move || answer(&ready, bounds.look, |reading| readiness(&reading)).await),
        )
        .route(
            "/metrics",
            get(async move || answer(&look, bounds.look, |reading| metrics(reading, &names)).await),
        );
    countersign_door::serve(listener, router, bounds.door, stop.cancelled_owned()).await;
}

/// What a look becomes, if there is one in time.
async fn answer(look: &Look, within: Duration, tell: impl Fn(Reading) -> Response) -> Response {
    match tokio::time::timeout(within, look()).await {
        Ok(reading) => tell(reading),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "store: it does not answer; check the disk\n",
        )
            .into_response(),
    }
}

/// 200, or 503 with one reason in a line.
fn readiness(reading: &Reading) -> Response {
    let reasons = reading.not_ready();
    if reasons.is_empty() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response()
    }
}

fn metrics(reading: Reading, names: &Metrics) -> Response {
    match text::text(reading, names) {
        Ok(text) => ([(header::CONTENT_TYPE, text::CONTENT_TYPE)], text).into_response(),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be written down\n",
        )
            .into_response(),
    }
}

#[cfg(test)]
mod tests;
