//! KeyGen: makes a key in shares, and auxiliary information where the committee has none, and
//! collects every member's acknowledgement that it is stored.

use std::sync::Arc;

use countersign_engine::{KeygenParams, Share};
use countersign_protocol::control::Stage;
use countersign_protocol::outcome::public_shares_hash;
use countersign_protocol::session::Rooms;
use countersign_protocol::{
    Committee, Failure, Hash, KeyDescriptor, KeyGen, KeyId, NodeId, Outcome, SessionId, SignedAck,
    TaskId,
};
use countersign_store::{KeyRecord, KeyStatus};

use super::aux::{self, Fresh};
use super::storing::{self, StoreShareError};
use super::{Job, JobContext, Stopped, describe};
use crate::risk::Approved;
use crate::session::Run;
use crate::vault::MakesKey;

const KEY_PHASE: (u8, Stage) = (0, Stage::Running);
/// The first of the three phases of [`aux::agreed`].
const AUX_PHASE: u8 = 1;

/// A KeyGen that passed this node's own checks.
#[derive(Debug, Clone)]
pub struct KeyGenPlan {
    task: TaskId,
    key: KeyId,
    keygen: KeyGen,
    /// The digest of the auxiliary information that this node has for the committee.
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

    fn holds(&self) -> Option<Hash> {
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
        node: Arc<JobContext>,
        approved: Arc<Approved<Self>>,
        run: &mut Run,
    ) -> Result<Outcome, Stopped> {
        let plan = approved.plan();
        let (session, holds) = run.meet().await?;
        let share = make_key(&node, plan, session, run).await?;
        node.events().shares(
            plan.task,
            describe::participants(plan.parties(), &share.public().public_shares),
        );
        let (aux, fresh) = if plan.keygen.scheme.needs_aux() {
            let all = (plan.parties(), &plan.keygen.committee);
            let (aux, fresh) =
                aux::agreed(&node.aux, all, AUX_PHASE, (session, &holds), run).await?;
            (Some(aux), fresh)
        } else {
            (None, None)
        };
        run.still_on()?;
        let mut descriptor = descriptor_of(plan, session, &share, aux);
        let written = descriptor.clone();
        let write = move |node: &JobContext| write_share(node, &approved, &share, written, fresh);
        storing::store(&node, write).await?;
        descriptor.acks = run
            .store(descriptor.digest())
            .await
            .map_err(Stopped::Unsettled)?;
        Ok(Outcome::Created(descriptor))
    }
}

async fn make_key(
    node: &Arc<JobContext>,
    plan: &KeyGenPlan,
    session: SessionId,
    run: &mut Run,
) -> Result<Share, Failure> {
    let me = aux::position(node.me(), plan.parties())?;
    let parties = plan.size();
    let scheme = plan.keygen.scheme;
    let threshold = plan.keygen.threshold.get();
    let rng = node.world.rng();
    run.phase(
        KEY_PHASE,
        node.engines.keygen,
        node.pools.free.clone(),
        move || {
            let params = KeygenParams {
                session: &session.0,
                me,
                parties,
                threshold,
            };
            Ok(countersign_engine::keygen(scheme, params, rng)?)
        },
    )
    .await
}

fn descriptor_of(
    plan: &KeyGenPlan,
    session: SessionId,
    share: &Share,
    aux: Option<Hash>,
) -> KeyDescriptor {
    let public = share.public();
    let public_shares = public_shares_hash(public.public_shares.iter().map(Vec::as_slice));
    KeyDescriptor {
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
        acks: Vec::<SignedAck>::new(),
    }
}

/// Writes the share first, then the public record: a record never promises a missing share.
/// Auxiliary information serves other tasks only once it is durable.
fn write_share(
    node: &JobContext,
    approved: &Approved<KeyGenPlan>,
    share: &Share,
    descriptor: KeyDescriptor,
    fresh: Fresh,
) -> Result<(), StoreShareError> {
    let aux = aux::to_store(&fresh);
    node.vault.put_share(approved, share, &descriptor, aux)?;
    if let Some((digest, aux)) = fresh {
        node.aux.auxes.put(digest, aux);
    }
    let pending = KeyRecord {
        status: KeyStatus::Pending,
        created: node.world.now(),
        descriptor,
    };
    Ok(node.journal().put_key(pending)?)
}
