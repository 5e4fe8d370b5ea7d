//! Auxiliary information of a committee: what its members hold already, or new one that they make
//! together.

use std::sync::Arc;
use std::time::Duration;

use countersign_engine::{AgreeParams, Aux, PartyIndex};
use countersign_protocol::control::Stage;
use countersign_protocol::session::Room;
use countersign_protocol::{Cause, Committee, Failure, FailureCode, Hash, NodeId, SessionId};
use zeroize::Zeroizing;

use crate::core::Core;
use crate::heavy::{AuxJob, Place, roll_call};
use crate::session::driver::not_a_party;
use crate::session::worker::Worker;
use crate::session::{Run, Seats};
use crate::vault::NewAux;

/// How long a task waits for its turn, in limits of those ahead of it.
const TURNS: u32 = 12;

/// Auxiliary information that no key of this node is stored with yet, under its public digest.
pub(super) type Fresh = Option<(Hash, Arc<Aux>)>;

/// Room in the phases of [`agreed`].
pub(super) fn rooms() -> [Room; 3] {
    let aux_info = countersign_engine::aux_info_room();
    [
        crate::heavy::roll_call_room(),
        aux_info,
        countersign_engine::agree_room(),
    ]
}

/// What all of these members hold, if they said the same when they met.
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

/// A committee's auxiliary information if all its members hold the same, new one otherwise: its
/// name, and what is to be stored. Whoever is a party and no member learns the name. Takes three
/// phases from `phase` on.
pub(super) async fn agreed(
    core: &Arc<Core>,
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
        core,
        committee,
        seats: Seats::of(parties, |node| members.contains(node)),
        session,
    };
    let obtained = if members.contains(&core.me) {
        let place = place.unwrap_or_else(|| core.queue.enter(committee.clone()));
        Some(making.obtain(Arc::new(place), phase, run).await?)
    } else {
        None
    };
    if members.len() == parties.len() {
        return obtained.ok_or_else(no_name);
    }
    let mine = obtained.as_ref().map(|(name, _)| *name);
    let name = tell(core, (parties, members), phase + 2, session, mine, run).await?;
    Ok((name, obtained.and_then(|(_, fresh)| fresh)))
}

