//! The names of events, by which operators choose.

use std::str::FromStr;

use countersign_host::What;
use countersign_store::TaskKind;

const OPERATIONS: [&str; 4] = ["keygen", "keysign", "keyreshare", "keysharesign"];
const HAPPENINGS: [&str; 4] = ["created", "updated", "succeeded", "failed"];

/// A name on the list that the configuration knows, such as `request.keysign.succeeded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    operation: &'static str,
    happening: &'static str,
}

/// Not the name of an event.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownEvent;

impl Wanted {
    /// The name of what happened to a task of this kind; none for a ping.
    pub(super) fn of(kind: TaskKind, what: &What) -> Option<Self> {
        let happening = match what {
            What::Ping => return None,
            What::Created => "created",
            What::Updated(_) => "updated",
            What::Succeeded(_) => "succeeded",
            What::Declined { .. } | What::Failed(_) | What::Cancelled(_) => "failed",
        };
        let name = kind.name();
        let operation = OPERATIONS
            .into_iter()
            .find(|operation| operation.eq_ignore_ascii_case(name))?;
        Some(Self {
            operation,
            happening,
        })
    }
}

impl FromStr for Wanted {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        let (operation, happening) = text
            .strip_prefix("request.")
            .and_then(|name| name.split_once('.'))
            .ok_or(UnknownEvent)?;
        let known =
            |list: [&'static str; 4], name: &str| list.into_iter().find(|known| *known == name);
        Ok(Self {
            operation: known(OPERATIONS, operation).ok_or(UnknownEvent)?,
            happening: known(HAPPENINGS, happening).ok_or(UnknownEvent)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use countersign_host::Stage;

    use super::*;

    #[test]
    fn names_are_read_and_found_again() {
        let wanted: Wanted = "request.keysign.updated".parse().unwrap();
        assert_eq!(
            Wanted::of(TaskKind::KeySign, &What::Updated(Stage::Waiting)),
            Some(wanted)
        );
        assert_ne!(
            Wanted::of(TaskKind::KeyGen, &What::Updated(Stage::Waiting)),
            Some(wanted)
        );
        assert_eq!(Wanted::of(TaskKind::KeyGen, &What::Ping), None);
        let declined = What::Declined {
            code: "c".into(),
            reason: "r".into(),
        };
        assert_eq!(
            Wanted::of(TaskKind::KeyGen, &declined),
            Some("request.keygen.failed".parse().unwrap())
        );
        for unknown in [
            "",
            "ping",
            "request.keysign",
            "request.keysign.done",
            "request.KeySign.created",
        ] {
            assert_eq!(unknown.parse::<Wanted>(), Err(UnknownEvent), "{unknown}");
        }
    }
}
