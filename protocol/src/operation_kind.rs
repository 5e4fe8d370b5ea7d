//! The one list of what a task can order. Journals, configurations, events and plugins name
//! operations as it does.

use serde::{Deserialize, Serialize};

use crate::named::named;
use crate::task::Operation;

/// What a task orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OperationKind {
    /// Make a new key.
    KeyGen,
    /// Use a key.
    KeySign,
    /// Hand a key over.
    KeyReshare,
    /// Prove that shares are intact.
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

impl OperationKind {
    /// The name in logs and in texts for people.
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

    /// Writes the names.
    pub fn serialize<S: Serializer>(
        kinds: &[OperationKind],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        names.serialize(serializer)
    }

    /// Reads the names.
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
