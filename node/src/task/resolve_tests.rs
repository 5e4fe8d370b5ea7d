//! Every settlement against every state of the journal, without a journal.

use countersign_protocol::{Hash, UnixMillis};

use super::*;
use crate::task::fixtures::{NOW, TASK, ack, acked, generation, key, node, nodes};

/// The hash of the order, which abort votes are bound to.
const HASH: Hash = Hash([7; 32]);

fn row(kind: OperationKind, parties: &[u8], state: State) -> Row {
    Row {
        task: TASK,
        hash: HASH,
        kind,
        received_at: NOW,
        state,
        verdicts: Vec::new(),
        parties: nodes(parties),
        bytes: Vec::new(),
        recording: None,
        chain: None,
    }
}

fn ended() -> State {
    let failure = Failure::new(FailureCode::SessionTimeout, "t");
    State::Ended {
        outcome: Outcome::Failed(failure).into(),
        at: NOW,
    }
}

fn record(descriptor: KeyDescriptor, status: KeyStatus) -> KeyRecord {
    KeyRecord {
        descriptor,
        status,
        created: UnixMillis(5),
    }
}

/// A new key of nodes 1 and 2.
fn made() -> KeyDescriptor {
    KeyDescriptor {
        task: TASK,
        ..generation(0, &[1, 2])
    }
}

/// The next generation, dealt by 1 and 2 for 1 and 3.
fn next() -> KeyDescriptor {
    KeyDescriptor {
        task: TASK,
        parties: nodes(&[1, 2, 3]),
        ..generation(1, &[1, 3])
    }
}

/// A key that waits for its members.
fn pending() -> InDoubt {
    InDoubt {
        row: Some(row(OperationKind::KeyGen, &[1, 2], State::Approved)),
        record: Some(record(made(), KeyStatus::Pending)),
        stored: None,
        steps: Vec::new(),
    }
}

/// A reshare that this node has prepared.
fn prepared(stage: ReshareStage) -> InDoubt {
    let stored = PreparedReshare {
        task: TASK,
        descriptor: next(),
        joins: true,
        opened: NOW,
        stage,
        created: UnixMillis(900),
    };
    InDoubt {
        row: Some(row(OperationKind::KeyReshare, &[1, 2, 3], State::Approved)),
        record: Some(record(generation(0, &[1, 2]), KeyStatus::Active)),
        steps: vec![(Step::of(&stored), Standing::of(stage))],
        stored: Some(stored),
    }
}

fn in_doubt() -> InDoubt {
    prepared(ReshareStage::InDoubt)
}

fn all_stored(descriptor: KeyDescriptor) -> Settlement {
    Settlement::AllStored(descriptor.into())
}

fn resolve(doubt: &InDoubt, settlement: Settlement) -> Result<Resolved, Unfit> {
    doubt.resolve(node(1), TASK, settlement)
}

fn vote(seed: u8) -> Settlement {
    Settlement::NeverStored(ack(seed, abort_vote_digest(HASH)))
}

fn why(unfit: Result<Resolved, Unfit>) -> String {
    unfit.unwrap_err().to_string()
}

#[test]
fn nothing_settles_a_task_that_this_node_does_not_know() {
    let nothing = InDoubt {
        row: None,
        record: None,
        stored: None,
        steps: Vec::new(),
    };
    let made = acked(made(), &[1, 2]);
    assert!(why(resolve(&nothing, all_stored(made))).contains("no such key waits"));
    let next = acked(next(), &[1, 2, 3]);
    for settlement in [all_stored(next), vote(2), Settlement::Abandoned] {
        let why = why(resolve(&nothing, settlement));
        assert!(why.ends_with("see `countersign-node task list`"), "{why}");
    }
}

#[test]
fn a_reshare_that_this_node_never_prepared_is_settled_by_nothing() {
    let only_approved = InDoubt {
        stored: None,
        steps: Vec::new(),
        ..in_doubt()
    };
    let next = acked(next(), &[1, 2, 3]);
    for settlement in [all_stored(next), vote(2), Settlement::Abandoned] {
        assert_eq!(resolve(&only_approved, settlement), Err(NOTHING_STORED));
    }
}

