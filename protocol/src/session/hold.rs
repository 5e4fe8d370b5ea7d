//! Frames that arrive before their task does: another party may be a moment ahead. Held in small numbers, for a short time.

use crate::frame::{Body, Frame};
use crate::id::{NodeId, TaskId};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Frames held for one peer.
const MAX_FRAMES: usize = 64;
/// Bytes of texts held for one peer. An honest frame has some hundred.
const MAX_BYTES: usize = 64 * 1024;
/// How long.
pub const MAX_AGE: Duration = Duration::from_secs(10);
/// Frames held for all peers.
const MAX_TOTAL: usize = 512;

/// Holds frames for tasks that this node has not begun. Nobody can run a session with a node that has not said it is ready,
/// so only small frames are worth holding.
#[derive(Default)]
pub struct Hold(VecDeque<(Instant, NodeId, Frame)>);

impl Hold {
    /// Holds a frame; the oldest of the same peer, or of all, make room. One that is larger than all of a peer's together may
    /// be is dropped.
    pub fn put(&mut self, now: Instant, from: NodeId, frame: Frame) {
        let Some(bytes) = worth_holding(&frame.body).filter(|bytes| *bytes <= MAX_BYTES) else { return };
        self.expire(now);
        while self.of(from).count() >= MAX_FRAMES || self.bytes_of(from) + bytes > MAX_BYTES {
            self.drop_first(|peer| *peer == from);
        }
        if self.0.len() >= MAX_TOTAL {
            self.drop_first(|_| true);
        }
        self.0.push_back((now, from, frame));
    }

    /// Drops what is too old. Call it now and then: a peer that has fallen silent is to hold nothing here.
    pub fn expire(&mut self, now: Instant) {
        self.0.retain(|(since, ..)| now.duration_since(*since) < MAX_AGE);
    }

    /// Takes the frames of a task, in the order of arrival.
    pub fn take(&mut self, task: TaskId) -> Vec<(NodeId, Frame)> {
        let (taken, kept) = self.0.drain(..).partition(|(_, _, frame)| frame.task == task);
        self.0 = kept;
        let taken: VecDeque<(Instant, NodeId, Frame)> = taken;
        taken.into_iter().map(|(_, from, frame)| (from, frame)).collect()
    }

    fn of(&self, peer: NodeId) -> impl Iterator<Item = &Frame> {
        self.0.iter().filter(move |(_, known, _)| *known == peer).map(|(_, _, frame)| frame)
    }

    fn bytes_of(&self, peer: NodeId) -> usize {
        self.of(peer).filter_map(|frame| worth_holding(&frame.body)).sum()
    }

    fn drop_first(&mut self, of: impl Fn(&NodeId) -> bool) {
        let first = self.0.iter().position(|(_, peer, _)| of(peer));
        first.and_then(|index| self.0.remove(index));
    }
}

/// Bytes that a peer decides on; `None`: it is not held at all.
fn worth_holding(body: &Body) -> Option<usize> {
    match body {
        Body::Ready(_) => Some(0),
        Body::Abort { code, text } => Some(code.len() + text.len()),
        // Of a session that this node has not begun, or of none.
        Body::Run { .. }
        | Body::HighWater(_)
        | Body::Behind(_)
        | Body::Generations(_)
        | Body::Heard(_)
        | Body::Lacks(_) => None,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test has to begin some time")]
mod tests {
    use super::*;
    use crate::frame::Message;
    use crate::hash::Hash;
    use crate::id::SessionId;

    const TASK: TaskId = TaskId([1; 16]);

    fn node(seed: u8) -> NodeId {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap()
    }

    fn abort(bytes: usize) -> Frame {
        let body = Body::Abort { code: String::new(), text: "x".repeat(bytes) };
        Frame { task: TASK, seq: 0, body }
    }

    #[test]
    fn what_a_peer_can_have_held_is_bounded_in_bytes() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        hold.put(now, node(2), abort(100));
        for _ in 0..64 {
            hold.put(now, node(1), abort(1 << 20));
        }
        assert_eq!(hold.bytes_of(node(1)), 0, "too large at all");
        for _ in 0..200 {
            hold.put(now, node(1), abort(MAX_BYTES / 10));
        }
        assert!((1..=MAX_BYTES).contains(&hold.bytes_of(node(1))));
        assert_eq!(hold.bytes_of(node(2)), 100, "another peer's share is its own");
    }

    #[test]
    fn what_is_too_old_goes_although_nothing_new_comes() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        hold.put(now, node(1), abort(1));
        hold.expire(now + MAX_AGE - Duration::from_millis(1));
        assert_eq!(hold.bytes_of(node(1)), 1);
        hold.expire(now + MAX_AGE);
        assert_eq!(hold.of(node(1)).count(), 0);
    }

    /// Messages of engines are the large ones, and nobody sends them before this node has said that it is ready.
    #[test]
    fn messages_of_a_run_are_not_held() {
        let mut hold = Hold::default();
        let digest = Hash([4; 32]);
        for message in [
            Message::Direct { phase: 0, body: vec![1] },
            Message::Broadcast { phase: 0, number: 0, body: vec![1], signature: [0; 64] },
            Message::Echo { phase: 0, sender: 0, number: 0, body: digest, signature: [0; 64] },
            Message::Stored { digest, signature: [0; 64] },
        ] {
            let body = Body::Run { session: SessionId([3; 32]), message };
            hold.put(Instant::now(), node(1), Frame { task: TASK, seq: 0, body });
        }
        assert!(hold.take(TASK).is_empty());
    }
}
