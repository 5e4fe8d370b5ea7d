//! The rounds: commit, open and deal, prove. Broadcasts are echoed by the session beneath.

use std::collections::BTreeMap;
use std::convert::Infallible;

use cggmp24::key_share::{DirtyIncompleteKeyShare, DirtyKeyInfo, Validate, VssSetup};
use generic_ec::{NonZero, Point, SecretScalar};
use round_based::rounds_router::{MessagesStore, RoundsRouter};
use round_based::state_machine::MpcParty;
use round_based::{Delivery, Incoming, Outgoing, ProtocolMessage, SinkExt};
use serde::{Deserialize, Serialize};

use super::deal::{Deal, Opening, evaluate};
use super::plan::{Plan, points};
use super::{ReshareFault, Reshared};
use crate::adapter::RoundMessage;
use crate::curve::KeyCurve;
use crate::engine::MessageKind;
use crate::proof::Proof;
use crate::random::Rng;
use crate::session::labelled_hash;
use crate::{EngineError, PartyIndex, PeerFault, Share};

/// Everything that is sent. Of a party that does not deal there are the first and the last alone.
#[derive(Clone, ProtocolMessage, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum Msg<E: KeyCurve> {
    Commitment(Commitment),
    Opening(Opening<E>),
    SubShare(SubShare<E>),
    Closing(Closing<E>),
}

/// What this party takes the run to be, and a dealer's promise.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Commitment {
    /// Execution id.
    plan: [u8; 32],
    polynomial: Option<[u8; 32]>,
}

/// A dealer's polynomial at the point of the receiver.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct SubShare<E: KeyCurve>(SecretScalar<E>);

/// How a party ends the run.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum Closing<E: KeyCurve> {
    /// It saw this, knows what it dealt, and holds its new share.
    Proofs { transcript: [u8; 32], dealer: Option<Proof<E>>, member: Option<Proof<E>> },
    /// The share that this dealer dealt to it is wrong.
    Complaint(PartyIndex),
}

impl<E: KeyCurve> RoundMessage for Msg<E> {
    fn kind(&self) -> MessageKind {
        match self {
            Self::Commitment(_) | Self::Opening(_) | Self::Closing(_) => MessageKind::Broadcast,
            Self::SubShare(_) => MessageKind::Direct,
        }
    }
}

/// `part` is what this party deals, if it does: its secret behind [`Dealer::part`](super::plan::Dealer).
pub(super) async fn run<E: KeyCurve>(
    party: MpcParty<Msg<E>>,
    plan: Plan<E>,
    part: Option<SecretScalar<E>>,
    mut rng: Rng,
) -> Result<Reshared, EngineError> {
    let me = plan.me;
    let my_index = plan.new_index(me);
    let everybody = usize::from(plan.parties()) - 1;
    let dealers = plan.dealers.iter().filter(|dealer| dealer.party != me).count();
    let (incomings, mut outgoings) = party.delivery.split();
    let mut rounds = RoundsRouter::<Msg<E>>::builder();
    let commitments = rounds.add_round(Gathered::<Commitment>::from(everybody));
    let openings = rounds.add_round(Gathered::<Opening<E>>::from(dealers));
    let sub_shares = rounds.add_round(Gathered::<SubShare<E>>::from(my_index.map_or(0, |_| dealers)));
    let closings = rounds.add_round(Gathered::<Closing<E>>::from(everybody));
    let mut rounds = rounds.listen(incomings);

    let deal = part.map(|part| Deal::new(part, plan.threshold, &mut rng));
    let promise = deal.as_ref().map(|deal| deal.opening.commitment(&plan, me));
    let mine = Commitment { plan: plan.id, polynomial: promise };
    outgoings.send(Outgoing::broadcast(Msg::Commitment(mine.clone()))).await.map_err(EngineError::bug)?;
    let mut commitments = rounds.complete(commitments).await.map_err(EngineError::bug)?;
    commitments.insert(me, mine);
    let promises = check_commitments(&plan, commitments)?;

    for message in deal.iter().flat_map(|deal| dealt(&plan, deal)) {
        outgoings.send(message).await.map_err(EngineError::bug)?;
    }
    let mut openings = rounds.complete(openings).await.map_err(EngineError::bug)?;
    openings.extend(deal.as_ref().map(|deal| (me, deal.opening.clone())));
    check_openings(&plan, &promises, &openings)?;
    let mut sub_shares = rounds.complete(sub_shares).await.map_err(EngineError::bug)?;
    if let Some(dealer) = my_index.and_then(|index| wrong_sub_share(index, &openings, &sub_shares)) {
        outgoings
            .send(Outgoing::broadcast(Msg::Closing(Closing::Complaint(dealer))))
            .await
            .map_err(EngineError::bug)?;
        return Err(broken(ReshareFault::SubShare, dealer));
    }

    let key = NewKey::new(&plan, &promises, &openings)?;
    sub_shares.extend(deal.as_ref().zip(my_index).map(|(deal, index)| (me, SubShare(deal.sub_share(index)))));
    let secret = my_index.map(|_| sum(&sub_shares));
    let mine = key.close(&plan, deal.as_ref(), secret.as_ref(), &mut rng);
    drop((deal, sub_shares));
    outgoings.send(Outgoing::broadcast(Msg::Closing(mine))).await.map_err(EngineError::bug)?;
    let closings = rounds.complete(closings).await.map_err(EngineError::bug)?;
    key.check(&plan, &openings, &closings)?;
    key.finish(&plan, secret)
}

