//! Auxiliary information of a committee: what its members hold already, or new one that they make together.

use crate::core::Core;
use crate::session::driver::failure;
use crate::session::worker::WorkError;
use crate::session::{Run, Seats};
use crate::vault::NewAux;
use countersign_engine::{AgreeParams, Aux, AuxParams, PartyIndex, Primes};
use countersign_protocol::control::Stage;
use countersign_protocol::{Cause, Failure, Hash, NodeId, SessionId};
use std::sync::Arc;

/// Auxiliary information that a task made, under its public digest.
pub(super) type Fresh = Option<(Hash, Aux)>;

/// What all of these members hold, if they said the same when they met.
fn held_by(parties: &[NodeId], holds: &[Option<Hash>], members: &[NodeId]) -> Option<Hash> {
    let held = parties.iter().zip(holds).filter(|(node, _)| members.contains(node)).map(|(_, held)| *held);
    let held: Vec<Option<Hash>> = held.collect();
    let first = *held.first()?;
    held.iter().all(|other| *other == first).then_some(first)?
}

/// A committee's auxiliary information if all its members hold the same, new one otherwise: its name, and what is new. Whoever
/// is a party and no member learns the name. Takes the phases `phase` and the one after it.
pub(super) async fn agreed(
    core: &Arc<Core>,
    (parties, members): (&[NodeId], &[NodeId]),
    phase: u8,
    (session, holds): (SessionId, &[Option<Hash>]),
    run: &mut Run,
) -> Result<(Hash, Fresh), Failure> {
    if let Some(held) = held_by(parties, holds, members) {
        return Ok((held, None));
    }
    let seats = Seats::of(parties, |node| members.contains(node));
    let fresh = match members.contains(&core.me) {
        true => Some(make(core, &seats, position(core.me, members), phase, session, run).await?),
        false => None,
    };
    if seats.count() == parties.len() as u16 {
        return fresh.map(|fresh| (fresh.0, Some(fresh))).ok_or_else(no_name);
    }
    let name =
        tell(core, parties, members, phase + 1, session, fresh.as_ref().map(|(name, _)| *name), run).await?;
    Ok((name, fresh))
}

/// The members tell those who leave what they made.
async fn tell(
    core: &Arc<Core>,
    parties: &[NodeId],
    members: &[NodeId],
    phase: u8,
    session: SessionId,
    mine: Option<Hash>,
    run: &mut Run,
) -> Result<Hash, Failure> {
    let speakers: Vec<PartyIndex> = members.iter().map(|member| position(*member, parties)).collect();
    let (me, count) = (position(core.me, parties), parties.len() as u16);
    // Whoever leaves waits here while the members make it.
    let limit = core.config.engines.aux;
    let said = run.phase((phase, Stage::AuxInfo), limit, core.lanes.free.clone(), move || {
        let params = AgreeParams { session: &session.0, me, parties: count, speakers: &speakers };
        Ok(countersign_engine::agree(params, mine.map(|name| name.0.to_vec()))?)
    });
    said.await?.try_into().map(Hash).map_err(|_| no_name())
}

fn no_name() -> Failure {
    let text = "the new members named their auxiliary information otherwise than by a hash; examine their nodes and versions before trying again";
    failure(Cause::Peer, "protocol", text)
}

/// Makes new auxiliary information with those who are seated.
async fn make(
    core: &Arc<Core>,
    seats: &Seats,
    me: PartyIndex,
    phase: u8,
    session: SessionId,
    run: &mut Run,
) -> Result<(Hash, Aux), Failure> {
    let (parties, for_worker) = (seats.count(), core.clone());
    let lane = core.lanes.aux.clone();
    let aux = run.phase_of(seats, (phase, Stage::AuxInfo), core.config.engines.aux, lane, move || {
        let primes: Primes = for_worker
            .primes
            .take(&for_worker.vault)
            .map_err(|error| WorkError::Secrets(error.to_string()))?;
        let params = AuxParams { session: &session.0, me, parties };
        Ok(countersign_engine::aux_info(params, primes, rand::rngs::OsRng)?)
    });
    let aux = aux.await?;
    Ok((Hash(aux.public_digest()), aux))
}

/// Where a node is among others.
pub(super) fn position(node: NodeId, among: &[NodeId]) -> PartyIndex {
    PartyIndex(among.iter().position(|other| *other == node).map_or(u16::MAX, |index| index as u16))
}

/// What the store keeps of it.
pub(super) fn to_store(fresh: &Fresh) -> Option<NewAux> {
    fresh.as_ref().map(|(digest, aux)| NewAux { digest: *digest, bytes: aux.to_bytes() })
}
