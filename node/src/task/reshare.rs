//! KeyReshare: makes the next generation of a key for another committee or the same one. See
//! `docs/reshare.md`.

use std::sync::Arc;

use countersign_engine::{AgreeParams, CommitteeIndex, PublicShare, ReshareParams, Reshared, Role};
use countersign_protocol::control::Stage;
use countersign_protocol::outcome::public_shares_hash;
use countersign_protocol::session::Rooms;
use countersign_protocol::{
    Committee, Failure, FailureCode, Hash, KeyDescriptor, KeyId, KeyReshare, NodeId, Outcome,
    SessionId, TaskId, UnixMillis,
};
use countersign_store::{KeyStatus, ReadJournalError, WriteJournalError};
use countersign_verify::Input;

use super::aux::{self, Fresh, position, positions};
use super::storing::{self, StoreShareError};
use super::succession::{self, Step};
use super::{Job, JobContext, Stopped, describe, history, participant};
use crate::config::ReshareRate;
use crate::off_thread::with_journal;
use crate::risk::Approved;
use crate::session::Run;
use crate::session::worker::WorkError;
use crate::vault::{MovesKey, UsesShare};

const DISCLOSE_PHASE: (u8, Stage) = (0, Stage::Running);
const DEAL_PHASE: (u8, Stage) = (1, Stage::Running);
/// The first of the three phases of [`aux::agreed`].
const AUX_PHASE: u8 = 2;

/// A KeyReshare that passed this node's own checks.
#[derive(Debug, Clone)]
pub struct KeyResharePlan {
    pub(super) task: TaskId,
    /// When it was ordered.
    pub(super) created: UnixMillis,
    pub(super) reshare: Arc<KeyReshare>,
    /// As many members of the present committee as the key needs.
    pub(super) dealers: Vec<NodeId>,
    /// Dealers and future members, in the order of their ids.
    pub(super) parties: Vec<NodeId>,
    /// The digest of the auxiliary information that this node has for the new committee.
    pub(super) aux: Option<Hash>,
    /// The root as text, `xpub…` or `cpub…`.
    pub(super) root: String,
}

impl KeyResharePlan {
    fn members(&self) -> &[NodeId] {
        self.reshare.committee.members()
    }

    fn role(&self, node: &NodeId) -> Role {
        let dealt = self
            .reshare
            .from
            .committee
            .index_of(node)
            .filter(|_| self.dealers.contains(node));
        Role {
            deals: dealt,
            joins: self.members().contains(node),
        }
    }

    fn deals(&self, node: &NodeId) -> bool {
        self.role(node).deals.is_some()
    }

    fn joins(&self, node: &NodeId) -> bool {
        self.role(node).joins
    }
}

impl UsesShare for KeyResharePlan {
    fn uses(&self) -> &KeyDescriptor {
        &self.reshare.from
    }
}

impl MovesKey for KeyResharePlan {
    fn moves(&self) -> &KeyDescriptor {
        &self.reshare.from
    }
}

impl Job for KeyResharePlan {
    fn parties(&self) -> &[NodeId] {
        &self.parties
    }

    fn question(&self) -> countersign_host::Operation {
        countersign_host::Operation::Reshare(countersign_host::Resharing {
            key: describe::key(&self.reshare.from, self.root.clone()),
            signers: describe::nodes(&self.dealers),
            new_threshold: self.reshare.threshold.get(),
            new_members: describe::nodes(self.members()),
        })
    }

    fn holds(&self) -> Option<Hash> {
        self.aux
    }

    fn makes_aux_for(&self, me: &NodeId) -> Option<&Committee> {
        (self.reshare.from.scheme.needs_aux() && self.joins(me)).then_some(&self.reshare.committee)
    }

    fn rooms(&self) -> Rooms {
        let reshare = [
            countersign_engine::agree_room(),
            countersign_engine::reshare_room(),
        ];
        let aux = if self.reshare.from.scheme.needs_aux() {
            &aux::rooms()[..]
        } else {
            &[]
        };
        Rooms::new(reshare.into_iter().chain(aux.iter().copied()))
    }

    fn bystanders(&self) -> Vec<NodeId> {
        Vec::new()
    }

    fn wallet(&self) -> Option<&KeyDescriptor> {
        None
    }

    fn inputs(&self) -> Vec<Input> {
        Vec::new()
    }

