//! The list of operations that a task can order. Journals, configurations, events and
//! plugins use these names.

use serde::{Deserialize, Serialize};

use crate::named::named;
use crate::task::Operation;

/// The kind of operation that a task orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OperationKind {
    /// Makes a new key.
    KeyGen,
    /// Signs with a key.
    KeySign,
    /// Hands a key over to another committee.
    KeyReshare,
    /// Proves that shares are intact.
    KeyShareSign,
}

named! {
    OperationKind {
        KeyGen = "keygen",
        KeySign = "keysign",
        KeyReshare = "keyreshare",
        KeyShareSign = "keysharesign",
    } or UnknownOperation("kind of operation")
}

/// What the parties of a task store before any of them knows that it succeeds. Such a task is in
/// doubt until all acknowledgements are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// No share is stored, and no task of the kind is ever in doubt.
    Nothing,
    /// The first generation of a key.
    NewKey,
    /// Another generation of a key in use. The parties that stored nothing can vote to abort.
    NextGeneration,
}

impl OperationKind {
    /// What the parties of such a task store before it ends.
    pub fn stored(self) -> Stored {
        match self {
            Self::KeyGen => Stored::NewKey,
            Self::KeyReshare => Stored::NextGeneration,
            Self::KeySign | Self::KeyShareSign => Stored::Nothing,
        }
    }

    /// The title in logs and in texts for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::KeyGen => "KeyGen",
            Self::KeySign => "KeySign",
            Self::KeyReshare => "KeyReshare",
            Self::KeyShareSign => "KeyShareSign",
        }
    }
}

impl From<&Operation> for OperationKind {
    fn from(operation: &Operation) -> Self {
        match operation {
            Operation::KeyGen(_) => Self::KeyGen,
            Operation::KeySign(_) => Self::KeySign,
            Operation::KeyReshare(_) => Self::KeyReshare,
            Operation::KeyShareSign(_) => Self::KeyShareSign,
        }
    }
}

/// Lists of operations by their names, as configurations have them.
pub mod names {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::OperationKind;

    /// Serialises the list by name.
    pub fn serialize<S: Serializer>(
        kinds: &[OperationKind],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        names.serialize(serializer)
    }

    /// Deserialises the list; an unknown name is an error.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<OperationKind>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let read = |name: &String| name.parse().map_err(D::Error::custom);
        names.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_titles_belong_together() {
        for kind in OperationKind::ALL {
            assert_eq!(kind.title().to_ascii_lowercase(), kind.name());
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("KeyGen".parse::<OperationKind>().is_err());
    }
}
