//! Recording and replay of the answers of a call's imports.

use std::collections::VecDeque;

use crate::contract::code::Code;
use crate::contract::trace::{Answer, Asked, Divergence, Recordable, RecordedCall, Trace};

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

/// A trace from which imports are answered, and who asks.
pub(crate) struct Playback {
    pub(crate) trace: Trace,
    pub(crate) asks: Asks,
}

/// The component and configuration that ask in a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Those of the recording, which must ask the same. The code is the one with which the
    /// recorded call was stopped, if it was.
    TheSame(Option<Code>),
    /// Others. They may write to their memory what they like: nobody hears anything from that.
    Another,
}

/// A recording during its replay.
pub(crate) struct Player {
    left: VecDeque<RecordedCall>,
    played: usize,
    asks: Asks,
    /// True once a write was made that is not on record, or left out: what the memory shows from
    /// then on is not on record either.
    strayed: bool,
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

    pub(crate) fn playing(calls: Vec<RecordedCall>, asks: Asks) -> Self {
        Self::Playing(Player {
            left: calls.into(),
            played: 0,
            asks,
            strayed: false,
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

    /// True if a replay has not made the writes that are on record, and no others, in their order.
    pub(crate) fn wrote_otherwise(&self) -> bool {
        match self {
            Self::Recording { .. } => false,
            Self::Playing(player) => {
                player.strayed || player.left.iter().any(|call| is_write(&call.asked))
            }
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
        if self.asks == Asks::Another {
            self.leave_out_writes(asked);
        }
        let recorded = self.left.front().map(|call| &call.asked);
        if recorded == Some(asked) && !(self.strayed && is_read(asked)) {
            let answer = self.left.pop_front().map(|call| call.answer);
            self.played += 1;
            let answer = answer.and_then(T::from_answer);
            return answer.map_or_else(|| self.diverge(asked), Played::Answer);
        }
        match (recorded, self.asks) {
            (None, Asks::TheSame(Some(end @ (Code::Timeout | Code::Cpu)))) => Played::CutOff(end),
            (_, Asks::Another) if is_write(asked) => {
                self.strayed = true;
                let written = T::from_answer(Answer::Written(Ok(())));
                written.map_or_else(|| self.diverge(asked), Played::Answer)
            }
            (_, Asks::TheSame(_) | Asks::Another) => self.diverge(asked),
        }
    }

    /// Leaves out the recorded writes before the call that is asked.
    fn leave_out_writes(&mut self, asked: &Asked) {
        while let Some(recorded) = self.left.front()
            && recorded.asked != *asked
            && is_write(&recorded.asked)
        {
            self.left.pop_front();
            self.played += 1;
            self.strayed = true;
        }
    }

    fn diverge<T>(&mut self, asked: &Asked) -> Played<T> {
        self.divergence = Some(Divergence {
            at: self.played,
            recorded: self.left.front().map(|call| call.asked.clone()),
            asked: asked.clone(),
        });
        Played::Diverged
    }
}

/// True of a write to the plugin's memory, which answers nothing but that it was accepted.
pub(crate) fn is_write(asked: &Asked) -> bool {
    matches!(asked.import.as_ref(), "state.set" | "state.delete")
}

/// True of a question to the plugin's memory.
fn is_read(asked: &Asked) -> bool {
    asked.import.starts_with("state.") && !is_write(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::bindings::countersign::policy::state;

    type Written = Result<(), state::Error>;
    type Entry = Result<Option<Vec<u8>>, state::Error>;

    fn get(key: &str) -> Asked {
        Asked::new("state.get", key, &[])
    }

    fn set(key: &str) -> Asked {
        Asked::new("state.set", key, &[b"value"])
    }

    /// A recording of a read, a write and another read.
    fn player(asks: Asks) -> Player {
        let mut tape = Tape::recording();
        let entry: Entry = Ok(Some(vec![1]));
        let written: Written = Ok(());
        tape.note(get("a"), &entry);
        tape.note(set("a"), &written);
        tape.note(get("b"), &entry);
        let Tape::Playing(player) = Tape::playing(tape.into_calls().0, asks) else {
            panic!("it plays")
        };
        player
    }

    fn reads(player: &mut Player, key: &str) -> bool {
        matches!(player.play::<Entry>(&get(key)), Played::Answer(Ok(Some(_))))
    }

    fn writes(player: &mut Player, key: &str) -> bool {
        matches!(player.play::<Written>(&set(key)), Played::Answer(Ok(())))
    }

    #[test]
    fn both_may_ask_what_is_on_record() {
        for asks in [Asks::TheSame(None), Asks::Another] {
            let player = &mut player(asks);
            assert!(reads(player, "a") && writes(player, "a") && reads(player, "b"));
            assert!(!reads(player, "c"), "it is not on record");
            assert_eq!(player.divergence.as_ref().map(|left| left.at), Some(3));
        }
    }

    #[test]
    fn another_may_write_what_it_likes_and_the_same_may_not() {
        let another = &mut player(Asks::Another);
        assert!(reads(another, "a") && writes(another, "other") && writes(another, "third"));
        assert!(another.divergence.is_none());
        let same = &mut player(Asks::TheSame(None));
        assert!(reads(same, "a") && !writes(same, "other"));
        assert!(same.divergence.is_some());
    }

    /// The recorded answer shows the recorded writes.
    #[test]
    fn memory_is_unknown_once_another_has_written_otherwise() {
        let added = &mut player(Asks::Another);
        assert!(writes(added, "b") && !reads(added, "a"));
        let left_out = &mut player(Asks::Another);
        assert!(reads(left_out, "a") && !reads(left_out, "b"));
        assert!(left_out.divergence.is_some());
    }

    #[test]
    fn writes_other_than_those_on_record_are_noticed() {
        let wrote_otherwise = |keys: &[&str]| {
            let mut player = player(Asks::Another);
            assert!(reads(&mut player, "a"));
            assert!(keys.iter().all(|key| writes(&mut player, key)));
            Tape::Playing(player).wrote_otherwise()
        };
        assert!(!wrote_otherwise(&["a"]));
        for keys in [&[][..], &["other"], &["a", "a"], &["other", "a"]] {
            assert!(wrote_otherwise(keys), "{keys:?}");
        }
        assert!(!Tape::recording().wrote_otherwise());
    }

    #[test]
    fn only_the_same_is_cut_off_where_the_recording_was() {
        let after = |asks| {
            let mut player = player(asks);
            player.left.clear();
            player.play::<Entry>(&get("a"))
        };
        let timeout = after(Asks::TheSame(Some(Code::Timeout)));
        assert!(matches!(timeout, Played::CutOff(Code::Timeout)));
        assert!(matches!(after(Asks::Another), Played::Diverged));
    }
}
