//! KeyShareSign: this node proves, alone, that its share of a key is intact. Nothing is signed.

use std::sync::Arc;

use countersign_engine::check_up;
use countersign_protocol::control::Stage;
use countersign_protocol::session::Rooms;
use countersign_protocol::{
    Committee, Failure, FailureCode, Hash, Intact, KeyDescriptor, NodeId, Outcome,
};
use countersign_store::KeyRecord;
use countersign_verify::WrongResult;

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

    fn wallet(&self) -> Option<&KeyDescriptor> {
        Some(&self.record.descriptor)
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
        let limit = node.engines.keygen;
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
