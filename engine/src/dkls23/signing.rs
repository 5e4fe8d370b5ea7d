//! Signing: two rounds of direct messages and a broadcast (DKLs23, protocol 3.6).

use std::collections::BTreeMap;

use dkls23_core::SignSession;
use dkls23_core::protocols::derivation::DerivData;
use dkls23_core::protocols::signing::{
    Broadcast3to4, SignData, TransmitPhase1to2, TransmitPhase2to3,
};
use dkls23_core::protocols::{Abort, Parameters, PartiesMessage, Party, PartyIndex as Member};
use dkls23_core::utilities::zero_shares::ZeroShare;
use generic_ec::SecretScalar;
use generic_ec::curves::Secp256k1;
use round_based::rounds_router::RoundsRouter;
use round_based::state_machine::MpcParty;
use round_based::{Delivery, Outgoing, ProtocolMessage, SinkExt};
use serde::{Deserialize, Serialize};

use super::LIBRARY;
use super::convert::{Curve, member, point, reseed, secret};
use super::judge::judge;
use super::stored::Setup;
use crate::adapter::{self, RoundMessage};
use crate::ecdsa::Ecdsa;
use crate::engine::MessageKind;
use crate::gathered::Gathered;
use crate::reshare::points;
use crate::session::labelled_hash;
use crate::sign::{Job, start_with};
use crate::{
    CallerFault, CommitteeIndex, Engine, EngineError, PartyIndex, PeerFault, Scheme, Share,
    SignParams, Signature,
};

/// The caller's word that a run is counted on disk: that `Journal::begin_runs` of
/// countersign-store, or what stands for it, has returned. Each run needs one of its own, those of
/// a batch included, and it serves no other set-up and no other session.
pub struct Counted {
    setup: [u8; 32],
    session: Vec<u8>,
}

impl Counted {
    /// Gives the word for the set-up with this digest, as it was counted, and for the session of
    /// one run of the task. Call it at the one place that counts runs, and nowhere else.
    pub fn on_disk(setup: [u8; 32], session: &[u8]) -> Self {
        Self {
            setup,
            session: session.to_vec(),
        }
    }

    fn check(&self, setup: &Setup, session: &[u8]) -> Result<(), CallerFault> {
        if self.setup == setup.digest() && self.session == session {
            Ok(())
        } else {
            Err(CallerFault::NotCounted)
        }
    }
}

/// What a set-up must be of, by the descriptor of the key that all members have confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetupOf {
    /// The committee, as in [`SetupParams`](super::SetupParams).
    pub committee: [u8; 32],
    /// The generation of the share that signs. A set-up of an earlier one is refused: whoever read
    /// a member's disk before the resharing could read its new share out of one session.
    pub generation: u64,
}

impl SetupOf {
    fn check(self, setup: &Setup) -> Result<(), CallerFault> {
        if setup.committee() == self.committee && setup.generation() == self.generation {
            Ok(())
        } else {
            Err(CallerFault::AuxMismatch)
        }
    }
}

/// Signs under the child key at `path`, like [`sign`](crate::sign()), but with the set-up of the
/// signers' pairs instead of auxiliary information. Indices in messages and errors are positions in
/// `signers`.
///
/// The caller must burn the pairs that [`EngineError::verdict`] says before anything of the end
/// leaves the node; see [`dkls23`](crate::dkls23). A set-up of another committee or generation
/// than `of` is refused with [`CallerFault::AuxMismatch`], one that was not counted for this
/// session with [`CallerFault::NotCounted`], both before any message.
pub fn sign(
    params: SignParams<'_>,
    share: &Share,
    setup: &Setup,
    of: SetupOf,
    counted: Counted,
) -> Result<Box<dyn Engine<Output = Signature>>, EngineError> {
    of.check(setup)?;
    counted.check(setup, params.session)?;
    if share.scheme() != Scheme::EcdsaSecp256k1 {
        return Err(CallerFault::UnusableShare.into());
    }
    start_with::<Ecdsa>(params, share, |job| start(job, setup))
}

/// All messages.
#[derive(Clone, ProtocolMessage, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "a session holds a few of them at a time"
)]
pub(super) enum Msg {
    Round1(TransmitPhase1to2),
    Round2(TransmitPhase2to3<Curve>),
    Round3(Broadcast3to4<Curve>),
}

