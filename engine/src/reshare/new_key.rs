//! The key as the new committee holds it: the sum of all dealt polynomials, and the proofs
//! that close a run.

use std::collections::BTreeMap;

use cggmp24::key_share::{DirtyIncompleteKeyShare, DirtyKeyInfo, Validate, VssSetup};
use generic_ec::{NonZero, Point, SecretScalar};

use super::deal::{Deal, Opening, evaluate};
use super::plan::{Plan, points};
use super::rounds::{Closing, broken};
use super::{ReshareFault, Reshared};
use crate::curve::KeyCurve;
use crate::proof::Proof;
use crate::random::Rng;
use crate::session::labelled_hash;
use crate::{CommitteeIndex, EngineError, PartyIndex, PeerFault, Share};

/// The public side of the new shares, the same at all parties.
pub(super) struct NewKey<'p, E: KeyCurve> {
    plan: &'p Plan<E>,
    openings: BTreeMap<PartyIndex, Opening<E>>,
    /// SHA-256 over the plan and all openings, in the order of the session.
    transcript: [u8; 32],
    public_shares: Vec<NonZero<Point<E>>>,
}

/// A new member's index and secret.
type Held<E> = (CommitteeIndex, SecretScalar<E>);

impl<'p, E: KeyCurve> NewKey<'p, E> {
    /// Adds the polynomials, each of which was checked. They must share the key itself.
    pub fn new(
        plan: &'p Plan<E>,
        openings: BTreeMap<PartyIndex, Opening<E>>,
    ) -> Result<Self, EngineError> {
        let terms = |degree: usize| {
            openings
                .values()
                .filter_map(move |opening| opening.coefficients.get(degree))
        };
        let polynomial: Vec<Point<E>> = (0..plan.threshold.into())
            .map(|degree| terms(degree).sum())
            .collect();
        if polynomial.first() != Some(&plan.old.shared_public_key.into()) {
            return Err(EngineError::bug(
                "the dealers' parts do not add up to the key",
            ));
        }
        let members = (0..).map(CommitteeIndex).take(plan.members.len());
        let public_shares =
            members.map(|member| NonZero::from_point(evaluate(&polynomial, member)));
        let public_shares = public_shares.collect::<Option<_>>();
        let public_shares = public_shares.ok_or_else(|| EngineError::bug("a new share is zero"))?;
        Ok(Self {
            plan,
            transcript: transcript(plan, &openings),
            openings,
            public_shares,
        })
    }

    /// Makes this party's last message.
    pub fn close(
        &self,
        deal: Option<&Deal<E>>,
        share: Option<&Held<E>>,
        rng: &mut Rng,
    ) -> Closing<E> {
        let me = self.plan.me;
        let dealer = deal.map(|deal| {
            Proof::new(
                deal.secrets(),
                &deal.opening.coefficients,
                &self.context(b"dealer", me),
                rng,
            )
        });
        let member = share.map(|(index, secret)| {
            let secret = std::slice::from_ref(secret);
            Proof::new(
                secret,
                &self.public_share(*index),
                &self.context(b"member", me),
                rng,
            )
        });
        Closing::Proofs {
            transcript: self.transcript,
            dealer,
            member,
        }
    }

    /// Checks the others' last messages. Complaints come first, since a complaining
    /// party proves nothing; then the transcripts, since proofs over another transcript
    /// fail without anybody's fault.
    pub fn check(&self, closings: &BTreeMap<PartyIndex, Closing<E>>) -> Result<(), EngineError> {
        let mut proofs = vec![];
        for (party, closing) in closings {
            match closing {
                Closing::Complaint(accused) => return Err(self.complaint(*party, *accused)),
                Closing::Proofs {
                    transcript,
                    dealer,
                    member,
                } => {
                    proofs.push((*party, transcript, dealer, member));
                }
            }
        }
        if proofs
            .iter()
            .any(|(_, transcript, ..)| **transcript != self.transcript)
        {
            return Err(EngineError::Peer {
                fault: PeerFault::UnreliableBroadcast,
                culprits: vec![],
            });
        }
        for (party, _, dealer, member) in proofs {
            self.check_proofs(party, dealer.as_ref(), member.as_ref())
                .map_err(|fault| broken(fault, party))?;
        }
        Ok(())
    }

