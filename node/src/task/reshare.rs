//! KeyReshare: the next generation of a key for another committee, or for the same. How it works:
//! `docs/reshare.md`.

use std::sync::Arc;

use countersign_engine::{AgreeParams, CommitteeIndex, PublicShare, ReshareParams, Reshared, Role};
use countersign_protocol::control::Stage;
use countersign_protocol::outcome::public_shares_hash;
use countersign_protocol::session::Rooms;
use countersign_protocol::{
    Announcement, Committee, Failure, FailureCode, Hash, KeyId, KeyReshare, NodeId, Outcome,
    SessionId, TaskId, UnixMillis,
};
use countersign_store::KeyStatus;

use super::aux::{self, Fresh, position, positions};
use super::storing::{self, StoreShareError};
use super::succession::{self, Step};
use super::{Job, Stopped, describe, handover};
use crate::config::ReshareRate;
use crate::core::Core;
use crate::risk::Approved;
use crate::session::Run;
use crate::session::worker::WorkError;
use crate::vault::{MovesKey, UsesShare};

const DISCLOSE_PHASE: (u8, Stage) = (0, Stage::Running);
const DEAL_PHASE: (u8, Stage) = (1, Stage::Running);
/// And the two after it.
const AUX_PHASE: u8 = 2;

/// An admitted KeyReshare.
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
    /// Auxiliary information that this node has for the new committee.
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
    fn uses(&self) -> &Announcement {
        &self.reshare.from
    }
}