impl RoundMessage for Msg {
    /// A batch of 16 must fit into one body, so the second round has 60 KiB and not 64.
    const LIMITS: &'static [(&'static str, usize)] =
        &[("Round1", 40 << 10), ("Round2", 60 << 10), ("Round3", 256)];

    fn kind(&self) -> MessageKind {
        match self {
            Self::Round1(_) | Self::Round2(_) => MessageKind::Direct,
            Self::Round3(_) => MessageKind::Broadcast,
        }
    }
}

/// The signers as the library numbers them, in the order of the session.
struct Seats {
    me: PartyIndex,
    members: Vec<Member>,
}

impl Seats {
    fn new(job: &Job<Secp256k1>) -> Result<Self, EngineError> {
        let members = job.signers.iter().map(|signer| member(*signer));
        Ok(Self {
            me: job.me,
            members: members.collect::<Result<_, _>>()?,
        })
    }

    fn member(&self, party: PartyIndex) -> Result<Member, EngineError> {
        let member = self.members.get(usize::from(party.0)).copied();
        member.ok_or_else(|| EngineError::bug("a party that does not sign"))
    }

    fn position(&self, member: Member) -> Option<PartyIndex> {
        let place = self.members.iter().position(|signer| *signer == member)?;
        u16::try_from(place).ok().map(PartyIndex)
    }

    fn others(&self) -> Vec<Member> {
        let mine = self.members.get(usize::from(self.me.0)).copied();
        let others = self.members.iter().copied();
        others.filter(|member| Some(*member) != mine).collect()
    }

    /// The library believes the sender that a body names, and would have one member burnt for
    /// another's message. So it must be the one that the tunnel has authenticated.
    fn check(&self, from: PartyIndex, named: &PartiesMessage) -> Result<(), EngineError> {
        if named.sender == self.member(from)? && named.receiver == self.member(self.me)? {
            return Ok(());
        }
        let what = "its message names another sender or receiver".into();
        Err(EngineError::peer(PeerFault::Protocol(what), from))
    }

    fn judge(&self, abort: &Abort) -> EngineError {
        judge(abort, |member| self.position(member))
    }
}

/// The library's view of a signer. It prints its secrets, so nothing that holds it derives `Debug`.
pub(super) struct Signer {
    pub(super) party: Party<Curve>,
    pub(super) data: SignData,
    seats: Seats,
}

fn start(
    job: Job<Secp256k1>,
    setup: &Setup,
) -> Result<Box<dyn Engine<Output = Signature>>, EngineError> {
    Ok(Signer::new(&job, setup)?.start())
}

impl Signer {
    /// Its run of the protocol, whose signature is not verified yet.
    pub(super) fn start(self) -> Box<dyn Engine<Output = Signature>> {
        let me = self.seats.me;
        let parties = u16::from(self.party.parameters.threshold);
        adapter::start(me, parties, move |party| run(party, self))
    }

    pub(super) fn new(job: &Job<Secp256k1>, setup: &Setup) -> Result<Self, EngineError> {
        let core = &job.core;
        if setup.index() != CommitteeIndex(core.i) || setup.parties() != core.n() {
            return Err(CallerFault::AuxMismatch.into());
        }
        // The library puts the shares at the points 1 to n.
        let of_shares = core.vss_setup.as_ref().map(|setup| &setup.I);
        if of_shares != Some(&points(core.n())) {
            return Err(CallerFault::UnusableShare.into());
        }
        let seats = Seats::new(job)?;
        let small = |number: u16| u8::try_from(number).map_err(EngineError::bug);
        let parameters = Parameters::new(small(core.min_signers())?, small(core.n())?)
            .map_err(EngineError::bug)?;
        let share: &SecretScalar<Secp256k1> = core.x.as_ref();
        let mut shifted = share.as_ref() + job.child.shift;
        let poly_point = secret(&SecretScalar::new(&mut shifted))?;
        let pk = point(&job.child.key.public_key)?;
        let mut party = Party {
            parameters,
            party_index: member(core.i)?,
            session_id: session_id(job, setup).to_vec(),
            poly_point: *poly_point,
            pk,
            // As long as it will be: growing would leave copies behind.
            zero_share: ZeroShare::initialize(Vec::with_capacity(job.signers.len())),
            mul_senders: BTreeMap::new(),
            mul_receivers: BTreeMap::new(),
            derivation_data: DerivData {
                depth: 0,
                child_number: 0,
                parent_fingerprint: [0; 4],
                poly_point: *poly_point,
                pk,
                chain_code: job.child.key.chain_code,
            },
            address: String::new(),
        };
        for signer in job.signers.iter().filter(|signer| **signer != core.i) {
            let pair = setup.pair(*signer).ok_or(CallerFault::AuxMismatch)?;
            let number = member(*signer)?;
            party.mul_senders.insert(number, pair.sender.clone());
            party.mul_receivers.insert(number, pair.receiver.clone());
            party.zero_share.seeds.push(pair.seed.clone());
        }
        let data = SignData {
            sign_id: job.id.to_vec(),
            counterparties: seats.others(),
            message_hash: job.message.prehash(),
        };
        Ok(Self { party, data, seats })
    }
}

