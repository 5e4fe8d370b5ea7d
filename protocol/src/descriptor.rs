//! Key descriptors: the facts of a key or of one of its generations, its parties,
//! and their signed acknowledgements.
//!
//! A descriptor with the acknowledgements of **all** its parties is complete and proves itself: a
//! complete one shows that every future member has its share. It lists its parties, so that anybody
//! can see whether all are there. A second acknowledgement, under its own label, says that the
//! generation is in force at a member.

use serde::{Deserialize, Serialize};

use crate::committee::{Committee, Threshold};
use crate::hash::{Hash, Hasher};
use crate::id::{KeyId, NodeId, SessionId, TaskId};
use crate::scheme::Scheme;

mod encoding;

/// A key with the signed confirmation of all its parties.
/// As text it is JSON; an empty list of parties is left out. In frames and rows (postcard) the
/// highest bit of `generation` says that a list of parties follows before the acknowledgements, so
/// data written before the list existed is still read correctly.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "fields without a comment are named for what they hold"
)]
pub struct KeyDescriptor {
    pub key: KeyId,
    /// The KeyGen or KeyReshare that made this generation.
    pub task: TaskId,
    /// The run that made this generation.
    pub session: SessionId,
    /// Given by the requester; at most 64 bytes.
    pub name: String,
    pub scheme: Scheme,
    /// The holders, in the order of their ids.
    pub committee: Committee,
    /// The number of members that must sign.
    pub threshold: Threshold,
    /// 0 for a new key, plus one for each reshare; at most [`KeyDescriptor::MAX_GENERATION`].
    pub generation: u32,
    /// secp256k1: 33 bytes compressed (SEC 1). ed25519: 32 bytes.
    pub root_public_key: Vec<u8>,
    /// The BIP-32 chain code.
    pub chain_code: Hash,
    /// Hash of all public key shares, in which two views of the same key differ.
    pub public_shares: Hash,
    /// Public digest of the committee's auxiliary information that the key signs with; ECDSA only.
    pub aux: Option<Hash>,
    /// After a reshare: dealers and future members, in the order of their ids. Empty for a
    /// new key, whose parties are its members, and in reshares by programs that did not
    /// list them; see [`KeyDescriptor::parties`].
    pub parties: Vec<NodeId>,
    /// One acknowledgement of each party over [`KeyDescriptor::digest`], in the order of the ids.
    pub acks: Vec<SignedAck>,
}

/// A party's signed acknowledgement of a generation. Over [`KeyDescriptor::digest`]: its part is
/// durable, be it its share or the fact that it gives its old one up. Over
/// [`KeyDescriptor::in_force_digest`]: it holds the generation, durably.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedAck {
    /// The node that acknowledges.
    pub node: NodeId,
    /// Ed25519 over the digest.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::outcome::Point))]
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
}

/// A complete descriptor, and the members that have signed that it is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationProof {
    /// Carries the acknowledgements of all parties.
    #[serde(rename = "announcement")]
    pub descriptor: KeyDescriptor,
    /// Members' acknowledgements over [`KeyDescriptor::in_force_digest`], in the order of their
    /// ids; may be empty.
    #[serde(default)]
    pub in_force: Vec<SignedAck>,
}

impl KeyDescriptor {
    /// The last generation that a key can have.
    pub const MAX_GENERATION: u32 = (1 << 31) - 1;

    /// The digest that parties sign when they have stored: every fact of the key
    /// except the acknowledgements themselves.
    pub fn digest(&self) -> Hash {
        // Without a list, as it was before lists existed. The labels keep the two apart.
        let label = if self.parties.is_empty() {
            "countersign/1 stored"
        } else {
            "countersign/1 stored by parties"
        };
        let facts = Hasher::new(label)
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
            .field(self.aux.as_ref().map_or(&[], |aux| aux.as_bytes()));
        self.parties
            .iter()
            .fold(facts, |hash, party| hash.field(party.as_bytes()))
            .finish()
    }

    /// The digest that a member signs once the generation is durably in force there.
    pub fn in_force_digest(&self) -> Hash {
        Hash::of("countersign/1 in force", self.digest().as_bytes())
    }

    /// The nodes whose acknowledgements must be there, in the order of their ids. `None` after a
    /// reshare by a program that did not list them: only the parties themselves know who they were.
    pub fn parties(&self) -> Option<&[NodeId]> {
        match (self.parties.is_empty(), self.generation) {
            (false, _) => Some(&self.parties),
            (true, 0) => Some(self.committee.members()),
            (true, _) => None,
        }
    }

