//! The set-up of all pairs of a committee: two rounds of direct messages, and a third in which
//! every member says what it saw of each of its pairs.
//!
//! In each pair both members are once the receiver and once the sender of a multiplication
//! (DKLs23, functionality 3.5), and draw a common seed for shares of zero (functionality 3.4).

use std::collections::BTreeMap;

use dkls23_core::protocols::PartyIndex as Member;
use dkls23_core::utilities::hashes::HashOutput;
use dkls23_core::utilities::multiplication::{MulReceiver, MulSender};
use dkls23_core::utilities::ot::base::{OTReceiver, OTSender};
use dkls23_core::utilities::proofs::{DLogProof, EncProof};
use dkls23_core::utilities::zero_shares::{SeedPair, ZeroShare};
use k256_next::Scalar;
use round_based::rounds_router::RoundsRouter;
use round_based::state_machine::MpcParty;
use round_based::{Delivery, Outgoing, ProtocolMessage, SinkExt};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::LIBRARY;
use super::convert::{Curve, member, reseed};
use super::stored::{Pair, Record, Setup, all_pairs};
use crate::adapter::{self, RoundMessage};
use crate::engine::MessageKind;
use crate::gathered::Gathered;
use crate::keygen::check_committee;
use crate::sealed::encode;
use crate::session::{Task, execution_id, labelled_hash};
use crate::{CommitteeIndex, Engine, EngineError, PartyIndex, PeerFault};

/// The maximum size of an [`Offer`].
const MAX_OFFER: usize = 216 << 10;

/// Parameters of a set-up. All parties must use the same values, except for `me`.
#[derive(Debug, Clone)]
pub struct SetupParams<'a> {
    /// A unique name of this run.
    pub session: &'a [u8],
    /// Position of this party in the committee.
    pub me: PartyIndex,
    /// Size of the committee, 2 to 9.
    pub parties: u16,
    /// A name of the committee, such as the hash of its members.
    pub committee: [u8; 32],
    /// The generation of shares that it is made for. Whoever read a member's disk before a
    /// resharing must not be able to use what it read afterwards, so each generation has its own.
    pub generation: u64,
}

/// Makes the set-ups of this party with all others. Three rounds, of which the last is a broadcast.
/// Takes about half a second of CPU for each other member.
///
/// The session must echo the broadcast. If it does not, two members that cheat together can leave
/// two others with different digests of one run. No secret leaks, but the two then end every
/// signature in a disagreement, and each names the other. A digest that all members confirm, as
/// that in the descriptor of a key, shows it too.
pub fn setup(params: SetupParams<'_>) -> Result<Box<dyn Engine<Output = Setup>>, EngineError> {
    let SetupParams {
        session,
        me,
        parties,
        committee,
        generation,
    } = params;
    check_committee(me, parties)?;
    let id = execution_id(
        Task::Dkls23Setup,
        session,
        &[
            LIBRARY.as_bytes(),
            &parties.to_be_bytes(),
            &committee,
            &generation.to_be_bytes(),
        ],
    )?;
    let plan = Plan {
        id,
        me: me.0,
        parties,
        committee,
        generation,
    };
    Ok(adapter::start(me, parties, move |party| run(party, plan)))
}

/// All messages.
#[derive(Clone, ProtocolMessage, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "a session holds a few of them at a time"
)]
pub(super) enum Msg {
    Offer(Offer),
    Opening(Opening),
    Closing(Closing),
}

/// The first message of both directions of a pair.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Offer {
    /// Proof of the discrete logarithm of the sender of the base transfers.
    log: DLogProof<Curve>,
    /// The public gadget of the multiplication is a hash of it.
    nonce: Scalar,
    /// Seed of the receiver of the base transfers, from which both compute its point h.
    base: [u8; 32],
    /// The receiver's encrypted choices, with proofs.
    choices: Vec<EncProof<Curve>>,
    /// Commitment to this member's seed for shares of zero.
    commitment: HashOutput,
}

/// The opening of the commitment.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Opening {
    seed: [u8; 32],
    salt: Vec<u8>,
}

/// The hash of the transcript of each of a member's pairs, in the order of the other members. A
/// member that says it has finished them all.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Closing {
    transcripts: Vec<[u8; 32]>,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.seed.zeroize();
        self.salt.zeroize();
    }
}

impl RoundMessage for Msg {
    const LIMITS: &'static [(&'static str, usize)] =
        &[("Offer", MAX_OFFER), ("Opening", 512), ("Closing", 1 << 10)];

    fn kind(&self) -> MessageKind {
        match self {
            Self::Offer(_) | Self::Opening(_) => MessageKind::Direct,
            Self::Closing(_) => MessageKind::Broadcast,
        }
    }
}

