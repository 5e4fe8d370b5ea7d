//! Auxiliary information of a committee: a set that its members already hold, or a new one
//! that they make together.

use std::sync::Arc;
use std::time::Duration;

use countersign_engine::{AgreeParams, Aux, PartyIndex};
use countersign_protocol::control::Stage;
use countersign_protocol::session::Room;
use countersign_protocol::{Cause, Committee, Failure, FailureCode, Hash, NodeId, SessionId};
use countersign_store::Journal;
use zeroize::Zeroizing;

use crate::aux_cache::AuxCache;
use crate::config::LiveConfig;
use crate::heavy::{AuxJob, Place, Program, Queue, roll_call};
use crate::off_thread::off_thread;
use crate::primes::PrimePool;
use crate::session::driver::not_a_party;
use crate::session::worker::Worker;
use crate::session::{CpuPools, Participants, Run};
use crate::vault::{NewAux, Vault};

/// The longest wait for a turn, as a multiple of the limit of one computation.
const TURNS: u32 = 12;

/// New auxiliary information that is not stored with any key yet, and its public digest.
pub(super) type Fresh = Option<(Hash, Arc<Aux>)>;

/// Makes auxiliary information, and finds what was made before.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct AuxMaker {
    pub me: NodeId,
    /// The keys, which name the auxiliary information of their committees.
    pub journal: Journal,
    pub vault: Arc<Vault>,
    /// The auxiliary information in memory.
    pub auxes: AuxCache,
    /// Tasks that wait for their turn.
    pub queue: Queue,
    /// The program that computes it.
    pub program: Program,
    pub primes: PrimePool,
    pub pools: CpuPools,
    pub config: Arc<LiveConfig>,
}

impl AuxMaker {
    /// Returns the digest of auxiliary information that all members of a committee are known to
    /// hold: that of its newest active ECDSA key.
    pub fn known(&self, committee: &Committee) -> Option<Hash> {
        known(&self.journal, committee)
    }

    /// The time limit of one computation.
    fn limit(&self) -> Duration {
        self.config.now().engines.aux
    }

    /// Each task ahead may use up its limit.
    fn turn_limit(&self) -> Duration {
        self.limit().saturating_mul(TURNS)
    }
}

/// See [`AuxMaker::known`]. A miss only costs the time to make it again.
pub(super) fn known(journal: &Journal, committee: &Committee) -> Option<Hash> {
    journal.newest_aux(committee).unwrap_or_default()
}

/// Message limits for the phases of [`agreed`].
pub(super) fn rooms() -> [Room; 3] {
    let aux_info = countersign_engine::aux_info_room();
    [
        crate::heavy::roll_call_room(),
        aux_info,
        countersign_engine::agree_room(),
    ]
}

/// Returns the digest that all of these members reported when they met, if it is the same.
fn held_by(parties: &[NodeId], holds: &[Option<Hash>], members: &[NodeId]) -> Option<Hash> {
    let held = parties
        .iter()
        .zip(holds)
        .filter(|(node, _)| members.contains(node))
        .map(|(_, held)| *held);
    let held: Vec<Option<Hash>> = held.collect();
    let first = *held.first()?;
    held.iter().all(|other| *other == first).then_some(first)?
}

/// Returns the digest of a committee's auxiliary information, and the information itself if it has
/// to be stored. It is made anew unless all members hold the same. Parties outside the new
/// committee only receive the digest. Takes three phases from `phase` on.
pub(super) async fn agreed(
    maker: &Arc<AuxMaker>,
    (parties, committee): (&[NodeId], &Committee),
    phase: u8,
    (session, holds): (SessionId, &[Option<Hash>]),
    run: &mut Run,
) -> Result<(Hash, Fresh), Failure> {
    let members = committee.members();
    let place = run.take_place();
    if let Some(held) = held_by(parties, holds, members) {
        return Ok((held, None));
    }
    let making = Making {
        maker,
        committee,
        participants: Participants::of(parties, |node| members.contains(node)),
        session,
    };
    let obtained = if members.contains(&maker.me) {
        let place = place.unwrap_or_else(|| maker.queue.enter(committee.clone()));
        Some(making.obtain(Arc::new(place), phase, run).await?)
    } else {
        None
    };
    if members.len() == parties.len() {
        return obtained.ok_or_else(no_name);
    }
    let mine = obtained.as_ref().map(|(name, _)| *name);
    let name = tell(maker, (parties, members), phase + 2, session, mine, run).await?;
    Ok((name, obtained.and_then(|(_, fresh)| fresh)))
}

