//! What two nodes say to each other inside their tunnel. The sender is the tunnel's key, never a
//! field.

use serde::{Deserialize, Serialize};

use crate::IdentitySigner;
use crate::announcement::GenerationProof;
use crate::code::FailureCode;
use crate::control::Held;
use crate::encode;
use crate::evidence::{Claim, Echoed, Evidence};
use crate::hash::{Hash, Hasher};
use crate::id::{NodeId, SessionId, TaskId};
use crate::outcome::Cause;
use crate::task::{SignedTask, UnixMillis};

/// The most bytes of a part.
pub const MAX_USE_PART: usize = 1000 * 1024;
/// The most parts.
pub const MAX_USE_PARTS: u8 = 3;
// The largest task fits, with its signature and all signers.
const _: () =
    assert!(SignedTask::MAX_PSBT_BYTES + 16 * 1024 < MAX_USE_PART * MAX_USE_PARTS as usize);
/// Entries in one `Generations` or `Heard`.
pub const MAX_PROOFS: usize = 32;
/// [`SignedMark::about`] of a mark that stands alone.
pub const NOTHING: Hash = Hash([0; 32]);
/// The task id of frames that belong to no session. Requesters' ids are random.
pub const NO_TASK: TaskId = TaskId([0; 16]);

/// One frame of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Which task: where the frame is delivered.
    pub task: TaskId,
    /// Counts the sender's frames to this receiver in this session from 0; a number seen before is
    /// dropped.
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
    Abort(Abort),
    /// How far the sender has come, once after a tunnel came up. Belongs to no session.
    HighWater(HighWater),
    /// The receiver had come further than it says now: its store was rolled back. What it signed
    /// then.
    Behind(SignedMark),
    /// Generations of keys with all their marks, in order, each with who has it in force; at most
    /// [`MAX_PROOFS`]. What is known of a reshare is told by everybody to everybody whom it
    /// concerns. Belongs to no session.
    Generations(Vec<GenerationProof>),
    /// Of these generations the sender knows all that concerns it; at most [`MAX_PROOFS`]. Belongs
    /// to no session.
    Heard(Vec<Held>),
    /// The sender has stored for these generations and waits for the marks of others; at most
    /// [`MAX_PROOFS`]. Whoever has them all answers with `Generations`. Belongs to no session.
    Lacks(Vec<Held>),
    /// What every party told me when we met, in the order of the parties: nobody can tell two
    /// parties two things. Sent before the first [`Run`](Self::Run) where there are more than two
    /// parties.
    Met(Vec<Ready>),
    /// The sender approved a KeySign: count it. Sent to the holders of the key that are not among
    /// its signers. Belongs to no session.
    Used(UsePart),
    /// The task of this hash ended at the sender, which had approved it, without its share in use:
    /// nothing came of it there. Belongs to no session.
    Released(Hash),
    /// The answer to `Used` (`released` is false) and to `Released`: it is noted. Belongs to no
    /// session.
    Counted {
        /// Hash of the task.
        task: Hash,
        /// To which of the two.
        released: bool,
    },
}

/// A use of a key that the sender approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// What the requester signed: it proves itself.
    pub task: SignedTask,
    /// Who signs, in the order of their ids. If the task names them, the same.
    pub signers: Vec<NodeId>,
}

/// A part of an encoded [`Use`], which may be larger than a frame. Parts are sent in their order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsePart {
    /// Hash of the task.
    pub task: Hash,
    /// Counts from 0.
    pub number: u8,
    /// How many there are, at most [`MAX_USE_PARTS`].
    pub of: u8,
    /// At most [`MAX_USE_PART`] bytes.
    pub bytes: Vec<u8>,
}

impl Use {
    /// Its parts, at least one.
    pub fn parts(&self) -> Vec<UsePart> {
        let task = self.task.hash();
        let encoded = encode(self);
        let of = encoded.len().div_ceil(MAX_USE_PART) as u8;
        let parts = (0..).zip(encoded.chunks(MAX_USE_PART));
        parts
            .map(|(number, bytes)| UsePart {
                task,
                number,
                of,
                bytes: bytes.into(),
            })
            .collect()
    }
}