    async fn run(
        node: Arc<JobContext>,
        approved: Arc<Approved<Self>>,
        run: &mut Run,
    ) -> Result<Outcome, Stopped> {
        let plan = approved.plan();
        let (session, holds) = run.meet().await?;
        count(&node, plan).await?;
        let old = disclose(&node, &approved, session, run).await?;
        let reshared = deal(&node, &approved, session, old, run).await?;
        let (aux, fresh) = if plan.reshare.from.scheme.needs_aux() {
            let who = (plan.parties(), &plan.reshare.committee);
            let (aux, fresh) =
                aux::agreed(&node.aux, who, AUX_PHASE, (session, &holds), run).await?;
            (Some(aux), fresh)
        } else {
            (None, None)
        };
        node.events().shares(
            plan.task,
            describe::participants(plan.members(), &reshared.public_shares),
        );
        run.still_on()?;
        let mut descriptor = descriptor_of(plan, session, &reshared, aux);
        let next = descriptor.clone();
        let stored = approved.clone();
        let write = move |node: &JobContext| write(node, &stored, reshared, next, fresh);
        storing::store(&node, write).await?;
        node.participant.report(plan.task, &descriptor);
        descriptor.acks = run
            .store(descriptor.digest())
            .await
            .map_err(Stopped::Unsettled)?;
        Ok(Outcome::Reshared(descriptor))
    }
}