struct Plan {
    id: [u8; 32],
    me: u16,
    parties: u16,
    committee: [u8; 32],
    generation: u64,
}

/// This member's secrets of a pair between the first round and the second.
struct Begun {
    base_sender: OTSender<Curve>,
    nonce: Scalar,
    base_receiver: OTReceiver,
    choices: Vec<bool>,
    randomness: Vec<Scalar>,
    opening: Opening,
    /// Hash of the offer as it was sent.
    offer: [u8; 32],
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.base_sender.s.zeroize();
        self.base_receiver.seed.zeroize();
        self.choices.zeroize();
        self.randomness.zeroize();
    }
}

async fn run(party: MpcParty<Msg>, plan: Plan) -> Result<Setup, EngineError> {
    let everybody = usize::from(plan.parties) - 1;
    let (incomings, mut outgoings) = party.delivery.split();
    let mut rounds = RoundsRouter::<Msg>::builder();
    let offers = rounds.add_round(Gathered::<Offer>::from(everybody));
    let openings = rounds.add_round(Gathered::<Opening>::from(everybody));
    let closings = rounds.add_round(Gathered::<Closing>::from(everybody));
    let mut rounds = rounds.listen(incomings);

    let mut begun = BTreeMap::new();
    for other in plan.others() {
        reseed()?;
        let (mine, offer) = plan.begin(other)?;
        begun.insert(other, mine);
        outgoings
            .send(Outgoing::p2p(other, Msg::Offer(offer)))
            .await
            .map_err(EngineError::bug)?;
    }
    let offers = rounds.complete(offers).await.map_err(EngineError::bug)?;

    let mut halves = BTreeMap::new();
    for (other, mine) in &mut begun {
        reseed()?;
        let offer = from(&offers, *other)?;
        halves.insert(*other, plan.multiplications(*other, mine, offer)?);
        outgoings
            .send(Outgoing::p2p(*other, Msg::Opening(mine.opening.clone())))
            .await
            .map_err(EngineError::bug)?;
    }
    let openings = rounds.complete(openings).await.map_err(EngineError::bug)?;

    let mut pairs = Vec::with_capacity(everybody);
    let mut transcripts = Vec::with_capacity(everybody);
    for (other, (sender, receiver)) in halves {
        let offer = from(&offers, other)?;
        let opening = from(&openings, other)?;
        let mine = begun.get(&other).ok_or_else(missing)?;
        let seed = plan.seed(other, mine, &offer.commitment, opening)?;
        transcripts.push(plan.transcript(other, &mine.offer, &hash(offer)?));
        pairs.push(Pair {
            sender,
            receiver,
            seed,
        });
    }
    drop(begun);
    let mine = Closing { transcripts };
    outgoings
        .send(Outgoing::broadcast(Msg::Closing(mine.clone())))
        .await
        .map_err(EngineError::bug)?;
    let mut closings = rounds.complete(closings).await.map_err(EngineError::bug)?;
    closings.insert(PartyIndex(plan.me), mine);
    let transcripts = plan.compare(&closings)?;
    Setup::new(Record {
        library: LIBRARY.into(),
        run: plan.id,
        index: CommitteeIndex(plan.me),
        parties: plan.parties,
        committee: plan.committee,
        generation: plan.generation,
        transcripts,
        pairs,
    })
    .map_err(EngineError::bug)
}

impl Plan {
    fn others(&self) -> impl Iterator<Item = u16> + use<> {
        let me = self.me;
        (0..self.parties).filter(move |other| *other != me)
    }

    /// Session id of the multiplication in which `receiver` receives.
    fn direction(&self, receiver: u16, sender: u16) -> [u8; 32] {
        labelled_hash(
            b"countersign dkls23 direction v1",
            &[&self.id, &receiver.to_be_bytes(), &sender.to_be_bytes()],
        )
    }

    /// The context of the commitment of `sender` to its seed with `receiver`.
    fn context(&self, sender: Member, receiver: Member) -> HashOutput {
        ZeroShare::seed_context(b"countersign dkls23", &[&self.id], sender, receiver)
    }

    fn begin(&self, other: u16) -> Result<(Begun, Offer), EngineError> {
        let to_me = self.direction(self.me, other);
        let to_other = self.direction(other, self.me);
        let (base_sender, log, nonce) = MulReceiver::<Curve>::init_phase1(&to_me);
        let (base_receiver, choices, randomness, encrypted) =
            MulSender::<Curve>::init_phase1(&to_other);
        let context = self.context(member(self.me)?, member(other)?);
        let (mut seed, commitment, salt) = ZeroShare::generate_seed_with_bound_commitment(&context);
        let offer = Offer {
            log,
            nonce,
            base: base_receiver.seed,
            choices: encrypted,
            commitment,
        };
        let begun = Begun {
            base_sender,
            nonce,
            base_receiver,
            choices,
            randomness,
            opening: Opening { seed, salt },
            offer: hash(&offer)?,
        };
        seed.zeroize();
        Ok((begun, offer))
    }

