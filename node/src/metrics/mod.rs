//! A node seen from outside: `/live`, `/ready` and `/metrics` over HTTP, on this machine only and only if the operator
//! wants it; and pushed to an InfluxDB, if the operator names one. Nothing can be changed here, and no secret, no key id and no
//! word of a task is shown.

pub mod influx;
mod lines;
mod reading;
mod tally;
mod text;

pub use reading::{JournalReading, Reading};
pub use tally::{Ended, Tally};

use crate::config::Metrics;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Looks at the node.
pub type Look = Arc<dyn Fn() -> BoxFuture<'static, Reading> + Send + Sync>;

/// Begins to listen, if the operator wants it.
pub async fn listen(metrics: &Metrics) -> std::io::Result<Option<TcpListener>> {
    match metrics.listen {
        None => Ok(None),
        Some(address) => TcpListener::bind(address).await.map(Some),
    }
}

/// Answers until `stop`.
pub async fn serve(listener: TcpListener, names: Metrics, look: Look, stop: CancellationToken) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "the node can be looked at: /live, /ready, /metrics");
    }
    let (ready, names) = (look.clone(), Arc::new(names));
    let router = Router::new()
        .route("/live", get(async || "live\n"))
        .route("/ready", get(async move || readiness(&ready().await)))
        .route("/metrics", get(async move || metrics(look().await, &names)));
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the node cannot be looked at any more");
    }
}

/// 200, or 503 with one reason in a line.
fn readiness(reading: &Reading) -> Response {
    let reasons = reading.not_ready();
    match reasons.is_empty() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response(),
    }
}

fn metrics(reading: Reading, names: &Metrics) -> Response {
    match text::text(reading, names) {
        Ok(text) => ([(header::CONTENT_TYPE, text::CONTENT_TYPE)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written down\n").into_response(),
    }
}

#[cfg(test)]
mod tests;