#[test]
fn a_new_key_becomes_active_with_the_end_of_its_task() {
    let made = acked(made(), &[1, 2]);
    let resolved = resolve(&pending(), all_stored(made.clone())).unwrap();
    assert_eq!(resolved.outcome, Outcome::Created(made.clone()));
    assert_eq!(
        (resolved.kind, resolved.key),
        (OperationKind::KeyGen, key())
    );
    let expected = Commit::end(TASK, Outcome::Created(made), true, Consequences::default());
    assert_eq!(resolved.commit, expected);
}

#[test]
fn a_new_key_whose_task_is_over_becomes_active_without_another_end() {
    let over = InDoubt {
        row: Some(row(OperationKind::KeyGen, &[1, 2], ended())),
        ..pending()
    };
    let forgotten = InDoubt {
        row: None,
        ..pending()
    };
    for doubt in [over, forgotten] {
        let resolved = resolve(&doubt, all_stored(acked(made(), &[1, 2]))).unwrap();
        assert_eq!(resolved.commit.count, None);
        assert_eq!(resolved.commit.events, []);
        let TaskChange::Activate(record) = resolved.commit.change else {
            panic!("a key becomes active");
        };
        assert_eq!(record.status, KeyStatus::Active);
        assert_eq!(record.created, UnixMillis(5), "as it was stored here");
    }
}

#[test]
fn a_new_key_is_confirmed_by_every_member_of_exactly_what_is_stored_here() {
    let incomplete = resolve(&pending(), all_stored(acked(made(), &[1])));
    assert_eq!(incomplete, Err(Unfit::Unproven));
    let other_shares = KeyDescriptor {
        public_shares: Hash([9; 32]),
        ..made()
    };
    let other_task = KeyDescriptor {
        task: TaskId([9; 16]),
        ..made()
    };
    for other in [other_shares, other_task] {
        let refused = resolve(&pending(), all_stored(acked(other, &[1, 2])));
        assert!(why(refused).contains("no such key waits"));
    }
}

#[test]
fn a_key_that_waits_no_more_is_not_confirmed_again() {
    for status in [KeyStatus::Active, KeyStatus::Leaving, KeyStatus::Released] {
        let doubt = InDoubt {
            record: Some(record(made(), status)),
            ..pending()
        };
        let refused = resolve(&doubt, all_stored(acked(made(), &[1, 2])));
        assert!(why(refused).contains("no such key waits"), "{status:?}");
    }
}

#[test]
fn the_acknowledgements_of_all_parties_end_a_reshare_well() {
    let next = acked(next(), &[1, 2, 3]);
    let resolved = resolve(&in_doubt(), all_stored(next.clone())).unwrap();
    assert_eq!(resolved.outcome, Outcome::Reshared(next.clone()));
    let expected = Commit::end(TASK, Outcome::Reshared(next), true, Consequences::default());
    assert_eq!(resolved.commit, expected);
}

/// A descriptor that lists fewer parties than the task has must not do without the others.
#[test]
fn a_complete_descriptor_is_not_enough_if_a_party_of_the_task_is_missing() {
    let doubt = InDoubt {
        row: Some(row(
            OperationKind::KeyReshare,
            &[1, 2, 3, 4],
            State::Approved,
        )),
        ..in_doubt()
    };
    let complete = acked(next(), &[1, 2, 3]);
    assert!(complete.has_all_acks());
    assert_eq!(resolve(&doubt, all_stored(complete)), Err(Unfit::Unproven));
}

#[test]
fn another_generation_than_the_stored_one_settles_nothing() {
    let other = KeyDescriptor {
        public_shares: Hash([9; 32]),
        ..next()
    };
    let refused = resolve(&in_doubt(), all_stored(acked(other, &[1, 2, 3])));
    assert!(why(refused).ends_with("compare both"));
}

