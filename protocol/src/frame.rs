//! What two nodes say to each other inside their tunnel. The sender is the tunnel's key, never a field.

use crate::announcement::GenerationProof;
use crate::control::Held;
use crate::hash::{Hash, Hasher};
use crate::id::{NodeId, SessionId, TaskId};
use serde::{Deserialize, Serialize};

/// One frame of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Which task: where the frame is delivered.
    pub task: TaskId,
    /// Counts the sender's frames to this receiver in this session from 0; a number seen before is dropped.
    pub seq: u32,
    /// The rest.
    pub body: Body,
}

/// What a frame is about. Variants are appended, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// I am about to begin; this is what I think we do.
    Ready(Ready),
    /// Belongs to the run with this id.
    Run {
        /// The session id as the sender computed it.
        session: SessionId,
        /// The message.
        message: Message,
    },
    /// I have given up; do not wait for me.
    Abort {
        /// Stable code.
        code: String,
        /// One sentence.
        text: String,
    },
    /// How far the sender has come, once after a tunnel came up. Belongs to no session.
    HighWater(HighWater),
    /// The receiver had come further than it says now: its store was rolled back. What it said then.
    Behind(HighWater),
    /// Generations of keys with all their marks, in order, each with who has it in force; at most [`MAX_PROOFS`]. What is
    /// known of a reshare is told by everybody to everybody whom it concerns. Belongs to no session.
    Generations(Vec<GenerationProof>),
    /// Of these generations the sender knows all that concerns it; at most [`MAX_PROOFS`]. Belongs to no session.
    Heard(Vec<Held>),
    /// The sender has stored for these generations and waits for the marks of others; at most [`MAX_PROOFS`]. Whoever has them all
    /// answers with `Generations`. Belongs to no session.
    Lacks(Vec<Held>),
}

/// Entries in one `Generations` or `Heard`.
pub const MAX_PROOFS: usize = 32;

/// How far a node has come. None of these numbers ever falls, unless an older copy of the node's files took their place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighWater {
    /// Generation of its secrets file.
    pub secrets: u64,
    /// Entries of its audit log.
    pub audit: u64,
    /// The keys that it holds together with the receiver, with their generations; at most
    /// [`MAX_HELD`](crate::control::MAX_HELD).
    pub keys: Vec<Held>,
}

/// The task id of frames that belong to no session. Requesters' ids are random.
pub const NO_TASK: TaskId = TaskId([0; 16]);

/// The view of a party before the first secret-dependent message. Differences end the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The exact bytes of the task.
    pub task: Hash,
    /// The parties, in order.
    pub parties: Hash,
    /// Fresh randomness of the sender: no run is ever repeated.
    pub fresh: [u8; 32],
    /// What the sender holds that the others may have to know about: a key generation, or auxiliary information.
    pub holds: Option<Hash>,
}

/// A message of a running session. Its `Debug` shows no bytes of engines: they can carry a share.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// For one party.
    Direct {
        /// Which engine of the session.
        phase: u8,
        /// The engine's bytes.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// For all parties, signed.
    Broadcast {
        /// Which engine of the session.
        phase: u8,
        /// Counts the sender's broadcasts of the phase from 0.
        number: u16,
        /// The engine's bytes.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
        /// Ed25519 of the sender over [`broadcast_digest`].
        #[serde(with = "serde_bytes")]
        signature: [u8; 64],
    },
    /// What I received as somebody's broadcast.
    Echo {
        /// Which engine of the session.
        phase: u8,
        /// Whose broadcast: position among the parties.
        sender: u16,
        /// Which broadcast.
        number: u16,
        /// Hash of the body.
        body: Hash,
        /// The original sender's signature: two of them for one number prove equivocation.
        #[serde(with = "serde_bytes")]
        signature: [u8; 64],
    },
    /// My result is durable.
    Stored {
        /// What the result is; equal at all parties.
        digest: Hash,
        /// Ed25519 of the sender over `digest`.
        #[serde(with = "serde_bytes")]
        signature: [u8; 64],
    },
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Message::Direct { phase, body } => write!(f, "Direct(phase {phase}, {} bytes)", body.len()),
            Message::Broadcast { phase, number, body, .. } => {
                write!(f, "Broadcast(phase {phase}, number {number}, {} bytes)", body.len())
            }
            Message::Echo { phase, sender, number, .. } => {
                write!(f, "Echo(phase {phase}, sender {sender}, number {number})")
            }
            Message::Stored { digest, .. } => write!(f, "Stored({digest})"),
        }
    }
}

/// The hash of a broadcast's body.
pub fn body_hash(body: &[u8]) -> Hash {
    Hash::of("countersign/1 body", body)
}

/// What the sender of a broadcast signs.
pub fn broadcast_digest(session: SessionId, sender: &NodeId, phase: u8, number: u16, body: Hash) -> Hash {
    Hasher::new("countersign/1 broadcast")
        .field(&session.0)
        .field(sender.as_bytes())
        .number(phase.into())
        .number(number.into())
        .field(body.as_bytes())
        .finish()
}
