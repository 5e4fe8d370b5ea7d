//! Recorded decisions of one plugin, as the node passes them to its command line.

use countersign_protocol::{PluginVerdict, TaskId, UnixMillis};
use countersign_store::PastRecording;
use serde::{Deserialize, Serialize};

/// A page of recorded decisions. The audit log vouches for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastDecisions {
    /// The decisions in which the plugin was asked, the oldest first.
    pub decisions: Vec<PastDecision>,
    /// The number of decisions in which it was not asked.
    pub not_asked: u64,
    /// True if earlier decisions of the time may have lost their recordings.
    pub gap: bool,
    /// The position at which the next page begins; absent at the end.
    pub next: Option<u64>,
    /// The number of all recordings in the journal.
    pub recordings: u64,
}

/// One recorded decision of one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastDecision {
    /// The id of the task.
    pub task: TaskId,
    /// The time at which the node first saw the task.
    pub received_at: UnixMillis,
    /// The plugin's verdict.
    pub verdict: PluginVerdict,
    /// The exact bytes that the requester signed.
    #[serde(with = "hex")]
    pub bytes: Vec<u8>,
    /// What is left of the recording.
    pub recording: KeptRecording,
}

/// What is left of the recording of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptRecording {
    /// All of it; pass it to `countersign_host::Recording::decode`.
    Whole(#[serde(with = "hex")] Vec<u8>),
    /// It is there, and the program that wrote it did not vouch for it.
    Unvouched,
    /// It is not the one that was written with the decision.
    Changed,
    /// It is no longer kept.
    Dropped,
}

impl From<countersign_store::PastDecisions> for PastDecisions {
    fn from(page: countersign_store::PastDecisions) -> Self {
        Self {
            decisions: page.decisions.into_iter().map(Into::into).collect(),
            not_asked: page.not_asked,
            gap: page.gap,
            next: page.next,
            recordings: page.recordings,
        }
    }
}

impl From<countersign_store::PastDecision> for PastDecision {
    fn from(past: countersign_store::PastDecision) -> Self {
        Self {
            task: past.task,
            received_at: past.received_at,
            verdict: past.verdict,
            bytes: past.bytes,
            recording: match past.recording {
                PastRecording::Kept(recording) => KeptRecording::Whole(recording),
                PastRecording::Unvouched => KeptRecording::Unvouched,
                PastRecording::Changed => KeptRecording::Changed,
                PastRecording::Dropped => KeptRecording::Dropped,
            },
        }
    }
}
