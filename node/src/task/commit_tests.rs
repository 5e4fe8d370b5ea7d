//! Row, events and counter of a change belong together.

use countersign_protocol::{Failure, FailureCode, NodeId, RefusalCode};
use countersign_store::{Silent, State};
use tempfile::TempDir;

use super::*;
use crate::task::fixtures::{NOW, TASK, decided, empty_journal, nodes, register};
use crate::task::refusal::refusal;

const KIND: OperationKind = OperationKind::KeySign;
const EVENTS: [&str; 3] = [
    "request.keysign.failed",
    "request.keysign.succeeded",
    "request.keysign.updated",
];

fn node() -> (TempDir, Register) {
    let (dir, journal) = empty_journal();
    let register = register(&journal, &EVENTS);
    (dir, register)
}

fn row(task: u8) -> Decided {
    decided(TaskId([task; 16]), KIND, parties())
}

fn parties() -> Vec<NodeId> {
    nodes(&[1, 2])
}

fn no() -> Refusal {
    refusal(RefusalCode::Signers, "choose others")
}

fn lost() -> Outcome {
    Outcome::Failed(Failure::new(FailureCode::SessionTimeout, "t"))
}

fn end(register: &Register, outcome: Outcome) -> Result<Written, WriteJournalError> {
    let commit = Commit::end(TASK, outcome, true, Consequences::default());
    register.commit(NOW, TASK, KIND, commit)
}

/// The bodies of all events for the receiver.
fn told(register: &Register) -> Vec<String> {
    let events = register.journal.outbox("r", 10).unwrap();
    let body = |(_, delivery): &(u64, countersign_store::Delivery)| {
        String::from_utf8(delivery.body.clone()).unwrap()
    };
    events.iter().map(body).collect()
}

fn state(register: &Register) -> Option<State> {
    register.journal.row(&TASK).unwrap().map(|row| row.state)
}

/// An approval needs an open task to tell of, and refusals tell of the row that they write.
fn begin(register: &Register) {
    let question = crate::task::fixtures::question();
    register.events.begin(TASK, KIND, question);
}

#[test]
fn a_refusal_is_recorded_told_and_counted_in_one_commit() {
    let (_dir, register) = node();
    begin(&register);
    let before = register.journal.commits();
    register
        .commit(NOW, TASK, KIND, Commit::refuse(row(1), no()))
        .unwrap();
    assert_eq!(register.journal.commits(), before + 1);
    assert!(matches!(
        state(&register),
        Some(State::Ended { outcome, .. }) if *outcome == Outcome::Refused(no())
    ));
    let events = told(&register);
    assert_eq!(events.len(), 1);
    assert!(events[0].contains("choose others"), "{events:?}");
    let counted = register.counters.tasks();
    assert_eq!(counted, [(KIND.title(), Ended::Refused, 1)]);
}

#[test]
fn a_cancellation_is_told_as_one_and_counts_as_a_refusal() {
    let (_dir, register) = node();
    begin(&register);
    let refusal = refusal(RefusalCode::Cancelled, "order again");
    register
        .commit(NOW, TASK, KIND, Commit::cancel(row(1), refusal))
        .unwrap();
    let events = told(&register);
    assert!(events[0].contains("cancelled: order again"), "{events:?}");
    let counted = register.counters.tasks();
    assert_eq!(counted, [(KIND.title(), Ended::Refused, 1)]);
}

#[test]
fn the_end_of_an_approved_task_is_recorded_told_and_counted_in_one_commit() {
    let (_dir, register) = node();
    begin(&register);
    register.journal.approve(NOW, row(1), Vec::new()).unwrap();
    let before = register.journal.commits();
    assert_eq!(end(&register, lost()).unwrap(), Written::Now);
    assert_eq!(register.journal.commits(), before + 1);
    assert_eq!(told(&register).len(), 1);
    let counted = register.counters.tasks();
    assert_eq!(counted, [(KIND.title(), Ended::Failed, 1)]);
}

