//! Recording and replay of the answers of a call's imports.

use std::collections::VecDeque;

use crate::contract::code::Code;
use crate::contract::trace::{Asked, Divergence, Recordable, RecordedCall};

/// Bytes of answers and arguments that one call's trace holds.
const LIMIT: usize = 256 << 10;

/// Records the answers of a call's imports, or replays them.
pub(crate) enum Tape {
    Recording {
        calls: Vec<RecordedCall>,
        bytes: usize,
    },
    Playing(Player),
}

/// A recording during its replay.
pub(crate) struct Player {
    left: VecDeque<RecordedCall>,
    played: usize,
    /// The code with which the recorded call was stopped, if it was.
    end: Option<Code>,
    pub(crate) divergence: Option<Divergence>,
}

/// Result of one replayed import call.
pub(crate) enum Played<T> {
    Answer(T),
    /// The recorded call was cut off here by a limit of the machine, not by anything it did.
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

    pub(crate) fn playing(calls: Vec<RecordedCall>, end: Option<Code>) -> Self {
        Self::Playing(Player {
            left: calls.into(),
            played: 0,
            end,
            divergence: None,
        })
    }

    pub(crate) fn note<T: Recordable>(&mut self, asked: Asked, answer: &T) {
        let Self::Recording { calls, bytes } = self else {
            return;
        };
        let answer = answer.to_answer();
        *bytes += asked.about.len() + answer.size() + size_of::<Asked>();
        if *bytes <= LIMIT {
            calls.push(RecordedCall { asked, answer });
        } else {
            calls.clear();
        }
    }

    /// Returns the recorded calls, and whether the trace is incomplete.
    pub(crate) fn into_calls(self) -> (Vec<RecordedCall>, bool) {
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
    pub(crate) fn play<T: Recordable>(&mut self, asked: &Asked) -> Played<T> {
        match (self.left.pop_front(), self.end) {
            (Some(recorded), _) if recorded.asked == *asked => {
                self.played += 1;
                T::from_answer(recorded.answer).map_or(Played::Diverged, Played::Answer)
            }
            (None, Some(end @ (Code::Timeout | Code::Cpu))) => Played::CutOff(end),
            (other, _) => {
                self.divergence = Some(Divergence {
                    at: self.played,
                    recorded: other.map(|call| call.asked),
                    asked: asked.clone(),
                });
                Played::Diverged
            }
        }
    }
}
