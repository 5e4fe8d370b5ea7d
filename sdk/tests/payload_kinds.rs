//! The kinds of payloads that plugins compare with are those that a task can have.

use countersign_protocol::PayloadKind;
use countersign_sdk::payload;

#[test]
fn plugins_know_every_kind_of_payload() {
    assert_eq!(payload::ALL, PayloadKind::ALL.map(|kind| kind.name()));
    for kind in payload::ALL {
        assert_ne!(payload::Kind::of(kind), payload::Kind::Other, "{kind}");
    }
    assert_eq!(payload::Kind::of("later"), payload::Kind::Other);
}
