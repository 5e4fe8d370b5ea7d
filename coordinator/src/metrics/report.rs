//! Fills the sheet of metrics. What nobody knows is absent, and not 0.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use countersign_api::State;
use countersign_door::Tls;
use countersign_metrics::{Report, Sheet, disk};
use countersign_protocol::UnixMillis;

use super::table::*;
use crate::http::Streams;
use crate::registry::TaskRegistry;
use crate::webhook::Webhooks;

/// The parts of a coordinator that are reported on.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Sources {
    pub registry: Arc<TaskRegistry>,
    pub webhooks: Arc<Webhooks>,
    pub streams: Streams,
    /// Path of the database.
    pub database: PathBuf,
    /// The server side of TLS, unless the API is on a loopback address without it.
    pub tls: Option<Tls>,
}

impl Sources {
    /// Returns the metrics, and the reasons why the coordinator is not ready. Reads the disk, so it
    /// belongs on a thread that may block.
    pub fn report(&self) -> Report {
        let ready = self.registry.store().check();
        let mut sheet = Sheet::default();
        sheet.put(&BUILD, [env!("CARGO_PKG_VERSION")], 1.0);
        sheet.put(&READY, [], ready.is_ok());
        self.files(&mut sheet);
        self.nodes(&mut sheet);
        self.tasks(&mut sheet);
        self.requests(&mut sheet);
        self.events(&mut sheet);
        let left_out = sheet.left_out() as f64;
        sheet.put(&SERIES_LEFT_OUT, [], left_out);
        let not_ready = ready.err().map(|error| format!("store: {error}"));
        Report {
            sheet,
            not_ready: not_ready.into_iter().collect(),
        }
    }

    fn files(&self, sheet: &mut Sheet) {
        if let Some(bytes) = disk::size(&self.database) {
            sheet.put(&STORE_BYTES, [], bytes as f64);
        }
        if let Some(space) = disk::space(&self.database) {
            sheet.put(&DISK_FREE_BYTES, [], space.free as f64);
            sheet.put(&DISK_SIZE_BYTES, [], space.size as f64);
        }
        if let Some(expiry) = self.tls.as_ref().and_then(Tls::expiry) {
            // Before 1970 is long ago, as far as the alert on expiry is concerned.
            let expiry = expiry.duration_since(UNIX_EPOCH);
            let expiry = expiry.map_or(0.0, |expiry| expiry.as_secs_f64());
            sheet.put(&CERTIFICATE_EXPIRY, [], expiry);
        }
        for (result, count) in self.registry.counters().pushes.read() {
            sheet.put(&INFLUXDB_PUSHES, [result], count);
        }
    }

    fn nodes(&self, sheet: &mut Sheet) {
        let rules = self.registry.rules();
        let seen = self.registry.nodes();
        let connected = seen.values().filter(|seen| seen.online).count();
        sheet.put(&NODES, [], rules.nodes.len());
        sheet.put(&NODES_CONNECTED, [], connected);
        for (result, count) in self.registry.counters().joins.read() {
            sheet.put(&GUESTS, [result], count);
        }
        for (node, name) in &rules.nodes {
            let seen = seen.get(node);
            sheet.put(
                &NODE_CONNECTED,
                [name],
                seen.is_some_and(|seen| seen.online),
            );
            if let Some(reported) = seen.and_then(|seen| seen.status.as_ref()) {
                let skew = reported.skew_ms as f64 / 1000.0;
                sheet.put(&NODE_CLOCK_SKEW, [name], skew);
            }
        }
    }

    fn tasks(&self, sheet: &mut Sheet) {
        for ((kind, state), count) in self.registry.store().tally() {
            sheet.put(&TASKS, [kind.name(), word(state)], count as f64);
        }
        sheet.put(&TASKS_OPEN, [], self.registry.open_tasks());
        sheet.put(&TASKS_LIMIT, [], self.registry.rules().open_tasks);
        let counters = self.registry.counters();
        for (code, count) in counters.reasons.read() {
            sheet.put(&TASK_REASONS, [code], count);
        }
        for ((kind, stage), spent) in counters.stages.read() {
            sheet.put(&TASK_STAGE_SECONDS, [kind, stage], spent);
        }
    }

    fn requests(&self, sheet: &mut Sheet) {
        let counters = self.registry.counters();
        for ((route, status), count) in counters.requests.read() {
            sheet.put(&REQUESTS, [&route, status], count);
        }
        for (route, took) in counters.request_times.read() {
            sheet.put(&REQUEST_SECONDS, [&route], took);
        }
        for (status, count) in counters.turned_away.read() {
            sheet.put(&TURNED_AWAY, [status], count);
        }
        sheet.put(&STREAMS_OPEN, [], self.streams.open());
    }

    fn events(&self, sheet: &mut Sheet) {
        if let Ok(head) = self.registry.store().last_event() {
            sheet.put(&FEED_HEAD, [], head as f64);
        }
        let webhooks = self.webhooks.list();
        sheet.put(&WEBHOOKS, [], webhooks.len());
        for webhook in webhooks {
            sheet.put(&WEBHOOK_WAITING, [&webhook.name], webhook.pending as f64);
            if let Some(UnixMillis(since)) = webhook.failing_since {
                let since = since as f64 / 1000.0;
                sheet.put(&WEBHOOK_FAILING_SINCE, [&webhook.name], since);
            }
        }
        let counters = self.registry.counters();
        for (result, count) in counters.attempts.read() {
            sheet.put(&WEBHOOK_ATTEMPTS, [result], count);
        }
        for (webhook, took) in counters.attempt_times.read() {
            sheet.put(&WEBHOOK_ATTEMPT_SECONDS, [&webhook], took);
        }
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Waiting => "waiting",
        State::Approving => "approving",
        State::Running => "running",
        State::Completed => "completed",
        State::Rejected => "rejected",
        State::Failed => "failed",
        State::Expired => "expired",
        State::Cancelled => "cancelled",
    }
}
