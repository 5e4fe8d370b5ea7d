//! How a task ends at a node, and what a node tells of its decision.

use serde::{Deserialize, Serialize};

pub use crate::announcement::{
    Announcement, GenerationProof, StoredMark, public_shares_hash, void_digest,
};
use crate::code::{FailureCode, RefusalCode};
use crate::hash::{Hash, Hasher};
use crate::id::{KeyId, NodeId, SessionId};
use crate::path::DerivationPath;

/// The one outcome of a task at a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// KeyGen: every member has stored its share and said so.
    Created(Announcement),
    /// KeySign: signatures that the node itself verified, all that were ordered.
    Signed(Signed),
    /// The node did not take part.
    Refused(Refusal),
    /// The node took part, and it came to nothing.
    Failed(Failure),
    /// KeyReshare: every party has stored what it will hold and said so.
    Reshared(Announcement),
    /// KeyShareSign: this node's share is intact.
    Intact(Intact),
}

/// A proof that one node's share is intact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intact {
    /// Whose share.
    pub node: NodeId,
    /// Of which key.
    pub key: KeyId,
    /// Of which generation.
    pub generation: u32,
    /// All public shares of the generation, in the order of the committee: what
    /// [`Announcement::public_shares`] is the hash of.
    pub public_shares: Vec<Point>,
    /// That the node knows the secret of its public share: commitment, compressed, and response, 32
    /// bytes, big-endian.
    pub proof: Point,
}

impl Intact {
    /// What the proof is made for: this task and no other.
    pub fn context(task: Hash, key: KeyId, generation: u32, node: &NodeId) -> Hash {
        Hasher::new("countersign/1 check-up")
            .field(task.as_bytes())
            .field(key.as_bytes())
            .number(generation.into())
            .field(node.as_bytes())
            .finish()
    }
}

/// Bytes that texts show in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Point(#[serde(with = "hex::serde")] pub Vec<u8>);

/// The finished signatures of one task, one for each input of its payload and in that order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The run that made them.
    pub session: SessionId,
    /// At least one. Never a part of what was ordered.
    pub signatures: Vec<InputSignature>,
}

/// One finished signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSignature {
    /// The child that signed.
    pub path: DerivationPath,
    /// The key under which it verifies: the derived child (for `taproot` the x-only BIP-341 output
    /// key).
    #[serde(with = "hex::serde")]
    pub public_key: Vec<u8>,
    /// The bytes that were handed to the signature algorithm.
    #[serde(with = "hex::serde")]
    pub signed_bytes: Vec<u8>,
    /// ECDSA: r, s (64 bytes, low s). Ed25519, BIP-340: 64 bytes. RFC 9591 secp256k1: 65 bytes.
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
    /// ECDSA only: 0 or 1 (2 and 3 do not occur in practice).
    pub recovery_id: Option<u8>,
}

/// Why a node did not take part. Never retried by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable, for programs.
    pub code: RefusalCode,
    /// One sentence for people, free of control characters.
    pub reason: String,
    /// The plugin that refused; absent if the node itself did.
    pub plugin: Option<String>,
}

/// Who is at fault. Each cause calls for a different action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The request: correct it.
    Caller,
    /// A peer: see who, and why.
    Peer,
    /// Network, disk, time: try again with a new task.
    Environment,
    /// This program: report it.
    Bug,
}

/// Why a session came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose doing.
    pub cause: Cause,
    /// Stable, for programs.
    pub code: FailureCode,
    /// One sentence for people that ends with what to do.
    pub text: String,
    /// Who is to blame or who was waited for.
    pub culprits: Vec<NodeId>,
}

impl Failure {
    /// A failure with the cause of its code, and nobody to blame.
    pub fn new(code: FailureCode, text: impl Into<String>) -> Self {
        Self {
            cause: code.cause(),
            code,
            text: text.into(),
            culprits: Vec::new(),
        }
    }

    /// The same, with those who are to blame or were waited for.
    pub fn naming(self, culprits: Vec<NodeId>) -> Self {
        Self { culprits, ..self }
    }

    /// True if a peer, honest or not, cannot have caused it by anything but cheating.
    pub fn is_proof_of_cheating(&self) -> bool {
        self.cause == Cause::Peer && self.code.is_proof_of_cheating()
    }
}

/// What one plugin said of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginVerdict {
    /// Its name in the configuration.
    pub plugin: String,
    /// Its own version.
    pub version: String,
    /// SHA-256 of the component that ran.
    pub digest: Hash,
    /// SHA-256 of the configuration that it ran with.
    pub config: Hash,
    /// True if it approved.
    pub approved: bool,
    /// Stable code of a refusal; empty for an approval.
    pub code: String,
    /// One sentence; empty for an approval.
    pub reason: String,
    /// How long it took, in microseconds.
    pub micros: u64,
}
