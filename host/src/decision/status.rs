//! Status of each entry: its condition, counters and latency. For operators and metrics; it decides
//! nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::contract::anchor::Anchor;
use crate::contract::code::Code;
use crate::contract::evaluation::{Evaluation, Verdict};
use crate::contract::role::Scope;

/// Upper ends of the histogram's classes in microseconds; the last class has none.
pub const LATENCY_MICROS: [u64; 12] = [
    50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 500_000, 2_000_000, 10_000_000, 60_000_000,
];

/// One entry of the chain in force.
#[derive(Clone, Debug)]
pub struct EntryStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Version by which the component describes itself; absent if it is broken, as is the digest.
    pub version: Option<String>,
    /// SHA-256 of the component.
    pub digest: Option<[u8; 32]>,
    /// SHA-256 of the configuration document; absent if that could not be read.
    pub revision: Option<[u8; 32]>,
    /// Keys and authorities that its answers depend on besides these.
    pub anchors: Vec<Anchor>,
    /// The part that it plays in decisions.
    pub condition: Condition,
    /// The tasks that it guards.
    pub scope: Scope,
    /// True if it may ask somebody outside the node.
    pub remote: bool,
    /// Since the node started, over all versions under this name.
    pub counts: Counts,
    /// The last evaluation without a usable answer.
    pub last_error: Option<LastError>,
    /// Code of the last refusal: the plugin's own, or one of [`Code`].
    pub last_code: Option<String>,
    /// The last answer of `health.probe`.
    pub health: Option<Health>,
}

/// The part that an entry plays in decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It decides on what it guards.
    InForce,
    /// It is evaluated and compared only.
    Shadow,
    /// It was not loaded, and what it guards is refused.
    Broken {
        /// Stable code of the error.
        code: Code,
        /// The error, with advice to the operator.
        reason: String,
    },
}

/// Evaluations of one entry by their result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of approvals.
    pub approved: u64,
    /// Number of rejections.
    pub rejected: u64,
    /// Number of evaluations without a usable answer.
    pub failed: u64,
    /// As a shadow it would have decided differently.
    pub differed: u64,
    /// As a shadow it was not asked, because too many were under way or nothing was
    /// there to compare with.
    pub skipped: u64,
    /// Evaluations by duration; the classes end at [`LATENCY_MICROS`].
    pub latency: [u64; LATENCY_MICROS.len() + 1],
    /// Duration of all evaluations together, in microseconds.
    pub micros: u64,
    /// Duration of the longest, in microseconds.
    pub slowest: u64,
    /// [`failed`](Self::failed) by code, those that happened.
    pub failures: Vec<(Code, u64)>,
}

impl Counts {
    /// Number of evaluations.
    pub fn asked(&self) -> u64 {
        self.approved + self.rejected + self.failed
    }
}

/// An evaluation that gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct LastError {
    pub at: SystemTime,
    pub code: Code,
    pub reason: String,
}

/// An answer of `health.probe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Time of the answer.
    pub at: SystemTime,
    /// Code and reason if a dependency is not in reach.
    pub result: Result<(), (Code, String)>,
}

/// Counters of an entry. They outlive the versions under one name.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    approved: AtomicU64,
    rejected: AtomicU64,
    /// One for each of [`Code::ALL`].
    failed: [AtomicU64; Code::ALL.len()],
    differed: AtomicU64,
    skipped: AtomicU64,
    latency: [AtomicU64; LATENCY_MICROS.len() + 1],
    micros: AtomicU64,
    slowest: AtomicU64,
    last_code: Mutex<Option<String>>,
    last_error: Mutex<Option<LastError>>,
    health: Mutex<Option<Health>>,
}

