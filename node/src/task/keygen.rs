//! KeyGen: a key in shares, auxiliary information where the committee has none, and everybody's word that it is stored.

use super::{Job, Stopped};
use crate::core::Core;
use crate::risk::Approved;
use crate::session::Run;
use crate::session::driver::failure;
use crate::session::worker::WorkError;
use crate::vault::NewAux;
use countersign_engine::{Aux, AuxParams, KeygenParams, PartyIndex, Primes, Share};
use countersign_protocol::control::Stage;
use countersign_protocol::{
    Announcement, Cause, Failure, Hash, Hasher, KeyGen, KeyId, NodeId, Outcome, SessionId, StoredMark, TaskId,
};
use countersign_store::{KeyRecord, KeyStatus};
use std::sync::Arc;

const KEY_PHASE: (u8, Stage) = (0, Stage::Running);
const AUX_PHASE: (u8, Stage) = (1, Stage::AuxInfo);

/// An admitted KeyGen.
#[derive(Debug, Clone)]
pub struct KeyGenPlan {
    task: TaskId,
    key: KeyId,
    keygen: KeyGen,
    /// Auxiliary information that this node has for the committee.
    aux: Option<Hash>,
}

impl KeyGenPlan {
    pub(super) fn new(task: TaskId, key: KeyId, keygen: KeyGen, aux: Option<Hash>) -> KeyGenPlan {
        KeyGenPlan { task, key, keygen, aux }
    }

    /// The id that the new key will have.
    pub fn key(&self) -> KeyId {
        self.key
    }

    fn me(&self, core: &Core) -> PartyIndex {
        PartyIndex(self.keygen.committee.index_of(&core.me).map_or(u16::MAX, |index| index.0))
    }

    fn size(&self) -> u16 {
        self.keygen.committee.members().len() as u16
    }
}

impl Job for KeyGenPlan {
    fn parties(&self) -> &[NodeId] {
        self.keygen.committee.members()
    }

    fn question(&self) -> countersign_host::Operation {
        countersign_host::Operation::Keygen(countersign_host::Keygen {
            scheme: self.keygen.scheme.to_string(),
            curve: self.keygen.scheme.curve().to_string(),
            threshold: self.keygen.threshold.get(),
            members: self.parties().iter().map(NodeId::to_string).collect(),
        })
    }

    fn holds(&self, _core: &Core) -> Option<Hash> {
        self.aux
    }

    async fn run(core: Arc<Core>, approved: Arc<Approved<Self>>, run: &mut Run) -> Result<Outcome, Stopped> {
        let plan = approved.plan();
        let (session, holds) = run.meet().await?;
        let share = make_key(&core, plan, session, run).await?;
        core.events.shares(plan.task, participants(plan, &share));
        let (aux, fresh) = agree_on_aux(&core, plan, session, &holds, run).await?;
        let mut announcement = announce(plan, session, &share, aux);
        store_share(&core, &approved, share, announcement.clone(), fresh).await?;
        announcement.stored = run.store(announcement.digest()).await.map_err(Stopped::Unsettled)?;
        Ok(Outcome::Created(announcement))
    }
}

async fn make_key(
    core: &Arc<Core>,
    plan: &KeyGenPlan,
    session: SessionId,
    run: &mut Run,
) -> Result<Share, Failure> {
    let (me, parties) = (plan.me(core), plan.size());
    let (scheme, threshold) = (plan.keygen.scheme, plan.keygen.threshold.get());
    run.phase(KEY_PHASE, core.config.engines.keygen, core.lanes.free.clone(), move || {
        let params = KeygenParams { session: &session.0, me, parties, threshold };
        Ok(countersign_engine::keygen(scheme, params, rand::rngs::OsRng)?)
    })
    .await
}

