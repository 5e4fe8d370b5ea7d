//! Dealers, members and the old key: checked once, before anything is sent.

use cggmp24::key_share::{DirtyKeyInfo, KeyInfo, Validate, VssSetup};
use generic_ec::{NonZero, Point, Scalar};
use generic_ec_zkp::polynomial::lagrange_coefficient_at_zero;

use super::rounds::Msg;
use super::{ReshareParams, Role};
use crate::curve::KeyCurve;
use crate::derive::point;
use crate::keygen::{MAX_PARTIES, MIN_PARTIES};
use crate::session::{Task, execution_id};
use crate::{CallerFault, CommitteeIndex, PartyIndex, PublicShare, Scheme};

/// A resharing whose parameters were checked.
pub(super) struct Plan<E: KeyCurve> {
    pub scheme: Scheme,
    /// Execution id, over everything that the parties must agree on.
    pub id: [u8; 32],
    pub me: PartyIndex,
    roles: Vec<Role>,
    /// In the order of the session.
    pub dealers: Vec<Dealer<E>>,
    /// Positions in the session; the first of them has index 0 and point 1 in the new committee.
    pub members: Vec<PartyIndex>,
    pub threshold: u16,
    /// The key as the old committee holds it.
    pub old: KeyInfo<E>,
}

/// An old holder that deals its part of the key.
pub(super) struct Dealer<E: KeyCurve> {
    pub party: PartyIndex,
    /// Position in the old committee.
    pub index: CommitteeIndex,
    /// Its Lagrange coefficient λ among the dealers.
    pub weight: NonZero<Scalar<E>>,
    /// λ·X: the public form of the secret that it must deal.
    pub part: Point<E>,
}

impl<E: KeyCurve> Plan<E> {
    pub fn new(params: &ReshareParams<'_>) -> Result<Self, CallerFault> {
        let ReshareParams {
            me,
            parties: roles,
            threshold,
            ..
        } = *params;
        if usize::from(me.0) >= roles.len() {
            return Err(CallerFault::NotInSession(me));
        }
        let old = key_info(params.old)?;
        check_roles(roles, params.old.threshold)?;
        check_new_committee(roles, threshold)?;
        let members = positions(roles, |role| role.joins.then_some(()));
        Ok(Self {
            scheme: params.old.scheme,
            id: plan_id(params, &old)?,
            me,
            dealers: dealers(roles, &old)?,
            members: members.into_iter().map(|(party, ())| party).collect(),
            roles: roles.to_vec(),
            threshold,
            old,
        })
    }

    /// The size of the session.
    pub fn parties(&self) -> u16 {
        // At most nine dealers and nine members.
        self.roles.len() as u16
    }

    /// A party's part as a dealer, if it deals.
    pub fn dealer(&self, party: PartyIndex) -> Option<&Dealer<E>> {
        self.dealers.iter().find(|dealer| dealer.party == party)
    }

    /// A party's position in the new committee, if it has one.
    pub fn new_index(&self, party: PartyIndex) -> Option<CommitteeIndex> {
        let index = self.members.iter().position(|member| *member == party)?;
        Some(CommitteeIndex(index as u16))
    }

    /// Defines the right to speak: only dealers open and deal, and only members are dealt to.
    pub fn speakers(&self) -> impl Fn(PartyIndex, &Msg<E>) -> bool + 'static {
        let i_join = self.new_index(self.me).is_some();
        let deals: Vec<_> = self.roles.iter().map(|role| role.deals.is_some()).collect();
        move |from, message| match message {
            Msg::Commitment(_) | Msg::Closing(_) => true,
            Msg::Opening(_) => deals[usize::from(from.0)],
            Msg::SubShare(_) => i_join && deals[usize::from(from.0)],
        }
    }
}

/// The points at which a committee of `n` holds its polynomial: 1 to `n`, never 0.
pub(crate) fn points<E: KeyCurve>(n: u16) -> Vec<NonZero<Scalar<E>>> {
    (1..=n)
        .filter_map(|point| NonZero::from_scalar(Scalar::from(point)))
        .collect()
}

