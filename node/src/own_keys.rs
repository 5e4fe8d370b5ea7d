//! Names under which plugins and receivers use the node's own keys.

/// Signs the requests to approval servers.
pub const CALLBACK_KEY: &str = "callback";

/// Signs the events for receivers.
pub const EVENT_KEY: &str = "event";

/// True for the node's own keys. Their public halves are not trusted for anything.
pub fn is_own_key(name: &str) -> bool {
    matches!(name, CALLBACK_KEY | EVENT_KEY)
}
