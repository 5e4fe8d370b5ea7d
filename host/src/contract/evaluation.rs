//! One plugin's answer to one task, as it is recorded with the decision.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contract::anchor::Anchor;
use crate::contract::code::Code;
use crate::contract::trace::Trace;

/// One plugin's answer to one task, with everything that a record needs.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Name of the plugin's entry in the configuration.
    pub plugin: String,
    /// Version by which the component describes itself.
    pub version: String,
    /// SHA-256 of the component that ran.
    pub digest: [u8; 32],
    /// SHA-256 of the configuration document that it saw.
    pub revision: [u8; 32],
    /// The document itself; empty if there was no plugin to see it.
    pub document: Arc<str>,
    /// Keys and authorities that it was granted, as they were when the plugin judged.
    pub anchors: Arc<[Anchor]>,
    /// The conditions under which the component ran; `None` if it did not.
    pub conditions: Option<Conditions>,
    /// Approval, rejection or failure.
    pub verdict: Verdict,
    /// From the question to the answer, waiting included.
    pub elapsed: Duration,
    /// Its log lines, within its budget.
    pub logs: Vec<LogLine>,
    /// Writes to its memory, to be committed with the node's decision. Empty unless it approves.
    pub writes: Vec<StateWrite>,
    /// Everything that it received from outside while it judged.
    pub trace: Trace,
}

/// One plugin's observation of a task that others sign. It decides nothing and is not
/// part of a recording.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Name of the plugin's entry in the configuration.
    pub plugin: String,
    /// It counted the task; or code and reason why it did not.
    pub result: Result<(), (Code, String)>,
    /// Its log lines, within its budget.
    pub logs: Vec<LogLine>,
    /// Writes to its memory. Empty unless it counted the task.
    pub writes: Vec<StateWrite>,
}

/// Approval, objection, or no usable answer. The last two refuse alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The plugin does not object.
    Approve,
    /// An objection by the plugin's own rules.
    Reject {
        /// The plugin's stable code. Records of earlier programs have `rejected`
        /// where it was malformed.
        code: String,
        /// One sentence, cut and escaped.
        reason: String,
    },
    /// The plugin gave no usable answer.
    Failed {
        /// The host's stable code.
        code: Code,
        /// One sentence, cut and escaped.
        reason: String,
    },
}

impl Verdict {
    /// The refusal's code; `None` for an approval.
    pub fn code(&self) -> Option<&str> {
        self.refusal().map(|(code, _)| code)
    }

    /// Code and reason, unless it is an approval.
    pub fn refusal(&self) -> Option<(&str, &str)> {
        match self {
            Self::Approve => None,
            Self::Reject { code, reason } => Some((code, reason)),
            Self::Failed { code, reason } => Some((code.as_str(), reason)),
        }
    }
}

/// One line of a plugin's log, cut and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct LogLine {
    pub level: Level,
    pub message: String,
    pub fields: Vec<(String, String)>,
}

/// Severity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the levels are those of `tracing`")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// One entry that a plugin wants to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWrite {
    /// The key, within the plugin's own space.
    pub key: String,
    /// The value; `None` deletes.
    pub value: Option<Vec<u8>>,
    /// Seconds after the decision at which the entry disappears.
    pub ttl_seconds: Option<u64>,
}

/// Everything that a plugin's answer depends on besides its component, its configuration, the
/// question and its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Linear memory that it was granted, in bytes.
    pub memory_bytes: u64,
    /// CPU time that it was granted, in milliseconds.
    pub cpu_ms: u64,
    /// If it was pre-initialised: the seed of all randomness in that run.
    #[serde(rename = "frozen")]
    pub pre_init_seed: Option<[u8; 32]>,
}

/// A shadow plugin that would have decided differently.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Id of the task.
    pub task: String,
    /// The entry that was compared with; `None`: all that decide.
    pub against: Option<String>,
    /// Code of the refusal that counted; `None`: approved.
    pub decided: Option<String>,
    /// The shadow's own answer.
    pub evaluation: Evaluation,
}
