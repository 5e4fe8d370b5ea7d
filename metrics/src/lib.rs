//! Metrics of a service, from one table to every tool.
//!
//! A service describes its metrics in a [`Metric`] table and fills a [`Sheet`] whenever somebody
//! looks. The text for Prometheus, the lines for InfluxDB, the tables of the documentation and the
//! Grafana dashboard are all made from these two. Nothing here decides anything, and no label can
//! take more values than a monitoring system can store.

pub mod config;
mod count;
pub mod disk;
pub mod grafana;
pub mod influx;
mod lines;
pub mod listener;
pub mod page;
pub mod plain_http;
mod sheet;
mod table;
mod text;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use config::Settings;
pub use count::{Counts, Durations, Histogram, SECONDS};
pub use sheet::{MAX_LABEL, MAX_SERIES, Sheet, Value};
pub use table::{Kind, Label, Metric, Table, Unit};
pub use text::{CONTENT_TYPE, text};

/// The state of a service at one moment.
#[derive(Debug, Clone)]
pub struct Report {
    /// The values of its metrics.
    pub sheet: Sheet,
    /// The reasons why it cannot do its work now; empty if it can.
    pub not_ready: Vec<String>,
}

/// Takes a report of the service.
pub type Look = Arc<dyn Fn() -> BoxFuture<'static, Report> + Send + Sync>;
