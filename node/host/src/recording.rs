//! Decisions on record, and their replay: the same component with the same configuration, hearing the same, says the
//! same, or the record says where it left the way.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::load::{LoadError, PluginSpec};
use crate::services::Nothing;
use crate::{Code, Divergence, Evaluation, Task, Trace, Verdict};

/// In front of every recording.
const VERSION: u8 = 1;
/// The largest recording in bytes. Of a larger one only the verdicts are kept.
const LIMIT: usize = 256 << 10;

/// One decision: the question, and what became of it at each plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// [`Chain::revision`](crate::Chain::revision) of the chain that decided.
    pub chain: [u8; 32],
    /// What was asked; absent if it was too large.
    pub question: Option<Task>,
    /// What each plugin said, in the order of asking.
    pub evaluations: Vec<Recorded>,
}

/// One plugin's part in a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Name of its entry.
    pub plugin: String,
    /// Version by which the component described itself.
    pub version: String,
    /// SHA-256 of the component.
    pub digest: [u8; 32],
    /// SHA-256 of the configuration document.
    pub revision: [u8; 32],
    /// When it had answered, in milliseconds since 1970.
    pub at: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// What it said.
    pub verdict: Verdict,
    /// What it heard.
    pub trace: Trace,
}

impl From<&Evaluation> for Recorded {
    fn from(evaluation: &Evaluation) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            plugin: evaluation.plugin.clone(),
            version: evaluation.version.clone(),
            digest: evaluation.digest,
            revision: evaluation.revision,
            at: now.map_or(0, |now| now.as_millis() as u64),
            micros: evaluation.elapsed.as_micros() as u64,
            verdict: evaluation.verdict.clone(),
            trace: evaluation.trace.clone(),
        }
    }
}

/// Bytes that are no recording of a version that this program knows.
#[derive(Debug, thiserror::Error)]
#[error(
    "the recording cannot be read: it is damaged, or was written by a later version; read it with that one"
)]
pub struct Unreadable;

impl Recording {
    /// The recording as bytes, without the bytes that the requester signed. What is too large is cut.
    pub fn encode(mut self) -> Vec<u8> {
        let bytes = self.to_bytes();
        if bytes.len() <= LIMIT {
            return bytes;
        }
        self.question = None;
        for recorded in &mut self.evaluations {
            recorded.trace = Trace { cut: true, ran: recorded.trace.ran, ..Trace::default() };
        }
        self.to_bytes()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(postcard::to_stdvec(self).unwrap_or_else(|error| unreachable!("plain data: {error}")));
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote. `raw` are the bytes that the requester signed.
    pub fn decode(bytes: &[u8], raw: Vec<u8>) -> Result<Self, Unreadable> {
        let Some((&VERSION, rest)) = bytes.split_first() else { return Err(Unreadable) };
        let Ok((mut recording, [])) = postcard::take_from_bytes::<Self>(rest) else { return Err(Unreadable) };
        if let Some(question) = &mut recording.question {
            question.raw = raw;
        }
        Ok(recording)
    }
}

/// How far a replay may depart from the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    /// Not at all: the same component and configuration, or an error.
    TheSame,
    /// Another component or configuration: what if it had been in force?
    Another,
}

/// What a replay showed.
#[derive(Clone, Debug)]
pub struct Replay {
    /// What the plugin says now.
    pub evaluation: Evaluation,
    /// Where it asked for something else than it did then. Its answer is none in that case.
    pub divergence: Option<Divergence>,
    /// Whether it says what it said then. Of failures only the codes are compared.
    pub same: bool,
}

/// Why there is no replay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The plugin cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Another component.
    #[error(
        "the component has SHA-256 {now}, and {then} decided; give that one, or ask what another would say"
    )]
    Component {
        /// Of the component that was given, hex.
        now: String,
        /// Of the one that decided, hex.
        then: String,
    },
    /// Another configuration.
    #[error(
        "the configuration has SHA-256 {now}, and {then} decided; give that one, or ask what another would say"
    )]
    Configuration {
        /// Of the configuration that was given, hex.
        now: String,
        /// Of the one that decided, hex.
        then: String,
    },
    /// The record is incomplete.
    #[error(
        "the plugin heard more than a recording holds, so it cannot be replayed; its verdict is in the record"
    )]
    Cut,
    /// Nothing ran.
    #[error("the plugin did not run ({0}), so there is nothing to replay; see why in the record")]
    NeverRan(Code),
}

impl Host {
    /// Puts a recorded question to the plugin that `spec` describes, which hears what was heard then: no network, no
    /// keys, no memory, no clock. `recorded` is of the entry that `spec` names, or of another if you ask what if.
    pub async fn replay(
        &self,
        spec: &PluginSpec,
        question: &Task,
        recorded: &Recorded,
        with: With,
    ) -> Result<Replay, ReplayError> {
        if recorded.trace.cut {
            return Err(ReplayError::Cut);
        }
        if let (false, Verdict::Failed { code, .. }) = (recorded.trace.ran, &recorded.verdict) {
            return Err(ReplayError::NeverRan(*code));
        }
        let plugin = self.load_unchecked(spec, Arc::new(Nothing)).await?;
        if with == With::TheSame {
            compare(plugin.digest(), recorded.digest)
                .map_err(|(now, then)| ReplayError::Component { now, then })?;
            compare(plugin.revision(), recorded.revision)
                .map_err(|(now, then)| ReplayError::Configuration { now, then })?;
        }
        let (evaluation, divergence) =
            plugin.replay(question, recorded.trace.clone(), &recorded.verdict).await;
        let same = divergence.is_none() && agree(&evaluation.verdict, &recorded.verdict);
        Ok(Replay { evaluation, divergence, same })
    }
}

fn compare(now: [u8; 32], then: [u8; 32]) -> Result<(), (String, String)> {
    if now == then { Ok(()) } else { Err((hex::encode(now), hex::encode(then))) }
}

fn agree(now: &Verdict, then: &Verdict) -> bool {
    match (now, then) {
        (Verdict::Failed { code: now, .. }, Verdict::Failed { code: then, .. }) => now == then,
        (now, then) => now == then,
    }
}
