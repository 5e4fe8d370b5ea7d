//! Conversions from the node's errors to [`Failure`], so that `?` picks the right kind.

use crate::{Failure, HttpError, KeyError, StateError};

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::UnknownKey(key) => {
                Self::Misconfigured(format!("no key `{key}` is granted to this plugin"))
            }
            KeyError::UnsupportedAlgorithm(text) => Self::Misconfigured(text),
            KeyError::Internal(text) => Self::Unavailable(text),
        }
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        let text = error.describe();
        match error {
            HttpError::Denied(_) | HttpError::Invalid(_) => Self::Misconfigured(text),
            _ => Self::Unavailable(text),
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Denied(text) => Self::Misconfigured(text),
            StateError::Internal(text) => Self::Unavailable(text),
        }
    }
}

impl HttpError {
    /// Describes the error in one phrase for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Denied(text) => format!("no grant covers {text}"),
            Self::Invalid(text) => format!("malformed request: {text}"),
            Self::Timeout => "no answer in time".into(),
            Self::Connect(text) => format!("cannot connect: {text}"),
            Self::Tls(text) => format!("TLS failed: {text}"),
            Self::TooLarge(limit) => format!("the answer exceeds {limit} bytes"),
            Self::Protocol(text) => format!("broken answer: {text}"),
        }
    }
}
