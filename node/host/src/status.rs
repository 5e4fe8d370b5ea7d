//! How each entry fares: what is in force, how often it was asked, how long it took. For operators and metrics; nothing
//! is decided by it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::{Code, Evaluation, Verdict};

/// Upper ends of the histogram's classes in microseconds; the last class has none.
pub const LATENCY_MICROS: [u64; 12] =
    [50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 500_000, 2_000_000, 10_000_000, 60_000_000];

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
    /// Whether it decides.
    pub condition: Condition,
    /// Since the node started, over all versions under this name.
    pub counts: Counts,
    /// The last answer that was none.
    pub last_error: Option<LastError>,
    /// The last answer to whether what it depends on is in reach.
    pub health: Option<Health>,
}

/// Whether an entry decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It decides on what it guards.
    InForce,
    /// It looks on.
    Shadow,
    /// It was not loaded, and what it guards is refused.
    Broken {
        /// Why, as a stable code.
        code: Code,
        /// Why, and what to do.
        reason: String,
    },
}

/// Evaluations of one entry by their result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// It approved.
    pub approved: u64,
    /// It rejected.
    pub rejected: u64,
    /// There was no usable answer.
    pub failed: u64,
    /// As a shadow it would have decided otherwise.
    pub differed: u64,
    /// As a shadow it was not asked, because too many were under way or nothing was there to compare with.
    pub skipped: u64,
    /// Evaluations by duration; the classes end at [`LATENCY_MICROS`].
    pub latency: [u64; LATENCY_MICROS.len() + 1],
    /// Duration of all evaluations together, in microseconds.
    pub micros: u64,
}

/// An evaluation that gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: SystemTime,
    /// What, as a stable code.
    pub code: Code,
    /// What happened.
    pub reason: String,
}

/// An answer of `health.probe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// When it was given.
    pub at: SystemTime,
    /// Code and reason, if not all is in reach.
    pub result: Result<(), (Code, String)>,
}

/// What is counted of an entry. It outlives the versions under one name.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    approved: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    differed: AtomicU64,
    skipped: AtomicU64,
    latency: [AtomicU64; LATENCY_MICROS.len() + 1],
    micros: AtomicU64,
    last_error: Mutex<Option<LastError>>,
    health: Mutex<Option<Health>>,
}

impl Stats {
    pub(crate) fn count(&self, evaluation: &Evaluation) {
        let result = match &evaluation.verdict {
            Verdict::Approve => &self.approved,
            Verdict::Reject { .. } => &self.rejected,
            Verdict::Failed { code, reason } => {
                let error = LastError { at: SystemTime::now(), code: *code, reason: reason.clone() };
                *lock(&self.last_error) = Some(error);
                &self.failed
            }
        };
        result.fetch_add(1, Relaxed);
        self.time(evaluation.elapsed);
    }

    fn time(&self, elapsed: Duration) {
        let micros = elapsed.as_micros() as u64;
        let class = LATENCY_MICROS.partition_point(|end| *end < micros);
        self.latency[class].fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }

    pub(crate) fn skip(&self) {
        self.skipped.fetch_add(1, Relaxed);
    }

    pub(crate) fn differ(&self) {
        self.differed.fetch_add(1, Relaxed);
    }

    pub(crate) fn probed(&self, result: Result<(), (Code, String)>) {
        *lock(&self.health) = Some(Health { at: SystemTime::now(), result });
    }

    pub(crate) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            approved: read(&self.approved),
            rejected: read(&self.rejected),
            failed: read(&self.failed),
            differed: read(&self.differed),
            skipped: read(&self.skipped),
            latency: self.latency.each_ref().map(read),
            micros: read(&self.micros),
        }
    }

    pub(crate) fn last_error(&self) -> Option<LastError> {
        lock(&self.last_error).clone()
    }

    pub(crate) fn health(&self) -> Option<Health> {
        lock(&self.health).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