/// The committee's auxiliary information if all members hold the same, new one otherwise; none for FROST schemes. Its name,
/// and what is new.
async fn agree_on_aux(
    core: &Arc<Core>,
    plan: &KeyGenPlan,
    session: SessionId,
    holds: &[Option<Hash>],
    run: &mut Run,
) -> Result<(Option<Hash>, Option<Aux>), Failure> {
    if !plan.keygen.scheme.needs_aux() {
        return Ok((None, None));
    }
    if plan.aux.is_some() && holds.iter().all(|held| *held == plan.aux) {
        return Ok((plan.aux, None));
    }
    let aux = make_aux(core, plan, session, run).await?;
    Ok((Some(Hash(aux.public_digest())), Some(aux)))
}

async fn make_aux(
    core: &Arc<Core>,
    plan: &KeyGenPlan,
    session: SessionId,
    run: &mut Run,
) -> Result<Aux, Failure> {
    let (me, parties) = (plan.me(core), plan.size());
    let for_worker = core.clone();
    run.phase(AUX_PHASE, core.config.engines.aux, core.lanes.aux.clone(), move || {
        let primes: Primes = for_worker
            .primes
            .take(&for_worker.vault)
            .map_err(|error| WorkError::Secrets(error.to_string()))?;
        let params = AuxParams { session: &session.0, me, parties };
        Ok(countersign_engine::aux_info(params, primes, rand::rngs::OsRng)?)
    })
    .await
}

/// Shares lie at 1, 2, 3 and so on, in the order of the members' ids.
fn participants(plan: &KeyGenPlan, share: &Share) -> Vec<countersign_host::Participant> {
    let public = share.public();
    let holders = plan.parties().iter().zip(&public.public_shares).zip(1_u32..);
    let participant =
        |((node, public_share), number): ((&NodeId, &Vec<u8>), u32)| countersign_host::Participant {
            node: node.to_string(),
            share_id: number.to_string(),
            share_public_key: public_share.clone(),
        };
    holders.map(participant).collect()
}

fn announce(plan: &KeyGenPlan, session: SessionId, share: &Share, aux: Option<Hash>) -> Announcement {
    let public = share.public();
    let label = Hasher::new("countersign/1 public shares");
    let public_shares = public.public_shares.iter().fold(label, |hash, share| hash.field(share)).finish();
    Announcement {
        key: plan.key,
        task: plan.task,
        session,
        name: plan.keygen.name.clone(),
        scheme: plan.keygen.scheme,
        committee: plan.keygen.committee.clone(),
        threshold: plan.keygen.threshold,
        generation: 0,
        root_public_key: public.root_public_key,
        chain_code: Hash(public.chain_code),
        public_shares,
        aux,
        stored: Vec::<StoredMark>::new(),
    }
}

/// The share first, then the public record: a record never promises a share that is not there.
async fn store_share(
    core: &Arc<Core>,
    approved: &Arc<Approved<KeyGenPlan>>,
    share: Share,
    announcement: Announcement,
    aux: Option<Aux>,
) -> Result<(), Failure> {
    let (core, approved) = (core.clone(), approved.clone());
    let written =
        tokio::task::spawn_blocking(move || write_share(&core, &approved, &share, announcement, aux)).await;
    let written = written
        .unwrap_or_else(|error| Err(format!("the storing thread died ({error}); report this with the log")));
    written.map_err(|error| {
        failure(Cause::Environment, "store", &format!("the new share could not be stored: {error}"))
    })
}

/// Auxiliary information serves other tasks only once it is durable.
fn write_share(
    core: &Core,
    approved: &Approved<KeyGenPlan>,
    share: &Share,
    announcement: Announcement,
    aux: Option<Aux>,
) -> Result<(), String> {
    let fresh = announcement.aux.zip(aux);
    let new = fresh.as_ref().map(|(digest, aux)| NewAux { digest: *digest, bytes: aux.to_bytes() });
    core.vault.put_share(approved, share, &announcement, new).map_err(|error| error.to_string())?;
    if let Some((digest, aux)) = fresh {
        core.auxes.put(digest, aux);
    }
    let pending = KeyRecord { status: KeyStatus::Pending, created: core.now(), announcement };
    core.journal.put_key(pending).map_err(|error| error.to_string())
}