impl MovesKey for KeyResharePlan {
    fn moves(&self) -> &Announcement {
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

    fn holds(&self, _core: &Core) -> Option<Hash> {
        self.aux
    }

    fn makes_aux_for(&self, me: &NodeId) -> Option<&Committee> {
        (self.reshare.from.scheme.needs_aux() && self.joins(me)).then_some(&self.reshare.committee)
    }

    fn rooms(&self) -> Rooms {
        let handing_over = [
            countersign_engine::agree_room(),
            countersign_engine::reshare_room(),
        ];
        let aux = if self.reshare.from.scheme.needs_aux() {
            &aux::rooms()[..]
        } else {
            &[]
        };
        Rooms::new(handing_over.into_iter().chain(aux.iter().copied()))
    }

    async fn run(
        core: Arc<Core>,
        approved: Arc<Approved<Self>>,
        run: &mut Run,
    ) -> Result<Outcome, Stopped> {
        let plan = approved.plan();
        let (session, holds) = run.meet().await?;
        count(&core, plan).await?;
        let old = disclose(&core, &approved, session, run).await?;
        let reshared = deal(&core, &approved, session, old, run).await?;
        let (aux, fresh) = if plan.reshare.from.scheme.needs_aux() {
            let who = (plan.parties(), &plan.reshare.committee);
            let (aux, fresh) = aux::agreed(&core, who, AUX_PHASE, (session, &holds), run).await?;
            (Some(aux), fresh)
        } else {
            (None, None)
        };
        core.events.shares(
            plan.task,
            describe::participants(plan.members(), &reshared.public_shares),
        );
        run.still_on()?;
        let mut announcement = announce(plan, session, &reshared, aux);
        let next = announcement.clone();
        let stored = approved.clone();
        let write = move |core: &Core| write(core, &stored, reshared, next, fresh);
        storing::store(&core, write).await?;
        handover::report(&core, plan.task, &announcement);
        announcement.stored = run
            .store(announcement.digest())
            .await
            .map_err(Stopped::Unsettled)?;
        Ok(Outcome::Reshared(announcement))
    }
}

/// Notes that the reshare begins, as one of those that `limits.reshares` allows. Several may have
/// been admitted since the last one began.
async fn count(core: &Arc<Core>, plan: &KeyResharePlan) -> Result<(), Failure> {
    let node = core.clone();
    let key = plan.reshare.from.key;
    let task = plan.task;
    let counted = core.journal(move |journal| {
        let _switching = node.switch.alone();
        let rate = &node.config.reshares;
        let now = node.now();
        let mut started = handover::started_at(journal, key).map_err(|error| error.to_string())?;
        started.remove(&task);
        if let Some(at) = rate.next_allowed(now, started.into_values()) {
            return Ok(Some(too_often(key, rate, at)));
        }
        let noted = journal.start_reshare(key, task, now, rate.since(now));
        noted.map(|_| None).map_err(|error| error.to_string())
    });
    match counted.await {
        Ok(None) => Ok(()),
        Ok(Some(text)) => Err(Failure::new(FailureCode::ReshareRate, text)),
        Err(text) => Err(Failure::new(FailureCode::Store, text)),
    }
}

/// Why no further reshare of a key is started now.
pub(super) fn too_often(key: KeyId, rate: &ReshareRate, next: UnixMillis) -> String {
    format!(
        "{} reshares of {key} were started within {} hours, which is limits.reshares; the next is allowed at {}",
        rate.count,
        ReshareRate::HOURS,
        crate::cli::time(next)
    )
}

/// The dealers say what their committee's public shares are. What they say is believed because the
/// members of that committee signed its hash.
async fn disclose(
    core: &Arc<Core>,
    approved: &Arc<Approved<KeyResharePlan>>,
    session: SessionId,
    run: &mut Run,
) -> Result<PublicShare, Failure> {
    let for_worker = core.clone();
    let approved = approved.clone();
    let from = approved.plan().reshare.from.clone();
    let lane = core.lanes.free.clone();
    let me = position(core.me, &approved.plan().parties)?;
    let speakers = positions(&approved.plan().dealers, &approved.plan().parties)?;
    let said = run.phase(
        DISCLOSE_PHASE,
        core.config.engines.keygen,
        lane,
        move || {
            let plan = approved.plan();
            let mine = if plan.deals(&for_worker.me) {
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
        },
    );
    public_share(&from, &said.await?).ok_or_else(|| {
        Failure::new(FailureCode::SplitView, "the dealers' public shares are not those that the members announced; compare the dealers' stores with their backups before trying again",
        )
    })
}

fn encode_shares(shares: &[Vec<u8>]) -> Vec<u8> {
    countersign_protocol::encode(&shares)
}

fn public_share(from: &Announcement, said: &[u8]) -> Option<PublicShare> {
    let public_shares: Vec<Vec<u8>> = countersign_protocol::decode(said).ok()?;
    let announced =
        public_shares_hash(public_shares.iter().map(Vec::as_slice)) == from.public_shares;
    announced.then(|| PublicShare {
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
    core: &Arc<Core>,
    approved: &Arc<Approved<KeyResharePlan>>,
    session: SessionId,
    old: PublicShare,
    run: &mut Run,
) -> Result<Reshared, Failure> {
    let for_worker = core.clone();
    let approved = approved.clone();
    let lane = core.lanes.free.clone();
    let me = position(core.me, &approved.plan().parties)?;
    run.phase(DEAL_PHASE, core.config.engines.keygen, lane, move || {
        let plan = approved.plan();
        let share = if plan.deals(&for_worker.me) {
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
            rand::rngs::OsRng,
        )?)
    })
    .await
}

fn open(
    core: &Core,
    approved: &Approved<KeyResharePlan>,
) -> Result<countersign_engine::Share, WorkError> {
    core.vault
        .open_share(approved)
        .map_err(|error| WorkError::Secrets(error.to_string()))
}

fn announce(
    plan: &KeyResharePlan,
    session: SessionId,
    reshared: &Reshared,
    aux: Option<Hash>,
) -> Announcement {
    Announcement {
        task: plan.task,
        session,
        committee: plan.reshare.committee.clone(),
        threshold: plan.reshare.threshold,
        generation: plan.reshare.generation(),
        public_shares: public_shares_hash(reshared.public_shares.iter().map(Vec::as_slice)),
        aux,
        parties: plan.parties.clone(),
        stored: Vec::new(),
        ..plan.reshare.from.clone()
    }
}

/// The share first, then the record of it: the record says that this node's mark may be out.
fn write(
    core: &Core,
    approved: &Approved<KeyResharePlan>,
    reshared: Reshared,
    next: Announcement,
    fresh: Fresh,
) -> Result<(), StoreShareError> {
    let plan = approved.plan();
    let aux = aux::to_store(&fresh);
    // What an earlier reshare left to be done comes first, and nothing comes between the share and
    // its record.
    let switching = core.switch.alone();
    switching.align(core.now(), next.key)?;
    check_present(core, plan, &next)?;
    if let Some(share) = &reshared.share {
        core.vault.put_next_share(approved, share, &next, aux)?;
    }
    if let Some((digest, aux)) = fresh {
        core.auxes.put(digest, aux);
    }
    let joins = plan.joins(&core.me);
    handover::open(core, plan.task, next, joins, plan.created)?;
    drop(switching);
    Ok(())
}

/// Once more what admission has asked: another reshare of the key may have been stored for, or
/// settled, since.
fn check_present(
    core: &Core,
    plan: &KeyResharePlan,
    next: &Announcement,
) -> Result<(), StoreShareError> {
    let known = handover::steps(&core.journal, next.key)?;
    let step = Step {
        generation: next.generation,
        created: plan.created,
        task: plan.task,
    };
    succession::may_store(&step, &known)?;
    let record = core.journal.key(&next.key)?;
    match record.filter(|record| record.status == KeyStatus::Active) {
        Some(record) if record.announcement.digest() != plan.reshare.from.digest() => {
            Err(StoreShareError::Moved(record.announcement.generation))
        }
        Some(_) | None => Ok(()),
    }
}
