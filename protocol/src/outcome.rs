//! The outcome of a task at a node, and the node's decision on it.

use serde::{Deserialize, Serialize};

use crate::code::{FailureCode, RefusalCode};
pub use crate::descriptor::{
    GenerationProof, KeyDescriptor, SignedAck, abort_vote_digest, public_shares_hash,
};
use crate::hash::{Hash, Hasher};
use crate::id::{KeyId, NodeId, SessionId};
use crate::path::DerivationPath;

/// The single outcome of a task at a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// KeyGen: every member has stored and acknowledged its share.
    Created(KeyDescriptor),
    /// KeySign: all ordered signatures, verified by the node itself.
    Signed(Signed),
    /// The node did not take part.
    Refused(Refusal),
    /// The node took part, but the task failed.
    Failed(Failure),
    /// KeyReshare: every party has stored and acknowledged its part.
    Reshared(KeyDescriptor),
    /// KeyShareSign: this node's share is intact.
    Intact(Intact),
}

impl Outcome {
    /// The generation of a key that came to be, with all its acknowledgements.
    pub fn descriptor(&self) -> Option<&KeyDescriptor> {
        match self {
            Self::Created(descriptor) | Self::Reshared(descriptor) => Some(descriptor),
            Self::Signed(_) | Self::Refused(_) | Self::Failed(_) | Self::Intact(_) => None,
        }
    }
}

/// A proof that one node's share is intact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[allow(
    missing_docs,
    reason = "fields without a comment are named for what they hold"
)]
pub struct Intact {
    pub node: NodeId,
    pub key: KeyId,
    pub generation: u32,
    /// All public shares of the generation, in the order of the committee:
    /// the preimage of [`KeyDescriptor::public_shares`].
    pub public_shares: Vec<Point>,
    /// Proof of knowledge of the node's secret share: compressed commitment, then the response
    /// as 32 big-endian bytes.
    pub proof: Point,
}

impl Intact {
    /// The context that binds the proof to this task.
    pub fn context(task: Hash, key: KeyId, generation: u32, node: &NodeId) -> Hash {
        Hasher::new("countersign/1 check-up")
            .field(task.as_bytes())
            .field(key.as_bytes())
            .number(generation.into())
            .field(node.as_bytes())
            .finish()
    }
}

/// An encoded curve point or proof; hexadecimal in texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Point(#[serde(with = "hex::serde")] pub Vec<u8>);

/// The finished signatures of a task, one for each input of its payload and in that order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Signed {
    /// The run that made the signatures.
    pub session: SessionId,
    /// Never empty, and never a part of the order.
    pub signatures: Vec<InputSignature>,
}

/// The finished signature of one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InputSignature {
    /// The path of the child key that signed.
    pub path: DerivationPath,
    /// The public key under which it verifies: the derived child (for `taproot` the
    /// x-only BIP-341 output key).
    #[cfg_attr(feature = "openapi", schema(value_type = Point))]
    #[serde(with = "hex::serde")]
    pub public_key: Vec<u8>,
    /// The bytes that were handed to the signature algorithm.
    #[cfg_attr(feature = "openapi", schema(value_type = Point))]
    #[serde(with = "hex::serde")]
    pub signed_bytes: Vec<u8>,
    /// ECDSA: r, s (64 bytes, low s). Ed25519, BIP-340: 64 bytes. RFC 9591 secp256k1: 65 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = Point))]
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
    /// ECDSA only: 0 or 1 (2 and 3 do not occur in practice).
    pub recovery_id: Option<u8>,
}

/// A node's refusal to take part. Never retried automatically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refusal {
    /// A stable code, for programs.
    pub code: RefusalCode,
    /// One sentence for people, free of control characters.
    pub reason: String,
    /// The plugin that refused; absent if the node itself did.
    pub plugin: Option<String>,
}

/// The party at fault. Each cause calls for a different action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The request, which needs correcting.
    Caller,
    /// A peer, named with the reason.
    Peer,
    /// Network, disk or time; try again with a new task.
    Environment,
    /// This program, which needs a bug report.
    Bug,
}

/// The failure of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// The kind of party at fault.
    pub cause: Cause,
    /// A stable code, for programs.
    pub code: FailureCode,
    /// One sentence for people that ends with what to do.
    pub text: String,
    /// The nodes to blame, or the nodes that were waited for.
    pub culprits: Vec<NodeId>,
}

impl Failure {
    /// Creates a failure with the code's cause and no culprits.
    pub fn new(code: FailureCode, text: impl Into<String>) -> Self {
        Self {
            cause: code.cause(),
            code,
            text: text.into(),
            culprits: Vec::new(),
        }
    }

    /// Returns the failure with these nodes to blame or waited for.
    pub fn naming(self, culprits: Vec<NodeId>) -> Self {
        Self { culprits, ..self }
    }

    /// True if a peer, honest or not, can only have caused it by cheating.
    pub fn is_proof_of_cheating(&self) -> bool {
        self.cause == Cause::Peer && self.code.is_proof_of_cheating()
    }
}

/// The verdict of one plugin on a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PluginVerdict {
    /// The plugin's name in the configuration.
    pub plugin: String,
    /// The version that the plugin reports.
    pub version: String,
    /// SHA-256 of the component that ran.
    pub digest: Hash,
    /// SHA-256 of the configuration that it ran with.
    pub config: Hash,
    /// False if the plugin refused.
    pub approved: bool,
    /// Stable code of a refusal; empty for an approval.
    pub code: String,
    /// One sentence; empty for an approval.
    pub reason: String,
    /// The plugin's run time in microseconds.
    pub micros: u64,
}
