//! The way of a task through the node, the same for every operation: [`machine`]. An operation is a
//! [`Job`]: what it asks the plugins, who takes part, and the steps it runs.

pub mod admission;
mod aux;
pub mod check_up;
mod commit;
pub mod counting;
mod describe;
mod desk;
pub mod gossip;
pub mod handover;
mod intent;
pub mod keygen;
pub mod keysign;
pub mod machine;
mod quarantine;
pub mod reshare;
mod resolve;
mod run;
pub mod settle;
mod storing;
mod succession;
mod telling;
pub(crate) mod throttle;
pub mod uses;

use std::future::Future;
use std::sync::Arc;

use countersign_protocol::session::Rooms;
use countersign_protocol::{
    Announcement, Cause, Committee, Failure, FailureCode, Hash, NodeId, Outcome,
};
use countersign_verify::{Input, WrongResult};

use crate::core::Core;
use crate::risk::Approved;
use crate::session::Run;
pub use commit::Register;
pub use desk::{Desk, Offered};
pub use resolve::{Unfit, Word};

/// One operation, admitted: every fact it needs is resolved, and nothing has been asked yet.
pub trait Job: Clone + Send + Sync + Sized + 'static {
    /// Who takes part, in the order of their ids.
    fn parties(&self) -> &[NodeId];

    /// What plugins are asked.
    fn question(&self) -> countersign_host::Operation;

    /// What this node established besides, and the question has no field for.
    fn facts(&self) -> Vec<countersign_host::Statement> {
        Vec::new()
    }

    /// What this node holds that the others should know of; see
    /// [`countersign_protocol::frame::Ready::holds`].
    fn holds(&self, core: &Core) -> Option<Hash>;

    /// The committee for which this node may have to make auxiliary information: such tasks take a
    /// place in the line.
    fn makes_aux_for(&self, me: &NodeId) -> Option<&Committee>;

    /// How much a party may send another in each phase of the session.
    fn rooms(&self) -> Rooms;

    /// Who holds the key that is used, and takes no part.
    fn bystanders(&self) -> Vec<NodeId> {
        Vec::new()
    }

    /// The key that is used.
    fn wallet(&self) -> Option<&Announcement> {
        None
    }

    /// The signatures that are ordered.
    fn inputs(&self) -> Vec<Input> {
        Vec::new()
    }

    /// The end of a session whose result is not what was ordered. `counterpart`: the one other
    /// party, if there is one.
    fn unbelieved(wrong: &WrongResult, _counterpart: Option<NodeId>) -> Stopped {
        let text = format!("this node does not believe its own result: {wrong}; report this");
        Stopped::Unsettled(Failure {
            cause: Cause::Bug,
            ..Failure::new(FailureCode::Protocol, text)
        })
    }

    /// The steps of the session.
    fn run(
        core: Arc<Core>,
        approved: Arc<Approved<Self>>,
        run: &mut Run,
    ) -> impl Future<Output = Result<Outcome, Stopped>> + Send;
}

/// Why a job's session gave no outcome that ends the task well.
#[derive(Debug, Clone)]
pub enum Stopped {
    /// The task is over at this node.
    Failed(Failure),
    /// The task is over at this node, and no share was used for it.
    Unused(Failure),
    /// The new share is stored, and this node has said so: the others may yet have a key, or its
    /// next generation. The task stays open here until it is settled ([`settle`], [`handover`]).
    Unsettled(Failure),
}

impl Stopped {
    /// What went wrong.
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Failed(failure) | Self::Unused(failure) | Self::Unsettled(failure) => failure,
        }
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
