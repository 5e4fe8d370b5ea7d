//! Frames that arrive before their task does, as another party may be a moment ahead. Few frames
//! and few bytes are held, for a short time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::frame::{Body, Frame};
use crate::id::{NodeId, TaskId};

/// Maximum number of frames held for one peer.
const MAX_FRAMES: usize = 64;
/// Maximum number of bytes held for one peer, as received. An honest frame has some hundred, and
/// with a proof in it some thousand.
const MAX_BYTES: usize = 64 * 1024;
/// The time after which a held frame is dropped.
pub const MAX_AGE: Duration = Duration::from_secs(10);
/// Maximum number of frames held for all peers.
const MAX_TOTAL: usize = 512;

/// Holds frames for tasks that this node has not begun. Nobody can run a session with a node that
/// has not said it is ready, so only small frames are worth holding.
#[derive(Default)]
pub struct Hold(VecDeque<Held>);

struct Held {
    since: Instant,
    from: NodeId,
    frame: Frame,
    bytes: usize,
}

impl Hold {
    /// Holds a frame that took this many `bytes`; the oldest of the same peer, or of all,
    /// make room. A frame over the limit for a whole peer is dropped.
    pub fn put(&mut self, now: Instant, from: NodeId, frame: Frame, bytes: usize) {
        self.expire(now);
        if !is_worth_holding(&frame.body) || bytes > MAX_BYTES {
            return;
        }
        while self.of(from).count() >= MAX_FRAMES || self.bytes_of(from) + bytes > MAX_BYTES {
            self.drop_first(|peer| *peer == from);
        }
        if self.0.len() >= MAX_TOTAL {
            self.drop_first(|_| true);
        }
        self.0.push_back(Held {
            since: now,
            from,
            frame,
            bytes,
        });
    }

    /// Drops expired frames. Call it regularly: a silent peer must not occupy space here.
    pub fn expire(&mut self, now: Instant) {
        self.0
            .retain(|held| now.duration_since(held.since) < MAX_AGE);
    }

    /// Takes the frames of a task, in the order of arrival, each with its size as received.
    pub fn take(&mut self, task: TaskId) -> Vec<(NodeId, Frame, usize)> {
        let (taken, kept): (VecDeque<Held>, VecDeque<Held>) =
            self.0.drain(..).partition(|held| held.frame.task == task);
        self.0 = kept;
        taken
            .into_iter()
            .map(|held| (held.from, held.frame, held.bytes))
            .collect()
    }

    fn of(&self, peer: NodeId) -> impl Iterator<Item = &Held> {
        self.0.iter().filter(move |held| held.from == peer)
    }

    fn bytes_of(&self, peer: NodeId) -> usize {
        self.of(peer).map(|held| held.bytes).sum()
    }

    fn drop_first(&mut self, of: impl Fn(&NodeId) -> bool) {
        let first = self.0.iter().position(|held| of(&held.from));
        first.and_then(|index| self.0.remove(index));
    }
}

/// True for frames that may arrive before this node has said that it is ready.
fn is_worth_holding(body: &Body) -> bool {
    match body {
        Body::Ready(_) | Body::Abort(_) => true,
        // They belong to a session in which this node has said that it is ready, or to none.
        Body::Met(_)
        | Body::Run { .. }
        | Body::HighWater(_)
        | Body::Behind(_)
        | Body::Generations(_)
        | Body::Heard(_)
        | Body::Lacks(_)
        | Body::Used(_)
        | Body::Released(_)
        | Body::Counted { .. } => false,
    }
}

#[cfg(test)]
#[path = "hold_tests.rs"]
mod tests;
