//! The one form of errors towards a host.

use countersign_payload::{DecodeError, FinishError};
use countersign_protocol::TaskError;
use countersign_requester::BeliefError;
use countersign_requester::book::PagesError;
use countersign_requester::proof::Disbelief;
use countersign_verify::{DeriveError, WrongResult};
use serde::Serialize;

/// Why an operation has no result. The codes are those of the Rust client (`docs/codes.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    code: String,
    message: String,
    /// For people; nothing of it is believed.
    details: Vec<String>,
}

impl Failure {
    /// A failure without details.
    pub fn new(code: &str, message: impl ToString) -> Self {
        Self {
            code: code.into(),
            message: message.to_string(),
            details: Vec::new(),
        }
    }

    /// The caller asked for something that makes no sense.
    pub fn usage(message: impl ToString) -> Self {
        Self::new("usage", message)
    }

    /// A document of the caller that does not have the operation's form.
    pub fn misspelt(error: serde_json::Error) -> Self {
        Self::usage(format!(
            "this cannot be read ({error}); correct the named field"
        ))
    }

    /// A document of a coordinator that does not have the operation's form.
    pub fn unreadable(error: serde_json::Error) -> Self {
        let message = format!("this cannot be read ({error}); correct the named field");
        Self::new("answer", message)
    }

    /// A result that is not what was ordered.
    pub fn invalid(reason: impl ToString) -> Self {
        let message = format!(
            "the result is not valid ({}); do not use it, and do not trust this coordinator",
            reason.to_string()
        );
        Self::new("invalid-result", message)
    }
}

impl From<BeliefError> for Failure {
    fn from(error: BeliefError) -> Self {
        Self {
            details: error.details().to_vec(),
            ..Self::new(error.code(), &error)
        }
    }
}

impl From<Disbelief> for Failure {
    fn from(error: Disbelief) -> Self {
        Self::invalid(error)
    }
}

impl From<WrongResult> for Failure {
    fn from(error: WrongResult) -> Self {
        Self::invalid(error)
    }
}

impl From<TaskError> for Failure {
    fn from(error: TaskError) -> Self {
        Self::usage(error)
    }
}

impl From<DeriveError> for Failure {
    fn from(error: DeriveError) -> Self {
        Self::usage(error)
    }
}

impl From<PagesError> for Failure {
    fn from(error: PagesError) -> Self {
        let message =
            format!("{error}; restore the wallet book from a backup, or correct its directory");
        Self::new("file", message)
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::new(error.code().as_str(), error)
    }
}

impl From<FinishError> for Failure {
    fn from(error: FinishError) -> Self {
        match error {
            FinishError::Payload(error) => error.into(),
            other => Self::new("finish", other),
        }
    }
}
