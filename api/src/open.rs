//! Values of answers that a later version may extend.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::ser::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::bounded;

/// Part of an answer: something that this version knows, or something of a later version, kept as
/// it was told. A word or a case that is added to `/v1` must not keep a reader from the rest of the
/// answer, and must not pass for one that it knows: every use says what it does with either.
///
/// Only answers have it. Requests are read strictly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open<T> {
    /// This version knows it.
    Known(T),
    /// JSON text that this version cannot read. As text it takes no more room than in the answer.
    Unknown(Box<str>),
}

impl<T> Open<T> {
    /// What this version knows, if it does.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(known) => Some(known),
            Self::Unknown(_) => None,
        }
    }

    /// What this version knows, or what it does not.
    pub fn into_known(self) -> Option<T> {
        match self {
            Self::Known(known) => Some(known),
            Self::Unknown(_) => None,
        }
    }
}

impl<T> From<T> for Open<T> {
    fn from(known: T) -> Self {
        Self::Known(known)
    }
}

/// Only what is known can be equal.
impl<T: PartialEq> PartialEq<T> for Open<T> {
    fn eq(&self, other: &T) -> bool {
        self.known() == Some(other)
    }
}

/// The word as it is sent, without characters that could steer a terminal.
impl<T: Serialize> fmt::Display for Open<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self {
            Self::Known(known) => serde_json::to_value(known),
            Self::Unknown(text) => serde_json::from_str(text),
        };
        let value = value.map_err(|_| fmt::Error)?;
        let text = match value {
            Value::String(word) => word,
            other => other.to_string(),
        };
        let plain = |c: char| if c.is_ascii_graphic() { c } else { '?' };
        let text: String = text.chars().take(64).map(plain).collect();
        f.pad(&text)
    }
}

impl<T: Serialize> Serialize for Open<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(known) => known.serialize(serializer),
            Self::Unknown(text) => serde_json::from_str::<Value>(text)
                .map_err(S::Error::custom)?
                .serialize(serializer),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Open<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = bounded::value(deserializer)?;
        Ok(match T::deserialize(&value) {
            Ok(known) => Self::Known(known),
            Err(_) => Self::Unknown(value.to_string().into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventKind, Scope, State, TaskSummary};

    #[test]
    fn a_word_of_a_later_version_is_kept_and_is_none_of_ours() {
        let known: Open<State> = serde_json::from_str("\"failed\"").unwrap();
        assert_eq!(known, Open::Known(State::Failed));
        assert_eq!(known, State::Failed);
        let later: Open<State> = serde_json::from_str("\"paused\"").unwrap();
        assert_eq!(
            (later.known(), later.to_string().as_str()),
            (None, "paused")
        );
        assert_eq!(serde_json::to_string(&later).unwrap(), "\"paused\"");
        for state in [State::Completed, State::Rejected, State::Waiting] {
            assert!(later != state, "{state:?}");
        }
        let steering: Open<State> = serde_json::from_str("\"\\u001b[2Jdone\\n\"").unwrap();
        assert_eq!(steering.to_string(), "?[2Jdone?");
    }

    #[test]
    fn a_request_with_a_word_of_a_later_version_is_refused() {
        assert!(serde_json::from_str::<Scope>("\"owner\"").is_err());
        assert!(serde_json::from_str::<EventKind>("\"moon.rose\"").is_err());
        let spec = r#"{"sha256":null,"scopes":["owner"]}"#;
        assert!(serde_json::from_str::<crate::ApiKeySpec>(spec).is_err());
        let spec = r#"{"url":"https://a.example/","types":["moon.rose"]}"#;
        assert!(serde_json::from_str::<crate::WebhookSpec>(spec).is_err());
    }

    #[test]
    fn an_answer_with_words_of_a_later_version_is_read() {
        let id = "00".repeat(16);
        let text = format!(
            r#"{{"id":"{id}","sequence":1,"revision":2,"state":"paused","operation":"KeyMerge",
               "requester":"csr1qwss00lnecgtu8tsm5vwwj7qn9n7f43snwjs6hcamjrxgyj4xxuqzx88mt",
               "wallet":"csk1qvpsxqcrqvpsxqcrqvpsxqcrqvptzmel","submitted":1,"offered":null,"started":null,
               "ended":null,"not_after":9,"reason":null,"priority":"high"}}"#
        );
        let summary: TaskSummary = serde_json::from_str(&text).unwrap();
        assert_eq!(summary.state.known(), None);
        assert_eq!(summary.operation.to_string(), "KeyMerge");
    }
}
