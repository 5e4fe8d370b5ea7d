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
use countersign_verify::Input;

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
        node.engines().keygen,
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

#[cfg(test)]
mod tests {
    use countersign_protocol::{Scheme, Threshold};
    use countersign_verify::WrongResult;

    use super::*;
    use crate::task::fixtures::{NOW, Parts, TASK, approved, key, node, nodes, own_share, wallet};
    use crate::vault::VaultError;

    fn plan(scheme: Scheme) -> KeyGenPlan {
        let keygen = KeyGen {
            name: "treasury".into(),
            scheme,
            committee: Committee::new(nodes(&[1, 2])).unwrap(),
            threshold: Threshold::try_from(2).unwrap(),
        };
        KeyGenPlan::new(TASK, key(), keygen, Some(Hash([8; 32])))
    }

    /// The descriptor that the members will acknowledge.
    fn made() -> KeyDescriptor {
        descriptor_of(
            &plan(Scheme::Ed25519),
            SessionId([3; 32]),
            &own_share(),
            None,
        )
    }

    fn write(parts: &Parts, made: KeyDescriptor) -> Result<(), StoreShareError> {
        let approved = approved(plan(Scheme::Ed25519));
        write_share(&parts.jobs, &approved, &own_share(), made, None)
    }

    #[test]
    fn before_a_member_acknowledges_it_has_the_share_and_a_record_of_it() {
        let parts = Parts::new();
        write(&parts, made()).unwrap();
        let held = parts.vault().held(key()).unwrap().unwrap();
        assert_eq!(held.digest, made().digest());
        let record = parts.journal().key(&key()).unwrap().unwrap();
        assert_eq!(record.status, KeyStatus::Pending, "nobody has confirmed it");
        assert_eq!((record.descriptor, record.created), (made(), NOW));
    }

    #[test]
    fn a_share_of_another_key_than_the_ordered_one_is_neither_stored_nor_recorded() {
        let parts = Parts::new();
        let other = KeyDescriptor {
            key: KeyId::from_bytes([9; 16]).unwrap(),
            ..made()
        };
        let refused = write(&parts, other);
        assert!(matches!(
            refused,
            Err(StoreShareError::Vault(VaultError::NotApproved))
        ));
        assert_eq!(parts.journal().keys().unwrap(), []);
        assert_eq!(parts.vault().held_keys().unwrap(), []);
    }

    /// A record would promise a share that is not there.
    #[test]
    fn a_share_that_could_not_be_stored_has_no_record() {
        let parts = Parts::new();
        parts.lose_the_secrets();
        assert!(write(&parts, made()).is_err());
        assert_eq!(parts.journal().keys().unwrap(), []);
    }

    #[test]
    fn a_new_key_is_described_as_its_order_and_its_run_say() {
        let made = made();
        assert_eq!(made.generation, 0);
        assert_eq!((made.task, made.key), (TASK, key()));
        assert_eq!(made.public_shares, wallet().public_shares);
        assert_eq!((made.parties, made.acks), (vec![], vec![]));
    }

    #[test]
    fn only_ecdsa_queues_for_auxiliary_information() {
        let makes = |scheme| plan(scheme).makes_aux_for(&node(1)).is_some();
        assert!(makes(Scheme::EcdsaSecp256k1));
        for scheme in [Scheme::Ed25519, Scheme::SchnorrSecp256k1, Scheme::Taproot] {
            assert!(!makes(scheme), "{scheme}");
        }
    }

    #[test]
    fn a_member_says_which_auxiliary_information_it_has() {
        let plan = plan(Scheme::EcdsaSecp256k1);
        assert_eq!(plan.holds(), Some(Hash([8; 32])));
    }

    #[test]
    fn plugins_are_asked_about_the_members_and_the_threshold() {
        let countersign_host::Operation::Keygen(asked) = plan(Scheme::Ed25519).question() else {
            panic!("a new key is ordered");
        };
        assert_eq!(asked.threshold, 2);
        let members: Vec<String> = nodes(&[1, 2]).iter().map(NodeId::to_string).collect();
        assert_eq!(asked.members, members);
    }

    /// The others may have a key: the task must not end here.
    #[test]
    fn a_result_that_does_not_verify_leaves_a_new_key_in_doubt() {
        let stopped = KeyGenPlan::unbelieved(&WrongResult::WalletUnknown, Some(node(2)));
        let Stopped::Unsettled(failure) = stopped else {
            panic!("{stopped:?}");
        };
        assert_eq!(failure.cause, countersign_protocol::Cause::Bug);
        assert_eq!(failure.culprits, [], "it is this node's own result");
    }
}
