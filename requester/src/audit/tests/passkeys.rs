//! Orders that a passkey signed.

use countersign_vote::RelyingParty;

use super::*;

/// What is said of the order of the payment, and the worst that is said at all.
fn judged(world: &World, pages: Option<RelyingParty>) -> (Vec<Fact>, Standing) {
    let bundle = world.bundle();
    let mut auditor = World::with_passkey();
    auditor.pages = pages;
    let report = auditor.verify(&bundle);
    let facts = report.about(Subject::Task(world::PAYMENT)).cloned();
    (facts.collect(), report.standing())
}

#[test]
fn an_order_by_passkey_is_proven_to_whoever_knows_its_page() {
    let world = World::with_passkey();
    let requester = world.requester();
    assert!(requester.is_passkey());
    let (facts, standing) = judged(&world, world.pages.clone());
    assert_eq!(standing, Standing::Proven, "{facts:?}");
    assert!(facts.contains(&Fact::Proven(Proven::Requester { requester })));
}

#[test]
fn without_its_page_an_order_by_passkey_is_neither_proven_nor_wrong() {
    let world = World::with_passkey();
    let requester = world.requester();
    let (facts, standing) = judged(&world, None);
    assert_eq!(standing, Standing::Missing, "{facts:?}");
    assert!(facts.contains(&Fact::Missing(Missing::OrderPages { requester })));
    assert!(!facts.contains(&Fact::Proven(Proven::Requester { requester })));
}

#[test]
fn an_order_by_passkey_from_another_page_is_wrong() {
    let world = World::with_passkey();
    let requester = world.requester();
    let elsewhere = RelyingParty::new("other.example", ["https://other.example"]).unwrap();
    let (facts, standing) = judged(&world, Some(elsewhere));
    assert_eq!(standing, Standing::Wrong, "{facts:?}");
    assert!(facts.contains(&Fact::Wrong(Wrong::Requester { requester })));
}