/// Why a reshare does not begin.
#[derive(Debug, thiserror::Error)]
enum CountError {
    #[error("{0}")]
    TooOften(String),
    #[error(transparent)]
    Read(#[from] ReadJournalError),
    #[error(transparent)]
    Write(#[from] WriteJournalError),
}

/// Records the start of the reshare, if `limits.reshares` still allows it. Several may have been
/// admitted since the last one started.
async fn count(node: &Arc<JobContext>, plan: &KeyResharePlan) -> Result<(), Failure> {
    let counting = node.clone();
    let key = plan.reshare.from.key;
    let task = plan.task;
    let counted = with_journal(node.journal(), move |journal| {
        let _switching = counting.participant.switch.alone();
        let rate = &counting.config.now().reshares;
        let now = counting.world.now();
        let mut started = history::started_at(journal, key)?;
        started.remove(&task);
        if let Some(at) = rate.next_allowed(now, started.into_values()) {
            return Err(CountError::TooOften(too_often(key, rate, at)));
        }
        journal.start_reshare(key, task, now, rate.since(now))?;
        Ok(())
    });
    counted.await.map_err(|error| {
        let code = match error {
            CountError::TooOften(_) => FailureCode::ReshareRate,
            CountError::Read(_) | CountError::Write(_) => FailureCode::Store,
        };
        Failure::new(code, error.to_string())
    })
}

/// The reason why no further reshare of a key is started now.
pub(super) fn too_often(key: KeyId, rate: &ReshareRate, next: UnixMillis) -> String {
    format!(
        "{} reshares of {key} were started within {} hours, which is limits.reshares; the next is allowed at {}",
        rate.count,
        ReshareRate::HOURS,
        crate::world::rfc3339(next)
    )
}

/// The dealers disclose their committee's public shares. These are believed because the members of
/// that committee signed their hash.
async fn disclose(
    node: &Arc<JobContext>,
    approved: &Arc<Approved<KeyResharePlan>>,
    session: SessionId,
    run: &mut Run,
) -> Result<PublicShare, Failure> {
    let for_worker = node.clone();
    let approved = approved.clone();
    let from = approved.plan().reshare.from.clone();
    let pool = node.pools.free.clone();
    let me = position(node.me(), &approved.plan().parties)?;
    let speakers = positions(&approved.plan().dealers, &approved.plan().parties)?;
    let said = run.phase(DISCLOSE_PHASE, node.engines().keygen, pool, move || {
        let plan = approved.plan();
        let mine = if plan.deals(&for_worker.me()) {
            Some(encode_shares(
                &open(&for_worker, &approved)?.public().public_shares,
            ))
        } else {
            None
        };
        let parties = plan.parties.len() as u16;
        Ok(countersign_engine::agree(
            AgreeParams {
                session: &session.0,
                me,
                parties,
                speakers: &speakers,
            },
            mine,
        )?)
    });
    public_share(&from, &said.await?).ok_or_else(|| {
        Failure::new(FailureCode::SplitView, "the dealers' public shares are not those that the members signed; compare the dealers' stores with their backups before trying again",
        )
    })
}

fn encode_shares(shares: &[Vec<u8>]) -> Vec<u8> {
    countersign_protocol::encode(&shares)
}

fn public_share(from: &KeyDescriptor, said: &[u8]) -> Option<PublicShare> {
    let public_shares: Vec<Vec<u8>> = countersign_protocol::decode(said).ok()?;
    let signed = public_shares_hash(public_shares.iter().map(Vec::as_slice)) == from.public_shares;
    signed.then(|| PublicShare {
        scheme: from.scheme,
        parties: from.committee.members().len() as u16,
        threshold: from.threshold.get(),
        index: CommitteeIndex(0),
        root_public_key: from.root_public_key.clone(),
        chain_code: from.chain_code.0,
        public_shares,
    })
}

async fn deal(
    node: &Arc<JobContext>,
    approved: &Arc<Approved<KeyResharePlan>>,
    session: SessionId,
    old: PublicShare,
    run: &mut Run,
) -> Result<Reshared, Failure> {
    let for_worker = node.clone();
    let approved = approved.clone();
    let pool = node.pools.free.clone();
    let me = position(node.me(), &approved.plan().parties)?;
    run.phase(DEAL_PHASE, node.engines().keygen, pool, move || {
        let plan = approved.plan();
        let share = if plan.deals(&for_worker.me()) {
            Some(open(&for_worker, &approved)?)
        } else {
            None
        };
        let roles: Vec<Role> = plan.parties.iter().map(|node| plan.role(node)).collect();
        let params = ReshareParams {
            session: &session.0,
            me,
            parties: &roles,
            threshold: plan.reshare.threshold.get(),
            old: &old,
            generation: plan.reshare.generation().into(),
        };
        Ok(countersign_engine::reshare(
            params,
            share.as_ref(),
            for_worker.world.rng(),
        )?)
    })
    .await
}

fn open(
    node: &JobContext,
    approved: &Approved<KeyResharePlan>,
) -> Result<countersign_engine::Share, WorkError> {
    node.vault
        .open_share(approved)
        .map_err(|error| WorkError::Secrets(error.to_string()))
}

fn descriptor_of(
    plan: &KeyResharePlan,
    session: SessionId,
    reshared: &Reshared,
    aux: Option<Hash>,
) -> KeyDescriptor {
    KeyDescriptor {
        task: plan.task,
        session,
        committee: plan.reshare.committee.clone(),
        threshold: plan.reshare.threshold,
        generation: plan.reshare.generation(),
        public_shares: public_shares_hash(reshared.public_shares.iter().map(Vec::as_slice)),
        aux,
        parties: plan.parties.clone(),
        acks: Vec::new(),
        ..plan.reshare.from.clone()
    }
}

/// Writes the share first, then its record: the record says that this node's
/// acknowledgement may be out.
fn write(
    node: &JobContext,
    approved: &Approved<KeyResharePlan>,
    reshared: Reshared,
    next: KeyDescriptor,
    fresh: Fresh,
) -> Result<(), StoreShareError> {
    let plan = approved.plan();
    let aux = aux::to_store(&fresh);
    // Work left over from an earlier reshare comes first, and nothing comes between the
    // share and its record.
    let switching = node.participant.switch.alone();
    switching.align(node.world.now(), next.key)?;
    check_present(node, plan, &next)?;
    if let Some(share) = &reshared.share {
        node.vault.put_next_share(approved, share, &next, aux)?;
    }
    if let Some((digest, aux)) = fresh {
        node.aux.auxes.put(digest, aux);
    }
    let joins = plan.joins(&node.me());
    participant::prepare(
        node.journal(),
        node.world.now(),
        plan.task,
        next,
        joins,
        plan.created,
    )?;
    drop(switching);
    Ok(())
}

/// Repeats the checks of admission: another reshare of the key may have been
/// prepared or settled since.
fn check_present(
    node: &JobContext,
    plan: &KeyResharePlan,
    next: &KeyDescriptor,
) -> Result<(), StoreShareError> {
    let known = history::steps(node.journal(), next.key)?;
    let step = Step {
        generation: next.generation,
        created: plan.created,
        task: plan.task,
    };
    succession::may_store(&step, &known)?;
    let record = node.journal().key(&next.key)?;
    match record.filter(|record| record.status == KeyStatus::Active) {
        Some(record) if record.descriptor.digest() != plan.reshare.from.digest() => {
            Err(StoreShareError::Moved(record.descriptor.generation))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
#[path = "reshare_tests.rs"]
mod tests;