impl std::fmt::Debug for UsePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            task,
            number,
            of,
            bytes,
        } = self;
        write!(
            f,
            "UsePart({task}, {number} of {of}, {} bytes)",
            bytes.len()
        )
    }
}

/// Why a party gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// Whose doing it is, as the sender sees it.
    pub cause: Cause,
    /// Stable code.
    pub code: FailureCode,
    /// One sentence.
    pub text: String,
    /// Whom the sender itself saw cheating. Believed of nobody.
    pub accused: Vec<NodeId>,
    /// Proof, for the receiver to verify.
    pub evidence: Option<Box<Evidence>>,
    /// A confirmation of another result than the sender's, and whose it is: the receiver can
    /// compare it with its own.
    pub result: Option<(NodeId, Claim)>,
}

/// How far a node has come. None of these numbers ever falls, unless an older copy of the node's
/// files took their place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When the node says so, by its own clock: two marks of one node may arrive in the other
    /// order.
    pub at: UnixMillis,
    /// Generation of its secrets file.
    pub secrets: u64,
    /// Entries of its audit log.
    pub audit: u64,
}

impl Mark {
    /// True if a node that has said `earlier` cannot honestly say this: it is later, and less.
    pub fn contradicts(&self, earlier: &Self) -> bool {
        self.at > earlier.at && (self.secrets < earlier.secrets || self.audit < earlier.audit)
    }
}

/// A mark under the node's signature: nobody else can say for a node how far it had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedMark {
    /// How far.
    pub mark: Mark,
    /// What else the signature covers: [`Ready::hash`], or [`NOTHING`].
    pub about: Hash,
    /// Ed25519 of the node over [`mark_digest`].
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

impl SignedMark {
    /// A mark that stands alone.
    pub fn alone(mark: Mark, me: &NodeId, signer: &dyn IdentitySigner) -> Self {
        Self {
            mark,
            about: NOTHING,
            signature: signer.sign(mark_digest(me, &mark, NOTHING).as_bytes()),
        }
    }

    /// True if `node` signed it.
    pub fn verifies(&self, node: &NodeId) -> bool {
        node.verify(
            mark_digest(node, &self.mark, self.about).as_bytes(),
            &self.signature,
        )
    }
}

/// What a node signs of how far it has come, together with what the mark is part of.
pub fn mark_digest(node: &NodeId, mark: &Mark, about: Hash) -> Hash {
    Hasher::new("countersign/1 high water")
        .field(node.as_bytes())
        .number(mark.at.0)
        .number(mark.secrets)
        .number(mark.audit)
        .field(about.as_bytes())
        .finish()
}

/// How far a node has come, and with which keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighWater {
    /// How far.
    pub signed: SignedMark,
    /// The keys that it holds together with the receiver, with their generations; at most
    /// [`MAX_HELD`](crate::control::MAX_HELD).
    pub keys: Vec<Held>,
}

/// The view of a party before the first secret-dependent message. Differences end the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The exact bytes of the task.
    pub task: Hash,
    /// The parties, in order.
    pub parties: Hash,
    /// Fresh randomness of the sender: no run is ever repeated.
    pub fresh: [u8; 32],
    /// What the sender holds that the others may have to know about: a key generation, or auxiliary
    /// information.
    pub holds: Option<Hash>,
    /// How far the sender has come.
    pub mark: Mark,
    /// Ed25519 of the sender over [`mark_digest`] of `mark` and [`hash`](Self::hash).
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

impl Ready {
    /// Signs what `me` says.
    pub fn sign(self, me: &NodeId, signer: &dyn IdentitySigner) -> Self {
        let signature = signer.sign(mark_digest(me, &self.mark, self.hash()).as_bytes());
        Self { signature, ..self }
    }

    /// True if `node` said so.
    pub fn verifies(&self, node: &NodeId) -> bool {
        self.signed_mark().verifies(node)
    }

    /// The mark in it, which can be shown without the rest.
    pub fn signed_mark(&self) -> SignedMark {
        SignedMark {
            mark: self.mark,
            about: self.hash(),
            signature: self.signature,
        }
    }

