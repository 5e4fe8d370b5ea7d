//! What is not there is said, and does not pass as proven.

use countersign_audit::{
    AuditHead, AuditKind, Bundle, Checkpoint, Deleted, Extent, NodeLog, Row, SignedHead,
    pruned_hash, record_hash,
};
use countersign_protocol::{Choice, Failure, FailureCode, Hash, Outcome, TaskId, UnixMillis};

use super::super::*;
use super::world::{
    BEGIN, END, Identity, PAYMENT, SIGNED, World, acts_head, chained, extent_of, log_of, sort, told,
};

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
        "the beginning of a log, because it was exported for less",
        |world, bundle| {
            let log = log_of(bundle, world.bob.node());
            export_for(log, &world.bob, (UnixMillis(BEGIN.0 + 1), END), SIGNED);
        },
        |_, _, missing| {
            let from = UnixMillis(BEGIN.0 + 1);
            *missing == Missing::Begin { from }
        },
    ),
    (
        "the end of a log, because it was signed too early",
        |world, bundle| {
            let log = log_of(bundle, world.bob.node());
            export_for(log, &world.bob, (BEGIN, END), UnixMillis(END.0 - 1));
        },
        |_, _, missing| {
            let at = UnixMillis(END.0 - 1);
            *missing == Missing::End { at }
        },
    ),
    (
        "the end of a log, because it was exported for less",
        |world, bundle| {
            let log = log_of(bundle, world.bob.node());
            export_for(log, &world.bob, (BEGIN, UnixMillis(END.0 - 1)), SIGNED);
        },
        |_, _, missing| {
            let at = UnixMillis(END.0 - 1);
            *missing == Missing::End { at }
        },
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
        "the beginning of the acts, behind one from before the chain",
        |_, bundle| {
            let coordinator = bundle.coordinator.as_mut().unwrap();
            coordinator.acts[0].link = None;
        },
        |_, _, missing| *missing == Missing::ActsBegin { first: 2 },
    ),
    (
        "a task whose submission the coordinator signed",
        |world, bundle| {
            let other = TaskId([3; 16]).to_string();
            submit(world, bundle, &other);
        },
        |_, subject, missing| {
            let task = TaskId([3; 16]).to_string();
            *subject == Subject::Coordinator && *missing == Missing::Task { task }
        },
    ),
    (
        "all votes on a task for which people had to vote",
        |world, bundle| {
            let mut ledger = world.ledger();
            for (_, beside) in ledger.records.values_mut() {
                beside.votes = Some(Vec::new());
            }
            *log_of(bundle, world.alice.node()) = ledger.export(&world.alice);
            *log_of(bundle, world.bob.node()) = ledger.export(&world.bob);
            told(bundle).votes.clear();
        },
        |_, subject, missing| *subject == Subject::Task(PAYMENT) && *missing == Missing::NoVotes,
    ),
    (
        "the result at one of two nodes",
        |world, bundle| {
            let failed = Outcome::Failed(Failure::new(FailureCode::PeerAborted, "t"));
            let ledger = world.ledger_that_ends(failed);
            *log_of(bundle, world.bob.node()) = ledger.export(&world.bob);
        },
        |world, _, missing| {
            let node = world.alice.node();
            let other = world.bob.node();
            *missing == Missing::Split { node, other }
        },
    ),
    (
        "a task that one node has, and another has only an alarm about",
        |world, bundle| {
            let mut ledger = world.ledger();
            ledger.entries.truncate(3);
            ledger.records.remove(&PAYMENT);
            ledger.log(AuditKind::Alarm, Some(PAYMENT), None);
            *log_of(bundle, world.bob.node()) = ledger.export(&world.bob);
        },
        |world, _, missing| {
            let node = world.bob.node();
            *missing == Missing::AtNode { node }
        },
    ),
    (
        "a record from just outside the time of a task that is of the time elsewhere",
        |world, bundle| {
            let mut ledger = world.ledger();
            ledger.records.remove(&PAYMENT);
            ledger.shift(END.0 - BEGIN.0);
            *log_of(bundle, world.bob.node()) = ledger.export(&world.bob);
        },
        |world, subject, missing| {
            *subject == Subject::Node(world.bob.node())
                && *missing
                    == Missing::Record {
                        task: PAYMENT,
                        entry: 4,
                    }
        },
    ),
    (
        "nodes in the profile",
        |world, bundle| {
            world.forget_nodes();
            bundle.nodes.clear();
        },
        |_, subject, missing| *subject == Subject::Profile && *missing == Missing::Nodes,
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

/// Has a node sign its log for this time, at this time.
fn export_for(log: &mut NodeLog, who: &Identity, (from, to): Time, at: UnixMillis) {
    let whole = extent_of(&log.entries);
    log.time = (from, to);
    log.head = SignedHead::sign(log.node, Extent { from, to, ..whole }, at, who);
}

/// Has the coordinator sign that a task was submitted.
fn submit(world: &World, bundle: &mut Bundle, task: &str) {
    let coordinator = bundle.coordinator.as_mut().unwrap();
    coordinator.acts = chained(&[("task.submit", task)]);
    coordinator.head = Some(acts_head(&world.coordinator, &coordinator.acts));
}

/// Bob deletes the record of the payment, says so in his log, and signs a checkpoint or not.
fn delete(world: &World, bundle: &mut Bundle, signs: bool) {
    let mut ledger = world.ledger();
    let (row, _) = ledger.records.remove(&PAYMENT).unwrap();
    ledger.log(AuditKind::Pruned, None, Some(pruned_hash(END)));
    let pruned = ledger.head();
    let log = log_of(bundle, world.bob.node());
    *log = ledger.export(&world.bob);
    let hashes = (world.payment().hash(), record_hash(&row));
    log.deleted
        .push(Deleted::sign(&log.node, PAYMENT, hashes, &world.bob));
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
            span: Span {
                first: 0,
                last: 5,
                previous: Hash([0; 32]),
                hash: log_of(&mut bundle, world.bob.node()).head.hash,
            },
            at: SIGNED,
        },
    ] {
        assert!(facts.contains(&&Fact::Proven(proven)), "{facts:#?}");
    }
}

