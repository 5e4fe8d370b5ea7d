//! KeyShareSign: this node proves, alone, that its share of a key is intact. Nothing is signed.

use std::sync::Arc;

use countersign_engine::check_up;
use countersign_protocol::control::Stage;
use countersign_protocol::session::Rooms;
use countersign_protocol::{
    Announcement, Committee, Failure, FailureCode, Hash, Intact, NodeId, Outcome, Point,
};
use countersign_store::KeyRecord;
use countersign_verify::WrongResult;

use super::{Job, Stopped, describe};
use crate::core::Core;
use crate::risk::Approved;
use crate::session::Run;
use crate::session::worker::{Immediate, WorkError};
use crate::vault::UsesShare;

const PHASE: (u8, Stage) = (0, Stage::Running);

/// An admitted KeyShareSign.
#[derive(Debug, Clone)]
pub struct CheckUpPlan {
    pub(super) record: Arc<KeyRecord>,
    /// This node, alone: nobody else has a part in it.
    pub(super) me: [NodeId; 1],
    /// Of the task's exact bytes: what the proof is made for.
    pub(super) task: Hash,
    /// The root as text, `xpub…` or `cpub…`.
    pub(super) root: String,
}

impl CheckUpPlan {
    fn context(&self) -> Hash {
        let Announcement {
            key, generation, ..
        } = &self.record.announcement;
        Intact::context(self.task, *key, *generation, &self.me[0])
    }
}

impl UsesShare for CheckUpPlan {
    fn uses(&self) -> &Announcement {
        &self.record.announcement
    }
}

impl Job for CheckUpPlan {
    fn parties(&self) -> &[NodeId] {
        &self.me
    }

    fn question(&self) -> countersign_host::Operation {
        let check = countersign_host::KeyShareCheck {
            key: describe::key(&self.record.announcement, self.root.clone()),
            message: self.context().to_string(),
        };
        countersign_host::Operation::KeyShareSign(countersign_host::KeyShareSigning {
            checks: vec![check],
        })
    }

    fn holds(&self, _core: &Core) -> Option<Hash> {
        Some(self.record.announcement.digest())
    }

    fn makes_aux_for(&self, _me: &NodeId) -> Option<&Committee> {
        None
    }

    /// A party alone has nobody to say anything to.
    fn rooms(&self) -> Rooms {
        Rooms::default()
    }

    fn wallet(&self) -> Option<&Announcement> {
        Some(&self.record.announcement)
    }

    fn unbelieved(wrong: &WrongResult, _counterpart: Option<NodeId>) -> Stopped {
        Stopped::Failed(invalid(wrong))
    }

    async fn run(
        core: Arc<Core>,
        approved: Arc<Approved<Self>>,
        run: &mut Run,
    ) -> Result<Outcome, Stopped> {
        run.meet().await?;
        let lane = core.lanes.free.clone();
        let limit = core.config.engines.keygen;
        let announcement = approved.plan().record.announcement.clone();
        let node = core.me;
        let proven = run.phase(PHASE, limit, lane, move || {
            let proven = prove(&core, &approved)?;
            Ok(Box::new(Immediate::new(proven)))
        });
        let intact = intact(node, &announcement, proven.await?);
        Ok(Outcome::Intact(intact))
    }
}

/// What a share's holder shows of it.
type Proven = (Vec<Vec<u8>>, check_up::Proof);

/// Runs in the worker's thread.
fn prove(core: &Core, approved: &Approved<CheckUpPlan>) -> Result<Proven, WorkError> {
    let share = core
        .vault
        .open_share(approved)
        .map_err(|error| WorkError::Secrets(error.to_string()))?;
    let context = approved.plan().context();
    let proof = check_up::prove(&share, context.as_bytes(), rand::rngs::OsRng)?;
    Ok((share.public().public_shares, proof))
}

/// The proof with all that it takes to verify it.
pub fn intact(node: NodeId, key: &Announcement, (public_shares, proof): Proven) -> Intact {
    Intact {
        node,
        key: key.key,
        generation: key.generation,
        public_shares: public_shares.into_iter().map(Point).collect(),
        proof: Point(proof.bytes),
    }
}

fn invalid(wrong: &WrongResult) -> Failure {
    let text = format!(
        "this node's share does not prove itself ({wrong}); restore the store from a backup"
    );
    Failure::new(FailureCode::ShareDamaged, text)
}
