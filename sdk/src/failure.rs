//! Which kind of [`Failure`] each error of the node is, so that `?` picks the right one.

use crate::{Failure, HttpError, KeyError, StateError};

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::UnknownKey(key) => {
                Failure::Misconfigured(format!("no key `{key}` is granted to this plugin"))
            }
            KeyError::UnsupportedAlgorithm(text) => Failure::Misconfigured(text),
            KeyError::Internal(text) => Failure::Unavailable(text),
        }
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        let text = error.describe();
        match error {
            HttpError::Denied(_) | HttpError::Invalid(_) => Failure::Misconfigured(text),
            _ => Failure::Unavailable(text),
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Denied(text) => Failure::Misconfigured(text),
            StateError::Internal(text) => Failure::Unavailable(text),
        }
    }
}

impl HttpError {
    /// One phrase for people.
    pub fn describe(&self) -> String {
        match self {
            HttpError::Denied(text) => format!("no grant covers {text}"),
            HttpError::Invalid(text) => format!("malformed request: {text}"),
            HttpError::Timeout => "no answer in time".into(),
            HttpError::Connect(text) => format!("cannot connect: {text}"),
            HttpError::Tls(text) => format!("TLS failed: {text}"),
            HttpError::TooLarge(limit) => format!("the answer exceeds {limit} bytes"),
            HttpError::Protocol(text) => format!("broken answer: {text}"),
        }
    }
}
