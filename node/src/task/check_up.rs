//! KeyShareSign: this node proves, alone, that its share of a key is intact. Nothing is signed.

use std::sync::Arc;

use countersign_engine::check_up;
use countersign_protocol::control::Stage;
use countersign_protocol::session::Rooms;
use countersign_protocol::{
    Committee, Failure, FailureCode, Hash, Intact, KeyDescriptor, NodeId, Outcome,
};
use countersign_store::KeyRecord;
use countersign_verify::{Input, WrongResult};

use super::{Job, JobContext, Stopped, describe};
use crate::check_ups::{Proven, intact};
use crate::risk::Approved;
use crate::session::Run;
use crate::session::worker::{Immediate, WorkError};
use crate::vault::UsesShare;

const PHASE: (u8, Stage) = (0, Stage::Running);

/// A KeyShareSign that passed this node's own checks.
#[derive(Debug, Clone)]
pub struct CheckUpPlan {
    pub(super) record: Arc<KeyRecord>,
    /// This node, which is the only party.
    pub(super) me: [NodeId; 1],
    /// The hash of the task's exact bytes, which the proof is bound to.
    pub(super) task: Hash,
    /// The root as text, `xpub…` or `cpub…`.
    pub(super) root: String,
}

impl CheckUpPlan {
    fn context(&self) -> Hash {
        let KeyDescriptor {
            key, generation, ..
        } = &self.record.descriptor;
        Intact::context(self.task, *key, *generation, &self.me[0])
    }
}

impl UsesShare for CheckUpPlan {
    fn uses(&self) -> &KeyDescriptor {
        &self.record.descriptor
    }
}

impl Job for CheckUpPlan {
    fn parties(&self) -> &[NodeId] {
        &self.me
    }

    fn question(&self) -> countersign_host::Operation {
        let check = countersign_host::KeyShareCheck {
            key: describe::key(&self.record.descriptor, self.root.clone()),
            message: self.context().to_string(),
        };
        countersign_host::Operation::KeyShareSign(countersign_host::KeyShareSigning {
            checks: vec![check],
        })
    }

    fn holds(&self) -> Option<Hash> {
        Some(self.record.descriptor.digest())
    }

    fn makes_aux_for(&self, _me: &NodeId) -> Option<&Committee> {
        None
    }

    /// A single party sends no messages.
    fn rooms(&self) -> Rooms {
        Rooms::default()
    }

    fn bystanders(&self) -> Vec<NodeId> {
        Vec::new()
    }

    fn wallet(&self) -> Option<&KeyDescriptor> {
        Some(&self.record.descriptor)
    }

    fn inputs(&self) -> Vec<Input> {
        Vec::new()
    }

    fn unbelieved(wrong: &WrongResult, _counterpart: Option<NodeId>) -> Stopped {
        Stopped::Failed(invalid(wrong))
    }

    async fn run(
        node: Arc<JobContext>,
        approved: Arc<Approved<Self>>,
        run: &mut Run,
    ) -> Result<Outcome, Stopped> {
        run.meet().await?;
        let pool = node.pools.free.clone();
        let limit = node.engines().keygen;
        let descriptor = approved.plan().record.descriptor.clone();
        let me = node.me();
        let proven = run.phase(PHASE, limit, pool, move || {
            let proven = prove(&node, &approved)?;
            Ok(Box::new(Immediate::new(proven)))
        });
        let intact = intact(me, &descriptor, proven.await?);
        Ok(Outcome::Intact(intact))
    }
}

/// Runs in the worker's thread.
fn prove(node: &JobContext, approved: &Approved<CheckUpPlan>) -> Result<Proven, WorkError> {
    let share = node
        .vault
        .open_share(approved)
        .map_err(|error| WorkError::Secrets(error.to_string()))?;
    let context = approved.plan().context();
    let proof = check_up::prove(&share, context.as_bytes(), node.world.rng())?;
    Ok((share.public().public_shares, proof))
}

fn invalid(wrong: &WrongResult) -> Failure {
    let text = format!(
        "the proof of this node's share does not verify ({wrong}); restore the store from a backup"
    );
    Failure::new(FailureCode::ShareDamaged, text)
}

#[cfg(test)]
mod tests {
    use countersign_store::KeyStatus;
    use countersign_verify::verify_intact;

    use super::*;
    use crate::task::fixtures::{NOW, Parts, approved, node, wallet};

    const TASK_HASH: Hash = Hash([7; 32]);

    fn plan(descriptor: KeyDescriptor) -> CheckUpPlan {
        let record = KeyRecord {
            descriptor,
            status: KeyStatus::Active,
            created: NOW,
        };
        CheckUpPlan {
            record: record.into(),
            me: [node(1)],
            task: TASK_HASH,
            root: "cpub".into(),
        }
    }

    #[test]
    fn the_proof_is_of_this_nodes_share_for_this_task_alone() {
        let parts = Parts::holding(KeyStatus::Active);
        let proven = prove(&parts.jobs, &approved(plan(wallet()))).unwrap();
        let shown = intact(node(1), &wallet(), proven);
        assert!(verify_intact(&wallet(), TASK_HASH, &shown).is_ok());
        assert!(verify_intact(&wallet(), Hash([8; 32]), &shown).is_err());
        let borrowed = Intact {
            node: node(2),
            ..shown
        };
        assert!(verify_intact(&wallet(), TASK_HASH, &borrowed).is_err());
    }

    #[test]
    fn a_share_of_another_generation_or_none_proves_nothing() {
        let later = KeyDescriptor {
            generation: 1,
            ..wallet()
        };
        let parts = Parts::holding(KeyStatus::Active);
        for (parts, key) in [(parts, later), (Parts::new(), wallet())] {
            let failed = prove(&parts.jobs, &approved(plan(key)));
            assert!(matches!(failed, Err(WorkError::Secrets(_))));
        }
    }

    #[test]
    fn plugins_see_the_very_context_that_is_proven() {
        let plan = plan(wallet());
        let countersign_host::Operation::KeyShareSign(asked) = plan.question() else {
            panic!("a check-up is ordered");
        };
        let expected = Intact::context(TASK_HASH, wallet().key, 0, &node(1));
        assert_eq!(asked.checks.len(), 1);
        assert_eq!(asked.checks[0].message, expected.to_string());
    }

    /// Nothing is in doubt, as nobody else takes part.
    #[test]
    fn a_proof_that_does_not_verify_says_that_the_share_is_damaged() {
        let stopped = CheckUpPlan::unbelieved(&WrongResult::WalletUnknown, None);
        let Stopped::Failed(failure) = stopped else {
            panic!("{stopped:?}");
        };
        assert_eq!(failure.code, FailureCode::ShareDamaged);
        assert!(failure.text.ends_with("restore the store from a backup"));
    }
}