/// The members send the digest to the dealers that leave.
async fn tell(
    maker: &Arc<AuxMaker>,
    (parties, members): (&[NodeId], &[NodeId]),
    phase: u8,
    session: SessionId,
    mine: Option<Hash>,
    run: &mut Run,
) -> Result<Hash, Failure> {
    let speakers = positions(members, parties)?;
    let me = position(maker.me, parties)?;
    let count = parties.len() as u16;
    let worker = Worker::start(maker.pools.free.clone(), move || {
        let params = AgreeParams {
            session: &session.0,
            me,
            parties: count,
            speakers: &speakers,
        };
        Ok(countersign_engine::agree(
            params,
            mine.map(|name| name.0.to_vec()),
        )?)
    });
    let worker = worker.map_err(|error| Failure::new(FailureCode::NoThread, no_thread(&error)))?;
    // Dealers that leave wait here while the members wait for their turn and compute.
    let limit = maker.turn_limit() + maker.limit();
    let everybody = Participants::of(parties, |_| true);
    let said = run.long_phase(&everybody, (phase, Stage::AuxInfo), limit, 0, worker);
    said.await?.try_into().map(Hash).map_err(|_| no_name())
}

fn no_thread(error: &std::io::Error) -> String {
    format!("no thread could be started ({error}); lower limits.tasks, then try again")
}

fn no_name() -> Failure {
    let text = "the new members' name for their auxiliary information is not a hash; examine their nodes and versions before trying again";
    Failure::new(FailureCode::Protocol, text)
}

/// The steps that the members of a committee take together.
struct Making<'a> {
    maker: &'a Arc<AuxMaker>,
    committee: &'a Committee,
    participants: Participants,
    session: SessionId,
}