/// Binds all messages to the library, the set-up, the key and its generation. The public shares
/// stand for the generation: every resharing changes them all. An old share beside new ones is
/// therefore a disagreement, before any transfer is touched.
fn session_id(job: &Job<Secp256k1>, setup: &Setup) -> [u8; 32] {
    let root = job.core.shared_public_key.to_bytes(true);
    let shares = job.core.public_shares.iter();
    let shares: Vec<u8> = shares
        .flat_map(|share| share.to_bytes(true).to_vec())
        .collect();
    labelled_hash(
        b"countersign dkls23 session v1",
        &[
            LIBRARY.as_bytes(),
            &setup.digest(),
            root.as_bytes(),
            &shares,
        ],
    )
}

async fn run(channel: MpcParty<Msg>, signer: Signer) -> Result<Signature, EngineError> {
    let Signer { party, data, seats } = signer;
    let everybody = data.counterparties.len();
    let (incomings, mut outgoings) = channel.delivery.split();
    let mut rounds = RoundsRouter::<Msg>::builder();
    let first = rounds.add_round(Gathered::<TransmitPhase1to2>::from(everybody));
    let second = rounds.add_round(Gathered::<TransmitPhase2to3<Curve>>::from(everybody));
    let third = rounds.add_round(Gathered::<Broadcast3to4<Curve>>::from(everybody));
    let mut rounds = rounds.listen(incomings);
    let blame = |abort: Abort| seats.judge(&abort);

    reseed()?;
    let (mut session, messages) = SignSession::new(&party, data).map_err(blame)?;
    for message in messages {
        let to = receiver(&seats, message.parties.receiver)?;
        outgoings
            .send(Outgoing::p2p(to, Msg::Round1(message)))
            .await
            .map_err(EngineError::bug)?;
    }
    let mut received = Vec::with_capacity(everybody);
    for (from, message) in rounds.complete(first).await.map_err(EngineError::bug)? {
        seats.check(from, &message.parties)?;
        received.push(message);
    }

    reseed()?;
    let messages = session.phase2(&received).map_err(blame)?;
    drop(received);
    for message in messages {
        let to = receiver(&seats, message.parties.receiver)?;
        outgoings
            .send(Outgoing::p2p(to, Msg::Round2(message)))
            .await
            .map_err(EngineError::bug)?;
    }
    let mut received = Vec::with_capacity(everybody);
    for (from, message) in rounds.complete(second).await.map_err(EngineError::bug)? {
        seats.check(from, &message.parties)?;
        received.push(message);
    }

    reseed()?;
    let mine = session.phase3(&received).map_err(blame)?;
    drop(received);
    outgoings
        .send(Outgoing::broadcast(Msg::Round3(mine.clone())))
        .await
        .map_err(EngineError::bug)?;
    let theirs = rounds.complete(third).await.map_err(EngineError::bug)?;
    let sums: Vec<_> = theirs.into_values().chain([mine]).collect();
    let signature = session.phase4(&sums, true).map_err(blame)?;
    Ok(Signature {
        bytes: signature.to_bytes().to_vec(),
        recovery_id: Some(signature.recovery_id),
    })
}

fn receiver(seats: &Seats, member: Member) -> Result<u16, EngineError> {
    let party = seats.position(member);
    party
        .map(|party| party.0)
        .ok_or_else(|| EngineError::bug("a message to a member that does not sign"))
}
