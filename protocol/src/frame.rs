//! Messages between two nodes inside their tunnel. The tunnel's key identifies the
//! sender; no field does.

use serde::{Deserialize, Serialize};

use crate::IdentitySigner;
use crate::code::FailureCode;
use crate::control::Held;
use crate::descriptor::GenerationProof;
use crate::encode;
use crate::evidence::{Claim, Echoed, Evidence};
use crate::hash::{Hash, Hasher};
use crate::id::{NodeId, SessionId, TaskId};
use crate::outcome::Cause;
use crate::task::{SignedTask, UnixMillis};

/// The maximum size of a [`UsePart`], in bytes.
pub const MAX_USE_PART: usize = 1000 * 1024;
/// The maximum number of parts of a [`Use`].
pub const MAX_USE_PARTS: u8 = 3;
// The largest task fits, with its signature and all signers.
const _: () =
    assert!(SignedTask::MAX_PSBT_BYTES + 16 * 1024 < MAX_USE_PART * MAX_USE_PARTS as usize);
/// The maximum number of entries in `Generations` or `Heard`.
pub const MAX_PROOFS: usize = 32;
/// [`SignedMark::about`] of a mark that stands alone.
pub const NOTHING: Hash = Hash([0; 32]);
/// The task id of frames that belong to no session. Requesters choose random ids, so none collides.
pub const NO_TASK: TaskId = TaskId([0; 16]);

/// One frame between two nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "fields without a comment are named for what they hold"
)]
pub struct Frame {
    /// The task, by which the frame is routed.
    pub task: TaskId,
    /// Counts the sender's frames to this receiver in this session from 0; a number
    /// seen before is dropped.
    pub seq: u32,
    pub body: Body,
}

/// The content of a frame. Variants are appended, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "fields without a comment are named for what they hold"
)]
pub enum Body {
    /// The sender is about to begin, with this view of the task.
    Ready(Ready),
    /// A message of the run with this id.
    Run {
        /// The session id as the sender computed it.
        session: SessionId,
        message: Message,
    },
    /// The sender has given up; do not wait for it.
    Abort(Abort),
    /// The sender's high-water mark, once after a tunnel came up. Belongs to no session.
    HighWater(HighWater),
    /// The receiver had come further than it says now: its store was rolled back. Carries
    /// its own earlier mark.
    Behind(SignedMark),
    /// Generations of keys with all their acknowledgements, in order, each with the members that
    /// have it in force; at most [`MAX_PROOFS`]. Everybody passes its knowledge of a reshare on to
    /// all nodes concerned. Belongs to no session.
    Generations(Vec<GenerationProof>),
    /// The sender knows everything that concerns it of these generations; at most [`MAX_PROOFS`].
    /// Belongs to no session.
    Heard(Vec<Held>),
    /// The sender has stored for these generations and waits for acknowledgements of
    /// others; at most [`MAX_PROOFS`]. A node that has them all answers with `Generations`.
    /// Belongs to no session.
    Lacks(Vec<Held>),
    /// The ready messages of all parties as the sender received them, in the order of the parties:
    /// nobody can tell two parties two things. Sent before the first [`Run`](Self::Run) if there
    /// are more than two parties.
    Met(Vec<Ready>),
    /// The sender approved a KeySign: count it. Sent to the holders of the key that are not among
    /// its signers. Belongs to no session.
    Used(UsePart),
    /// The task of this hash, which the sender had approved, ended there without its share in use,
    /// so without result. Belongs to no session.
    Released(Hash),
    /// The answer to `Used` (`released` is false) and to `Released`: it is recorded.
    /// Belongs to no session.
    Counted {
        /// Hash of the task's exact bytes.
        task: Hash,
        /// True in the answer to `Released`.
        released: bool,
    },
}

/// A use of a key that the sender approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// As signed by the requester: it proves itself.
    pub task: SignedTask,
    /// The signers, in the order of their ids. If the task names them, the same.
    pub signers: Vec<NodeId>,
}

/// A part of an encoded [`Use`], which may be larger than a frame. Parts are sent in order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsePart {
    /// Hash of the task's exact bytes.
    pub task: Hash,
    /// The part's number, counted from 0.
    pub number: u8,
    /// The number of parts, at most [`MAX_USE_PARTS`].
    pub of: u8,
    /// At most [`MAX_USE_PART`] bytes.
    pub bytes: Vec<u8>,
}

impl Use {
    /// Splits the encoded use into at least one part.
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

/// A party's reason for giving up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// The party at fault, in the sender's view.
    pub cause: Cause,
    /// A stable code, for programs.
    pub code: FailureCode,
    /// One sentence for people, not trusted for anything else.
    pub text: String,
    /// The nodes that the sender itself saw cheating. Not believed without proof.
    pub accused: Vec<NodeId>,
    /// Proof, for the receiver to verify.
    pub evidence: Option<Box<Evidence>>,
    /// A confirmation of a result other than the sender's, and its author: the receiver can compare
    /// it with its own.
    pub result: Option<(NodeId, Claim)>,
}

/// A node's progress, as numbers that never fall unless an older copy of the node's
/// files took their place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Time of the mark by the node's own clock: two marks of one node may arrive out of order.
    pub at: UnixMillis,
    /// Generation of the node's secrets file.
    pub secrets: u64,
    /// Number of entries in the node's audit log.
    pub audit: u64,
}

