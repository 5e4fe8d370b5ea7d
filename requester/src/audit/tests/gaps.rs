//! What is not there is said, and does not pass as proven.

use countersign_audit::{AuditKind, Bundle, Checkpoint, Deleted, SignedHead, record_hash};
use countersign_protocol::{Hash, UnixMillis};

use super::super::*;
use super::world::{BEGIN, END, PAYMENT, SIGNED, World, log_of, told};

/// What is missing in words, how it comes to be missing, and what is said.
const GAPS: &[(&str, Take, Lacks)] = &[
    (
        "a node without a file",
        |world, bundle| bundle.nodes.retain(|log| log.node != world.bob.node()),
        |world, subject, missing| {
            *subject == Subject::Node(world.bob.node()) && *missing == Missing::Log
        },
    ),
    (
        "a party of a task without a file",
        |world, bundle| bundle.nodes.retain(|log| log.node != world.bob.node()),
        |world, subject, missing| {
            let node = world.bob.node();
            *subject == Subject::Task(PAYMENT) && *missing == Missing::LogOf { node }
        },
    ),
    (
        "a task that one node has and another lacks",
        |world, bundle| {
            let mut ledger = world.ledger();
            ledger.entries.truncate(3);
            ledger.records.remove(&PAYMENT);
            *log_of(bundle, world.bob.node()) = ledger.export(&world.bob);
        },
        |world, _, missing| {
            let node = world.bob.node();
            *missing == Missing::AtNode { node }
        },
    ),
    (
        "a record",
        |world, bundle| drop(log_of(bundle, world.bob.node()).records.pop()),
        |_, _, missing| {
            *missing
                == Missing::Record {
                    task: PAYMENT,
                    entry: 4,
                }
        },
    ),
    (
        "the beginning of a log",
        |world, bundle| {
            let log = log_of(bundle, world.bob.node());
            log.entries.remove(0);
        },
        |_, _, missing| *missing == Missing::Begin { first: 1 },
    ),
    (
        "the end of a log, because it was signed too early",
        |world, bundle| {
            let log = log_of(bundle, world.bob.node());
            let head = log.entries.last().unwrap().head();
            let at = UnixMillis(END.0 - 1);
            log.head = SignedHead::sign(log.node, head, head.entries, at, &world.bob);
        },
        |_, _, missing| matches!(missing, Missing::End { .. }),
    ),
    (
        "the end of a log, because it was exported in part",
        |world, bundle| {
            let log = log_of(bundle, world.bob.node());
            let head = log.entries.last().unwrap().head();
            log.head = SignedHead::sign(log.node, head, head.entries + 1, SIGNED, &world.bob);
        },
        |_, _, missing| matches!(missing, Missing::End { .. }),
    ),
    (
        "the text of a configuration",
        |world, bundle| log_of(bundle, world.bob.node()).policies[0].document = None,
        |_, _, missing| matches!(missing, Missing::Policy { .. }),
    ),
    (
        "the requester's signature",
        |world, bundle| {
            bundle.coordinator = None;
            let mut ledger = world.ledger();
            for (_, beside) in ledger.records.values_mut() {
                beside.order = None;
            }
            *log_of(bundle, world.alice.node()) = ledger.export(&world.alice);
            *log_of(bundle, world.bob.node()) = ledger.export(&world.bob);
        },
        |_, _, missing| *missing == Missing::OrderSignature,
    ),
    (
        "the votes at a node",
        |world, bundle| {
            let mut ledger = world.ledger();
            for (_, beside) in ledger.records.values_mut() {
                beside.votes = None;
            }
            *log_of(bundle, world.bob.node()) = ledger.export(&world.bob);
        },
        |world, _, missing| {
            let node = world.bob.node();
            *missing == Missing::Votes { node }
        },
    ),
    (
        "a vote that a node was not given",
        |world, bundle| {
            let mut ledger = world.ledger();
            for (_, beside) in ledger.records.values_mut() {
                beside.votes = Some(Vec::new());
            }
            *log_of(bundle, world.bob.node()) = ledger.export(&world.bob);
        },
        |world, _, missing| matches!(missing, Missing::VoteAtNode { node, .. } if *node == world.bob.node()),
    ),
    (
        "a list of approvers",
        |world, _| world.people = None,
        |_, _, missing| matches!(missing, Missing::Approver { .. }),
    ),
    (
        "the coordinator",
        |_, bundle| bundle.coordinator = None,
        |_, _, missing| *missing == Missing::Coordinator,
    ),
    (
        "the coordinator's id in the profile",
        |world, _| world.known_coordinator = None,
        |_, _, missing| *missing == Missing::CoordinatorId,
    ),
    (
        "a task at the coordinator",
        |_, bundle| {
            let payment = told(bundle).task.clone();
            let coordinator = bundle.coordinator.as_mut().unwrap();
            coordinator.tasks.retain(|one| one.task != payment);
        },
        |_, subject, missing| {
            *subject == Subject::Task(PAYMENT) && *missing == Missing::AtCoordinator
        },
    ),
    (
        "the chain of acts, because an earlier program wrote them",
        |_, bundle| {
            let coordinator = bundle.coordinator.as_mut().unwrap();
            coordinator.acts.iter_mut().for_each(|act| act.link = None);
            coordinator.head = None;
        },
        |_, _, missing| *missing == Missing::Unlinked { number: 3 },
    ),
    (
        "the wallet",
        |_, bundle| bundle.wallets.clear(),
        |world, _, missing| {
            let wallet = world.wallet().key;
            *missing == Missing::Wallet { wallet }
        },
    ),
    (
        "the order behind the wallet",
        |_, bundle| bundle.wallets[0].order = None,
        |_, _, missing| matches!(missing, Missing::Belief { .. }),
    ),
    (
        "a record that was deleted, by a signed checkpoint",
        |world, bundle| delete(world, bundle, true),
        |_, _, missing| *missing == Missing::Deleted { task: PAYMENT },
    ),
    (
        "a record that was deleted, before a checkpoint was signed",
        |world, bundle| delete(world, bundle, false),
        |_, _, missing| *missing == Missing::DeletedUnsigned { task: PAYMENT },
    ),
];