impl Making<'_> {
    /// Returns what a task ahead has made for this committee, or makes new auxiliary information.
    async fn obtain(
        &self,
        place: Arc<Place>,
        phase: u8,
        run: &mut Run,
    ) -> Result<(Hash, Fresh), Failure> {
        // The place is held until the next task in the queue can find the result.
        match self.meet_again(place.clone(), phase, run).await? {
            Some(held) => {
                let kept = self.maker.auxes.kept_aux(self.committee);
                Ok((held, kept.filter(|(name, _)| *name == held)))
            }
            None => self.make(place, phase + 1, run).await,
        }
    }

    /// Waits for the turn of all members. Returns what all of them hold then, if it is the same.
    async fn meet_again(
        &self,
        place: Arc<Place>,
        phase: u8,
        run: &mut Run,
    ) -> Result<Option<Hash>, Failure> {
        let who = (self.me()?, self.participants.count());
        let maker = self.maker.clone();
        let committee = self.committee.clone();
        let worker = Worker::spawn(move |post| async move {
            roll_call(&place, who, || held_now(maker, committee), post).await
        });
        let limit = self.maker.turn_limit();
        let here = run
            .long_phase(&self.participants, (phase, Stage::Queued), limit, 0, worker)
            .await?;
        let first = here.first().copied().flatten();
        Ok(first.filter(|_| here.iter().all(|held| *held == first)))
    }

    async fn make(
        &self,
        place: Arc<Place>,
        phase: u8,
        run: &mut Run,
    ) -> Result<(Hash, Fresh), Failure> {
        let maker = self.maker;
        let parties = self.participants.count();
        let primes = self.primes().await?;
        let auxes = maker.auxes.clone();
        let committee = self.committee.clone();
        let job = AuxJob {
            session: self.session.0,
            me: self.me()?,
            parties,
            primes,
            found: Box::new(move |found| auxes.keep_primes(&committee, found)),
            limit: maker.limit(),
        };
        let program = maker.program.clone();
        let pool = maker.pools.aux.clone();
        let worker = Worker::spawn(move |post| program.aux(job, pool, Some(place), post));
        let limit = maker.limit();
        let steps = steps(parties);
        match run
            .long_phase(
                &self.participants,
                (phase, Stage::AuxInfo),
                limit,
                steps,
                worker,
            )
            .await
        {
            Ok(aux) => {
                let name = Hash(aux.public_digest());
                let aux = Arc::new(aux);
                maker.auxes.keep_aux(self.committee, name, aux.clone());
                Ok((name, Some((name, aux))))
            }
            Err(failure) => {
                if shows_a_cheat(&failure) {
                    maker.auxes.forget_primes(self.committee);
                }
                Err(failure)
            }
        }
    }

    /// Returns the primes of an interrupted attempt, or a set from the pool, which is kept
    /// for the next attempt.
    async fn primes(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        if let Some(kept) = self.maker.auxes.kept_primes(self.committee) {
            return Ok(Some(kept));
        }
        let maker = self.maker.clone();
        let taken = off_thread(move || maker.primes.take(&maker.vault)).await;
        let taken = taken.map_err(|error| Failure::new(FailureCode::Secrets, error.to_string()))?;
        if let Some(primes) = &taken {
            self.maker.auxes.keep_primes(self.committee, primes.clone());
        }
        Ok(taken)
    }

    fn me(&self) -> Result<PartyIndex, Failure> {
        position(self.maker.me, self.committee.members())
    }
}

/// Returns what this node holds for a committee now: from a run whose key is not confirmed, or with
/// a key that all its members have confirmed. The order matters: the former is the newest, and it
/// is forgotten only once the key's record leads to it.
async fn held_now(maker: Arc<AuxMaker>, committee: Committee) -> Option<Hash> {
    let look = move || {
        let kept = maker.auxes.kept_aux(&committee).map(|(name, _)| name);
        kept.or_else(|| maker.known(&committee))
    };
    off_thread(look).await
}

/// The messages that a party sends and receives: three broadcasts and one message to each other
/// party, and as many from each of those.
fn steps(parties: u16) -> u32 {
    let others = u32::from(parties.saturating_sub(1));
    3 + others + 4 * others
}

/// True if a peer was proven to have broken the protocol. An abort proves nothing.
fn shows_a_cheat(failure: &Failure) -> bool {
    failure.cause == Cause::Peer && failure.code != FailureCode::PeerAborted
}

/// Returns the index of a node in `among`.
pub(super) fn position(node: NodeId, among: &[NodeId]) -> Result<PartyIndex, Failure> {
    let index = among.iter().position(|other| *other == node);
    index
        .map(|index| PartyIndex(index as u16))
        .ok_or_else(not_a_party)
}

/// Returns the indices of `nodes` in `among`, in the order of `nodes`.
pub(super) fn positions(nodes: &[NodeId], among: &[NodeId]) -> Result<Vec<PartyIndex>, Failure> {
    nodes.iter().map(|node| position(*node, among)).collect()
}

