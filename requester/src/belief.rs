//! Grounds for believing a wallet: the comparisons made before it enters the wallet book.
//!
//! A key descriptor, the order behind it, and the generations since then prove each other, and
//! nothing more: anybody who invents node and requester keys can sign all of it. So at first sight
//! a wallet counts only if its members and its requester are in the profile, or if a person looked
//! at both and said so. [`Believed`] is the evidence: created only here, and the only thing
//! that the book records.

use countersign_api::Submission;
use countersign_protocol::text::is_plain;
use countersign_protocol::{
    Hash, Hasher, KeyDescriptor, KeyId, NodeId, OrderProof, RequesterId, SignedTask, UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::error::BeliefError;
use crate::known::Known;
use crate::proof::{self, Disbelief, PinnedPages};

/// Limit for the text of a reason, in bytes.
const MAX_REASON: usize = 256;

/// A wallet as a coordinator introduces it: its order, if there is one, and all its generations.
/// The parts fit together, and the id is the order's. It is not believed yet.
#[derive(Debug, Clone)]
pub struct Introduction {
    order: Option<Order>,
    /// The passkey in whose name the order comes, if there are no pages by which to verify it.
    unverified: Option<RequesterId>,
    /// Oldest first; never empty.
    generations: Vec<KeyDescriptor>,
}

/// The KeyGen behind a wallet: the exact text and the requester's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The signer of the order; verified.
    pub requester: RequesterId,
    /// The exact JSON text.
    pub task: String,
    /// The requester's signature over it.
    pub signature: OrderProof,
}

impl From<&Order> for Submission {
    fn from(order: &Order) -> Self {
        Self {
            task: order.task.clone(),
            signature: order.signature.clone(),
        }
    }
}

/// A reason not to believe a wallet at first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// A member of a generation that is not under `nodes`.
    Member(NodeId),
    /// A requester that is neither this client's own nor under `trusted_requesters`.
    Requester(RequesterId),
    /// The coordinator does not provide the order, so nobody knows who gave it.
    NoOrder,
    /// The order comes in the name of this passkey, and the profile has no pages by which to verify
    /// that.
    NoPages(RequesterId),
    /// The coordinator has no generation before this one, so nobody knows the first
    /// holders of the wallet.
    NoBeginning(u32),
}

/// The reason why a wallet is in the book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Belief {
    /// The kind of evidence behind it.
    pub ground: Ground,
    /// Time at which it was recorded.
    pub since: UnixMillis,
    /// The KeyGen behind the wallet. Absent if the wallet was trusted without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// Every node that had been a member by then, and so was trusted.
    pub members: Vec<NodeId>,
    /// The words of the person who trusted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Grounds for believing a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ground {
    /// This client ordered it and chose its members.
    Ordered,
    /// All its members are under `nodes`, and its requester is this
    /// client's own or under `trusted_requesters`.
    Profile,
    /// A person compared it through another channel and vouched for it: `countersign wallet trust`.
    Trusted,
}

/// A wallet that may enter the book.
#[derive(Debug, Clone)]
pub struct Believed {
    wallet: KeyDescriptor,
    earlier: Vec<KeyDescriptor>,
    belief: Belief,
}

impl Believed {
    /// The result of an own order, whose members the requester chose.
    pub fn ordered(
        wallet: &KeyDescriptor,
        order: &SignedTask,
        pages: PinnedPages<'_>,
        now: UnixMillis,
    ) -> Result<Self, BeliefError> {
        let id = KeyId::of_task(&order.hash());
        let introduced = Introduction::new(id, vec![wallet.clone()], wallet, Some(order), pages)?;
        if let Some(passkey) = introduced.unverified {
            let reason = Disbelief::NoPasskeys(passkey).to_string();
            return Err(BeliefError::wallet(id, reason));
        }
        Ok(introduced.into_believed(Ground::Ordered, None, now))
    }

    /// The wallet, in the newest generation that was introduced.
    pub fn wallet(&self) -> &KeyDescriptor {
        &self.wallet
    }