impl Mark {
    /// Returns true if a node that said `earlier` cannot honestly say this: it is later, and less.
    pub fn contradicts(&self, earlier: &Self) -> bool {
        self.at > earlier.at && (self.secrets < earlier.secrets || self.audit < earlier.audit)
    }
}

/// A mark under the node's signature: nobody else can state a node's progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedMark {
    /// The numbers that are signed.
    pub mark: Mark,
    /// The context that the signature covers too: [`Ready::hash`], or [`NOTHING`].
    pub about: Hash,
    /// Ed25519 of the node over [`mark_digest`].
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

impl SignedMark {
    /// Signs a mark that stands alone.
    pub fn alone(mark: Mark, me: &NodeId, signer: &dyn IdentitySigner) -> Self {
        Self {
            mark,
            about: NOTHING,
            signature: signer.sign(mark_digest(me, &mark, NOTHING).as_bytes()),
        }
    }

    /// Returns true if `node` signed it.
    pub fn verifies(&self, node: &NodeId) -> bool {
        node.verify(
            mark_digest(node, &self.mark, self.about).as_bytes(),
            &self.signature,
        )
    }
}

/// The digest that a node signs for a mark, together with the context that the mark is part of.
pub fn mark_digest(node: &NodeId, mark: &Mark, about: Hash) -> Hash {
    Hasher::new("countersign/1 high water")
        .field(node.as_bytes())
        .number(mark.at.0)
        .number(mark.secrets)
        .number(mark.audit)
        .field(about.as_bytes())
        .finish()
}

/// A node's signed progress, and the keys that it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighWater {
    /// A mark that stands alone.
    pub signed: SignedMark,
    /// The keys that it holds together with the receiver, with their
    /// generations; at most [`MAX_HELD`](crate::control::MAX_HELD).
    pub keys: Vec<Held>,
}

/// A party's view before the first secret-dependent message. Differences end the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Hash of the task's exact bytes.
    pub task: Hash,
    /// Hash of the parties, in order.
    pub parties: Hash,
    /// Fresh randomness of the sender: no run is ever repeated.
    pub fresh: [u8; 32],
    /// A holding of the sender that the others may have to know about: a key
    /// generation, or auxiliary information.
    pub holds: Option<Hash>,
    /// The sender's progress at this time.
    pub mark: Mark,
    /// Ed25519 of the sender over [`mark_digest`] of `mark` and [`hash`](Self::hash).
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

impl Ready {
    /// Signs the message as `me`.
    pub fn sign(self, me: &NodeId, signer: &dyn IdentitySigner) -> Self {
        let signature = signer.sign(mark_digest(me, &self.mark, self.hash()).as_bytes());
        Self { signature, ..self }
    }

    /// Returns true if `node` signed it.
    pub fn verifies(&self, node: &NodeId) -> bool {
        self.signed_mark().verifies(node)
    }

    /// The mark it contains, which can be shown without the rest.
    pub fn signed_mark(&self) -> SignedMark {
        SignedMark {
            mark: self.mark,
            about: self.hash(),
            signature: self.signature,
        }
    }

    /// Hash of everything except the mark and the signature.
    pub fn hash(&self) -> Hash {
        Hasher::new("countersign/1 ready")
            .field(self.task.as_bytes())
            .field(self.parties.as_bytes())
            .field(&self.fresh)
            .field(self.holds.as_ref().map_or(&[], |holds| holds.as_bytes()))
            .finish()
    }
}

/// A message of a running session. Its `Debug` omits the bytes of engines, which can carry a share.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "fields without a comment are named for what they hold"
)]
pub enum Message {
    /// Sent to one party only.
    Direct {
        phase: u8,
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// Sent to all parties, and signed.
    Broadcast {
        phase: u8,
        /// Counts the sender's broadcasts of the phase from 0.
        number: u16,
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
        /// Ed25519 of the sender over [`broadcast_digest`].
        #[serde(with = "serde_bytes")]
        signature: [u8; 64],
    },
    /// A broadcast as the sender of this message received it.
    Echo {
        phase: u8,
        /// The broadcast's author, by position among the parties.
        sender: u16,
        number: u16,
        /// Hash of the broadcast's body.
        body: Hash,
        /// The original sender's signature: two of them for one number prove equivocation.
        #[serde(with = "serde_bytes")]
        signature: [u8; 64],
        /// Ed25519 of the node that passes it on, over [`echo_digest`]: a false echo proves itself.
        #[serde(with = "serde_bytes")]
        by: [u8; 64],
    },
    /// The sender's result is durable. The digest is equal at all parties.
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

/// The digest that the sender of a broadcast signs.
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

/// The digest that a party signs to pass a broadcast on.
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

/// The digest that a party signs beside its acknowledgement, to bind that to the run.
pub fn result_digest(task: Hash, session: SessionId, sender: &NodeId, claim: &Claim) -> Hash {
    Hasher::new("countersign/1 result")
        .field(task.as_bytes())
        .field(&session.0)
        .field(sender.as_bytes())
        .field(claim.digest.as_bytes())
        .field(&claim.ack.0)
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
                signature: [8; 64].into(),
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

    /// Nodes of different versions exchange them.
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
