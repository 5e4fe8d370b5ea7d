//! Everything that one call received from outside, so that it can be replayed without the outside.
//! Randomness is a seed, time a list of readings, and the answers of imports are in the order of
//! the calls.
//!
//! A trace holds what crossed the sandbox boundary, including tokens and servers' answers, but
//! never a private key.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::contract::bindings::countersign::policy::*;
use crate::contract::capabilities::capabilities;

/// Everything that one call received from outside. The journal stores it: fields and variants
/// are appended, never changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The deadline passed to the guest, in milliseconds since 1970.
    pub deadline: u64,
    /// Seed of all randomness of the guest. It was secret until the call ended.
    pub seed: [u8; 32],
    /// Readings of the guest's clocks, oldest first.
    pub readings: Vec<Reading>,
    /// Calls of imports with their answers, oldest first.
    pub calls: Vec<RecordedCall>,
    /// True if the call received more than a trace holds, so that it cannot be replayed.
    pub cut: bool,
    /// False if no instance was created, so that there is nothing to replay.
    pub ran: bool,
}

/// Consecutive readings of the same value. All clocks of a guest are one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Time shown to the guest, in milliseconds since 1970.
    pub now: u64,
    /// Number of consecutive readings.
    pub times: u64,
}

/// One call of an import, with its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// The import with its arguments.
    pub asked: Asked,
    pub(crate) answer: Answer,
}

/// An import with its arguments. Two are equal if all their arguments are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Interface and function, e.g. `state.get`.
    pub import: Cow<'static, str>,
    /// The first argument, e.g. a key's name or a URL.
    pub about: String,
    /// First bytes of SHA-256 over all other arguments.
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

/// The point at which a replay left its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Number of the import call, from 0.
    pub at: usize,
    /// The recorded call at this point; `None` if the recording had ended.
    pub recorded: Option<Asked>,
    /// The call made by the replay.
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
    ($($file:ident::$capability:ident {
        $($(#[$doc:meta])* grant $grant:ident: $granted:ty, trial $trial:expr;)*
        $($number:literal => $name:ident($type:ty),)*
    })*) => {
        /// An answer of an import. Serialised by its number in this list.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub(crate) enum Answer {
            $($($name($type),)*)*
        }

        impl Answer {
            pub(crate) fn size(&self) -> usize {
                match self {
                    $($(Self::$name(answer) => answer.size(),)*)*
                }
            }
        }

        /// The numbers by which recordings know the answers.
        const _: () = {
            enum Number {
                $($($name,)*)*
            }

            $($(assert!(
                Number::$name as u32 == $number,
                "append new answers after all others, and keep the numbers of those"
            );)*)*
        };

        $($(impl Recordable for $type {
            fn to_answer(&self) -> Answer {
                Answer::$name(self.clone())
            }

            fn from_answer(answer: Answer) -> Option<Self> {
                match answer {
                    Answer::$name(answer) => Some(answer),
                    _ => None,
                }
            }
        })*)*
    };
}

/// An answer that a trace can record. Each answer has a type of its
/// own, listed in [`capabilities`].
pub(crate) trait Recordable: AnswerSize + Sized {
    fn to_answer(&self) -> Answer;

    /// Returns `None` if `answer` is of another type.
    fn from_answer(answer: Answer) -> Option<Self>;
}

/// Implemented by the capability beside the import that gives the answer.
pub(crate) trait AnswerSize {
    /// Bytes that count towards the limit of a trace.
    fn size(&self) -> usize;
}

capabilities!(answers);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_keep_the_numbers_by_which_recordings_know_them() {
        let answers = [
            Answer::Slept(()),
            Answer::Bytes(Ok(Vec::new())),
            Answer::Verified(Ok(true)),
            Answer::Responses(Vec::new()),
            Answer::Entry(Ok(None)),
            Answer::Written(Ok(())),
            Answer::Entries(Ok(Vec::new())),
        ];
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(usize::from(postcard::to_stdvec(answer).unwrap()[0]), number);
        }
    }
}
