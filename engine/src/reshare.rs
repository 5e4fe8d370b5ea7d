//! Resharing: the holders of a key hand it over to a new committee, with new shares and possibly
//! another threshold. One protocol for every scheme and curve; `docs/reshare.md` has its argument.
//!
//! Root key, chain code and therefore every address stay. The old shares remain valid: the caller
//! must see to it that all honest holders erase them, and only once every new member has stored its
//! own. The key never exists in one place, and no complaint makes anybody publish a share.

mod deal;
mod fault;
mod new_key;
mod plan;
mod rounds;

use generic_ec::curves::Secp256k1;
use generic_ec::{Scalar, SecretScalar};
use rand_core::CryptoRngCore;

use crate::adapter::{self, RoundMessage};
use crate::curve::KeyCurve;
use crate::random::{Rng, tried};
use crate::scheme::with_suite;
use crate::sign::Suite;
use crate::{CallerFault, CommitteeIndex, Engine, EngineError, PartyIndex, PublicShare, Share};
pub use fault::ReshareFault;
use plan::Plan;
#[cfg(feature = "dkls23")]
pub(crate) use plan::points;

/// Parameters of a resharing. All parties must use the same values, except for `me` and
/// the index in `old`.
#[derive(Debug, Clone)]
pub struct ReshareParams<'a> {
    /// A unique name of this run.
    pub session: &'a [u8],
    /// Position of this party in `parties`.
    pub me: PartyIndex,
    /// All participants with their roles: as many dealers as the old threshold, and the 2
    /// to 9 members of the new committee. Their order here is their order there, so that
    /// nobody chooses an index.
    pub parties: &'a [Role],
    /// The number of signers of the new committee, 2 to its size.
    pub threshold: u16,
    /// The public shares of the old committee. A party without an old share must have them from a
    /// trusted source, such as a plan that all dealers signed. `index` is ignored.
    pub old: &'a PublicShare,
    /// The number of the new generation.
    pub generation: u64,
}

/// The role of a party in a resharing: it deals, or joins, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// Its position in the old committee, if it deals.
    pub deals: Option<CommitteeIndex>,
    /// True if it becomes a member of the new committee.
    pub joins: bool,
}

/// The result of a resharing. Everything except the share is the same at all parties.
#[derive(Debug)]
pub struct Reshared {
    /// The new share of a member of the new committee; `None` at a dealer that leaves.
    pub share: Option<Share>,
    /// The number of signers of the new committee.
    pub threshold: u16,
    /// The public share of every new member, encoded as in [`PublicShare`].
    pub public_shares: Vec<Vec<u8>>,
    /// SHA-256 over the plan and everything that was dealt in public.
    pub transcript: [u8; 32],
}

/// The maximum size of each message, on any curve.
pub(crate) fn limits() -> impl Iterator<Item = usize> {
    <rounds::Msg<Secp256k1> as RoundMessage>::LIMITS
        .iter()
        .map(|(_, limit)| *limit)
}

/// Reshares the key of `params.old`. Four messages in three rounds, for parties that all send in
/// each but the second; takes milliseconds for every scheme.
/// A dealer passes its old share, which is only read; a party that does not deal passes none.
/// Indices in messages and errors are positions in `params.parties`.
pub fn reshare(
    params: ReshareParams<'_>,
    old_share: Option<&Share>,
    rng: impl CryptoRngCore + 'static,
) -> Result<Box<dyn Engine<Output = Reshared>>, EngineError> {
    let rng = tried(rng)?;
    with_suite!(params.old.scheme, S => start::<<S as Suite>::Curve>(params, old_share, rng))
}

fn start<E: KeyCurve>(
    params: ReshareParams<'_>,
    old_share: Option<&Share>,
    rng: Rng,
) -> Result<Box<dyn Engine<Output = Reshared>>, EngineError> {
    let plan = Plan::<E>::new(&params)?;
    let secret = secret_to_deal(&plan, &params, old_share)?;
    let me = plan.me;
    let parties = plan.parties();
    let has_say = plan.speakers();
    Ok(adapter::start_where(me, parties, has_say, move |party| {
        rounds::run(party, plan, secret, rng)
    }))
}

/// λ·x of a dealer: its part of the key, if exactly the chosen dealers add theirs.
fn secret_to_deal<E: KeyCurve>(
    plan: &Plan<E>,
    params: &ReshareParams<'_>,
    old_share: Option<&Share>,
) -> Result<Option<SecretScalar<E>>, CallerFault> {
    let (dealer, share) = match (plan.dealer(plan.me), old_share) {
        (Some(dealer), Some(share)) => (dealer, share),
        (None, None) => return Ok(None),
        _ => return Err(CallerFault::DealerShare),
    };
    let expected = PublicShare {
        index: dealer.index,
        ..params.old.clone()
    };
    let core = share.core::<E>()?;
    if share.public() != expected
        || core
            .vss_setup
            .as_ref()
            .is_none_or(|setup| setup.I != plan::points(core.n()))
    {
        return Err(CallerFault::DealerShare);
    }
    let weight: Scalar<E> = dealer.weight.into();
    Ok(Some(SecretScalar::new(&mut (&core.x * weight))))
}
