//! Counters of a running coordinator, from 0 at each start. They are for operators only: no
//! decision depends on them.

use std::time::Duration;

use axum::http::StatusCode;
use countersign_metrics::{Counts, Durations};
use countersign_protocol::{FailureCode, OperationKind, RefusalCode, UnixMillis};

use crate::task::record::TaskRecord;

/// Stands for every code that this version does not know. Nodes and plugins can make up codes.
const OTHER: &str = "other";
/// Stands for the codes of plugins.
const PLUGIN: &str = "plugin";
/// Stands for every path that is not a route.
const NO_ROUTE: &str = "none";
/// Answers to requests that were refused for want of room.
const TURNED_AWAY: [(StatusCode, &str); 2] = [
    (StatusCode::TOO_MANY_REQUESTS, "429"),
    (StatusCode::SERVICE_UNAVAILABLE, "503"),
];

/// The counters of a coordinator, shared by its parts.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Counters {
    /// Requests by route and class of the status.
    pub requests: Counts<(String, &'static str)>,
    /// Service times of requests by route.
    pub request_times: Durations<String>,
    /// Requests that were refused for want of room, by status.
    pub turned_away: Counts<&'static str>,
    /// Tasks that ended without a result, by code.
    pub reasons: Counts<&'static str>,
    /// Times that tasks spent, by kind and stage.
    pub stages: Durations<(&'static str, &'static str)>,
    /// Attempts to deliver an event, by result.
    pub attempts: Counts<&'static str>,
    /// Times of attempts to deliver, by webhook.
    pub attempt_times: Durations<String>,
    /// Pushes to InfluxDB by result.
    pub pushes: Counts<&'static str>,
    /// Tokens that were shown, by result: `joined`, `told-again`, `refused`.
    pub joins: Counts<&'static str>,
}

impl Counters {
    /// Counts an answer. The route is the pattern that the path matched, so nobody can make one up.
    pub fn answer(&self, route: Option<&str>, status: StatusCode, took: Duration) {
        let route = route
            .filter(|route| !route.contains("{*"))
            .unwrap_or(NO_ROUTE);
        self.requests.add((route.into(), class(status)));
        self.request_times.note(route.into(), took);
        for (turned_away, word) in TURNED_AWAY {
            if status == turned_away {
                self.turned_away.add(word);
            }
        }
    }

    /// Counts a task that has just ended, and the times that it has spent in its stages.
    pub fn ended(&self, kind: OperationKind, record: &TaskRecord) {
        if let Some(reason) = &record.reason {
            self.reasons
                .add(known(&reason.code, reason.plugin.is_some()));
        }
        let kind = kind.name();
        let TaskRecord {
            submitted,
            offered,
            started,
            ended,
            votes,
            ..
        } = record;
        let collected = votes.as_ref().and_then(|votes| votes.collected);
        let waiting = match votes {
            Some(_) => collected,
            None => Some(*submitted),
        };
        let pending = votes.as_ref().map(|_| *submitted);
        let stages = [
            ("pending", pending, collected.or(*ended)),
            ("waiting", waiting, offered.or(*ended)),
            ("approving", *offered, started.or(*ended)),
            ("running", *started, *ended),
            ("total", Some(*submitted), *ended),
        ];
        for (stage, from, to) in stages {
            if let (Some(from), Some(to)) = (from, to) {
                self.stages.note((kind, stage), between(from, to));
            }
        }
    }

    /// Counts an attempt to deliver to a webhook. `again`: another attempt will follow.
    pub fn attempt(&self, webhook: &str, delivered: bool, again: bool, took: Duration) {
        let result = match (delivered, again) {
            (true, _) => "delivered",
            (false, true) => "failed",
            (false, false) => "given-up",
        };
        self.attempts.add(result);
        self.attempt_times.note(webhook.into(), took);
    }

    /// Counts a push to InfluxDB.
    pub fn push(&self, written: bool) {
        self.pushes.add(if written { "written" } else { "failed" });
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        // RFC 9110 defines no such class.
        _ => OTHER,
    }
}

/// The code itself if this version knows it.
fn known(code: &str, of_plugin: bool) -> &'static str {
    let failures = FailureCode::EXPLAINED.iter();
    let mut all = failures.chain(RefusalCode::EXPLAINED).map(|row| row.code);
    let unknown = if of_plugin { PLUGIN } else { OTHER };
    all.find(|known| *known == code).unwrap_or(unknown)
}

/// Clocks may be set back.
fn between(from: UnixMillis, to: UnixMillis) -> Duration {
    Duration::from_millis(to.0.saturating_sub(from.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_or_a_code_that_somebody_made_up_is_no_series_of_its_own() {
        let counters = Counters::default();
        for number in 0..3_000 {
            let status = StatusCode::from_u16(100 + number % 900).unwrap();
            counters.answer(None, status, Duration::ZERO);
            counters.answer(Some("/v1/{*rest}"), status, Duration::ZERO);
            let code = known(&format!("made-up-{number}"), number % 2 == 0);
            assert!([OTHER, PLUGIN].contains(&code));
        }
        let routes: Vec<_> = counters.request_times.read();
        assert_eq!((routes.len(), &*routes[0].0), (1, NO_ROUTE));
        assert_eq!(counters.requests.read().len(), 6);
        assert_eq!(known("equivocation", false), "equivocation");
    }

    #[test]
    fn those_who_are_turned_away_are_counted_by_status() {
        let counters = Counters::default();
        for status in [200, 429, 503, 503, 500] {
            let status = StatusCode::from_u16(status).unwrap();
            counters.answer(Some("/v1/tasks"), status, Duration::ZERO);
        }
        assert_eq!(counters.turned_away.read(), [("429", 1), ("503", 2)]);
    }
}