/// An operator who keeps records longer has the later statements tell of an earlier time.
#[test]
fn a_record_may_have_been_deleted_by_an_earlier_statement_that_reaches_further() {
    let world = World::new();
    let mut bundle = world.bundle();
    delete(&world, &mut bundle, true);
    let log = log_of(&mut bundle, world.bob.node());
    let later = AuditHead {
        entries: 9,
        hash: Hash([1; 32]),
    };
    let at = SIGNED;
    let later = Checkpoint::sign(log.node, later, (2, BEGIN), at, &world.bob);
    log.checkpoints.push(later);
    let report = world.verify(&bundle);
    assert_eq!(
        report.standing(),
        Standing::Missing,
        "{:#?}",
        report.findings
    );
}

/// Whoever hands a bundle in may have cut it, and writes its time into it.
#[test]
fn the_time_that_the_auditor_asks_about_counts_and_not_that_of_the_bundle() {
    let world = World::new();
    let bundle = world.bundle();
    let earlier = UnixMillis(BEGIN.0 - 1);
    let report = world.verify_of(&bundle, (earlier, END));
    for subject in world.nodes().into_iter().map(Subject::Node) {
        let begin = Fact::Missing(Missing::Begin { from: BEGIN });
        let facts: Vec<&Fact> = report.about(subject).collect();
        assert!(facts.contains(&&begin), "{facts:#?}");
    }
    let from = BEGIN;
    let to = END;
    let collected = Fact::Missing(Missing::Collected { from, to });
    assert!(
        report
            .about(Subject::Coordinator)
            .any(|fact| *fact == collected)
    );
}

/// A vote that was handed in after everything was over approved nothing.
#[test]
fn a_vote_that_no_node_was_given_does_not_read_like_the_others() {
    let world = World::new();
    let mut bundle = world.bundle();
    let late = UnixMillis(BEGIN.0 + 250_000);
    let vote = world
        .ann
        .vote(world.payment().hash(), Choice::Reject, late.0);
    told(&mut bundle).votes.push(vote);
    let report = world.verify(&bundle);
    let facts: Vec<&Fact> = report.about(Subject::Task(PAYMENT)).collect();
    let fact = Fact::Proven(Proven::LateVote {
        approver: "ann".into(),
        approves: false,
        at: late,
    });
    assert!(facts.contains(&&fact), "{facts:#?}");
}

