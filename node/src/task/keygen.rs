//! KeyGen: a key in shares, auxiliary information where the committee has none, and everybody's
//! word that it is stored.

use std::sync::Arc;

use countersign_engine::{KeygenParams, Share};
use countersign_protocol::control::Stage;
use countersign_protocol::outcome::public_shares_hash;
use countersign_protocol::session::Rooms;
use countersign_protocol::{
    Announcement, Committee, Failure, Hash, KeyGen, KeyId, NodeId, Outcome, SessionId, StoredMark,
    TaskId,
};
use countersign_store::{KeyRecord, KeyStatus};

use super::aux::{self, Fresh};
use super::storing::{self, StoreShareError};
use super::{Job, Stopped, describe};
use crate::core::Core;
use crate::risk::Approved;
use crate::session::Run;
use crate::vault::MakesKey;

const KEY_PHASE: (u8, Stage) = (0, Stage::Running);
/// And the two after it.
const AUX_PHASE: u8 = 1;

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
    pub(super) fn new(task: TaskId, key: KeyId, keygen: KeyGen, aux: Option<Hash>) -> Self {
        Self {
            task,
            key,
            keygen,
            aux,
        }
    }

    fn size(&self) -> u16 {
        self.keygen.committee.members().len() as u16
    }
}

impl MakesKey for KeyGenPlan {
    fn makes(&self) -> KeyId {
        self.key
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
            members: describe::nodes(self.parties()),
        })
    }

    fn holds(&self, _core: &Core) -> Option<Hash> {
        self.aux
    }

    fn makes_aux_for(&self, _me: &NodeId) -> Option<&Committee> {
        self.keygen
            .scheme
            .needs_aux()
            .then_some(&self.keygen.committee)
    }

    fn rooms(&self) -> Rooms {
        let key = countersign_engine::keygen_room();
        let aux = if self.keygen.scheme.needs_aux() {
            &aux::rooms()[..]
        } else {
            &[]
        };
        Rooms::new([key].into_iter().chain(aux.iter().copied()))
    }

    async fn run(
        core: Arc<Core>,
        approved: Arc<Approved<Self>>,
        run: &mut Run,
    ) -> Result<Outcome, Stopped> {
        let plan = approved.plan();
        let (session, holds) = run.meet().await?;
        let share = make_key(&core, plan, session, run).await?;
        core.events.shares(
            plan.task,
            describe::participants(plan.parties(), &share.public().public_shares),
        );
        let (aux, fresh) = if plan.keygen.scheme.needs_aux() {
            let all = (plan.parties(), &plan.keygen.committee);
            let (aux, fresh) = aux::agreed(&core, all, AUX_PHASE, (session, &holds), run).await?;
            (Some(aux), fresh)
        } else {
            (None, None)
        };
        run.still_on()?;
        let mut announcement = announce(plan, session, &share, aux);
        let written = announcement.clone();
        let write = move |core: &Core| write_share(core, &approved, &share, written, fresh);
        storing::store(&core, write).await?;
        announcement.stored = run
            .store(announcement.digest())
            .await
            .map_err(Stopped::Unsettled)?;
        Ok(Outcome::Created(announcement))
    }
}

async fn make_key(
    core: &Arc<Core>,
    plan: &KeyGenPlan,
    session: SessionId,
    run: &mut Run,
) -> Result<Share, Failure> {
    let me = aux::position(core.me, plan.parties())?;
    let parties = plan.size();
    let scheme = plan.keygen.scheme;
    let threshold = plan.keygen.threshold.get();
    run.phase(
        KEY_PHASE,
        core.config.engines.keygen,
        core.lanes.free.clone(),
        move || {
            let params = KeygenParams {
                session: &session.0,
                me,
                parties,
                threshold,
            };
            Ok(countersign_engine::keygen(
                scheme,
                params,
                rand::rngs::OsRng,
            )?)
        },
    )
    .await
}

fn announce(
    plan: &KeyGenPlan,
    session: SessionId,
    share: &Share,
    aux: Option<Hash>,
) -> Announcement {
    let public = share.public();
    let public_shares = public_shares_hash(public.public_shares.iter().map(Vec::as_slice));
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
        parties: Vec::new(),
        stored: Vec::<StoredMark>::new(),
    }
}

/// The share first, then the public record: a record never promises a share that is not there.
/// Auxiliary information serves other tasks only once it is durable.
fn write_share(
    core: &Core,
    approved: &Approved<KeyGenPlan>,
    share: &Share,
    announcement: Announcement,
    fresh: Fresh,
) -> Result<(), StoreShareError> {
    let aux = aux::to_store(&fresh);
    core.vault.put_share(approved, share, &announcement, aux)?;
    if let Some((digest, aux)) = fresh {
        core.auxes.put(digest, aux);
    }
    let pending = KeyRecord {
        status: KeyStatus::Pending,
        created: core.now(),
        announcement,
    };
    Ok(core.journal.put_key(pending)?)
}