type Take = fn(&mut World, &mut Bundle);
type Lacks = fn(&World, &Subject, &Missing) -> bool;

/// Bob deletes the record of the payment, says so in his log, and signs a checkpoint or not.
fn delete(world: &World, bundle: &mut Bundle, signs: bool) {
    let mut ledger = world.ledger();
    let (row, _) = ledger.records.remove(&PAYMENT).unwrap();
    ledger.log(AuditKind::Pruned, None, Some(Hash([1; 32])));
    let pruned = ledger.head();
    let log = log_of(bundle, world.bob.node());
    *log = ledger.export(&world.bob);
    log.deleted.push(Deleted {
        task: PAYMENT,
        hash: world.payment().hash(),
        record: record_hash(&row),
    });
    if signs {
        let checkpoint = Checkpoint::sign(log.node, pruned, (1, END), SIGNED, &world.bob);
        log.checkpoints.push(checkpoint);
    }
}

#[test]
fn whatever_is_missing_is_said_and_nothing_is_called_wrong() {
    for (what, take, lacks) in GAPS {
        let mut world = World::new();
        let mut bundle = world.bundle();
        take(&mut world, &mut bundle);
        let read = Bundle::read(&bundle.write()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let report = world.verify(&read);
        assert_eq!(
            report.standing(),
            Standing::Missing,
            "{what}: {:#?}",
            report.findings
        );
        let said = report.findings.iter().any(|one| match &one.fact {
            Fact::Missing(missing) => lacks(&world, &one.subject, missing),
            Fact::Proven(_) | Fact::Wrong(_) => false,
        });
        assert!(said, "{what}: {:#?}", report.findings);
    }
}

/// The chain goes on behind a deletion, and proves what came later.
#[test]
fn a_log_verifies_across_a_checkpoint() {
    let world = World::new();
    let mut bundle = world.bundle();
    delete(&world, &mut bundle, true);
    let report = world.verify(&bundle);
    let facts: Vec<&Fact> = report.about(Subject::Node(world.bob.node())).collect();
    for proven in [
        Proven::Checkpoint {
            records: 1,
            before: END,
        },
        Proven::Chain {
            first: 0,
            last: 5,
            at: SIGNED,
        },
    ] {
        assert!(facts.contains(&&Fact::Proven(proven)), "{facts:#?}");
    }
}

/// A file of a node may have more than the time that is asked about, and its records do not count
/// as records of that time.
#[test]
fn what_is_from_another_time_is_neither_missing_nor_judged() {
    let world = World::new();
    let mut bundle = world.bundle();
    bundle.time = (UnixMillis(BEGIN.0 + 10 * 60_000), END);
    bundle.coordinator.as_mut().unwrap().tasks.clear();
    let report = world.verify(&bundle);
    assert_eq!(report.about(Subject::Task(PAYMENT)).count(), 0);
    assert_eq!(
        report.standing(),
        Standing::Proven,
        "{:#?}",
        report.findings
    );
}