/// The second round of a dealer: its polynomial to all, and to each new member its value there.
fn dealt<E: KeyCurve>(plan: &Plan<E>, deal: &Deal<E>) -> Vec<Outgoing<Msg<E>>> {
    let opening = Outgoing::broadcast(Msg::Opening(deal.opening.clone()));
    let others = (0..).map(PartyIndex).zip(&plan.members).filter(|(_, member)| **member != plan.me);
    let sub_shares =
        others.map(|(index, member)| Outgoing::p2p(member.0, Msg::SubShare(SubShare(deal.sub_share(index)))));
    std::iter::once(opening).chain(sub_shares).collect()
}

/// All parties must be about the same plan, and exactly the dealers commit. Returns what they commit to.
fn check_commitments<E: KeyCurve>(
    plan: &Plan<E>,
    commitments: BTreeMap<PartyIndex, Commitment>,
) -> Result<BTreeMap<PartyIndex, [u8; 32]>, EngineError> {
    let others = commitments.iter().filter(|(_, commitment)| commitment.plan != plan.id);
    let culprits: Vec<_> = others.map(|(party, _)| *party).collect();
    if !culprits.is_empty() {
        return Err(EngineError::Peer { fault: PeerFault::Disagreement, culprits });
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
        let (Some(promise), Some(opening)) = (promises.get(&dealer.party), openings.get(&dealer.party))
        else {
            return Err(EngineError::bug("a dealer is missing after its round"));
        };
        opening.check(plan, dealer, promise).map_err(|fault| broken(fault, dealer.party))?;
    }
    Ok(())
}

/// A dealer whose sub-share does not lie on its polynomial. All that is known of the share stays here.
fn wrong_sub_share<E: KeyCurve>(
    my_index: PartyIndex,
    openings: &BTreeMap<PartyIndex, Opening<E>>,
    sub_shares: &BTreeMap<PartyIndex, SubShare<E>>,
) -> Option<PartyIndex> {
    let wrong = |(dealer, SubShare(value)): &(&PartyIndex, &SubShare<E>)| {
        let expected = openings.get(dealer).map(|opening| opening.public_sub_share(my_index));
        expected != Some(Point::generator() * value)
    };
    sub_shares.iter().find(wrong).map(|(dealer, _)| *dealer)
}

/// The new share: the sum of what all dealers dealt.
fn sum<E: KeyCurve>(sub_shares: &BTreeMap<PartyIndex, SubShare<E>>) -> SecretScalar<E> {
    SecretScalar::new(&mut sub_shares.values().map(|SubShare(value)| value).sum())
}