    /// The generations before it, oldest first.
    pub fn earlier(&self) -> &[KeyDescriptor] {
        &self.earlier
    }

    /// The ground, with its evidence.
    pub fn belief(&self) -> &Belief {
        &self.belief
    }
}

impl Introduction {
    /// Checks that the parts fit together: the order creates the first generation and has the id,
    /// each generation succeeds the one before, the last is `told`, and all acknowledgements
    /// verify. Parts that do not fit are refused whoever vouches for them. Missing parts, the order
    /// or the first generations, are a [`Doubt`]: a new coordinator may not have them. So is the
    /// order of a passkey without `pages` by which to verify it.
    pub fn new(
        id: KeyId,
        generations: Vec<KeyDescriptor>,
        told: &KeyDescriptor,
        order: Option<&SignedTask>,
        pages: PinnedPages<'_>,
    ) -> Result<Self, BeliefError> {
        let bad = |reason: String| BeliefError::wallet(id, reason);
        proof::check_wallet(id, told)?;
        let Some((first, rest)) = generations.split_first() else {
            return Err(bad("the coordinator does not provide its history".into()));
        };
        proof::check_wallet(id, first)?;
        let origin = match order {
            Some(order) if first.generation == 0 => proof::check_origin(first, order, pages)
                .and_then(|()| Order::read(order, pages))
                .map(Some),
            Some(_) | None => Ok(None),
        };
        let (order, unverified) = match origin {
            Ok(order) => (order, None),
            Err(Disbelief::NoPasskeys(passkey)) => (None, Some(passkey)),
            Err(error) => return Err(bad(error.to_string())),
        };
        proof::check_chain(first, rest, told).map_err(|error| bad(error.to_string()))?;
        Ok(Self {
            order,
            unverified,
            generations,
        })
    }

    /// The generation that holds the key now.
    pub fn newest(&self) -> &KeyDescriptor {
        // `new` refuses an empty list.
        self.generations
            .last()
            .unwrap_or_else(|| unreachable!("an introduction has a generation"))
    }

    /// All generations, oldest first.
    pub fn generations(&self) -> &[KeyDescriptor] {
        &self.generations
    }

    /// The requester of the wallet, if the order is there.
    pub fn requester(&self) -> Option<RequesterId> {
        self.order.as_ref().map(|order| order.requester)
    }

