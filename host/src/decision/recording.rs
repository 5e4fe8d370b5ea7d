//! The stored form of decisions: the question, every answer, and all that is needed to replay it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::contract::evaluation::{Conditions, Evaluation, Verdict};
use crate::contract::task::Task;
use crate::contract::trace::Trace;

/// First byte of every recording. Version 1 had no [`Conditions`].
const VERSION: u8 = 2;
/// The largest recording in bytes. Of a larger one only the verdicts are kept.
const LIMIT: usize = 256 << 10;

/// One decision: the question and the answer of each plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// [`Chain::revision`](crate::Chain::revision) of the chain that decided.
    pub chain: [u8; 32],
    /// The question; absent if it was too large.
    pub question: Option<Task>,
    /// The answers of the plugins, in the order of asking.
    pub evaluations: Vec<Recorded>,
}

/// One plugin's part in a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Recorded {
    /// Name of its entry.
    pub plugin: String,
    /// Version by which the component described itself.
    pub version: String,
    /// SHA-256 of the component.
    pub digest: [u8; 32],
    /// SHA-256 of the configuration document.
    pub revision: [u8; 32],
    /// Time of the answer, in milliseconds since 1970.
    pub at: u64,
    /// Duration in microseconds, waiting included.
    pub micros: u64,
    pub verdict: Verdict,
    pub trace: Trace,
    /// Absent if the component did not run, or if the recording is of version 1. Stored at the
    /// end of the recording.
    #[serde(skip)]
    pub conditions: Option<Conditions>,
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

/// The bytes are not a recording of a version that this program knows.
#[derive(Debug, thiserror::Error)]
#[error(
    "the recording cannot be read: it is damaged, or was written by a later version; read it with that one"
)]
pub struct Unreadable;

impl Recording {
    /// The recording as bytes, without the bytes that the requester signed. What is
    /// too large is cut.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::bindings::countersign::policy::state;
    use crate::contract::code::Code;
    use crate::contract::task::{Keygen, Operation, Origin, Principal, Statement};
    use crate::contract::trace::{Asked, Reading};
    use crate::sandbox::tape::Tape;

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
            pre_init_seed: Some([15; 32]),
        }
    }

    /// Written by each version. A line is never changed; `BLESS=recordings` adds what is missing.
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
