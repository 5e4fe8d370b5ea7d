//! The internal error of a malformed payload.

use std::borrow::Cow;

/// The reason bytes are not of their declared kind: a clause for the requester, to follow "it
/// is not a …:".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(Cow<'static, str>);

impl From<&'static str> for Malformed {
    fn from(what: &'static str) -> Self {
        Self(what.into())
    }
}

impl From<String> for Malformed {
    fn from(what: String) -> Self {
        Self(what.into())
    }
}

impl Malformed {
    /// From an error that is self-explanatory.
    pub(crate) fn by(error: impl std::fmt::Display) -> Self {
        Self(error.to_string().into())
    }
}

impl From<Malformed> for String {
    fn from(malformed: Malformed) -> Self {
        malformed.0.into_owned()
    }
}
