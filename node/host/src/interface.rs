//! The interfaces that a plugin may import, and what each of them means to the host. What is not in
//! the table can be granted by nobody and is never frozen.

use crate::grants::Grants;

const INTERFACES: [Interface; 26] = [
    interface("countersign:policy/types", Need::Nothing, Freezing::Linked),
    interface("countersign:policy/events", Need::Nothing, Freezing::Traps),
    interface("countersign:policy/config", Need::Nothing, Freezing::Linked),
    interface(
        "countersign:policy/logging",
        Need::Nothing,
        Freezing::Linked,
    ),
    interface("countersign:policy/clock", Need::Nothing, Freezing::Traps),
    interface("countersign:policy/keys", Need::Keys, Freezing::Forbidden),
    interface("countersign:policy/http", Need::Http, Freezing::Forbidden),
    interface("countersign:policy/state", Need::State, Freezing::Traps),
    interface("wasi:cli/environment", Need::Nothing, Freezing::Linked),
    interface("wasi:cli/exit", Need::Nothing, Freezing::Linked),
    interface("wasi:cli/stdin", Need::Nothing, Freezing::Traps),
    interface("wasi:cli/stdout", Need::Nothing, Freezing::Traps),
    interface("wasi:cli/stderr", Need::Nothing, Freezing::Traps),
    interface("wasi:cli/terminal-input", Need::Nothing, Freezing::Traps),
    interface("wasi:cli/terminal-output", Need::Nothing, Freezing::Traps),
    interface("wasi:cli/terminal-stdin", Need::Nothing, Freezing::Traps),
    interface("wasi:cli/terminal-stdout", Need::Nothing, Freezing::Traps),
    interface("wasi:cli/terminal-stderr", Need::Nothing, Freezing::Traps),
    interface(
        "wasi:clocks/monotonic-clock",
        Need::Nothing,
        Freezing::Traps,
    ),
    interface("wasi:clocks/wall-clock", Need::Nothing, Freezing::Traps),
    interface("wasi:io/error", Need::Nothing, Freezing::Traps),
    interface("wasi:io/poll", Need::Nothing, Freezing::Traps),
    interface("wasi:io/streams", Need::Nothing, Freezing::Traps),
    interface("wasi:random/random", Need::Nothing, Freezing::Traps),
    interface("wasi:random/insecure", Need::Nothing, Freezing::Traps),
    interface("wasi:random/insecure-seed", Need::Nothing, Freezing::Linked),
];

/// What an import asks of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// A grant of keys.
    Keys,
    /// A grant of URLs.
    Http,
    /// A grant of memory.
    State,
    /// What nobody can grant.
    Impossible,
}

/// What an import means to a component whose configuration is to be read once (`freeze`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freezing {
    /// It says the same in every call, so it may be used while the configuration is read.
    Linked,
    /// It does not, so its use while the configuration is read ends the attempt.
    Traps,
    /// A frozen guest could show a repeated nonce to somebody outside.
    Forbidden,
}

struct Interface {
    /// Without version.
    name: &'static str,
    need: Need,
    freezing: Freezing,
}

const fn interface(name: &'static str, need: Need, freezing: Freezing) -> Interface {
    Interface {
        name,
        need,
        freezing,
    }
}

fn find(import: &str) -> Option<&'static Interface> {
    let name = import.split('@').next()?;
    INTERFACES.iter().find(|interface| interface.name == name)
}

impl Need {
    /// Of an import by its full name, e.g. `countersign:policy/http@0.1.0`.
    pub(crate) fn of(import: &str) -> Self {
        find(import).map_or(Self::Impossible, |interface| interface.need)
    }

    pub(crate) fn is_granted(self, grants: &Grants) -> bool {
        match self {
            Self::Nothing => true,
            Self::Keys => !grants.keys.is_empty(),
            Self::Http => !grants.http.is_empty(),
            Self::State => grants.state_bytes > 0,
            Self::Impossible => false,
        }
    }
}

impl Freezing {
    /// Of an import by its full name.
    pub(crate) fn of(import: &str) -> Self {
        find(import).map_or(Self::Forbidden, |interface| interface.freezing)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_interface_that_is_not_listed_is_neither_granted_nor_frozen() {
        for import in [
            "countersign:policy/vault@0.1.0",
            "countersign:policy/",
            "countersign:policy",
            "wasi:cli/run@0.2.0",
            "wasi:random/hardware@0.2.0",
            "wasi:sockets/tcp@0.2.0",
            "wasi:filesystem/preopens@0.2.0",
            "",
        ] {
            assert_eq!(Need::of(import), Need::Impossible, "{import}");
            assert_eq!(Freezing::of(import), Freezing::Forbidden, "{import}");
        }
        assert!(!Need::Impossible.is_granted(&Grants::default()));
    }

    #[test]
    fn the_version_does_not_matter() {
        assert_eq!(Need::of("countersign:policy/http@0.9.0"), Need::Http);
        assert_eq!(Need::of("countersign:policy/http"), Need::Http);
        assert_eq!(Freezing::of("wasi:cli/exit@0.2.12"), Freezing::Linked);
    }

    #[test]
    fn what_needs_a_grant_or_shows_a_nonce_is_known_by_name() {
        let names = |keep: fn(&Interface) -> bool| -> Vec<&str> {
            let kept = INTERFACES.iter().filter(|interface| keep(interface));
            kept.map(|interface| interface.name).collect()
        };
        let granted = ["keys", "http", "state"].map(|name| format!("countersign:policy/{name}"));
        assert_eq!(names(|interface| interface.need != Need::Nothing), granted);
        let outward = names(|interface| interface.freezing == Freezing::Forbidden);
        assert_eq!(outward, granted[..2]);
        let distinct: BTreeSet<_> = INTERFACES.iter().map(|interface| interface.name).collect();
        assert_eq!(distinct.len(), INTERFACES.len());
    }
}