    /// Finishes both directions with a member.
    fn multiplications(
        &self,
        other: u16,
        mine: &mut Begun,
        theirs: &Offer,
    ) -> Result<(MulSender<Curve>, MulReceiver<Curve>), EngineError> {
        let broken = |what: String| EngineError::peer(PeerFault::Protocol(what), PartyIndex(other));
        let receiver = MulReceiver::init_phase2(
            &mine.base_sender,
            &self.direction(self.me, other),
            &theirs.base,
            &theirs.choices,
            &mine.nonce,
        )
        .map_err(|error| broken(error.description))?;
        let sender = MulSender::init_phase2(
            &mine.base_receiver,
            &self.direction(other, self.me),
            std::mem::take(&mut mine.choices),
            &mine.randomness,
            &theirs.log,
            &theirs.nonce,
        )
        .map_err(|error| broken(error.description))?;
        Ok((sender, receiver))
    }

    /// The common seed with a member, whose part must be the one that it committed to.
    fn seed(
        &self,
        other: u16,
        mine: &Begun,
        commitment: &HashOutput,
        theirs: &Opening,
    ) -> Result<SeedPair, EngineError> {
        let me = member(self.me)?;
        let peer = member(other)?;
        let context = self.context(peer, me);
        if !ZeroShare::verify_bound_seed(&theirs.seed, &context, commitment, &theirs.salt) {
            let what = "its seed is not the one that it committed to".into();
            return Err(EngineError::peer(
                PeerFault::Protocol(what),
                PartyIndex(other),
            ));
        }
        let seed = Zeroizing::new(mine.opening.seed);
        Ok(ZeroShare::generate_seed_pair(me, peer, &seed, &theirs.seed))
    }

    /// The hash of all that a pair has sent, which both can compute.
    fn transcript(&self, other: u16, mine: &[u8; 32], theirs: &[u8; 32]) -> [u8; 32] {
        let low = self.me.min(other);
        let high = self.me.max(other);
        let (first, second) = if self.me < other {
            (mine, theirs)
        } else {
            (theirs, mine)
        };
        labelled_hash(
            b"countersign dkls23 pair v1",
            &[
                &self.id,
                &low.to_be_bytes(),
                &high.to_be_bytes(),
                first,
                second,
            ],
        )
    }

    /// The transcripts of all pairs, if both ends of each say the same.
    fn compare(
        &self,
        closings: &BTreeMap<PartyIndex, Closing>,
    ) -> Result<Vec<[u8; 32]>, EngineError> {
        let expected = usize::from(self.parties) - 1;
        for (party, closing) in closings {
            if closing.transcripts.len() != expected {
                return Err(EngineError::peer(PeerFault::Malformed, *party));
            }
        }
        let said = |of: u16, about: u16| {
            let place = if about < of { about } else { about - 1 };
            let closing = from(closings, of)?;
            closing
                .transcripts
                .get(usize::from(place))
                .copied()
                .ok_or_else(missing)
        };
        let mut transcripts = Vec::new();
        for (low, high) in all_pairs(self.parties) {
            let transcript = said(low, high)?;
            if transcript != said(high, low)? {
                return Err(self.disagreement(low, high));
            }
            transcripts.push(transcript);
        }
        Ok(transcripts)
    }

    /// The two ends of a pair saw different messages. If this member is one of them, it is the
    /// other's fault; else nobody here can tell.
    fn disagreement(&self, low: u16, high: u16) -> EngineError {
        let culprits = if self.me == low {
            vec![PartyIndex(high)]
        } else if self.me == high {
            vec![PartyIndex(low)]
        } else {
            Vec::new()
        };
        EngineError::Peer {
            fault: PeerFault::Disagreement,
            culprits,
        }
    }
}

fn from<M>(messages: &BTreeMap<PartyIndex, M>, party: u16) -> Result<&M, EngineError> {
    messages.get(&PartyIndex(party)).ok_or_else(missing)
}

fn missing() -> EngineError {
    EngineError::bug("a member is missing after its round")
}

/// The hash of an offer as it travels, which is its only form.
fn hash(offer: &Offer) -> Result<[u8; 32], EngineError> {
    let bytes = encode(offer, MAX_OFFER).map_err(EngineError::bug)?;
    Ok(labelled_hash(b"countersign dkls23 offer v1", &[&bytes]))
}