/// The public side of the new shares, the same at all parties.
struct NewKey<E: KeyCurve> {
    transcript: [u8; 32],
    public_shares: Vec<NonZero<Point<E>>>,
}

impl<E: KeyCurve> NewKey<E> {
    /// Adds the polynomials. What they share must be the key itself.
    fn new(
        plan: &Plan<E>,
        promises: &BTreeMap<PartyIndex, [u8; 32]>,
        openings: &BTreeMap<PartyIndex, Opening<E>>,
    ) -> Result<Self, EngineError> {
        let term =
            |degree: usize| openings.values().filter_map(|opening| opening.coefficients.get(degree)).sum();
        let polynomial: Vec<Point<E>> = (0..usize::from(plan.threshold)).map(term).collect();
        if polynomial.first() != Some(&plan.old.shared_public_key.into()) {
            return Err(EngineError::bug("the dealers' parts do not add up to the key"));
        }
        let members = (0..).map(PartyIndex).take(plan.members.len());
        let public_shares = members.map(|member| NonZero::from_point(evaluate(&polynomial, member)));
        let public_shares =
            public_shares.collect::<Option<_>>().ok_or_else(|| EngineError::bug("a new share is zero"))?;
        Ok(Self { transcript: transcript(plan, promises, openings), public_shares })
    }

    /// This party's last message.
    fn close(
        &self,
        plan: &Plan<E>,
        deal: Option<&Deal<E>>,
        secret: Option<&SecretScalar<E>>,
        rng: &mut Rng,
    ) -> Closing<E> {
        let dealer = deal.map(|deal| {
            Proof::new(
                deal.secrets(),
                &deal.opening.coefficients,
                &self.context(b"dealer", plan, plan.me),
                rng,
            )
        });
        let member = secret.zip(plan.new_index(plan.me)).map(|(secret, index)| {
            let secret = std::slice::from_ref(secret);
            Proof::new(secret, &self.public_share(index), &self.context(b"member", plan, plan.me), rng)
        });
        Closing::Proofs { transcript: self.transcript, dealer, member }
    }

    /// The others' last messages. Complaints first, since who complains proves nothing; then the transcripts,
    /// since proofs over another transcript fail without anybody's fault.
    fn check(
        &self,
        plan: &Plan<E>,
        openings: &BTreeMap<PartyIndex, Opening<E>>,
        closings: &BTreeMap<PartyIndex, Closing<E>>,
    ) -> Result<(), EngineError> {
        let proofs: Vec<_> = closings
            .iter()
            .map(|(party, closing)| match closing {
                Closing::Complaint(accused) => Err(complaint(plan, *party, *accused)),
                Closing::Proofs { transcript, dealer, member } => Ok((*party, transcript, dealer, member)),
            })
            .collect::<Result<_, _>>()?;
        if proofs.iter().any(|(_, transcript, ..)| **transcript != self.transcript) {
            return Err(EngineError::Peer { fault: PeerFault::UnreliableBroadcast, culprits: vec![] });
        }
        for (party, _, dealer, member) in proofs {
            let polynomial = openings.get(&party).map(|opening| opening.coefficients.as_slice());
            if !self.proven(b"dealer", plan, party, polynomial, dealer) {
                return Err(broken(ReshareFault::DealerProof, party));
            }
            let public_share = plan.new_index(party).map(|index| self.public_share(index));
            if !self.proven(
                b"member",
                plan,
                party,
                public_share.as_ref().map(|share| share.as_slice()),
                member,
            ) {
                return Err(broken(ReshareFault::MemberProof, party));
            }
        }
        Ok(())
    }

    /// Whether a proof is there exactly if there is something to prove, and holds.
    fn proven(
        &self,
        role: &[u8],
        plan: &Plan<E>,
        party: PartyIndex,
        points: Option<&[Point<E>]>,
        proof: &Option<Proof<E>>,
    ) -> bool {
        match (points, proof) {
            (Some(points), Some(proof)) => proof.holds(points, &self.context(role, plan, party)),
            (None, None) => true,
            _ => false,
        }
    }

