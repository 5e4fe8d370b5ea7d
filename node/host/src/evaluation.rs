//! What one plugin said about one task, and what it was that said it. Recorded with the decision.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Anchor, Code, Conditions, Trace};

/// One plugin's answer.
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
    /// What it was granted from outside, as it was when the plugin judged.
    pub anchors: Arc<[Anchor]>,
    /// How the component was made to run; `None` if it was not.
    pub conditions: Option<Conditions>,
    /// The answer.
    pub verdict: Verdict,
    /// From the question to the answer, waiting included.
    pub elapsed: Duration,
    /// What it logged, within its budget.
    pub logs: Vec<LogLine>,
    /// What it wants to remember; to be committed with the node's decision. Empty unless it
    /// approves.
    pub writes: Vec<StateWrite>,
    /// What it heard from outside while it judged.
    pub trace: Trace,
}

/// What one plugin made of a task that others sign. It decides nothing and is no part of a
/// recording.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Name of the plugin's entry in the configuration.
    pub plugin: String,
    /// It counted the task; or code and reason why it did not.
    pub result: Result<(), (Code, String)>,
    /// What it logged, within its budget.
    pub logs: Vec<LogLine>,
    /// What it wants to remember. Empty unless it counted.
    pub writes: Vec<StateWrite>,
}

/// Approval, objection, or no usable answer. The last two refuse alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// No objection.
    Approve,
    /// An objection by the plugin's own rules.
    Reject {
        /// The plugin's stable code. Records of earlier programs have `rejected` where it was
        /// malformed.
        code: String,
        /// One sentence, cut and escaped.
        reason: String,
    },
    /// No usable answer.
    Failed {
        /// The host's stable code.
        code: Code,
        /// What happened, cut and escaped.
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
pub struct LogLine {
    /// Severity.
    pub level: Level,
    /// The message.
    pub message: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

/// Severity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
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
