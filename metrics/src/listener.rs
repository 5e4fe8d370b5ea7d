//! `/live`, `/ready` and `/metrics` over HTTP, on this machine only and only if the operator
//! enables them. They are read-only, and need no authentication: metrics hold no secret.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use countersign_door::Limits;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::table::Table;
use crate::text::{CONTENT_TYPE, text};
use crate::{Look, Report};

/// Binds the listener; `None` if the operator has not enabled it.
pub async fn bind(settings: &Settings) -> std::io::Result<Option<TcpListener>> {
    match settings.listen {
        None => Ok(None),
        Some(address) => TcpListener::bind(address).await.map(Some),
    }
}

/// Limits on concurrent connections and on the time for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Limits on connections: descriptors held by clients are not available to the service's work.
    pub door: Limits,
    /// Time limit for a report, for instance when a disk does not respond.
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
    table: &'static Table,
    settings: Settings,
    look: Look,
    bounds: Bounds,
    stop: CancellationToken,
) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "metrics server listening: /live, /ready, /metrics");
    }
    let ready = look.clone();
    let settings = Arc::new(settings);
    let router = Router::new()
        .route("/live", get(async || "live\n"))
        .route(
            "/ready",
            get(async move || answer(&ready, bounds.look, |report| readiness(&report)).await),
        )
        .route(
            "/metrics",
            get(async move || {
                answer(&look, bounds.look, |report| {
                    metrics(table, &report, &settings)
                })
                .await
            }),
        );
    countersign_door::serve(listener, router, bounds.door, stop.cancelled_owned()).await;
}

/// Turns a report into a response, or says that none could be taken in time.
async fn answer(look: &Look, within: Duration, tell: impl Fn(Report) -> Response) -> Response {
    match tokio::time::timeout(within, look()).await {
        Ok(report) => tell(report),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "store: it does not answer; check the disk\n",
        )
            .into_response(),
    }
}

/// Returns 200, or 503 with one reason per line.
fn readiness(report: &Report) -> Response {
    if report.not_ready.is_empty() {
        "ready\n".into_response()
    } else {
        let reasons = report.not_ready.join("\n") + "\n";
        (StatusCode::SERVICE_UNAVAILABLE, reasons).into_response()
    }
}

fn metrics(table: &'static Table, report: &Report, settings: &Settings) -> Response {
    let text = text(table, &report.sheet, settings);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