impl Stats {
    pub(crate) fn count(&self, evaluation: &Evaluation) {
        let result = match &evaluation.verdict {
            Verdict::Approve => &self.approved,
            Verdict::Reject { .. } => &self.rejected,
            Verdict::Failed { code, reason } => {
                let error = LastError {
                    at: SystemTime::now(),
                    code: *code,
                    reason: reason.clone(),
                };
                *lock(&self.last_error) = Some(error);
                // The codes are numbered in the order of `ALL`.
                &self.failed[*code as usize]
            }
        };
        result.fetch_add(1, Relaxed);
        if let Some(code) = evaluation.verdict.code() {
            *lock(&self.last_code) = Some(code.to_owned());
        }
        self.time(evaluation.elapsed);
    }

    fn time(&self, elapsed: Duration) {
        let micros = elapsed.as_micros() as u64;
        let class = LATENCY_MICROS.partition_point(|end| *end < micros);
        self.latency[class].fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
        self.slowest.fetch_max(micros, Relaxed);
    }

    pub(crate) fn skip(&self) {
        self.skipped.fetch_add(1, Relaxed);
    }

    pub(crate) fn differ(&self) {
        self.differed.fetch_add(1, Relaxed);
    }

    pub(crate) fn probed(&self, result: Result<(), (Code, String)>) {
        *lock(&self.health) = Some(Health {
            at: SystemTime::now(),
            result,
        });
    }

    pub(crate) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let failures = Code::ALL
            .iter()
            .map(|code| (*code, read(&self.failed[*code as usize])));
        let failures: Vec<_> = failures.filter(|(_, count)| *count > 0).collect();
        Counts {
            approved: read(&self.approved),
            rejected: read(&self.rejected),
            failed: failures.iter().map(|(_, count)| count).sum(),
            differed: read(&self.differed),
            skipped: read(&self.skipped),
            latency: self.latency.each_ref().map(read),
            micros: read(&self.micros),
            slowest: read(&self.slowest),
            failures,
        }
    }

    pub(crate) fn last_error(&self) -> Option<LastError> {
        lock(&self.last_error).clone()
    }

    pub(crate) fn last_code(&self) -> Option<String> {
        lock(&self.last_code).clone()
    }

    pub(crate) fn health(&self) -> Option<Health> {
        lock(&self.health).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::trace::Trace;

    fn evaluation(verdict: Verdict, millis: u64) -> Evaluation {
        Evaluation {
            plugin: "p".into(),
            version: String::new(),
            digest: [0; 32],
            revision: [0; 32],
            document: std::sync::Arc::from(""),
            anchors: std::sync::Arc::from([]),
            conditions: None,
            verdict,
            elapsed: Duration::from_millis(millis),
            logs: Vec::new(),
            writes: Vec::new(),
            trace: Trace::default(),
        }
    }

    #[test]
    fn what_is_asked_is_counted_by_result_and_failures_by_code() {
        let stats = Stats::default();
        let text = String::from("x");
        assert!(
            Code::ALL
                .iter()
                .enumerate()
                .all(|(number, code)| *code as usize == number)
        );
        stats.count(&evaluation(Verdict::Approve, 1));
        stats.count(&evaluation(
            Verdict::Failed {
                code: Code::Internal,
                reason: text.clone(),
            },
            9,
        ));
        stats.count(&evaluation(
            Verdict::Failed {
                code: Code::NoPlugin,
                reason: text.clone(),
            },
            2,
        ));
        stats.count(&evaluation(
            Verdict::Reject {
                code: "too-much".into(),
                reason: text,
            },
            3,
        ));
        let counts = stats.counts();
        assert_eq!(
            (
                counts.asked(),
                counts.approved,
                counts.rejected,
                counts.failed
            ),
            (4, 1, 1, 2)
        );
        assert_eq!(counts.failures, [(Code::NoPlugin, 1), (Code::Internal, 1)]);
        assert_eq!((counts.micros, counts.slowest), (15_000, 9_000));
        assert_eq!(stats.last_code().as_deref(), Some("too-much"));
        assert_eq!(stats.last_error().unwrap().code, Code::NoPlugin);
    }
}