    /// Each proof must be there exactly if there is something to prove.
    fn check_proofs(
        &self,
        party: PartyIndex,
        dealer: Option<&Proof<E>>,
        member: Option<&Proof<E>>,
    ) -> Result<(), ReshareFault> {
        let dealt = self
            .openings
            .get(&party)
            .map(|opening| opening.coefficients.clone());
        if !proven(dealer, dealt, &self.context(b"dealer", party)) {
            return Err(ReshareFault::DealerProof);
        }
        let held = self
            .plan
            .new_index(party)
            .map(|index| self.public_share(index).to_vec());
        if !proven(member, held, &self.context(b"member", party)) {
            return Err(ReshareFault::MemberProof);
        }
        Ok(())
    }

    /// Operators must find out who is right; only a complaint about a party that dealt nothing is
    /// a fault in itself.
    fn complaint(&self, accuser: PartyIndex, accused: PartyIndex) -> EngineError {
        let dealt = self.plan.dealer(accused).is_some() && self.plan.new_index(accuser).is_some();
        if !dealt || accused == accuser {
            return broken(ReshareFault::BaselessComplaint, accuser);
        }
        let fault = PeerFault::Reshare(ReshareFault::Complaint { accuser, accused });
        EngineError::Peer {
            fault,
            culprits: vec![],
        }
    }

    /// The context that a proof is bound to besides its points.
    fn context(&self, role: &[u8], party: PartyIndex) -> [u8; 32] {
        let fields = [
            role,
            &self.plan.id,
            &self.transcript,
            &party.0.to_be_bytes(),
        ];
        labelled_hash(b"countersign engine reshare proof v1", &fields)
    }

    fn public_share(&self, index: CommitteeIndex) -> [Point<E>; 1] {
        [self.public_shares[usize::from(index.0)].into()]
    }

    /// Proves once more that the public shares lead to the old key, and that the secret
    /// matches its public share.
    pub fn finish(self, share: Option<Held<E>>) -> Result<Reshared, EngineError> {
        let Self {
            plan,
            transcript,
            public_shares,
            ..
        } = self;
        let encoded = public_shares
            .iter()
            .map(|share| share.to_bytes(true).to_vec())
            .collect();
        let setup = VssSetup {
            min_signers: plan.threshold,
            I: points(public_shares.len() as u16),
        };
        let key_info = DirtyKeyInfo {
            public_shares,
            vss_setup: Some(setup),
            ..DirtyKeyInfo::clone(&plan.old)
        };
        key_info.is_valid().map_err(EngineError::bug)?;
        let share = share.map(|(index, secret)| {
            let x =
                NonZero::from_secret_scalar(secret).ok_or("the new share is zero".to_string())?;
            let core = DirtyIncompleteKeyShare {
                i: index.0,
                key_info,
                x,
            }
            .validate();
            core.map(|core| Share::new(plan.scheme, core))
                .map_err(|error| error.error().to_string())
        });
        let share = share.transpose().map_err(EngineError::Bug)?;
        Ok(Reshared {
            share,
            threshold: plan.threshold,
            public_shares: encoded,
            transcript,
        })
    }
}

fn proven<E: KeyCurve>(
    proof: Option<&Proof<E>>,
    points: Option<Vec<Point<E>>>,
    context: &[u8; 32],
) -> bool {
    match (proof, points) {
        (Some(proof), Some(points)) => proof.holds(&points, context),
        (None, None) => true,
        _ => false,
    }
}

fn transcript<E: KeyCurve>(
    plan: &Plan<E>,
    openings: &BTreeMap<PartyIndex, Opening<E>>,
) -> [u8; 32] {
    let openings: Vec<_> = openings.values().map(Opening::digest).collect();
    let mut fields: Vec<&[u8]> = vec![&plan.id];
    fields.extend(openings.iter().map(|hash| hash.as_slice()));
    labelled_hash(b"countersign engine reshare transcript v1", &fields)
}
