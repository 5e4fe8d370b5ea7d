//! The amount one party may send another in the run of one engine. So messages that wait for an
//! engine are bounded before it sees any of them.

use crate::codec::encode;
use crate::frame::{Body, Frame, Message};

/// Bytes of a party's messages beside those of its engines: an honest `Abort` has some hundred,
/// with a proof in it some thousand, and so has the `Met` of the largest committee.
const MAX_WORDS: usize = 64 * 1024;
/// Upper bound of a frame's overhead beside the body of a message.
const ENVELOPE: usize = 256;
/// Maximum bytes of one party's waiting messages, however large the rooms of
/// a session are together.
const MAX_WAITING: usize = 2 * 1024 * 1024;

/// The amount one party may send another in one phase, in bytes of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Maximum size of one message.
    pub longest: usize,
    /// Maximum size of all messages of the phase together.
    pub total: usize,
}

impl Room {
    /// Creates room for messages of these lengths, each of which a party sends another once.
    pub fn of(lengths: impl IntoIterator<Item = usize>) -> Self {
        lengths.into_iter().fold(
            Self {
                longest: 0,
                total: 0,
            },
            |room, length| Self {
                longest: room.longest.max(length),
                total: room.total.saturating_add(length),
            },
        )
    }
}

/// The room of each phase of a session, from phase 0. In other phases nobody may send anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rooms(Vec<Room>);

impl Rooms {
    /// Takes one room for each phase, in order.
    pub fn new(phases: impl IntoIterator<Item = Room>) -> Self {
        Self(phases.into_iter().collect())
    }

    /// True if a frame is within the limits of this session. To be called before the
    /// frame is queued anywhere.
    pub fn fits(&self, frame: &Frame) -> bool {
        match &frame.body {
            Body::Run {
                message: Message::Direct { phase, body },
                ..
            }
            | Body::Run {
                message: Message::Broadcast { phase, body, .. },
                ..
            } => self
                .of(*phase)
                .is_some_and(|room| body.len() <= room.longest),
            Body::Run {
                message: Message::Echo { phase, .. },
                ..
            } => self.of(*phase).is_some(),
            Body::Abort(_) | Body::Met(_) => encode(&frame.body).len() <= MAX_WORDS,
            // Of fixed size.
            Body::Ready(_)
            | Body::Run {
                message: Message::Stored(_),
                ..
            } => true,
            // They belong to no session; the router removes them.
            Body::HighWater(_)
            | Body::Behind(_)
            | Body::Generations(_)
            | Body::Heard(_)
            | Body::Lacks(_)
            | Body::Used(_)
            | Body::Released(_)
            | Body::Counted { .. } => true,
        }
    }

    /// Maximum bytes of one party's messages that may wait in a session for their phase.
    pub fn waiting(&self) -> usize {
        self.0
            .iter()
            .fold(0, |sum: usize, room| sum.saturating_add(room.total))
            .min(MAX_WAITING)
    }

    /// Maximum bytes of this many frames of one party that may wait in front of a session.
    pub fn queued(&self, frames: usize) -> usize {
        // A party meets the others once and gives up once.
        self.waiting() + 2 * MAX_WORDS + frames * ENVELOPE
    }

    pub(super) fn of(&self, phase: u8) -> Option<Room> {
        self.0.get(usize::from(phase)).copied()
    }
}