#[test]
fn an_end_that_is_written_already_is_neither_told_nor_counted_again() {
    let (_dir, register) = node();
    begin(&register);
    register.journal.approve(NOW, row(1), Vec::new()).unwrap();
    end(&register, lost()).unwrap();
    assert_eq!(end(&register, lost()).unwrap(), Written::Already);
    assert_eq!(told(&register).len(), 1);
    let counted = register.counters.tasks();
    assert_eq!(counted, [(KIND.title(), Ended::Failed, 1)]);
}

#[test]
fn a_second_end_is_refused_and_leaves_no_trace() {
    let (_dir, register) = node();
    begin(&register);
    register.journal.approve(NOW, row(1), Vec::new()).unwrap();
    end(&register, lost()).unwrap();
    let first = state(&register);
    let other = Outcome::Failed(Failure::new(FailureCode::Cancelled, "t"));
    assert!(end(&register, other).is_err());
    assert_eq!(state(&register), first);
    assert_eq!(told(&register).len(), 1);
    let counted = register.counters.tasks();
    assert_eq!(counted, [(KIND.title(), Ended::Failed, 1)]);
}

#[test]
fn what_was_not_written_is_neither_told_nor_counted() {
    let (_dir, register) = node();
    begin(&register);
    assert!(end(&register, lost()).is_err(), "nobody approved it");
    assert_eq!(told(&register), Vec::<String>::new());
    assert_eq!(register.counters.tasks(), []);
}

#[test]
fn an_approval_is_told_and_not_counted_as_an_end() {
    let (_dir, register) = node();
    begin(&register);
    let commit = Commit {
        change: TaskChange::Approve {
            row: row(1).into(),
            state: Vec::new(),
        },
        events: vec![Told::What(What::Updated(countersign_host::Stage::Waiting))],
        count: None,
    };
    register.commit(NOW, TASK, KIND, commit).unwrap();
    assert_eq!(state(&register), Some(State::Approved));
    assert_eq!(told(&register).len(), 1);
    assert_eq!(register.counters.tasks(), []);
}

#[test]
fn a_task_is_decided_once_whatever_the_second_decision_is() {
    let (_dir, register) = node();
    begin(&register);
    register.journal.approve(NOW, row(1), Vec::new()).unwrap();
    let refused = register.commit(NOW, TASK, KIND, Commit::refuse(row(1), no()));
    assert!(refused.is_err());
    assert_eq!(state(&register), Some(State::Approved));
    assert_eq!(register.counters.tasks(), []);
}

#[test]
fn a_restart_fails_every_approved_task_in_one_commit_and_tells_of_each() {
    let (_dir, register) = node();
    for task in [1, 2, 3] {
        register
            .journal
            .approve(NOW, row(task), Vec::new())
            .unwrap();
    }
    end(&register, lost()).unwrap();
    let before = register.journal.commits();
    let ended = register
        .abort_unfinished(NOW, vec![TaskId([3; 16])])
        .unwrap();
    assert_eq!(ended, [TaskId([2; 16])], "one is over, one in doubt");
    assert_eq!(register.journal.commits(), before + 1);
    let restarted = told(&register);
    assert_eq!(restarted.len(), 2, "the end of the first, and this one");
    assert!(restarted[1].contains("aborted-by-restart"), "{restarted:?}");
    let counted = register.counters.tasks();
    assert_eq!(counted, [(KIND.title(), Ended::Failed, 2)]);
    let doubtful = register.journal.row(&TaskId([3; 16])).unwrap().unwrap();
    assert_eq!(doubtful.state, State::Approved);
}

#[test]
fn a_second_restart_ends_nothing_more() {
    let (_dir, register) = node();
    register.journal.approve(NOW, row(1), Vec::new()).unwrap();
    register.abort_unfinished(NOW, Vec::new()).unwrap();
    assert_eq!(register.abort_unfinished(NOW, Vec::new()).unwrap(), []);
    assert_eq!(told(&register).len(), 1);
    let counted = register.counters.tasks();
    assert_eq!(counted, [(KIND.title(), Ended::Failed, 1)]);
}
