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
#[path = "hold_tests.rs"]
mod tests;
