//! What is wrong with a payload.

use std::borrow::Cow;

/// Why bytes are not what their kind says: a clause for whoever wrote them, to follow "it is not a
/// …:".
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
    /// For an error that says by itself what is wrong.
    pub(crate) fn by(error: impl std::fmt::Display) -> Self {
        Self(error.to_string().into())
    }
}

impl From<Malformed> for String {
    fn from(malformed: Malformed) -> Self {
        malformed.0.into_owned()
    }
}