    fn context(&self, role: &[u8], plan: &Plan<E>, party: PartyIndex) -> [u8; 32] {
        let fields = [role, &plan.id, &self.transcript, &party.0.to_be_bytes()];
        labelled_hash(b"countersign engine reshare proof v1", &fields)
    }

    fn public_share(&self, index: PartyIndex) -> [Point<E>; 1] {
        [self.public_shares[usize::from(index.0)].into()]
    }

    /// Proves once more that the public shares lead to the old key, and that the secret fits.
    fn finish(self, plan: &Plan<E>, secret: Option<SecretScalar<E>>) -> Result<Reshared, EngineError> {
        let public_shares = self.public_shares.iter().map(|share| share.to_bytes(true).to_vec()).collect();
        let key_info = DirtyKeyInfo {
            vss_setup: Some(VssSetup {
                min_signers: plan.threshold,
                I: points(self.public_shares.len() as u16),
            }),
            public_shares: self.public_shares,
            ..DirtyKeyInfo::clone(&plan.old)
        };
        let share = match secret.zip(plan.new_index(plan.me)) {
            None => {
                key_info.validate().map_err(|error| EngineError::bug(error.error()))?;
                None
            }
            Some((secret, index)) => {
                let x = NonZero::from_secret_scalar(secret)
                    .ok_or_else(|| EngineError::bug("the new share is zero"))?;
                let core = DirtyIncompleteKeyShare { i: index.0, key_info, x };
                let core = core.validate().map_err(|error| EngineError::bug(error.error()))?;
                Some(Share::new(plan.scheme, core))
            }
        };
        Ok(Reshared { share, threshold: plan.threshold, public_shares, transcript: self.transcript })
    }
}

/// SHA-256 over the plan and all that was committed to and opened, in the order of the session.
fn transcript<E: KeyCurve>(
    plan: &Plan<E>,
    promises: &BTreeMap<PartyIndex, [u8; 32]>,
    openings: &BTreeMap<PartyIndex, Opening<E>>,
) -> [u8; 32] {
    let openings: Vec<_> = openings.values().map(Opening::digest).collect();
    let mut fields: Vec<&[u8]> = vec![&plan.id];
    fields.extend(promises.values().chain(&openings).map(|hash| hash.as_slice()));
    labelled_hash(b"countersign engine reshare transcript v1", &fields)
}

/// Who is right is for people to find out; only a complaint about a party that dealt nothing is a fault in
/// itself.
fn complaint<E: KeyCurve>(plan: &Plan<E>, accuser: PartyIndex, accused: PartyIndex) -> EngineError {
    let dealt = plan.dealer(accused).is_some() && plan.new_index(accuser).is_some() && accused != accuser;
    if !dealt {
        return broken(ReshareFault::BaselessComplaint, accuser);
    }
    let fault = PeerFault::Reshare(ReshareFault::Complaint { accuser, accused });
    EngineError::Peer { fault, culprits: vec![] }
}

fn broken(fault: ReshareFault, culprit: PartyIndex) -> EngineError {
    EngineError::peer(PeerFault::Reshare(fault), culprit)
}

/// The messages of one round, from as many parties as have a say in it; the adapter refuses all others.
struct Gathered<M> {
    expected: usize,
    messages: BTreeMap<PartyIndex, M>,
}

impl<M> Gathered<M> {
    fn from(expected: usize) -> Self {
        Self { expected, messages: BTreeMap::new() }
    }
}

impl<M: 'static> MessagesStore for Gathered<M> {
    type Msg = M;
    type Output = BTreeMap<PartyIndex, M>;
    type Error = Infallible;

    fn add_message(&mut self, message: Incoming<M>) -> Result<(), Infallible> {
        self.messages.insert(PartyIndex(message.sender), message.msg);
        Ok(())
    }

    fn wants_more(&self) -> bool {
        self.messages.len() < self.expected
    }

    fn output(self) -> Result<Self::Output, Self> {
        if self.wants_more() { Err(self) } else { Ok(self.messages) }
    }
}