    /// True if the acknowledgements of all parties are there, in order, and verify. If the
    /// descriptor does not list its parties, those of the members suffice: older descriptors were
    /// written that way.
    pub fn has_all_acks(&self) -> bool {
        let acked = || self.acks.iter().map(|ack| &ack.node);
        let all_there = match self.parties() {
            Some(parties) => self.lists_parties_well() && acked().eq(parties),
            None => {
                self.acks.windows(2).all(|pair| pair[0].node < pair[1].node)
                    && self.acks.len() <= 2 * Committee::SIZES.end()
                    && self
                        .committee
                        .members()
                        .iter()
                        .all(|member| acked().any(|node| node == member))
            }
        };
        let digest = self.digest();
        all_there
            && self.generation <= Self::MAX_GENERATION
            && self.acks.iter().all(|ack| ack.verifies(&digest))
    }

    fn lists_parties_well(&self) -> bool {
        let list = &self.parties;
        let listed = |member: &NodeId| list.binary_search(member).is_ok();
        match self.generation {
            0 => list.is_empty(),
            _ => {
                list.windows(2).all(|pair| pair[0] < pair[1])
                    && list.len() <= 2 * Committee::SIZES.end()
                    && self.committee.members().iter().all(listed)
            }
        }
    }

    /// True if both are generations of one key: everything that signatures and addresses
    /// depend on is equal.
    pub fn is_same_key(&self, other: &Self) -> bool {
        let facts = |key: &Self| {
            (
                key.key,
                key.name.clone(),
                key.scheme,
                key.root_public_key.clone(),
                key.chain_code,
            )
        };
        facts(self) == facts(other)
    }

    /// True if this is the generation after `old`, complete, and its parties include as many
    /// members of `old` as that generation needs to act. So a node that trusts `old` needs no
    /// further word for this one.
    pub fn succeeds(&self, old: &Self) -> bool {
        self.is_same_key(old)
            && Some(self.generation) == old.generation.checked_add(1)
            && self.is_dealt_by(old)
            && self.has_all_acks()
    }

    /// True if exactly a quorum deals; dealers may stay or leave, and all
    /// other parties are members.
    fn is_dealt_by(&self, old: &Self) -> bool {
        let held = |node: &NodeId| old.committee.index_of(node).is_some();
        let needed = usize::from(old.threshold.get());
        match self.parties() {
            Some(parties) => {
                let joins = |node: &&NodeId| self.committee.index_of(node).is_some();
                let (staying, leaving): (Vec<_>, Vec<_>) = parties.iter().partition(joins);
                let staying = staying.into_iter().filter(|node| held(node)).count();
                leaving.iter().all(&held)
                    && leaving.len() <= needed
                    && staying + leaving.len() >= needed
            }
            None => self.acks.iter().filter(|ack| held(&ack.node)).count() >= needed,
        }
    }
}

impl GenerationProof {
    /// True if every acknowledgement of `in_force` is a member's, in order, and verifies. The
    /// descriptor is not checked.
    pub fn acks_verify(&self) -> bool {
        let digest = self.descriptor.in_force_digest();
        self.in_force
            .windows(2)
            .all(|pair| pair[0].node < pair[1].node)
            && self.in_force.iter().all(|ack| {
                self.descriptor.committee.index_of(&ack.node).is_some() && ack.verifies(&digest)
            })
    }
}

impl SignedAck {
    /// Returns true if the signature is the node's over this digest.
    pub fn verifies(&self, digest: &Hash) -> bool {
        <&[u8; 64]>::try_from(self.signature.as_slice())
            .is_ok_and(|signature| self.node.verify(digest.as_bytes(), signature))
    }
}

/// The hash in [`KeyDescriptor::public_shares`]. `shares`: encoded as root keys
/// are, by keygen index.
pub fn public_shares_hash<'a>(shares: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    let hash = Hasher::new("countersign/1 public shares");
    shares
        .into_iter()
        .fold(hash, |hash, share| hash.field(share))
        .finish()
}

/// The digest that a party signs to say that it never stored, and never will store, anything
/// for the task with this hash. Its acknowledgement can then never exist, so nobody need
/// wait for the others.
pub fn abort_vote_digest(task: Hash) -> Hash {
    Hash::of("countersign/1 void", task.as_bytes())
}
