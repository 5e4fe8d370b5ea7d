//! Frames that arrive before their task does: another party may be a moment ahead. Held in small numbers, for a short time.

use crate::frame::{Body, Frame};
use crate::id::{NodeId, TaskId};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Frames held for one peer.
const MAX_FRAMES: usize = 64;
/// How long.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Frames held for all peers.
const MAX_TOTAL: usize = 512;

/// Holds frames for tasks that this node has not begun. Nobody can run a session with a node that has not said it is ready,
/// so only small frames are worth holding.
#[derive(Default)]
pub struct Hold(VecDeque<(Instant, NodeId, Frame)>);

impl Hold {
    /// Holds a frame; the oldest of the same peer, or of all, makes room.
    pub fn put(&mut self, now: Instant, from: NodeId, frame: Frame) {
        if matches!(frame.body, Body::Run { .. }) {
            return;
        }
        self.0.retain(|(since, ..)| now.duration_since(*since) < MAX_AGE);
        let of_peer = self.0.iter().filter(|(_, peer, _)| *peer == from).count();
        if of_peer >= MAX_FRAMES || self.0.len() >= MAX_TOTAL {
            let oldest = self.0.iter().position(|(_, peer, _)| of_peer < MAX_FRAMES || *peer == from);
            oldest.and_then(|index| self.0.remove(index));
        }
        self.0.push_back((now, from, frame));
    }

    /// Takes the frames of a task, in the order of arrival.
    pub fn take(&mut self, task: TaskId) -> Vec<(NodeId, Frame)> {
        let (taken, kept) = self.0.drain(..).partition(|(_, _, frame)| frame.task == task);
        self.0 = kept;
        let taken: VecDeque<(Instant, NodeId, Frame)> = taken;
        taken.into_iter().map(|(_, from, frame)| (from, frame)).collect()
    }
}
