//! Transferable proof that a node cheated: statements under its own signature that an
//! honest node never signs.
//!
//! Evidence stands or falls with [`Evidence::verify`], no matter how it arrives: a messenger is
//! neither witness nor culprit. All signatures cover the hash of the task, so an act in one task
//! convicts nobody in another.

use serde::{Deserialize, Serialize};

use crate::code::FailureCode;
use crate::frame::{Ready, broadcast_digest, echo_digest, result_digest};
use crate::hash::Hash;
use crate::id::{NodeId, SessionId};
use crate::outcome::Failure;

/// An Ed25519 signature; lower-case hexadecimal in texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(#[serde(with = "hex::serde")] pub [u8; 64]);

/// Proof that a node cheated in a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Hash of the task's exact bytes.
    pub task: Hash,
    /// The node that cheated.
    pub node: NodeId,
    /// The contradictory or false statement that it signed.
    pub misconduct: Misconduct,
}

/// A statement that an honest node never signs. Variants are appended, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "fields without a comment are named for what they hold"
)]
#[serde(rename_all = "kebab-case")]
pub enum Misconduct {
    /// Two different ready messages. A task runs once, so an honest node signs only one.
    Readies(Box<[Ready; 2]>),
    /// Two broadcast bodies under one number.
    Broadcasts {
        session: SessionId,
        phase: u8,
        number: u16,
        /// The hashes of both bodies.
        signed: [SignedHash; 2],
    },
    /// Two confirmed results of one run.
    Results {
        session: SessionId,
        claims: Box<[Claim; 2]>,
    },
    /// A result confirmed with an acknowledgement that is not its signature over that result.
    #[serde(rename = "false-mark")]
    FalseAck {
        session: SessionId,
        claim: Box<Claim>,
    },
    /// An echo of a broadcast that the named node never signed.
    FalseEcho {
        session: SessionId,
        echo: Box<Echoed>,
    },
}

/// A hash and the signature over its statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHash {
    /// Hash of a broadcast's body.
    pub hash: Hash,
    /// Signed over [`broadcast_digest`].
    pub signature: Signature,
}

/// A party's confirmation that its result is durable, as it travels in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Digest of the result.
    pub digest: Hash,
    /// The acknowledgement: over `digest` alone, so that it can become part of the key descriptor.
    #[serde(rename = "mark")]
    pub ack: Signature,
    /// Signed over [`result_digest`], which binds digest and acknowledgement to the run.
    pub signature: Signature,
}

/// An echo as it travels in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "fields without a comment are named for what they hold"
)]
pub struct Echoed {
    /// The alleged sender of the broadcast.
    pub of: NodeId,
    pub phase: u8,
    pub number: u16,
    pub body: Hash,
    /// The alleged signature of `of`.
    pub claimed: Signature,
    /// By the node that passed it on, over [`echo_digest`].
    pub signature: Signature,
}

impl Claim {
    /// Returns true if `node` signed it in this run.
    pub fn is_of(&self, task: Hash, session: SessionId, node: &NodeId) -> bool {
        node.verify(
            result_digest(task, session, node, self).as_bytes(),
            &self.signature.0,
        )
    }

    /// Returns true if the acknowledgement is `node`'s signature over the result.
    pub fn is_acked(&self, node: &NodeId) -> bool {
        node.verify(self.digest.as_bytes(), &self.ack.0)
    }
}

impl Evidence {
    /// Returns true if it convicts [`node`](Self::node), which must be one of `parties`, of
    /// cheating in the task with this hash.
    pub fn verify(&self, task: Hash, parties: &[NodeId]) -> bool {
        let node = &self.node;
        self.task == task
            && parties.contains(node)
            && match &self.misconduct {
                Misconduct::Readies(readies) => {
                    let [one, two] = &**readies;
                    (one.hash(), one.mark) != (two.hash(), two.mark)
                        && readies
                            .iter()
                            .all(|ready| ready.task == task && ready.verifies(node))
                }
                Misconduct::Broadcasts {
                    session,
                    phase,
                    number,
                    signed,
                } => {
                    let [one, two] = signed;
                    let said = |signed: &SignedHash| {
                        let digest =
                            broadcast_digest(task, *session, node, *phase, *number, signed.hash);
                        node.verify(digest.as_bytes(), &signed.signature.0)
                    };
                    one.hash != two.hash && said(one) && said(two)
                }
                Misconduct::Results { session, claims } => {
                    let [one, two] = &**claims;
                    one.digest != two.digest
                        && one.is_of(task, *session, node)
                        && two.is_of(task, *session, node)
                }
                Misconduct::FalseAck { session, claim } => {
                    claim.is_of(task, *session, node) && !claim.is_acked(node)
                }
                Misconduct::FalseEcho { session, echo } => {
                    let digest = echo_digest(task, *session, node, echo);
                    let said = broadcast_digest(
                        task,
                        *session,
                        &echo.of,
                        echo.phase,
                        echo.number,
                        echo.body,
                    );
                    echo.of != *node
                        && parties.contains(&echo.of)
                        && node.verify(digest.as_bytes(), &echo.signature.0)
                        && !echo.of.verify(said.as_bytes(), &echo.claimed.0)
                }
            }
    }

    /// The code of the resulting failure.
    pub fn code(&self) -> FailureCode {
        match self.misconduct {
            Misconduct::Readies(_) | Misconduct::Broadcasts { .. } | Misconduct::Results { .. } => {
                FailureCode::Equivocation
            }
            Misconduct::FalseAck { .. } | Misconduct::FalseEcho { .. } => {
                FailureCode::PeerMisbehaved
            }
        }
    }

    /// The failure of a session that this evidence ended.
    pub fn failure(&self) -> Failure {
        let text = format!(
            "{} {}: its own signatures prove it; do not use it again before its operator has explained",
            self.node,
            self.what()
        );
        Failure::new(self.code(), text).naming(vec![self.node])
    }

    fn what(&self) -> String {
        match &self.misconduct {
            Misconduct::Readies(readies) => {
                let [one, two] = readies.each_ref().map(Ready::hash);
                format!(
                    "told different parties in different words that it is ready ({one} and {two})"
                )
            }
            Misconduct::Broadcasts {
                session,
                phase,
                number,
                signed,
            } => {
                let [one, two] = signed.map(|signed| signed.hash);
                format!(
                    "told different parties different things in session {session}, phase {phase}, broadcast {number} ({one} and {two})"
                )
            }
            Misconduct::Results { session, claims } => {
                let [one, two] = claims.map(|claim| claim.digest);
                format!("confirmed two results of session {session} ({one} and {two})")
            }
            Misconduct::FalseAck { session, claim } => format!(
                "confirmed the result {} of session {session} with an acknowledgement that is not its signature",
                claim.digest
            ),
            Misconduct::FalseEcho { session, echo } => format!(
                "passed on a broadcast of {} in session {session}, phase {}, that was never signed",
                echo.of, echo.phase
            ),
        }
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