/// The form in which the store keeps it.
pub(super) fn to_store(fresh: &Fresh) -> Option<NewAux> {
    fresh.as_ref().map(|(digest, aux)| NewAux {
        digest: *digest,
        bytes: aux.to_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use countersign_store::KeyStatus;

    use super::*;
    use crate::task::fixtures::{Parts, generation, node, nodes, put_key};

    const ONE: Hash = Hash([1; 32]);
    const TWO: Hash = Hash([2; 32]);

    #[test]
    fn what_all_members_hold_is_used_and_nothing_else() {
        let parties = nodes(&[1, 2, 3]);
        let held = |holds: [Option<Hash>; 3]| held_by(&parties, &holds, &parties);
        assert_eq!(held([Some(ONE); 3]), Some(ONE));
        assert_eq!(held([Some(ONE), Some(ONE), Some(TWO)]), None);
        assert_eq!(held([Some(ONE), None, Some(ONE)]), None);
        assert_eq!(held([None; 3]), None);
    }

    /// A dealer that leaves has none, or that of the committee which it leaves.
    #[test]
    fn what_parties_outside_the_committee_hold_does_not_matter() {
        let parties = nodes(&[1, 2, 3]);
        let members = [parties[0], parties[2]];
        let holds = [Some(ONE), Some(TWO), Some(ONE)];
        assert_eq!(held_by(&parties, &holds, &members), Some(ONE));
        assert_eq!(held_by(&parties, &holds, &nodes(&[8, 9])), None);
    }

    #[test]
    fn only_a_proven_cheat_spoils_the_primes_of_a_run() {
        for (failure, cheat) in [
            (Failure::new(FailureCode::Protocol, "t"), true),
            (Failure::new(FailureCode::Equivocation, "t"), true),
            (Failure::new(FailureCode::PeerAborted, "t"), false),
            (Failure::new(FailureCode::PeerLost, "t"), false),
            (Failure::new(FailureCode::AuxTimeout, "t"), false),
            (Failure::new(FailureCode::EngineDied, "t"), false),
        ] {
            assert_eq!(shows_a_cheat(&failure), cheat, "{}", failure.code);
        }
    }

    #[test]
    fn a_node_that_takes_no_part_has_no_position() {
        let among = nodes(&[1, 2, 3]);
        let all: Vec<u16> = positions(&among, &among)
            .unwrap()
            .iter()
            .map(|position| position.0)
            .collect();
        assert_eq!(all, [0, 1, 2]);
        assert_eq!(
            position(node(9), &among).unwrap_err().code,
            FailureCode::NotAParty
        );
        assert!(positions(&[among[0], node(9)], &among).is_err());
    }

    /// The pace that is shown is a share of all steps.
    #[test]
    fn a_party_sends_and_receives_three_broadcasts_and_one_message_of_each() {
        assert_eq!(steps(2), 3 + 1 + 4);
        assert_eq!(steps(9), 3 + 8 + 32);
    }

    #[test]
    fn a_committee_uses_the_auxiliary_information_of_its_own_confirmed_keys() {
        let parts = Parts::new();
        let with = |seed: u8, members: &[u8]| countersign_protocol::KeyDescriptor {
            key: countersign_protocol::KeyId::from_bytes([seed; 16]).unwrap(),
            aux: Some(Hash([seed; 32])),
            ..generation(0, members)
        };
        put_key(parts.journal(), KeyStatus::Pending, with(1, &[1, 2]));
        put_key(parts.journal(), KeyStatus::Active, with(2, &[1, 3]));
        let known = |members: &[u8]| {
            let committee = Committee::new(nodes(members)).unwrap();
            parts.jobs.aux.known(&committee)
        };
        assert_eq!(known(&[1, 2]), None, "its members may not all have it");
        assert_eq!(known(&[1, 3]), Some(TWO));
        assert_eq!(known(&[1, 2, 3]), None);
    }

    #[test]
    fn a_turn_is_waited_for_as_long_as_twelve_others_may_take() {
        let parts = Parts::new();
        let aux = &parts.jobs.aux;
        assert_eq!(aux.turn_limit(), aux.limit() * 12);
    }

    #[test]
    fn auxiliary_information_that_was_there_before_is_not_stored_again() {
        assert!(to_store(&None).is_none());
    }
}
