//! The names by which operators select events.

use std::str::FromStr;

use countersign_host::What;
use countersign_store::OperationKind;

const HAPPENINGS: [&str; 4] = ["created", "updated", "succeeded", "failed"];

/// The name of an event in the configuration, such as `request.keysign.succeeded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    operation: OperationKind,
    happening: &'static str,
}

/// The text does not name an event.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownEvent;

impl Wanted {
    /// Returns the name of an event about a task of this kind; `None` for a ping.
    pub(super) fn of(kind: OperationKind, what: &What) -> Option<Self> {
        let happening = match what {
            What::Ping => return None,
            What::Created => "created",
            What::Updated(_) => "updated",
            What::Succeeded(_) => "succeeded",
            What::Declined { .. } | What::Failed(_) | What::Cancelled(_) => "failed",
        };
        Some(Self {
            operation: kind,
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
        let known = HAPPENINGS.into_iter().find(|known| *known == happening);
        Ok(Self {
            operation: operation.parse().map_err(|_| UnknownEvent)?,
            happening: known.ok_or(UnknownEvent)?,
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
            Wanted::of(OperationKind::KeySign, &What::Updated(Stage::Waiting)),
            Some(wanted)
        );
        assert_ne!(
            Wanted::of(OperationKind::KeyGen, &What::Updated(Stage::Waiting)),
            Some(wanted)
        );
        assert_eq!(Wanted::of(OperationKind::KeyGen, &What::Ping), None);
        let declined = What::Declined {
            code: "c".into(),
            reason: "r".into(),
        };
        assert_eq!(
            Wanted::of(OperationKind::KeyGen, &declined),
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

    #[test]
    fn every_operation_has_four_events_and_each_has_one_name() {
        let names = OperationKind::ALL.into_iter().flat_map(|operation| {
            HAPPENINGS.map(|happening| format!("request.{operation}.{happening}"))
        });
        let parsed: std::collections::BTreeSet<Wanted> =
            names.map(|name| name.parse().unwrap()).collect();
        assert_eq!(parsed.len(), OperationKind::ALL.len() * HAPPENINGS.len());
    }

    #[test]
    fn a_name_with_anything_before_or_behind_it_is_unknown() {
        for unknown in [
            " request.keygen.failed",
            "request.keygen.failed ",
            "request.keygen.failed.now",
            "Request.keygen.failed",
            "request..failed",
            "request.keygen.",
        ] {
            assert_eq!(unknown.parse::<Wanted>(), Err(UnknownEvent), "{unknown}");
        }
    }
}