/// Decodes and validates the old committee's public data: the public shares lie on one polynomial
/// of the right degree, and it leads to the root key.
fn key_info<E: KeyCurve>(old: &PublicShare) -> Result<KeyInfo<E>, CallerFault> {
    if usize::from(old.parties) != old.public_shares.len() || old.parties > MAX_PARTIES {
        return Err(CallerFault::OldKey);
    }
    let decoded = |bytes: &Vec<u8>| point::<E>(bytes).map_err(|_| CallerFault::OldKey);
    let info = DirtyKeyInfo {
        curve: Default::default(),
        shared_public_key: decoded(&old.root_public_key)?,
        public_shares: old
            .public_shares
            .iter()
            .map(decoded)
            .collect::<Result<_, _>>()?,
        vss_setup: Some(VssSetup {
            min_signers: old.threshold,
            I: points(old.parties),
        }),
        chain_code: Some(old.chain_code),
    };
    info.validate().map_err(|_| CallerFault::OldKey)
}

/// Checks that everybody has a role, and exactly as many deal as the old threshold says.
fn check_roles(roles: &[Role], needed: u16) -> Result<(), CallerFault> {
    if roles.iter().any(|role| role.deals.is_none() && !role.joins) {
        return Err(CallerFault::NoRole);
    }
    let given = roles.iter().filter(|role| role.deals.is_some()).count();
    if given != usize::from(needed) {
        return Err(CallerFault::DealerCount { given, needed });
    }
    Ok(())
}

fn check_new_committee(roles: &[Role], threshold: u16) -> Result<(), CallerFault> {
    let joining = roles.iter().filter(|role| role.joins);
    let parties = joining.fold(0u16, |sum, _| sum.saturating_add(1));
    if !(MIN_PARTIES..=MAX_PARTIES).contains(&parties) {
        return Err(CallerFault::Parties(parties));
    }
    if !(MIN_PARTIES..=parties).contains(&threshold) {
        return Err(CallerFault::Threshold { threshold, parties });
    }
    Ok(())
}

/// The dealers with their parts of the key, which depend on the set of dealers.
fn dealers<E: KeyCurve>(roles: &[Role], old: &KeyInfo<E>) -> Result<Vec<Dealer<E>>, CallerFault> {
    let chosen = positions(roles, |role| role.deals);
    let held = |index: CommitteeIndex| old.share_preimage(index.0).ok_or(CallerFault::Dealers);
    let points = chosen
        .iter()
        .map(|(_, index)| held(*index))
        .collect::<Result<Vec<_>, _>>()?;
    let dealer = |(nth, (party, index)): (usize, &(PartyIndex, CommitteeIndex))| {
        // It does not exist if a dealer is listed twice.
        let weight = lagrange_coefficient_at_zero(nth, &points).ok_or(CallerFault::Dealers)?;
        let public_share = old
            .public_shares
            .get(usize::from(index.0))
            .ok_or(CallerFault::Dealers)?;
        Ok(Dealer {
            party: *party,
            index: *index,
            weight,
            part: (public_share * weight).into(),
        })
    };
    chosen.iter().enumerate().map(dealer).collect()
}

/// The parties for which `part` returns a value, with the value.
fn positions<T>(roles: &[Role], part: impl Fn(&Role) -> Option<T>) -> Vec<(PartyIndex, T)> {
    let roles = (0..).map(PartyIndex).zip(roles);
    roles
        .filter_map(|(party, role)| Some((party, part(role)?)))
        .collect()
}

/// Binds scheme, generation, old key and holders, new threshold, and every party's role.
fn plan_id<E: KeyCurve>(
    params: &ReshareParams<'_>,
    old: &KeyInfo<E>,
) -> Result<[u8; 32], CallerFault> {
    let public_shares: Vec<_> = old
        .public_shares
        .iter()
        .flat_map(|share| share.to_bytes(true).to_vec())
        .collect();
    let roles: Vec<u8> = params.parties.iter().flat_map(encode).collect();
    let parameters: [&[u8]; 9] = [
        params.old.scheme.name().as_bytes(),
        &params.generation.to_be_bytes(),
        &params.old.parties.to_be_bytes(),
        &params.old.threshold.to_be_bytes(),
        &old.shared_public_key.to_bytes(true),
        &params.old.chain_code,
        &public_shares,
        &params.threshold.to_be_bytes(),
        &roles,
    ];
    execution_id(Task::Reshare, params.session, &parameters)
}

/// Four bytes for each party: deals (flag), its old index, joins (flag).
fn encode(role: &Role) -> [u8; 4] {
    let [high, low] = role.deals.map_or(0, |index| index.0).to_be_bytes();
    [role.deals.is_some().into(), high, low, role.joins.into()]
}
