//! Decisions on record, and their replay: the same component with the same configuration, hearing
//! the same under the same conditions, says the same, or the record says where it left the way. A
//! replay reaches nothing outside: no network, no keys, no memory, no clock.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::freeze::freeze_again;
use crate::host::Host;
use crate::load::{LoadError, PluginSpec};
use crate::plugin::REPLAY;
use crate::services::Nothing;
use crate::{Code, Divergence, Evaluation, Grants, Task, Trace, Verdict};

/// In front of every recording. Version 1 had no [`Conditions`].
const VERSION: u8 = 2;
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
    /// How it was made to run; absent if it was not, or if the recording is of version 1. Stands at
    /// the recording's end.
    #[serde(skip)]
    pub conditions: Option<Conditions>,
}

/// What a plugin's answer depends on besides its component, its configuration, the question and
/// what it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Linear memory that it was granted, in bytes.
    pub memory_bytes: u64,
    /// CPU time that it was granted, in milliseconds.
    pub cpu_ms: u64,
    /// Given: it was frozen, in a run with this seed of all randomness.
    pub frozen: Option<[u8; 32]>,
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
            conditions: evaluation.conditions,
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
    /// The recording as bytes, without the bytes that the requester signed. What is too large is
    /// cut.
    pub fn encode(mut self) -> Vec<u8> {
        let bytes = self.to_bytes();
        if bytes.len() <= LIMIT {
            return bytes;
        }
        self.question = None;
        for recorded in &mut self.evaluations {
            recorded.trace = Trace {
                cut: true,
                ran: recorded.trace.ran,
                ..Trace::default()
            };
        }
        self.to_bytes()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let conditions: Vec<_> = self
            .evaluations
            .iter()
            .map(|recorded| recorded.conditions)
            .collect();
        let bytes = postcard::to_extend(&(self, conditions), vec![VERSION]);
        bytes.unwrap_or_else(|error| unreachable!("plain data: {error}"))
    }

    /// Reads what [`encode`](Self::encode) wrote. `raw` are the bytes that the requester signed.
    pub fn decode(bytes: &[u8], raw: Vec<u8>) -> Result<Self, Unreadable> {
        let mut recording: Self = match bytes.split_first() {
            Some((1, rest)) => exactly(rest)?,
            Some((&VERSION, rest)) => {
                let (recording, conditions): (Self, Vec<_>) = exactly(rest)?;
                recording.under(conditions)?
            }
            _ => return Err(Unreadable),
        };
        if let Some(question) = &mut recording.question {
            question.raw = raw;
        }
        Ok(recording)
    }

    fn under(mut self, conditions: Vec<Option<Conditions>>) -> Result<Self, Unreadable> {
        if self.evaluations.len() != conditions.len() {
            return Err(Unreadable);
        }
        for (recorded, conditions) in self.evaluations.iter_mut().zip(conditions) {
            recorded.conditions = conditions;
        }
        Ok(self)
    }
}

fn exactly<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(Unreadable),
    }
}

/// How far a replay may depart from the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With<'a> {
    /// Not at all: the same component and configuration, or an error.
    TheSame,
    /// Not at all, with the configuration document as it was kept instead of the entry's.
    Kept(&'a str),
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
    /// It was frozen, and cannot be frozen again.
    #[error(
        "the plugin judged from a frozen memory, which cannot be made again: {0}; replay it with the program that recorded it"
    )]
    Frozen(String),
}

impl Recorded {
    /// Whether it can be replayed, given the component and the configuration.
    pub fn is_replayable(&self) -> Result<(), ReplayError> {
        match (&self.trace, &self.verdict) {
            (Trace { cut: true, .. }, _) => Err(ReplayError::Cut),
            (Trace { ran: false, .. }, Verdict::Failed { code, .. }) => {
                Err(ReplayError::NeverRan(*code))
            }
            _ => Ok(()),
        }
    }
}

impl Host {
    /// Puts a recorded question to the plugin that `spec` describes, which hears what was heard
    /// then: no network, no keys, no memory, no clock. `recorded` is of the entry that `spec`
    /// names, or of another if you ask what if.
    pub async fn replay(
        &self,
        spec: &PluginSpec,
        question: &Task,
        recorded: &Recorded,
        with: With<'_>,
    ) -> Result<Replay, ReplayError> {
        recorded.is_replayable()?;
        let spec = &PluginSpec {
            grants: regranted(&spec.grants, recorded, with),
            ..spec.clone()
        };
        let document = match with {
            With::Kept(document) => document.into(),
            With::TheSame | With::Another => spec.document(),
        };
        let (compiled, bytes) = match with {
            With::Another => self.compiled(spec).await?,
            With::TheSame | With::Kept(_) => self.admitted(spec).await?,
        };
        let mut plugin = self
            .prepare(spec, document, compiled, Arc::new(Nothing))
            .await?;
        if with != With::Another {
            compare(plugin.digest(), recorded.digest)
                .map_err(|(now, then)| ReplayError::Component { now, then })?;
            compare(plugin.revision(), recorded.revision)
                .map_err(|(now, then)| ReplayError::Configuration { now, then })?;
        }
        if let (Some(seed), true) = (recorded.seed(), with != With::Another) {
            let frozen = freeze_again(
                self,
                &bytes,
                &plugin.compiled.component,
                &plugin.context,
                seed,
            )
            .await;
            plugin.pre = frozen.map_err(|error| ReplayError::Frozen(format!("{error:#}")))?;
            plugin.frozen = Some(seed);
        }
        let (evaluation, divergence) = plugin
            .replay(question, recorded.trace.clone(), &recorded.verdict)
            .await;
        let same = divergence.is_none() && agree(&evaluation.verdict, &recorded.verdict);
        Ok(Replay {
            evaluation,
            divergence,
            same,
        })
    }
}

