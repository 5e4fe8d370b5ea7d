//! The rounds: commit, open and deal, prove. Broadcasts are echoed by the session beneath.

use std::collections::BTreeMap;

use generic_ec::{Point, SecretScalar};
use round_based::rounds_router::RoundsRouter;
use round_based::state_machine::MpcParty;
use round_based::{Delivery, Outgoing, ProtocolMessage, SinkExt};
use serde::{Deserialize, Serialize};

use super::deal::{Deal, Opening};
use super::new_key::NewKey;
use super::plan::Plan;
use super::{ReshareFault, Reshared};
use crate::adapter::RoundMessage;
use crate::curve::KeyCurve;
use crate::engine::MessageKind;
use crate::gathered::Gathered;
use crate::proof::Proof;
use crate::random::Rng;
use crate::{CommitteeIndex, EngineError, PartyIndex, PeerFault};

/// All messages. A party that does not deal sends only the first and the last.
#[derive(Clone, ProtocolMessage, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum Msg<E: KeyCurve> {
    Commitment(Commitment),
    Opening(Opening<E>),
    SubShare(SubShare<E>),
    Closing(Closing<E>),
}

/// This party's view of the run, and a dealer's commitment.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Commitment {
    /// Execution id of the run.
    plan: [u8; 32],
    polynomial: Option<[u8; 32]>,
}

/// A dealer's polynomial at the point of the receiver.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct SubShare<E: KeyCurve>(SecretScalar<E>);

/// The end of a party's run.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum Closing<E: KeyCurve> {
    /// Its transcript, and proofs that it knows its polynomial and holds its new share.
    Proofs {
        transcript: [u8; 32],
        dealer: Option<Proof<E>>,
        member: Option<Proof<E>>,
    },
    /// The share that this dealer dealt to it is wrong.
    Complaint(PartyIndex),
}

impl<E: KeyCurve> RoundMessage for Msg<E> {
    const LIMITS: &'static [(&'static str, usize)] = &[
        ("Commitment", 256),
        ("Opening", 1 << 10),
        ("SubShare", 128),
        ("Closing", 768),
    ];

    fn kind(&self) -> MessageKind {
        match self {
            Self::Commitment(_) | Self::Opening(_) | Self::Closing(_) => MessageKind::Broadcast,
            Self::SubShare(_) => MessageKind::Direct,
        }
    }
}

/// Runs the protocol. `part` is this party's secret behind
/// [`Dealer::part`](super::plan::Dealer), if it deals.
pub(super) async fn run<E: KeyCurve>(
    party: MpcParty<Msg<E>>,
    plan: Plan<E>,
    part: Option<SecretScalar<E>>,
    mut rng: Rng,
) -> Result<Reshared, EngineError> {
    let me = plan.me;
    let my_index = plan.new_index(me);
    let everybody = usize::from(plan.parties()) - 1;
    let dealers = plan
        .dealers
        .iter()
        .filter(|dealer| dealer.party != me)
        .count();
    let (incomings, mut outgoings) = party.delivery.split();
    let mut rounds = RoundsRouter::<Msg<E>>::builder();
    let commitments = rounds.add_round(Gathered::<Commitment>::from(everybody));
    let openings = rounds.add_round(Gathered::<Opening<E>>::from(dealers));
    let sub_shares = rounds.add_round(Gathered::<SubShare<E>>::from(
        my_index.map_or(0, |_| dealers),
    ));
    let closings = rounds.add_round(Gathered::<Closing<E>>::from(everybody));
    let mut rounds = rounds.listen(incomings);

    let deal = part.map(|part| Deal::new(part, plan.threshold, &mut rng));
    let promise = deal.as_ref().map(|deal| deal.opening.commitment(&plan, me));
    let mine = Commitment {
        plan: plan.id,
        polynomial: promise,
    };
    outgoings
        .send(Outgoing::broadcast(Msg::Commitment(mine.clone())))
        .await
        .map_err(EngineError::bug)?;
    let mut commitments = rounds
        .complete(commitments)
        .await
        .map_err(EngineError::bug)?;
    commitments.insert(me, mine);
    let promises = check_commitments(&plan, commitments)?;

    for message in deal.iter().flat_map(|deal| dealt(&plan, deal)) {
        outgoings.send(message).await.map_err(EngineError::bug)?;
    }
    let mut openings = rounds.complete(openings).await.map_err(EngineError::bug)?;
    openings.extend(deal.as_ref().map(|deal| (me, deal.opening.clone())));
    check_openings(&plan, &promises, &openings)?;
    let mut sub_shares = rounds
        .complete(sub_shares)
        .await
        .map_err(EngineError::bug)?;
    if let Some(dealer) = my_index.and_then(|index| wrong_sub_share(index, &openings, &sub_shares))
    {
        outgoings
            .send(Outgoing::broadcast(Msg::Closing(Closing::Complaint(
                dealer,
            ))))
            .await
            .map_err(EngineError::bug)?;
        return Err(broken(ReshareFault::SubShare, dealer));
    }

    let key = NewKey::new(&plan, openings)?;
    sub_shares.extend(
        deal.as_ref()
            .zip(my_index)
            .map(|(deal, index)| (me, SubShare(deal.sub_share(index)))),
    );
    let share = my_index.map(|index| (index, sum(&sub_shares)));
    let mine = key.close(deal.as_ref(), share.as_ref(), &mut rng);
    drop((deal, sub_shares));
    outgoings
        .send(Outgoing::broadcast(Msg::Closing(mine)))
        .await
        .map_err(EngineError::bug)?;
    key.check(&rounds.complete(closings).await.map_err(EngineError::bug)?)?;
    key.finish(share)
}

