//! The role of an entry: the tasks that it guards, or the decision that it shadows.

use std::time::Duration;

use countersign_protocol::OperationKind;

use crate::contract::task::{Key, Operation};

/// The part that an operator gives to one plugin entry. By default it guards every task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// The tasks that the entry guards.
    pub scope: Scope,
    /// If set, the entry decides nothing and is compared with this.
    pub shadow: Option<Shadow>,
    /// Interval between probes of its dependencies. Never probed, if absent.
    pub monitor: Option<Duration>,
}

/// The tasks that an entry guards, by facts alone. An empty list allows everything; a task
/// must fit all three.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Kinds of operation. One that this version does not know is guarded by
    /// entries without this list.
    pub operations: Vec<OperationKind>,
    /// Key ids. An operation without a key, such as a key generation, is guarded by
    /// entries without this list.
    pub keys: Vec<String>,
    /// Signature schemes by name, e.g. `ed25519`.
    pub schemes: Vec<String>,
}

/// The decision that a shadow, which decides nothing, is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shadow {
    /// The entry of this name. The shadow sees that entry's memory too.
    Entry(String),
    /// All deciding entries together.
    Chain,
}

impl Shadow {
    /// Name of the entry it is compared with, if it is one.
    pub fn entry(&self) -> Option<&str> {
        match self {
            Self::Entry(name) => Some(name),
            Self::Chain => None,
        }
    }
}

/// One thing that a task uses. A check-up of shares can use several keys; every
/// one must be guarded.
pub(crate) struct Subject<'t> {
    operation: Option<OperationKind>,
    key: Option<&'t str>,
    scheme: Option<&'t str>,
}

impl Scope {
    pub(crate) fn covers(&self, subject: &Subject) -> bool {
        let listed = |list: &[String], fact: Option<&str>| {
            list.is_empty() || list.iter().any(|item| fact == Some(item))
        };
        let operation = self.operations.is_empty()
            || subject
                .operation
                .is_some_and(|operation| self.operations.contains(&operation));
        operation && listed(&self.keys, subject.key) && listed(&self.schemes, subject.scheme)
    }

    /// True if it covers everything that `other` covers: each of its lists is empty, or has all of
    /// the other's, which is not empty.
    pub fn includes(&self, other: &Self) -> bool {
        fn within<T: PartialEq>(wide: &[T], narrow: &[T]) -> bool {
            let listed = || narrow.iter().all(|item| wide.contains(item));
            wide.is_empty() || (!narrow.is_empty() && listed())
        }
        within(&self.operations, &other.operations)
            && within(&self.keys, &other.keys)
            && within(&self.schemes, &other.schemes)
    }
}

/// The keys and schemes that `operation` uses; at least one subject.
pub(crate) fn subjects(operation: &Operation) -> Vec<Subject<'_>> {
    use OperationKind::{KeyGen, KeyReshare, KeyShareSign, KeySign};
    match operation {
        Operation::Keygen(keygen) => {
            vec![Subject {
                operation: Some(KeyGen),
                key: None,
                scheme: Some(&keygen.scheme),
            }]
        }
        Operation::Sign(signing) => vec![Subject::of_key(KeySign, &signing.key)],
        Operation::Reshare(resharing) => vec![Subject::of_key(KeyReshare, &resharing.key)],
        Operation::KeyShareSign(signing) if !signing.checks.is_empty() => signing
            .checks
            .iter()
            .map(|check| Subject::of_key(KeyShareSign, &check.key))
            .collect(),
        Operation::KeyShareSign(_) => {
            vec![Subject {
                operation: Some(KeyShareSign),
                key: None,
                scheme: None,
            }]
        }
        Operation::Other(name) => vec![Subject {
            operation: name.parse().ok(),
            key: None,
            scheme: None,
        }],
    }
}

impl<'t> Subject<'t> {
    fn of_key(operation: OperationKind, key: &'t Key) -> Self {
        Self {
            operation: Some(operation),
            key: Some(&key.id),
            scheme: Some(&key.scheme),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_by_name_covers_an_operation_of_which_only_the_name_is_known() {
        for asked in OperationKind::ALL {
            let operation = Operation::Other(asked.name().into());
            for listed in OperationKind::ALL {
                let scope = Scope {
                    operations: vec![listed],
                    ..Scope::default()
                };
                let covered = subjects(&operation)
                    .iter()
                    .all(|subject| scope.covers(subject));
                assert_eq!(covered, listed == asked, "{listed} {asked}");
            }
        }
    }

    #[test]
    fn a_scope_includes_another_one_if_no_list_of_it_is_shorter() {
        let lists = |operations: &[OperationKind], keys: &[&str], schemes: &[&str]| Scope {
            operations: operations.to_vec(),
            keys: keys.iter().map(ToString::to_string).collect(),
            schemes: schemes.iter().map(ToString::to_string).collect(),
        };
        let sign = OperationKind::KeySign;
        let keygen = OperationKind::KeyGen;
        let all = Scope::default();
        let narrow = lists(&[sign], &["k"], &["ed25519"]);
        assert!(all.includes(&all) && all.includes(&narrow) && narrow.includes(&narrow));
        for (wide, includes) in [
            (lists(&[sign, keygen], &["k"], &["ed25519"]), true),
            (lists(&[sign], &["j", "k"], &["ed25519"]), true),
            (lists(&[], &["k"], &["ed25519"]), true),
            (lists(&[keygen], &["k"], &["ed25519"]), false),
            (lists(&[sign], &["j"], &["ed25519"]), false),
            (lists(&[sign], &["k"], &["other"]), false),
        ] {
            assert_eq!(wide.includes(&narrow), includes, "{wide:?}");
        }
        for list in [
            lists(&[sign], &[], &[]),
            lists(&[], &["k"], &[]),
            lists(&[], &[], &["ed25519"]),
        ] {
            assert!(!list.includes(&all), "{list:?}");
        }
    }

    #[test]
    fn an_operation_of_another_name_is_covered_by_scopes_without_operations() {
        let operation = Operation::Other("melt".into());
        let subject = &subjects(&operation)[0];
        assert!(Scope::default().covers(subject));
        let listed = Scope {
            operations: OperationKind::ALL.to_vec(),
            ..Scope::default()
        };
        assert!(!listed.covers(subject));
    }
}