#[test]
fn all_acknowledgements_outweigh_an_abort_and_the_late_commit_is_told_and_counted() {
    for stage in [ReshareStage::Aborted, ReshareStage::Abandoned] {
        let next = acked(next(), &[1, 2, 3]);
        let resolved = resolve(&prepared(stage), all_stored(next.clone())).unwrap();
        let told = Told::Outcome(Outcome::Reshared(next.clone()).into());
        assert_eq!(resolved.commit.events, [told]);
        assert_eq!(resolved.commit.count, Some(Ended::Succeeded));
        let late = TaskChange::CommitLate {
            task: TASK,
            descriptor: next.into(),
        };
        assert_eq!(resolved.commit.change, late);
    }
}

#[test]
fn a_committed_reshare_is_not_committed_again() {
    let doubt = prepared(ReshareStage::Committed);
    let refused = resolve(&doubt, all_stored(acked(next(), &[1, 2, 3])));
    assert!(why(refused).contains("in force already"));
}

#[test]
fn a_key_does_not_go_back_to_an_earlier_generation() {
    for stage in [ReshareStage::InDoubt, ReshareStage::Aborted] {
        let doubt = InDoubt {
            record: Some(record(generation(2, &[1, 3]), KeyStatus::Active)),
            ..prepared(stage)
        };
        let refused = resolve(&doubt, all_stored(acked(next(), &[1, 2, 3])));
        assert!(why(refused).contains("has moved on further"), "{stage:?}");
    }
}

#[test]
fn an_abort_vote_of_another_party_ends_the_wait_and_names_it() {
    let resolved = resolve(&in_doubt(), vote(2)).unwrap();
    let Outcome::Failed(failure) = &resolved.outcome else {
        panic!("the reshare came to nothing");
    };
    assert_eq!(failure.code, FailureCode::ReshareAborted);
    assert_eq!(failure.culprits, [node(2)]);
    assert!(failure.text.ends_with("try again with a new task"));
    assert!(matches!(
        resolved.commit.change,
        TaskChange::CloseReshare {
            stage: ReshareStage::Aborted,
            ..
        }
    ));
    assert_eq!(resolved.commit.count, Some(Ended::Failed));
    assert_eq!(resolved.commit.events.len(), 1);
}

#[test]
fn an_abort_vote_is_heeded_only_from_another_party_in_its_own_hand() {
    let digest = abort_vote_digest(HASH);
    let borrowed = SignedAck {
        node: node(2),
        ..ack(3, digest)
    };
    for (what, vote) in [
        ("this node's own", ack(1, digest)),
        ("a stranger's", ack(4, digest)),
        ("in another hand", borrowed),
        ("of another task", ack(2, abort_vote_digest(Hash([8; 32])))),
        ("an acknowledgement", ack(2, next().digest())),
        ("the bare hash", ack(2, HASH)),
    ] {
        let refused = resolve(&in_doubt(), Settlement::NeverStored(vote));
        assert!(why(refused).contains("not a valid abort vote"), "{what}");
    }
}

#[test]
fn a_late_abort_vote_or_decision_of_the_operator_changes_nothing() {
    for stage in [
        ReshareStage::Committed,
        ReshareStage::Aborted,
        ReshareStage::Abandoned,
    ] {
        for settlement in [vote(2), Settlement::Abandoned] {
            let refused = resolve(&prepared(stage), settlement);
            assert_eq!(refused, Err(NOTHING_WAITS), "{stage:?}");
        }
    }
}

#[test]
fn the_operator_ends_the_wait_and_nobody_is_blamed() {
    let resolved = resolve(&in_doubt(), Settlement::Abandoned).unwrap();
    let Outcome::Failed(failure) = resolved.outcome else {
        panic!("the reshare came to nothing");
    };
    assert_eq!(failure.code, FailureCode::ReshareAbandoned);
    assert_eq!(failure.culprits, []);
    assert!(matches!(
        resolved.commit.change,
        TaskChange::CloseReshare {
            stage: ReshareStage::Abandoned,
            ..
        }
    ));
}

/// An operator does not give up a key that others may have: nothing of it is destroyed anyway.
#[test]
fn a_new_key_is_neither_voted_away_nor_abandoned() {
    for settlement in [vote(2), Settlement::Abandoned] {
        assert_eq!(resolve(&pending(), settlement), Err(NOTHING_STORED));
    }
}