#[test]
fn alarms_are_told() {
    let world = World::new();
    let mut ledger = world.ledger();
    ledger.log(AuditKind::Alarm, None, None);
    let bundle = world.bundle_with(&ledger, &world.alice);
    let report = world.verify(&bundle);
    let node = Subject::Node(world.alice.node());
    let alarm = Fact::Proven(Proven::Entry {
        at: UnixMillis(BEGIN.0 + 5 * 60_000),
        kind: AuditKind::Alarm,
        text: "entry 5".into(),
    });
    assert!(report.about(node).any(|fact| *fact == alarm));
}

/// An order that waited for nodes until its end was offered to none of them.
#[test]
fn a_task_that_was_never_offered_is_missed_at_no_node() {
    let world = World::new();
    let mut bundle = world.bundle();
    let id = TaskId([3; 16]);
    let order = world.payment_as(id, b"pay");
    let mut expired = world.told(&order, Vec::new(), None);
    expired.state = "expired".into();
    let tasks = &mut bundle.coordinator.as_mut().unwrap().tasks;
    tasks.push(expired);
    sort(tasks);
    let report = world.verify(&bundle);
    let facts: Vec<&Fact> = report.about(Subject::Task(id)).collect();
    let requester = world.requester();
    assert_eq!(facts, [&Fact::Proven(Proven::Requester { requester })]);
    let tasks = &mut bundle.coordinator.as_mut().unwrap().tasks;
    let offered = tasks.iter_mut().find(|told| told.state == "expired");
    offered.unwrap().state = "failed".into();
    let report = world.verify(&bundle);
    for node in world.nodes() {
        let at_node = Fact::Missing(Missing::AtNode { node });
        assert!(report.about(Subject::Task(id)).any(|fact| *fact == at_node));
    }
}

/// The coordinator's word on when it accepted a task is not signed. Its act is.
#[test]
fn a_task_of_which_the_coordinator_signed_the_submission_is_of_the_time() {
    let world = World::new();
    let mut bundle = world.bundle();
    let id = TaskId([3; 16]);
    let mut told = world.told(&world.payment_as(id, b"pay"), Vec::new(), None);
    told.submitted = UnixMillis(0);
    let tasks = &mut bundle.coordinator.as_mut().unwrap().tasks;
    tasks.push(told);
    sort(tasks);
    let report = world.verify(&bundle);
    assert_eq!(report.about(Subject::Task(id)).count(), 0);
    submit(&world, &mut bundle, &id.to_string());
    let report = world.verify(&bundle);
    assert!(report.about(Subject::Task(id)).count() > 0);
}

/// A file of a node may have more than the time that is asked about, and its records do not count
/// as records of that time.
#[test]
fn what_is_from_another_time_is_neither_missing_nor_judged() {
    let world = World::new();
    let mut bundle = world.bundle();
    bundle.time = (UnixMillis(BEGIN.0 + 10 * 60_000), END);
    let report = world.verify(&bundle);
    assert_eq!(report.about(Subject::Task(PAYMENT)).count(), 0);
    assert_eq!(
        report.standing(),
        Standing::Proven,
        "{:#?}",
        report.findings
    );
}

/// Plugins were slow, and the node did not start.
#[test]
fn an_approval_that_came_too_late_and_had_no_result_is_not_wrong() {
    let world = World::new();
    let failed = Outcome::Failed(Failure::new(FailureCode::PeerAborted, "t"));
    let rows = world.rows(&world.payment(), failed);
    let rows = rows.map(|row| Row {
        received_at: UnixMillis(BEGIN.0 + 600_001),
        ..row
    });
    let bundle = world.bundle_with(&world.ledger_of(rows), &world.bob);
    let report = world.verify(&bundle);
    assert_eq!(
        report.standing(),
        Standing::Missing,
        "{:#?}",
        report.findings
    );
}
