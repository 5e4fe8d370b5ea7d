//! How a task ends at a node, and what a node tells of its decision.

use crate::committee::{Committee, Threshold};
use crate::hash::{Hash, Hasher};
use crate::id::{KeyId, NodeId, SessionId, TaskId};
use crate::path::DerivationPath;
use crate::scheme::Scheme;
use serde::{Deserialize, Serialize};

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

/// A new key, with the signed confirmation of all its holders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The new key.
    pub key: KeyId,
    /// The KeyGen that made it.
    pub task: TaskId,
    /// The run that made it.
    pub session: SessionId,
    /// The name that the requester gave.
    pub name: String,
    /// What it signs.
    pub scheme: Scheme,
    /// Who holds it, by keygen index.
    pub committee: Committee,
    /// How many are needed.
    pub threshold: Threshold,
    /// 0 for a new key; one more after each reshare.
    pub generation: u32,
    /// secp256k1: 33 bytes compressed (SEC 1). ed25519: 32 bytes.
    #[serde(with = "hex::serde")]
    pub root_public_key: Vec<u8>,
    /// BIP-32 chain code.
    pub chain_code: Hash,
    /// Hash of all public key shares: what makes two views of the same key differ.
    pub public_shares: Hash,
    /// The committee's auxiliary information that the key signs with, by its public digest; ECDSA only.
    pub aux: Option<Hash>,
    /// Marks over [`Announcement::digest`], in the order of the ids: one of each member, and after a reshare one of each
    /// party that dealt and left.
    pub stored: Vec<StoredMark>,
}

/// A party's signed word that what it will hold of a key is durable: its share, or the fact that it gives its old one up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMark {
    /// Who says so.
    pub node: NodeId,
    /// Ed25519 over [`Announcement::digest`].
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
}

impl Announcement {
    /// What members sign when they have stored: every fact of the key but the marks themselves.
    pub fn digest(&self) -> Hash {
        Hasher::new("countersign/1 stored")
            .field(self.key.as_bytes())
            .field(&self.task.0)
            .field(&self.session.0)
            .field(self.name.as_bytes())
            .field(self.scheme.name().as_bytes())
            .field(self.committee.hash().as_bytes())
            .number(self.threshold.get().into())
            .number(self.generation.into())
            .field(&self.root_public_key)
            .field(self.chain_code.as_bytes())
            .field(self.public_shares.as_bytes())
            .field(self.aux.as_ref().map_or(&[], |aux| aux.as_bytes()))
            .finish()
    }

    /// True if every member's mark is there, in order, and all marks verify. After a reshare there may be marks of others,
    /// too: whose they must be depends on the generation before, see [`succeeds`](Self::succeeds).
    pub fn is_complete(&self) -> bool {
        let digest = self.digest();
        let ascending = self.stored.windows(2).all(|pair| pair[0].node < pair[1].node);
        let marked = |node: &NodeId| self.stored.iter().any(|mark| mark.node == *node);
        let only_members = self.generation > 0 || self.stored.len() == self.committee.members().len();
        ascending
            && only_members
            && self.stored.len() <= 2 * Committee::SIZES.end()
            && self.committee.members().iter().all(marked)
            && self.stored.iter().all(|mark| mark.verifies(&digest))
    }

    /// True if both are generations of one key: all that signatures and addresses depend on is the same.
    pub fn is_same_key(&self, other: &Announcement) -> bool {
        let facts = |key: &Announcement| {
            (key.key, key.name.clone(), key.scheme, key.root_public_key.clone(), key.chain_code)
        };
        facts(self) == facts(other)
    }

    /// True if this is the generation after `old`, complete, and with the marks of as many members of `old` as that
    /// generation needs to act. So whoever believes `old` needs nobody's word for this one.
    pub fn succeeds(&self, old: &Announcement) -> bool {
        let consenting = self.stored.iter().filter(|mark| old.committee.index_of(&mark.node).is_some());
        self.is_same_key(old)
            && Some(self.generation) == old.generation.checked_add(1)
            && consenting.count() >= usize::from(old.threshold.get())
            && self.is_complete()
    }
}

/// The hash in [`Announcement::public_shares`]. `shares`: encoded as root keys are, by keygen index.
pub fn public_shares_hash<'a>(shares: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    let hash = Hasher::new("countersign/1 public shares");
    shares.into_iter().fold(hash, |hash, share| hash.field(share)).finish()
}

/// What a party signs to say that it never stored, and never will store, anything for the task with this hash. Its mark can
/// then never be there, so nobody need wait for the others.
pub fn void_digest(task: Hash) -> Hash {
    Hash::of("countersign/1 void", task.as_bytes())
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
    /// All public shares of the generation, by keygen index: what [`Announcement::public_shares`] is the hash of.
    pub public_shares: Vec<Point>,
    /// That the node knows the secret of its public share: commitment, compressed, and response, 32 bytes, big-endian.
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

impl StoredMark {
    /// True if the signature is the node's over this digest.
    pub fn verifies(&self, digest: &Hash) -> bool {
        <&[u8; 64]>::try_from(self.signature.as_slice())
            .is_ok_and(|signature| self.node.verify(digest.as_bytes(), signature))
    }
}

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
    /// The key under which it verifies: the derived child (for `taproot` the x-only BIP-341 output key).
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
    pub code: String,
    /// One sentence for people, free of control characters.
    pub reason: String,
    /// The plugin that refused; absent if the node itself did.
    pub plugin: Option<String>,
}

/// Whose doing a failure is; each leads to another action.
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

/// Code of a failure that a node's operator decided on: what the node had stored for a reshare is given up there.
pub const ABANDONED: &str = "reshare-abandoned";

/// Why a session came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose doing.
    pub cause: Cause,
    /// Stable, for programs.
    pub code: String,
    /// One sentence for people that ends with what to do.
    pub text: String,
    /// Who is to blame or who was waited for.
    pub culprits: Vec<NodeId>,
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
