//! The vocabulary shared by all parts of Countersign: ids, tasks, frames, their codec, and the
//! state machine of a session.
//!
//! Nothing here performs I/O, reads a clock or does threshold mathematics. Time, randomness and the
//! node's signature function are arguments; bytes go in, bytes come out.

pub mod approver;
mod assertion;
pub mod code;
pub mod codec;
pub mod committee;
pub mod contact;
pub mod control;
pub mod descriptor;
pub mod evidence;
pub mod forecast;
pub mod frame;
#[cfg(test)]
mod generation_tests;
pub mod hash;
pub mod id;
pub mod invitation;
mod named;
pub mod node_status;
#[cfg(feature = "openapi")]
mod openapi;
pub mod operation_kind;
mod order_proof;
pub mod outcome;
pub mod path;
pub mod payload;
pub mod request;
mod requester;
pub mod reshare;
pub mod scheme;
pub mod session;
pub mod task;
pub mod text;
pub mod twin;
pub mod version;
pub mod vote;

pub use approver::{ApproverId, ApproverKey};
pub use assertion::Assertion;
pub use code::{FailureCode, RefusalCode};
pub use codec::{DecodeError, decode, encode};
pub use committee::{Committee, CommitteeError, CommitteeIndex, Threshold};
pub use contact::Contact;
pub use evidence::Evidence;
pub use forecast::{Forecast, NotAsked};
pub use hash::{Hash, Hasher};
pub use id::{CoordinatorId, IdError, KeyId, NodeId, SessionId, TaskId};
pub use node_status::NodeStatus;
pub use operation_kind::{OperationKind, Stored, UnknownOperation};
pub use order_proof::{MalformedProof, NotBelieved, OrderAssertion, OrderProof, Passkeys};
pub use outcome::{
    Cause, Failure, GenerationProof, InputSignature, Intact, KeyDescriptor, Outcome, PluginVerdict,
    Point, Refusal, Signed, SignedAck,
};
pub use path::DerivationPath;
pub use payload::{Payload, PayloadKind, UnknownPayloadKind};
pub use requester::RequesterId;
pub use reshare::KeyReshare;
pub use scheme::Scheme;
pub use session::{Session, SessionEvent};
pub use task::{
    Authenticated, Claimed, Collect, KeyGen, KeyShareSign, KeySign, Operation, SignedTask, Task,
    TaskError, UnixMillis,
};
pub use version::{PROTOCOL_VERSION, Versions};
pub use vote::{Ballot, Choice, MalformedVote, Proof, Vote};

/// Signs bytes with the node's identity key, the one input that a session cannot be given by value.
pub trait IdentitySigner: Send + Sync {
    /// Returns an Ed25519 signature (RFC 8032) over `message`.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}
