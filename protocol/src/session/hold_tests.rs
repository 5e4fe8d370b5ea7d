//! Admission to the hold, and its limits of number, size and age.
#![expect(clippy::disallowed_methods, reason = "the tests own the clock")]

use super::*;
use crate::code::FailureCode;
use crate::evidence::{Claim, Signature};
use crate::frame::{Abort, Message};
use crate::hash::Hash;
use crate::id::SessionId;
use crate::outcome::Cause;

const TASK: TaskId = TaskId([1; 16]);

fn node(seed: u8) -> NodeId {
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

fn abort() -> Frame {
    let cause = Cause::Bug;
    let code = FailureCode::EngineDied;
    let text = String::new();
    let body = Body::Abort(Abort {
        cause,
        code,
        text,
        accused: vec![],
        evidence: None,
        result: None,
    });
    Frame {
        task: TASK,
        seq: 0,
        body,
    }
}

#[test]
fn what_a_peer_can_have_held_is_bounded_in_bytes() {
    let mut hold = Hold::default();
    let now = Instant::now();
    hold.put(now, node(2), abort(), 100);
    for _ in 0..64 {
        hold.put(now, node(1), abort(), 1 << 20);
    }
    assert_eq!(hold.bytes_of(node(1)), 0, "too large at all");
    for _ in 0..200 {
        hold.put(now, node(1), abort(), MAX_BYTES / 10);
    }
    assert!((1..=MAX_BYTES).contains(&hold.bytes_of(node(1))));
    assert_eq!(
        hold.bytes_of(node(2)),
        100,
        "another peer's share is its own"
    );
}

#[test]
fn all_peers_together_have_a_bounded_number_held_and_the_oldest_makes_room() {
    let mut hold = Hold::default();
    let now = Instant::now();
    let peers = MAX_TOTAL / MAX_FRAMES + 1;
    for seed in 1..=peers {
        (0..MAX_FRAMES).for_each(|_| hold.put(now, node(seed as u8), abort(), 1));
    }
    assert_eq!(hold.of(node(1)).count(), 0, "the oldest");
    assert_eq!(hold.take(TASK).len(), MAX_TOTAL);
}

#[test]
fn what_is_too_old_goes_although_nothing_new_comes() {
    let mut hold = Hold::default();
    let now = Instant::now();
    hold.put(now, node(1), abort(), 1);
    hold.expire(now + MAX_AGE - Duration::from_millis(1));
    assert_eq!(hold.bytes_of(node(1)), 1);
    hold.expire(now + MAX_AGE);
    assert_eq!(hold.of(node(1)).count(), 0);
}

/// Messages of engines are the large ones, and nobody sends them before this node has said
/// that it is ready.
#[test]
fn messages_of_a_run_are_not_held() {
    let mut hold = Hold::default();
    let digest = Hash([4; 32]);
    let signature = Signature([0; 64]);
    let run = [
        Message::Direct {
            phase: 0,
            body: vec![1],
        },
        Message::Broadcast {
            phase: 0,
            number: 0,
            body: vec![1],
            signature: [0; 64],
        },
        Message::Echo {
            phase: 0,
            sender: 0,
            number: 0,
            body: digest,
            signature: [0; 64],
            by: [0; 64],
        },
        Message::Stored(Claim {
            digest,
            ack: signature,
            signature,
        }),
    ];
    let run = run.map(|message| Body::Run {
        session: SessionId([3; 32]),
        message,
    });
    for body in run.into_iter().chain([Body::Met(vec![])]) {
        hold.put(
            Instant::now(),
            node(1),
            Frame {
                task: TASK,
                seq: 0,
                body,
            },
            1,
        );
    }
    assert!(hold.take(TASK).is_empty());
}
