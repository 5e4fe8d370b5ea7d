//! A bundle of a small world in which everything is proven, and what becomes of it when something
//! is changed or missing.

mod alterations;
mod book;
mod fields;
mod gaps;
mod passkeys;
mod world;

use countersign_audit::{AuditKind, Bundle, NodeLog};
use countersign_protocol::Hash;

use super::*;
use world::World;

#[test]
fn everything_in_a_whole_bundle_is_proven() {
    let world = World::new();
    let report = world.verify(&world.bundle());
    let not_proven: Vec<String> = report
        .findings
        .iter()
        .filter(|one| one.fact.standing() != Standing::Proven)
        .map(|one| one.fact.to_string())
        .collect();
    assert_eq!(not_proven, Vec::<String>::new());
    assert_eq!(report.standing(), Standing::Proven);
    let facts = |subject| report.about(subject).cloned().collect::<Vec<_>>();
    let task = facts(Subject::Task(world::PAYMENT));
    for proven in [
        Proven::Vote {
            approver: "ann".into(),
            approves: true,
            at: world.vote().ballot().time,
        },
        Proven::Agreement { nodes: 2 },
        Proven::Requester {
            requester: world.requester(),
        },
    ] {
        assert!(task.contains(&Fact::Proven(proven.clone())), "{proven}");
    }
    for node in world.nodes() {
        assert!(task.contains(&Fact::Proven(Proven::Decision {
            node,
            approved: true,
            verdicts: 1
        })));
        assert!(task.contains(&Fact::Proven(Proven::Result {
            node,
            signatures: 1
        })));
        let outcome = "signed".into();
        assert!(task.contains(&Fact::Proven(Proven::Outcome { node, outcome })));
        let span = Span {
            first: 0,
            last: 4,
            previous: Hash([0; 32]),
            hash: world.ledger().head().hash,
        };
        let at = world::SIGNED;
        assert!(facts(Subject::Node(node)).contains(&Fact::Proven(Proven::Chain { span, at })));
        let policy = Proven::Entry {
            at: world::BEGIN,
            kind: AuditKind::Policy,
            text: "entry 0".into(),
        };
        assert!(facts(Subject::Node(node)).contains(&Fact::Proven(policy)));
    }
}

#[test]
fn a_bundle_that_is_written_is_read_back_and_written_alike() {
    let world = World::new();
    let bundle = world.bundle();
    let file = bundle.write();
    let read = Bundle::read(&file).unwrap();
    assert_eq!(read, bundle);
    assert_eq!(read.write(), file);
    for log in &bundle.nodes {
        assert_eq!(&NodeLog::read(&log.write()).unwrap(), log);
    }
}

#[test]
fn nobody_is_believed_whom_the_profile_does_not_name() {
    let mut world = World::new();
    let bundle = world.bundle();
    world.forget_everybody();
    let report = world.verify(&bundle);
    assert_eq!(report.standing(), Standing::Wrong);
    let proven = report
        .findings
        .iter()
        .filter(|one| one.fact.standing() == Standing::Proven);
    assert_eq!(proven.count(), 0, "{:?}", report.findings);
}
