//! Words of the HTTP API as arguments: states, kinds of events and of operations.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use countersign_client::api::{DeliveryState, EventKind, Scope, State};
use countersign_protocol::OperationKind;
use serde::de::DeserializeOwned;
use serde_json::Value;

const STATES: [&str; 9] = [
    "pending",
    "waiting",
    "approving",
    "running",
    "completed",
    "rejected",
    "failed",
    "expired",
    "cancelled",
];
const KINDS: [&str; 13] = [
    "task.pending",
    "task.voted",
    "task.accepted",
    "task.offered",
    "task.started",
    "task.completed",
    "task.rejected",
    "task.failed",
    "task.expired",
    "task.cancelled",
    "wallet.created",
    "wallet.reshared",
    "wallet.imported",
];
const DELIVERY_STATES: [&str; 3] = ["pending", "delivered", "failed"];

/// States of tasks.
pub fn states() -> impl TypedValueParser<Value = State> {
    PossibleValuesParser::new(STATES).try_map(|word| parse(&word))
}

/// Kinds of events in the feed.
pub fn kinds() -> impl TypedValueParser<Value = EventKind> {
    PossibleValuesParser::new(KINDS).try_map(|word| parse(&word))
}

/// States of deliveries.
pub fn delivery_states() -> impl TypedValueParser<Value = DeliveryState> {
    PossibleValuesParser::new(DELIVERY_STATES).try_map(|word| parse(&word))
}

/// Scopes of API keys.
pub fn scopes() -> impl TypedValueParser<Value = Scope> {
    PossibleValuesParser::new(Scope::ALL.map(Scope::as_str)).try_map(|word| word.parse::<Scope>())
}

/// Kinds of operations.
pub fn operations() -> impl TypedValueParser<Value = OperationKind> {
    let names = OperationKind::ALL.map(OperationKind::name);
    PossibleValuesParser::new(names).try_map(|word| word.to_lowercase().parse::<OperationKind>())
}

fn parse<T: DeserializeOwned>(word: &str) -> Result<T, serde_json::Error> {
    serde_json::from_value(Value::String(word.into()))
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::json;

    use super::*;

    fn all<T: DeserializeOwned + Serialize>(words: &[&str]) {
        for text in words {
            let parsed: T = parse(text).unwrap();
            assert_eq!(json!(parsed), *text);
        }
    }

    #[test]
    fn every_word_is_one_of_the_api() {
        all::<State>(&STATES);
        all::<EventKind>(&KINDS);
        all::<DeliveryState>(&DELIVERY_STATES);
        assert!(parse::<State>("done").is_err());
    }

    /// The API's own list of words is in the error about an unknown one.
    #[test]
    fn no_word_of_the_api_is_missing() {
        let expected = |error: serde_json::Error| error.to_string();
        let states = expected(parse::<State>("?").unwrap_err());
        assert_eq!(states.matches('`').count(), 2 * (STATES.len() + 1));
        let kinds = expected(parse::<EventKind>("?").unwrap_err());
        // A test of a webhook is sent to that webhook alone.
        assert!(kinds.contains("`webhook.test`"));
        assert_eq!(kinds.matches('`').count(), 2 * (KINDS.len() + 2));
        let deliveries = expected(parse::<DeliveryState>("?").unwrap_err());
        assert_eq!(
            deliveries.matches('`').count(),
            2 * (DELIVERY_STATES.len() + 1)
        );
    }
}
