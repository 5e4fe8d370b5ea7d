//! The audit log of a coordinator: what was done with API keys, each act with the hash of the one
//! before.

use countersign_protocol::evidence::Signature;
use countersign_protocol::{CoordinatorId, Hash, Hasher, RequesterId, UnixMillis};
use serde::{Deserialize, Serialize};

/// One act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// Time of the act by the coordinator's clock.
    pub at: UnixMillis,
    /// The name of the API key.
    pub by: String,
    /// SHA-256 of the key's text form, if it was sent.
    pub sha256: Option<Hash>,
    /// The requester, if the request was signed.
    pub requester: Option<RequesterId>,
    /// What was done, such as `webhook.put`.
    pub action: String,
    /// What it was done to: a task, a wallet, or a name.
    pub target: String,
    /// Its place in the chain. Absent if an earlier program wrote it: then nothing vouches for it.
    pub link: Option<ActLink>,
}

/// The place of an act in the chain of all acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActLink {
    /// Counts from 1 without a gap, those before the chain included.
    pub number: u64,
    /// Hash of the act before; zeros for the first of the chain.
    pub previous: Hash,
    /// Hash of all fields of the act, and of the two above.
    pub hash: Hash,
}

/// A coordinator's statement that its log ends with this act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActsHead {
    /// The coordinator whose log it is.
    pub coordinator: CoordinatorId,
    /// The number of the last act; 0 if there is none.
    pub number: u64,
    /// Hash of the last act; zeros if there is no chain yet.
    pub hash: Hash,
    /// The time of signing by the coordinator's clock.
    pub at: UnixMillis,
    /// Ed25519 by the coordinator's identity, over the hash of all fields above.
    pub signature: Signature,
}

impl Act {
    /// The act as the `number`th, behind the one with the hash `previous`.
    #[must_use]
    pub fn linked(self, number: u64, previous: Hash) -> Self {
        let link = Some(self.link_behind(number, previous));
        Self { link, ..self }
    }

    /// Its place as the `number`th, behind the one with the hash `previous`.
    pub fn link_behind(&self, number: u64, previous: Hash) -> ActLink {
        ActLink {
            number,
            previous,
            hash: self.digest(number, previous),
        }
    }

    /// True if its hash is that of its fields.
    pub fn is_whole(&self) -> bool {
        self.link
            .is_none_or(|link| link.hash == self.digest(link.number, link.previous))
    }

    fn digest(&self, number: u64, previous: Hash) -> Hash {
        let sha256 = self.sha256.as_ref().map(|hash| &hash.as_bytes()[..]);
        let requester = self.requester.as_ref().map(RequesterId::as_bytes);
        Hasher::new("countersign/1 coordinator act")
            .number(number)
            .number(self.at.0)
            .field(self.by.as_bytes())
            .field(sha256.unwrap_or_default())
            .field(requester.unwrap_or_default())
            .field(self.action.as_bytes())
            .field(self.target.as_bytes())
            .field(previous.as_bytes())
            .finish()
    }
}

impl ActsHead {
    /// States that the log of `coordinator` ends with the `number`th act. `sign` makes an Ed25519
    /// signature with the coordinator's identity.
    pub fn sign(
        coordinator: CoordinatorId,
        number: u64,
        hash: Hash,
        at: UnixMillis,
        sign: impl FnOnce(&[u8]) -> [u8; 64],
    ) -> Self {
        let mut signed = Self {
            coordinator,
            number,
            hash,
            at,
            signature: Signature([0; 64]),
        };
        signed.signature = Signature(sign(signed.digest().as_bytes()));
        signed
    }

    /// True if the coordinator that it names has signed it.
    pub fn verifies(&self) -> bool {
        let digest = self.digest();
        self.coordinator
            .verify(digest.as_bytes(), &self.signature.0)
    }

    /// The bytes that are signed.
    fn digest(&self) -> Hash {
        Hasher::new("countersign/1 coordinator audit head")
            .field(self.coordinator.as_bytes())
            .number(self.number)
            .field(self.hash.as_bytes())
            .number(self.at.0)
            .finish()
    }
}
