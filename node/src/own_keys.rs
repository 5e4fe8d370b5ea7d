//! Names under which plugins and receivers use the node's own keys.

/// Signs the requests to approval servers.
pub const CALLBACK_KEY: &str = "callback";

/// Signs the events for receivers.
pub const EVENT_KEY: &str = "event";

/// True for the node's own keys. Their public halves are not trusted for anything.
pub fn is_own_key(name: &str) -> bool {
    matches!(name, CALLBACK_KEY | EVENT_KEY)
}

#[cfg(test)]
mod tests {
    use super::is_own_key;

    #[test]
    fn the_node_owns_two_keys_by_their_exact_names() {
        assert!(is_own_key("callback") && is_own_key("event"));
        for other in ["", "Callback", "callback-v1-1", "events", "event "] {
            assert!(!is_own_key(other), "{other}");
        }
    }
}
