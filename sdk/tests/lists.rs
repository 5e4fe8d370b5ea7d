//! The lists of operations, schemes and curves that plugins compare with are those of the node.

use std::collections::BTreeSet;

use countersign_protocol::{OperationKind, Scheme};
use countersign_sdk::testing::{self, check_up, keygen, reshare, signing};
use countersign_sdk::{Intent, Operation, operation, scheme};

#[test]
fn plugins_know_every_kind_of_operation() {
    assert_eq!(operation::ALL, OperationKind::ALL.map(|kind| kind.title()));
}

#[test]
fn every_kind_of_operation_has_its_title_whether_it_is_read_or_only_named() {
    for kind in OperationKind::ALL {
        let named = Operation::Other(kind.name().into());
        assert_eq!(operation::title(&named), kind.title());
        let read = match kind {
            OperationKind::KeyGen => keygen(2, &["a", "b"]),
            OperationKind::KeySign => signing(Intent::Opaque),
            OperationKind::KeyReshare => reshare(2, &["a", "b"]),
            OperationKind::KeyShareSign => check_up(),
        };
        assert_eq!(operation::title(&read.operation), kind.title());
    }
    let unknown = testing::task(Operation::Other("melt".into()));
    assert_eq!(operation::title(&unknown.operation), "melt");
}

#[test]
fn plugins_know_every_scheme_and_curve() {
    assert_eq!(scheme::ALL, Scheme::ALL.map(Scheme::name));
    let curves: BTreeSet<&str> = Scheme::ALL.map(Scheme::curve).into();
    assert_eq!(BTreeSet::from(scheme::CURVES), curves);
}