/// The second round of a dealer: its polynomial to all, and to each new member its value there.
fn dealt<E: KeyCurve>(plan: &Plan<E>, deal: &Deal<E>) -> Vec<Outgoing<Msg<E>>> {
    let opening = Outgoing::broadcast(Msg::Opening(deal.opening.clone()));
    let others = (0..)
        .map(CommitteeIndex)
        .zip(&plan.members)
        .filter(|(_, member)| **member != plan.me);
    let sub_shares = others.map(|(index, member)| {
        Outgoing::p2p(member.0, Msg::SubShare(SubShare(deal.sub_share(index))))
    });
    std::iter::once(opening).chain(sub_shares).collect()
}

/// Checks that all parties have the same plan, and exactly the dealers
/// commit. Returns the commitments.
fn check_commitments<E: KeyCurve>(
    plan: &Plan<E>,
    commitments: BTreeMap<PartyIndex, Commitment>,
) -> Result<BTreeMap<PartyIndex, [u8; 32]>, EngineError> {
    let others = commitments
        .iter()
        .filter(|(_, commitment)| commitment.plan != plan.id);
    let culprits: Vec<_> = others.map(|(party, _)| *party).collect();
    if !culprits.is_empty() {
        return Err(EngineError::Peer {
            fault: PeerFault::Disagreement,
            culprits,
        });
    }
    let out_of_role = |(party, commitment): &(&PartyIndex, &Commitment)| {
        commitment.polynomial.is_some() != plan.dealer(**party).is_some()
    };
    if let Some((party, _)) = commitments.iter().find(out_of_role) {
        return Err(broken(ReshareFault::Commitment, *party));
    }
    Ok(commitments
        .into_iter()
        .filter_map(|(party, commitment)| Some((party, commitment.polynomial?)))
        .collect())
}

fn check_openings<E: KeyCurve>(
    plan: &Plan<E>,
    promises: &BTreeMap<PartyIndex, [u8; 32]>,
    openings: &BTreeMap<PartyIndex, Opening<E>>,
) -> Result<(), EngineError> {
    for dealer in &plan.dealers {
        let (Some(promise), Some(opening)) =
            (promises.get(&dealer.party), openings.get(&dealer.party))
        else {
            return Err(EngineError::bug("a dealer is missing after its round"));
        };
        opening
            .check(plan, dealer, promise)
            .map_err(|fault| broken(fault, dealer.party))?;
    }
    Ok(())
}

/// A dealer whose sub-share does not lie on its polynomial. The sub-share itself is not revealed.
fn wrong_sub_share<E: KeyCurve>(
    my_index: CommitteeIndex,
    openings: &BTreeMap<PartyIndex, Opening<E>>,
    sub_shares: &BTreeMap<PartyIndex, SubShare<E>>,
) -> Option<PartyIndex> {
    let wrong = |(dealer, SubShare(value)): &(&PartyIndex, &SubShare<E>)| {
        let expected = openings
            .get(dealer)
            .map(|opening| opening.public_sub_share(my_index));
        expected != Some(Point::generator() * value)
    };
    sub_shares.iter().find(wrong).map(|(dealer, _)| *dealer)
}

/// The new share: the sum of all sub-shares dealt to this member.
fn sum<E: KeyCurve>(sub_shares: &BTreeMap<PartyIndex, SubShare<E>>) -> SecretScalar<E> {
    SecretScalar::new(&mut sub_shares.values().map(|SubShare(value)| value).sum())
}

pub(super) fn broken(fault: ReshareFault, culprit: PartyIndex) -> EngineError {
    EngineError::peer(PeerFault::Reshare(fault), culprit)
}
