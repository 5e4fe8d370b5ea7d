//! Wallets of the auditor's wallet book.

use countersign_protocol::Hash;

use super::super::*;
use super::world::World;

/// A world in which nobody stands behind the wallet but the book.
fn strangers() -> (World, Bundle) {
    let world = World::new();
    let mut bundle = world.bundle();
    bundle.wallets[0].order = None;
    (world, bundle)
}

#[test]
fn a_wallet_of_the_book_is_believed_and_that_is_said() {
    let (mut world, bundle) = strangers();
    let wallet = world.wallet();
    let subject = Subject::Wallet(wallet.key);
    let unknown = world.verify(&bundle);
    assert!(
        unknown
            .about(subject)
            .all(|fact| matches!(fact, Fact::Missing(Missing::Belief { .. }))),
        "{:#?}",
        unknown.findings
    );
    world.book = vec![wallet];
    let report = world.verify(&bundle);
    let facts: Vec<&Fact> = report.about(subject).collect();
    let proven = Fact::Proven(Proven::WalletOfBook { generations: 1 });
    assert_eq!(facts, [&proven]);
    assert_eq!(
        report.standing(),
        Standing::Proven,
        "{:#?}",
        report.findings
    );
}

#[test]
fn a_wallet_that_differs_from_the_book_is_wrong_whoever_stands_behind_it() {
    let mut world = World::new();
    let bundle = world.bundle();
    let mut other = world.wallet();
    other.public_shares = Hash([9; 32]);
    world.acknowledge(&mut other);
    world.book = vec![other];
    let report = world.verify(&bundle);
    let subject = Subject::Wallet(world.wallet().key);
    let is_wrong = |fact: &Fact| matches!(fact, Fact::Wrong(Wrong::Wallet(_)));
    assert!(
        report.about(subject).any(is_wrong),
        "{:#?}",
        report.findings
    );
}

/// The bundle may have been collected before the wallet's last reshare.
#[test]
fn later_generations_of_the_book_are_not_forgotten_for_those_of_the_bundle() {
    let mut world = World::new();
    let bundle = world.bundle();
    let first = world.wallet();
    let mut second = world.wallet();
    second.generation = 1;
    world.acknowledge(&mut second);
    world.book = vec![first, second];
    let trust = |world: &World| world.believed(&bundle);
    assert_eq!(trust(&world), 2);
    world.book.pop();
    assert_eq!(trust(&world), 1);
}