impl Recorded {
    /// Of the freezing run, if it was frozen.
    fn seed(&self) -> Option<[u8; 32]> {
        self.conditions.and_then(|conditions| conditions.frozen)
    }
}

/// The grants of then. A call that was not stopped for its CPU time is not stopped now: this
/// machine may be slower, and no answer depends on how long it took.
fn regranted(grants: &Grants, recorded: &Recorded, with: With) -> Grants {
    let mut grants = grants.clone();
    if let (Some(conditions), true) = (recorded.conditions, with != With::Another) {
        grants.memory_bytes = usize::try_from(conditions.memory_bytes).unwrap_or(usize::MAX);
        grants.cpu_ms = conditions.cpu_ms;
    }
    if recorded.verdict.code() != Some(Code::Cpu.as_str()) {
        grants.cpu_ms = REPLAY.as_millis() as u64;
    }
    grants.wall_ms = REPLAY.as_millis() as u64;
    grants
}

fn compare(now: [u8; 32], then: [u8; 32]) -> Result<(), (String, String)> {
    if now == then {
        Ok(())
    } else {
        Err((hex::encode(now), hex::encode(then)))
    }
}

fn agree(now: &Verdict, then: &Verdict) -> bool {
    match (now, then) {
        (Verdict::Failed { code: now, .. }, Verdict::Failed { code: then, .. }) => now == then,
        // Earlier programs recorded a malformed code as this one.
        (
            Verdict::Failed {
                code: Code::RejectCode,
                ..
            },
            Verdict::Reject { code, .. },
        ) => code == "rejected",
        (now, then) => now == then,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::countersign::policy::state;
    use crate::trace::{Asked, Reading, Tape};
    use crate::{Keygen, Operation, Origin, Principal, Statement};

    fn question() -> Task {
        let principal = |id: &str| Principal {
            id: id.into(),
            name: "n".into(),
        };
        Task {
            id: "t".into(),
            attempt: 1,
            received_at: 2,
            requester: principal("r"),
            coordinator: principal("c"),
            node: "me".into(),
            operation: Operation::Keygen(Keygen {
                scheme: "ed25519".into(),
                curve: "ed25519".into(),
                threshold: 2,
                members: vec!["a".into(), "b".into()],
            }),
            extra: vec![Statement {
                name: "x".into(),
                value: "y".into(),
                origin: Origin::Claim,
            }],
            raw: b"raw".to_vec(),
        }
    }

    /// A recording of three plugins, with what version 2 added or without.
    fn sample(conditions: Option<Conditions>) -> Recording {
        let mut tape = Tape::recording();
        let entry: Result<Option<Vec<u8>>, state::Error> = Ok(Some(vec![3]));
        tape.note(Asked::new("state.get", "k", &[b"rest"]), &entry);
        let trace = Trace {
            deadline: 4,
            seed: [5; 32],
            readings: vec![Reading { now: 6, times: 7 }],
            calls: tape.into_calls().0,
            cut: false,
            ran: true,
        };
        let recorded = |verdict: Verdict| Recorded {
            plugin: "p".into(),
            version: "1.0.0".into(),
            digest: [8; 32],
            revision: [9; 32],
            at: 10,
            micros: 11,
            verdict,
            trace: trace.clone(),
            conditions,
        };
        let evaluations = vec![
            recorded(Verdict::Approve),
            recorded(Verdict::Reject {
                code: "c".into(),
                reason: "r".into(),
            }),
            recorded(Verdict::Failed {
                code: Code::Timeout,
                reason: "r".into(),
            }),
        ];
        Recording {
            chain: [12; 32],
            question: Some(question()),
            evaluations,
        }
    }

    fn conditions() -> Conditions {
        Conditions {
            memory_bytes: 13,
            cpu_ms: 14,
            frozen: Some([15; 32]),
        }
    }

    /// What each version wrote. A line is never changed; `BLESS=recordings` adds what is missing.
    #[test]
    fn recordings_of_every_version_are_read() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/recordings.txt");
        let second = format!("2 {}\n", hex::encode(sample(Some(conditions())).encode()));
        if std::env::var("BLESS").is_ok_and(|what| what == "recordings") {
            let first = [&[1], &*postcard::to_stdvec(&sample(None)).unwrap()].concat();
            std::fs::write(file, format!("1 {}\n{second}", hex::encode(first))).unwrap();
        }
        let kept = std::fs::read_to_string(file).unwrap();
        assert!(
            kept.ends_with(&second),
            "what is written now is of the last version"
        );
        for (line, conditions) in kept.lines().zip([None, Some(conditions())]) {
            let bytes = hex::decode(line.split_once(' ').unwrap().1).unwrap();
            assert_eq!(
                Recording::decode(&bytes, b"raw".to_vec()).unwrap(),
                sample(conditions)
            );
        }
    }

    #[test]
    fn nothing_else_is_read() {
        let bytes = sample(Some(conditions())).encode();
        let changed = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            bytes
        };
        for bytes in [
            vec![],
            changed(0, 0),
            changed(0, 1),
            changed(0, 3),
            bytes[..bytes.len() - 1].to_vec(),
        ] {
            assert!(Recording::decode(&bytes, Vec::new()).is_err());
        }
        assert!(Recording::decode(&[bytes, vec![0]].concat(), Vec::new()).is_err());
    }
}