    /// Hash of all but the mark and the signature.
    pub fn hash(&self) -> Hash {
        Hasher::new("countersign/1 ready")
            .field(self.task.as_bytes())
            .field(self.parties.as_bytes())
            .field(&self.fresh)
            .field(self.holds.as_ref().map_or(&[], |holds| holds.as_bytes()))
            .finish()
    }
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
        /// Ed25519 of the one that passes it on, over [`echo_digest`]: a false echo proves itself.
        #[serde(with = "serde_bytes")]
        by: [u8; 64],
    },
    /// My result is durable. The digest is equal at all parties.
    Stored(Claim),
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Direct { phase, body } => {
                write!(f, "Direct(phase {phase}, {} bytes)", body.len())
            }
            Self::Broadcast {
                phase,
                number,
                body,
                ..
            } => {
                write!(
                    f,
                    "Broadcast(phase {phase}, number {number}, {} bytes)",
                    body.len()
                )
            }
            Self::Echo {
                phase,
                sender,
                number,
                ..
            } => {
                write!(f, "Echo(phase {phase}, sender {sender}, number {number})")
            }
            Self::Stored(claim) => write!(f, "Stored({})", claim.digest),
        }
    }
}

/// The hash of a broadcast's body.
pub fn body_hash(body: &[u8]) -> Hash {
    Hash::of("countersign/1 body", body)
}

/// What the sender of a broadcast signs.
pub fn broadcast_digest(
    task: Hash,
    session: SessionId,
    sender: &NodeId,
    phase: u8,
    number: u16,
    body: Hash,
) -> Hash {
    Hasher::new("countersign/1 broadcast")
        .field(task.as_bytes())
        .field(&session.0)
        .field(sender.as_bytes())
        .number(phase.into())
        .number(number.into())
        .field(body.as_bytes())
        .finish()
}

/// What a party signs that passes a broadcast on.
pub fn echo_digest(task: Hash, session: SessionId, sender: &NodeId, echo: &Echoed) -> Hash {
    Hasher::new("countersign/1 echo")
        .field(task.as_bytes())
        .field(&session.0)
        .field(sender.as_bytes())
        .field(echo.of.as_bytes())
        .number(echo.phase.into())
        .number(echo.number.into())
        .field(echo.body.as_bytes())
        .field(&echo.claimed.0)
        .finish()
}

/// What a party signs beside its mark: which run the mark belongs to.
pub fn result_digest(task: Hash, session: SessionId, sender: &NodeId, claim: &Claim) -> Hash {
    Hasher::new("countersign/1 result")
        .field(task.as_bytes())
        .field(&session.0)
        .field(sender.as_bytes())
        .field(claim.digest.as_bytes())
        .field(&claim.mark.0)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    #[test]
    fn a_use_travels_in_parts_and_arrives_whole() {
        for length in [
            2,
            MAX_USE_PART - 200,
            MAX_USE_PART + 1,
            SignedTask::MAX_PSBT_BYTES,
        ] {
            let task = SignedTask {
                bytes: vec![7; length],
                signature: [8; 64],
            };
            let told = Use {
                task,
                signers: Vec::new(),
            };
            let parts = told.parts();
            let mut joined = Vec::new();
            for (number, part) in parts.iter().enumerate() {
                assert_eq!(
                    (part.task, usize::from(part.number)),
                    (told.task.hash(), number)
                );
                assert!(usize::from(part.of) == parts.len() && part.of <= MAX_USE_PARTS);
                joined.extend(&part.bytes);
            }
            assert_eq!(decode::<Use>(&joined).unwrap(), told);
        }
    }

    /// Between nodes of different versions.
    #[test]
    fn the_bytes_of_what_members_tell_of_uses_are_frozen() {
        let part = UsePart {
            task: Hash([1; 32]),
            number: 0,
            of: 1,
            bytes: vec![2, 3],
        };
        for (body, expected) in [
            (Body::Used(part), format!("09{}0001020203", "01".repeat(32))),
            (
                Body::Released(Hash([1; 32])),
                format!("0a{}", "01".repeat(32)),
            ),
            (
                Body::Counted {
                    task: Hash([1; 32]),
                    released: true,
                },
                format!("0b{}01", "01".repeat(32)),
            ),
        ] {
            let frame = encode(&Frame {
                task: TaskId([0; 16]),
                seq: 0,
                body,
            });
            assert_eq!(hex::encode(&frame[17..]), expected);
        }
    }
}
