//! Orders that a passkey signed.

use countersign_protocol::UnixMillis;
use countersign_vote::RelyingParty;

use super::*;
use crate::belief::{Believed, Doubt, Introduction};

/// What is said of the order of the payment, and the worst that is said at all.
fn judged(world: &World, pages: Option<RelyingParty>) -> (Vec<Fact>, Standing) {
    let bundle = world.bundle();
    let mut auditor = World::with_passkey();
    auditor.pages = pages;
    let report = auditor.verify(&bundle);
    let facts = report.about(Subject::Task(world::PAYMENT)).cloned();
    (facts.collect(), report.standing())
}

fn elsewhere() -> RelyingParty {
    RelyingParty::new("other.example", ["https://other.example"]).unwrap()
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
    let (facts, standing) = judged(&world, Some(elsewhere()));
    assert_eq!(standing, Standing::Wrong, "{facts:?}");
    let from = Source::Coordinator;
    assert!(facts.contains(&Fact::Wrong(Wrong::Unsigned { from, requester })));
}

/// Without the page nobody can say who ordered, so a person may still vouch for the wallet. With
/// another page, the order is not what it says.
#[test]
fn a_wallet_that_a_passkey_ordered_is_believed_with_its_page_alone() {
    let world = World::with_passkey();
    let wallet = world.wallet();
    let order = world.creation();
    let meet = |pages: Option<&RelyingParty>| {
        let pages = pages.map(|pages| pages as &dyn Passkeys);
        let all = vec![wallet.clone()];
        let own = Believed::ordered(&wallet, &order, pages, UnixMillis(1));
        let met = Introduction::new(wallet.key, all, &wallet, Some(&order), pages);
        (met, own)
    };
    let (met, own) = meet(world.pages.as_ref());
    assert_eq!(met.unwrap().doubts(&world.known()), []);
    assert!(own.is_ok());
    let (met, own) = meet(None);
    let met = met.unwrap();
    let doubt = Doubt::NoPages(world.requester());
    assert_eq!(met.doubts(&world.known()), [doubt]);
    assert_eq!(met.requester(), None);
    assert!(own.is_err());
    let (met, own) = meet(Some(&elsewhere()));
    assert!(met.is_err() && own.is_err());
}