/// The members tell those who leave what they made.
async fn tell(
    core: &Arc<Core>,
    (parties, members): (&[NodeId], &[NodeId]),
    phase: u8,
    session: SessionId,
    mine: Option<Hash>,
    run: &mut Run,
) -> Result<Hash, Failure> {
    let speakers = positions(members, parties)?;
    let me = position(core.me, parties)?;
    let count = parties.len() as u16;
    let worker = Worker::start(core.lanes.free.clone(), move || {
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
    // Whoever leaves waits here while the members wait for their turn and make it.
    let limit = turn_limit(core) + core.config.engines.aux;
    let everybody = Seats::of(parties, |_| true);
    let said = run.long_phase(&everybody, (phase, Stage::AuxInfo), limit, 0, worker);
    said.await?.try_into().map(Hash).map_err(|_| no_name())
}

fn no_thread(error: &std::io::Error) -> String {
    format!("no thread could be started ({error}); lower limits.tasks, then try again")
}

fn no_name() -> Failure {
    let text = "the new members named their auxiliary information otherwise than by a hash; examine their nodes and versions before trying again";
    Failure::new(FailureCode::Protocol, text)
}

/// Those ahead may each use all of their time.
fn turn_limit(core: &Core) -> Duration {
    core.config.engines.aux.saturating_mul(TURNS)
}

/// What members of a committee do together.
struct Making<'a> {
    core: &'a Arc<Core>,
    committee: &'a Committee,
    seats: Seats,
    session: SessionId,
}

impl Making<'_> {
    /// What a task ahead has made for this committee, or new auxiliary information.
    async fn obtain(
        &self,
        place: Arc<Place>,
        phase: u8,
        run: &mut Run,
    ) -> Result<(Hash, Fresh), Failure> {
        // Held until what is made can be found by the task behind.
        match self.meet_again(place.clone(), phase, run).await? {
            Some(held) => {
                let kept = self.core.auxes.kept_aux(self.committee);
                Ok((held, kept.filter(|(name, _)| *name == held)))
            }
            None => self.make(place, phase + 1, run).await,
        }
    }

    /// Waits for everybody's turn, and hears what all hold then, if it is the same.
    async fn meet_again(
        &self,
        place: Arc<Place>,
        phase: u8,
        run: &mut Run,
    ) -> Result<Option<Hash>, Failure> {
        let who = (self.me()?, self.seats.count());
        let core = self.core.clone();
        let committee = self.committee.clone();
        let worker = Worker::spawn(move |post| async move {
            roll_call(&place, who, || held_now(core, committee), post).await
        });
        let limit = turn_limit(self.core);
        let here = run
            .long_phase(&self.seats, (phase, Stage::Queued), limit, 0, worker)
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
        let core = self.core;
        let parties = self.seats.count();
        let primes = self.primes().await?;
        let auxes = core.auxes.clone();
        let committee = self.committee.clone();
        let job = AuxJob {
            session: self.session.0,
            me: self.me()?,
            parties,
            primes,
            found: Box::new(move |found| auxes.keep_primes(&committee, found)),
            limit: core.config.engines.aux,
        };
        let program = core.aux_program.clone();
        let lane = core.lanes.aux.clone();
        let worker = Worker::spawn(move |post| program.aux(job, lane, Some(place), post));
        let limit = core.config.engines.aux;
        let steps = steps(parties);
        match run
            .long_phase(&self.seats, (phase, Stage::AuxInfo), limit, steps, worker)
            .await
        {
            Ok(aux) => {
                let name = Hash(aux.public_digest());
                let aux = Arc::new(aux);
                core.auxes.keep_aux(self.committee, name, aux.clone());
                Ok((name, Some((name, aux))))
            }
            Err(failure) => {
                if shows_a_cheat(&failure) {
                    core.auxes.forget_primes(self.committee);
                }
                Err(failure)
            }
        }
    }

    /// Those of a try that broke off, or a set from the pool; kept for the next try from here on.
    async fn primes(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        if let Some(kept) = self.core.auxes.kept_primes(self.committee) {
            return Ok(Some(kept));
        }
        let core = self.core.clone();
        let taken = tokio::task::spawn_blocking(move || core.primes.take(&core.vault)).await;
        let taken = match taken {
            Ok(taken) => {
                taken.map_err(|error| Failure::new(FailureCode::Secrets, error.to_string()))?
            }
            Err(error) => {
                let text = format!(
                    "the thread that takes primes died ({error}); report this with the log"
                );
                return Err(Failure::new(FailureCode::EngineDied, text));
            }
        };
        if let Some(primes) = &taken {
            self.core.auxes.keep_primes(self.committee, primes.clone());
        }
        Ok(taken)
    }

    fn me(&self) -> Result<PartyIndex, Failure> {
        position(self.core.me, self.committee.members())
    }
}

/// What this node holds for a committee now: by a run whose key is not confirmed, or with a key
/// that all its members have confirmed. In this order: what is kept is the newest, and it is
/// forgotten only once the key's record leads to it.
async fn held_now(core: Arc<Core>, committee: Committee) -> Option<Hash> {
    let look = move || {
        let kept = core.auxes.kept_aux(&committee).map(|(name, _)| name);
        kept.or_else(|| core.aux_of(&committee))
    };
    tokio::task::spawn_blocking(look).await.ok().flatten()
}

/// Messages that a party sends and takes in: three to all and one to each other party, and as many
/// rounds of each of those.
fn steps(parties: u16) -> u32 {
    let others = u32::from(parties.saturating_sub(1));
    3 + others + 4 * others
}

/// A peer was proven to have broken the protocol. That somebody gave up proves nothing.
fn shows_a_cheat(failure: &Failure) -> bool {
    failure.cause == Cause::Peer && failure.code != FailureCode::PeerAborted
}

/// Where a node is among others.
pub(super) fn position(node: NodeId, among: &[NodeId]) -> Result<PartyIndex, Failure> {
    let index = among.iter().position(|other| *other == node);
    index
        .map(|index| PartyIndex(index as u16))
        .ok_or_else(not_a_party)
}

/// Where nodes are among others, in their own order.
pub(super) fn positions(nodes: &[NodeId], among: &[NodeId]) -> Result<Vec<PartyIndex>, Failure> {
    nodes.iter().map(|node| position(*node, among)).collect()
}

/// What the store keeps of it.
pub(super) fn to_store(fresh: &Fresh) -> Option<NewAux> {
    fresh.as_ref().map(|(digest, aux)| NewAux {
        digest: *digest,
        bytes: aux.to_bytes(),
    })
}
