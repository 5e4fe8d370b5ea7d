//! Changes: the steps of a commit.

use std::fmt;

use zeroize::Zeroizing;

use super::error::CommitError;
use super::section::Section;

/// The longest key within a section, in bytes.
pub const MAX_KEY: usize = 256;
/// The largest value, in bytes.
pub const MAX_VALUE: usize = 16 * 1024 * 1024;

/// One step of a commit.
pub enum Change {
    /// Writes a value, over the old one if there is one.
    Put {
        /// The section that gets the value.
        section: Section,
        /// The value's name, 1 to [`MAX_KEY`] bytes.
        key: String,
        /// The secret, at most [`MAX_VALUE`] bytes.
        value: Zeroizing<Vec<u8>>,
    },
    /// Removes a value; one that is not there stays not there.
    Delete {
        /// The section that has the value.
        section: Section,
        /// The value's name, 1 to [`MAX_KEY`] bytes.
        key: String,
    },
}

impl Change {
    pub(super) fn place(&self) -> (Section, &str) {
        match self {
            Self::Put { section, key, .. } | Self::Delete { section, key } => (*section, key),
        }
    }

    /// The value after this change.
    pub(super) fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Put { value, .. } => Some(value),
            Self::Delete { .. } => None,
        }
    }

    pub(super) fn check(&self) -> Result<(), CommitError> {
        let (section, key) = self.place();
        let rejected = |what| {
            Err(CommitError::Rejected {
                section,
                key: key.into(),
                what,
            })
        };
        match self {
            _ if key.is_empty() || key.len() > MAX_KEY => rejected("its name is empty or too long"),
            Self::Put { value, .. } if value.len() > MAX_VALUE => {
                rejected("its value is too large")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (section, key) = self.place();
        let verb = if matches!(self, Self::Put { .. }) {
            "Put"
        } else {
            "Delete"
        };
        write!(f, "{verb}({}/{key}, ..)", section.name())
    }
}
