//! What one call heard from outside: enough to put the same question again and hear the same,
//! without the outside. Randomness is a seed, time a list of readings, and every answer of an
//! import stands in the order of asking.
//!
//! A trace holds what passed the sandbox's border, tokens and servers' answers among it, and never
//! a private key.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Code;
use crate::bindings::countersign::policy::{http, keys, state};

/// Bytes of answers and arguments that one call's trace holds.
const LIMIT: usize = 256 << 10;

/// What one call heard. Its form is part of the journal: fields and variants are appended, never
/// changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The deadline that the guest was told, in milliseconds since 1970.
    pub deadline: u64,
    /// Seed of all its randomness. It was a secret until the call ended.
    pub seed: [u8; 32],
    /// What its clocks said.
    pub readings: Vec<Reading>,
    /// What its imports answered.
    pub calls: Vec<Heard>,
    /// True if it heard more than a trace holds: it cannot be replayed.
    pub cut: bool,
    /// False if no instance was ever made, so that there is nothing to replay.
    pub ran: bool,
}

/// Consecutive readings of a clock with the same value. All clocks of a guest are this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Milliseconds since 1970.
    pub now: u64,
    /// How many readings.
    pub times: u64,
}

/// One answer of an import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// The import, and what it was asked about.
    pub asked: Asked,
    answer: Answer,
}

/// What an import was asked. Two are the same if the whole arguments are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// E.g. `state.get`.
    pub import: Cow<'static, str>,
    /// The first argument, e.g. a key's name or a URL.
    pub about: String,
    /// Of all other arguments, the first bytes of SHA-256.
    pub rest: [u8; 8],
}

impl Asked {
    pub(crate) fn new(import: &'static str, about: impl Into<String>, rest: &[&[u8]]) -> Self {
        let mut digest = [0; 8];
        if rest.is_empty() {
            return Self {
                import: import.into(),
                about: about.into(),
                rest: digest,
            };
        }
        let mut hash = Sha256::new();
        for part in rest {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        digest.copy_from_slice(&hash.finalize()[..8]);
        Self {
            import: import.into(),
            about: about.into(),
            rest: digest,
        }
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            f,
            "{}({:?}, {})",
            self.import,
            self.about,
            hex::encode(self.rest)
        )
    }
}

/// Where a replay left the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Number of the import's call, from 0.
    pub at: usize,
    /// What the recording holds there; `None`: it had ended.
    pub recorded: Option<Asked>,
    /// What was asked now.
    pub asked: Asked,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self {
            at,
            recorded,
            asked,
        } = self;
        match recorded {
            Some(recorded) => write!(f, "import call {at} was {recorded} and is now {asked}"),
            None => write!(
                f,
                "import call {at} is {asked}, where the recording has ended"
            ),
        }
    }
}

macro_rules! answers {
    ($($name:ident($type:ty),)*) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub(crate) enum Answer {
            $($name($type),)*
        }

        $(impl Spoken for $type {
            fn write(&self) -> Answer {
                Answer::$name(self.clone())
            }

            fn read(answer: Answer) -> Option<Self> {
                match answer {
                    Answer::$name(answer) => Some(answer),
                    _ => None,
                }
            }
        })*
    };
}

/// What an import can answer.
pub(crate) trait Spoken: Sized {
    fn write(&self) -> Answer;
    fn read(answer: Answer) -> Option<Self>;
}

answers! {
    Slept(()),
    Bytes(Result<Vec<u8>, keys::Error>),
    Verified(Result<bool, keys::Error>),
    Responses(Vec<Result<http::Response, http::Error>>),
    Entry(Result<Option<Vec<u8>>, state::Error>),
    Written(Result<(), state::Error>),
    Entries(Result<Vec<(String, Vec<u8>)>, state::Error>),
}

impl Answer {
    fn size(&self) -> usize {
        match self {
            Self::Bytes(Ok(bytes)) | Self::Entry(Ok(Some(bytes))) => bytes.len(),
            Self::Responses(responses) => responses.iter().flatten().map(response_size).sum(),
            Self::Entries(Ok(entries)) => entries
                .iter()
                .map(|(key, value)| key.len() + value.len())
                .sum(),
            _ => 0,
        }
    }
}

fn response_size(response: &http::Response) -> usize {
    let headers: usize = response
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    headers + response.body.len()
}

/// Whether the imports of a call answer for themselves, or from a recording.
pub(crate) enum Tape {
    Recording { calls: Vec<Heard>, bytes: usize },
    Playing(Player),
}

/// A recording as it is played.
pub(crate) struct Player {
    left: VecDeque<Heard>,
    played: usize,
    /// With what the recorded call was stopped, if it was.
    end: Option<Code>,
    pub(crate) divergence: Option<Divergence>,
}

/// What a playing tape says.
pub(crate) enum Played<T> {
    Answer(T),
    /// The call was cut off here, by the machine's limits and not by anything that it did.
    CutOff(Code),
    Diverged,
}

impl Tape {
    pub(crate) fn recording() -> Self {
        Self::Recording {
            calls: Vec::new(),
            bytes: 0,
        }
    }

    pub(crate) fn playing(calls: Vec<Heard>, end: Option<Code>) -> Self {
        Self::Playing(Player {
            left: calls.into(),
            played: 0,
            end,
            divergence: None,
        })
    }

    pub(crate) fn note<T: Spoken>(&mut self, asked: Asked, answer: &T) {
        let Self::Recording { calls, bytes } = self else {
            return;
        };
        let answer = answer.write();
        *bytes += asked.about.len() + answer.size() + size_of::<Asked>();
        if *bytes <= LIMIT {
            calls.push(Heard { asked, answer });
        } else {
            calls.clear();
        }
    }

    /// What was recorded, and whether that is all.
    pub(crate) fn into_calls(self) -> (Vec<Heard>, bool) {
        match self {
            Self::Recording { calls, bytes } => (calls, bytes > LIMIT),
            Self::Playing(_) => (Vec::new(), true),
        }
    }

    pub(crate) fn divergence(&mut self) -> Option<Divergence> {
        match self {
            Self::Recording { .. } => None,
            Self::Playing(player) => player.divergence.take(),
        }
    }
}

impl Player {
    pub(crate) fn play<T: Spoken>(&mut self, asked: &Asked) -> Played<T> {
        match (self.left.pop_front(), self.end) {
            (Some(heard), _) if heard.asked == *asked => {
                self.played += 1;
                T::read(heard.answer).map_or(Played::Diverged, Played::Answer)
            }
            (None, Some(end @ (Code::Timeout | Code::Cpu))) => Played::CutOff(end),
            (heard, _) => {
                let recorded = heard.map(|heard| heard.asked);
                self.divergence = Some(Divergence {
                    at: self.played,
                    recorded,
                    asked: asked.clone(),
                });
                Played::Diverged
            }
        }
    }
}