    /// Every node that is or was a member, each once, in the order of their ids.
    pub fn members(&self) -> Vec<NodeId> {
        let mut all: Vec<NodeId> = self
            .generations
            .iter()
            .flat_map(|one| one.committee.members())
            .copied()
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The reasons against believing it without a person's word. Empty if it is
    /// what the profile describes.
    pub fn doubts(&self, known: &Known) -> Vec<Doubt> {
        let strangers = self
            .members()
            .into_iter()
            .filter(|node| !known.names_node(node))
            .map(Doubt::Member);
        let requester = match (self.requester(), self.unverified) {
            (Some(requester), _) if known.trusts(&requester) => None,
            (Some(unknown), _) => Some(Doubt::Requester(unknown)),
            (None, Some(passkey)) => Some(Doubt::NoPages(passkey)),
            (None, None) => Some(Doubt::NoOrder),
        };
        let beginning = self.generations.first().map_or(0, |first| first.generation);
        let beginning = (beginning > 0).then_some(Doubt::NoBeginning(beginning));
        strangers.chain(requester).chain(beginning).collect()
    }

    /// Believes it if the profile has all its members and its requester.
    pub fn by_profile(self, known: &Known, now: UnixMillis) -> Result<Believed, BeliefError> {
        let doubts = self.doubts(known);
        if doubts.is_empty() {
            return Ok(self.into_believed(Ground::Profile, None, now));
        }
        let lines = self.lines(known);
        let reasons: Vec<String> = doubts.iter().map(Doubt::to_string).collect();
        Err(BeliefError::Distrusted {
            wallet: self.newest().key,
            reasons: reasons.join("; "),
            lines,
        })
    }

    /// Believes it on a person's word. `fingerprint` is that of the wallet shown to the person, so
    /// that a coordinator cannot show one wallet and have another one trusted.
    pub fn by_word(
        self,
        fingerprint: &str,
        reason: &str,
        now: UnixMillis,
    ) -> Result<Believed, BeliefError> {
        if fingerprint != self.fingerprint() {
            let message = "the fingerprint is not that of this wallet as the coordinator reports it now; look at it again \
                           with `countersign wallet trust` and compare everything anew";
            return Err(BeliefError::Usage(message.into()));
        }
        let reason = reason.trim();
        if reason.is_empty() || reason.len() > MAX_REASON || !is_plain(reason) {
            let message = format!(
                "give a reason of one line and at most {MAX_REASON} bytes, for later readers of the book"
            );
            return Err(BeliefError::Usage(message));
        }
        Ok(self.into_believed(Ground::Trusted, Some(reason.to_owned()), now))
    }

    /// 32 hexadecimal digits over everything that [`lines`](Self::lines) shows.
    pub fn fingerprint(&self) -> String {
        let hash = self
            .generations
            .iter()
            .fold(Hasher::new("countersign/1 introduction"), |hash, one| {
                hash.field(one.digest().as_bytes())
            });
        let order = self
            .order
            .as_ref()
            .map(|order| Hash::of("countersign/1 task", order.task.as_bytes()));
        let hash = hash
            .field(order.as_ref().map_or(&[], |order| order.as_bytes()))
            .finish();
        hex::encode(&hash.as_bytes()[..16])
    }

    /// Facts for people to compare through another channel.
    pub fn lines(&self, known: &Known) -> Vec<String> {
        let newest = self.newest();
        let mut lines = vec![
            format!("wallet       {}", newest.key),
            format!("called       {}", newest.name),
            format!("scheme       {}", newest.scheme),
            format!("root key     {}", hex::encode(&newest.root_public_key)),
        ];
        for one in &self.generations {
            let members = one.committee.members();
            lines.push(format!(
                "generation {:<2} {} of {}",
                one.generation,
                one.threshold.get(),
                members.len()
            ));
            lines.extend(
                members
                    .iter()
                    .map(|node| format!("  held by    {}", known.describe_node(node))),
            );
        }
        let requester = match (self.requester(), self.unverified) {
            (Some(id), _) => known.describe_requester(&id),
            (None, Some(_)) => "unknown: a passkey, and the profile has no `passkeys`".into(),
            (None, None) => "unknown: the coordinator does not provide the order".into(),
        };
        lines.push(format!("ordered by   {requester}"));
        lines
    }

    fn into_believed(self, ground: Ground, reason: Option<String>, now: UnixMillis) -> Believed {
        let members = self.members();
        let wallet = self.newest().clone();
        let earlier = self.generations[..self.generations.len() - 1].to_vec();
        Believed {
            wallet,
            earlier,
            belief: Belief {
                ground,
                since: now,
                order: self.order,
                members,
                reason,
            },
        }
    }
}

impl Order {
    /// Reads an order and verifies its requester's signature.
    pub fn read(order: &SignedTask, pages: PinnedPages<'_>) -> Result<Self, Disbelief> {
        let requester = proof::check_requester(order, pages)?.requester;
        let task = String::from_utf8(order.bytes.clone()).map_err(|_| Disbelief::NotText)?;
        Ok(Self {
            requester,
            task,
            signature: order.signature.clone(),
        })
    }
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Member(node) => {
                write!(f, "its member {node} is not under `nodes` in the profile")
            }
            Self::Requester(id) => {
                write!(
                    f,
                    "its requester {id} is neither your own nor under `trusted_requesters` in the profile"
                )
            }
            Self::NoBeginning(first) => {
                write!(
                    f,
                    "the coordinator reports no generation before {first}, so its first holders are unknown"
                )
            }
            Self::NoOrder => {
                f.write_str("the coordinator does not provide the order that created it")
            }
            Self::NoPages(id) => {
                write!(
                    f,
                    "its requester is said to be the passkey {id}, which nobody can verify without `passkeys` in the profile"
                )
            }
        }
    }
}
