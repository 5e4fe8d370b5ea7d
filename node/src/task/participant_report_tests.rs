//! A node's reaction to the coordinator's word about reshares, and its reports.

use countersign_protocol::Committee;

use super::*;
use crate::task::fixtures::{Parts, TASK, ack, acked, key, node, nodes, wallet};

/// A later generation of the wallet, dealt by 1 and 2 to others.
fn handed_over() -> KeyDescriptor {
    let descriptor = KeyDescriptor {
        generation: 1,
        committee: Committee::new(nodes(&[3, 4])).unwrap(),
        parties: nodes(&[1, 2, 3, 4]),
        task: TASK,
        ..wallet()
    };
    acked(descriptor, &[1, 2, 3, 4])
}

fn holding() -> Parts {
    let parts = Parts::holding(KeyStatus::Active);
    parts.journal().keep_generation(wallet()).unwrap();
    parts
}

fn status(parts: &Parts) -> (KeyStatus, u32) {
    let record = parts.journal().key(&key()).unwrap().unwrap();
    (record.status, record.descriptor.generation)
}

#[test]
fn a_report_that_a_share_is_stored_carries_this_nodes_acknowledgement_alone() {
    let mut parts = Parts::new();
    let next = handed_over();
    parts.jobs.participant.report(TASK, &next);
    let reports = parts.reported();
    let [FromNode::Stored { task, descriptor }] = &reports[..] else {
        panic!("{reports:?}");
    };
    assert_eq!(*task, TASK);
    assert_eq!(descriptor.acks, [ack(1, next.digest())]);
}

#[test]
fn an_abort_vote_is_bound_to_the_exact_bytes_of_the_order() {
    let mut parts = Parts::new();
    let hash = Hash([7; 32]);
    parts.jobs.participant.report_abort_vote(TASK, hash);
    let reports = parts.reported();
    let [FromNode::AbortVote { task, ack }] = &reports[..] else {
        panic!("{reports:?}");
    };
    assert_eq!((*task, ack.node), (TASK, node(1)));
    assert!(ack.verifies(&abort_vote_digest(hash)));
    assert!(!ack.verifies(&abort_vote_digest(Hash([8; 32]))));
}

#[tokio::test]
async fn a_node_that_missed_a_reshare_gives_way_and_says_what_it_knows_now() {
    let mut parts = holding();
    let participant = parts.jobs.participant.clone();
    participant.replaced(vec![handed_over()]).await;
    assert_eq!(status(&parts), (KeyStatus::Leaving, 1));
    let held = Held {
        key: key(),
        generation: 1,
    };
    assert_eq!(parts.reported(), [FromNode::Holds { keys: vec![held] }]);
    assert!(
        parts.vault().held(key()).unwrap().is_some(),
        "the share stays until the others have it in force"
    );
}

#[tokio::test]
async fn more_generations_than_a_frame_may_have_are_not_looked_at() {
    let mut parts = holding();
    let participant = parts.jobs.participant.clone();
    let flood = vec![handed_over(); MAX_GENERATIONS + 1];
    participant.replaced(flood).await;
    assert_eq!(status(&parts), (KeyStatus::Active, 0));
    assert_eq!(parts.reported(), []);
}

#[tokio::test]
async fn a_generation_without_all_acknowledgements_moves_nothing() {
    let mut parts = holding();
    let participant = parts.jobs.participant.clone();
    let incomplete = acked(handed_over(), &[1, 3, 4]);
    participant.replaced(vec![incomplete]).await;
    assert_eq!(status(&parts), (KeyStatus::Active, 0));
    assert_eq!(parts.reported(), []);
}

#[tokio::test]
async fn a_settlement_that_names_another_task_is_ignored() {
    let mut parts = holding();
    let participant = parts.jobs.participant.clone();
    let other = TaskId([9; 16]);
    participant.settle(other, handed_over()).await;
    assert_eq!(status(&parts), (KeyStatus::Active, 0));
    participant.settle(TASK, handed_over()).await;
    assert_eq!(status(&parts), (KeyStatus::Leaving, 1));
    assert_eq!(parts.reported().len(), 1);
}

#[tokio::test]
async fn an_abort_vote_about_an_unknown_reshare_is_ignored() {
    let mut parts = holding();
    let participant = parts.jobs.participant.clone();
    let vote = ack(2, abort_vote_digest(Hash([7; 32])));
    let commits = parts.journal().commits();
    participant.abort_vote(TASK, vote).await;
    assert_eq!(parts.journal().commits(), commits);
    assert_eq!(parts.reported(), []);
}

#[tokio::test]
async fn a_confirmed_key_is_reported_once_it_is_active() {
    let mut parts = Parts::holding(KeyStatus::Pending);
    let participant = parts.jobs.participant.clone();
    participant.settle(wallet().task, wallet()).await;
    assert_eq!(status(&parts), (KeyStatus::Active, 0));
    let reports = parts.reported();
    assert!(matches!(
        &reports[..],
        [FromNode::Outcome { outcome: Outcome::Created(made), .. }] if *made == wallet()
    ));
    participant.settle(wallet().task, wallet()).await;
    assert_eq!(parts.reported(), [], "once");
}
