//! The kinds of operations: those of [`Operation`]'s variants, and the names that
//! [`Operation::Other`] has for a task of which the node knows only the kind.

use crate::Operation;

/// Makes a new key.
pub const KEY_GEN: &str = "KeyGen";
/// Signs with a key.
pub const KEY_SIGN: &str = "KeySign";
/// Moves a key to another committee.
pub const KEY_RESHARE: &str = "KeyReshare";
/// Proves that shares are intact.
pub const KEY_SHARE_SIGN: &str = "KeyShareSign";

/// The titles of all kinds. Their lowercase forms are the names in configurations and events.
pub const ALL: [&str; 4] = [KEY_GEN, KEY_SIGN, KEY_RESHARE, KEY_SHARE_SIGN];

/// Returns the operation's title. A kind that this version does not know keeps its name.
pub fn title(operation: &Operation) -> &str {
    match operation {
        Operation::Keygen(_) => KEY_GEN,
        Operation::Sign(_) => KEY_SIGN,
        Operation::Reshare(_) => KEY_RESHARE,
        Operation::KeyShareSign(_) => KEY_SHARE_SIGN,
        Operation::Other(name) => {
            let known = ALL
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(name));
            known.unwrap_or(name)
        }
    }
}
