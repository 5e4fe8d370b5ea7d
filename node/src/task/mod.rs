//! The life of a task in the node, which is the same for every operation: [`machine`]. An operation
//! is a [`Job`]: its question to the plugins, its parties, and the steps of its session.

pub mod admission;
mod allowance;
mod aux;
pub mod check_up;
mod commit;
pub mod counting;
mod describe;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod gossip;
pub mod history;
mod intent;
pub mod keygen;
pub mod keysign;
pub mod machine;
pub mod participant;
mod preflight;
mod quarantine;
mod refusal;
pub mod reshare;
mod resolve;
mod run;
mod service;
pub mod settle;
mod stopwatch;
mod storing;
pub(crate) mod succession;
mod telling;
pub(crate) mod throttle;
pub mod uses;

use std::future::Future;
use std::sync::Arc;

use countersign_protocol::session::Rooms;
use countersign_protocol::{
    Cause, Committee, Failure, FailureCode, Hash, KeyDescriptor, NodeId, Outcome,
};
use countersign_store::Journal;
use countersign_verify::{Input, WrongResult};

use crate::config::{EngineLimits, LiveConfig};
use crate::events::Events;
use crate::node_key::NodeKey;
use crate::risk::Approved;
use crate::session::{CpuPools, Run};
use crate::vault::Vault;
use crate::world::World;
pub use admission::AdmissionControl;
pub use aux::AuxMaker;
pub use commit::Register;
pub use participant::Participant;
pub use preflight::Asked;
pub use resolve::{Settlement, Unfit};
pub use run::Sessions;
#[cfg(test)]
pub(crate) use service::GOODBYE;
pub use service::{Offered, Services, TaskService};

/// The parts of the node that the sessions of all operations use.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct JobContext {
    pub own: NodeKey,
    pub world: World,
    pub config: Arc<LiveConfig>,
    pub pools: CpuPools,
    pub vault: Arc<Vault>,
    pub aux: Arc<AuxMaker>,
    pub participant: Arc<Participant>,
}

impl JobContext {
    fn me(&self) -> NodeId {
        self.own.id()
    }

    /// Time limits of engines, for computations that begin now.
    fn engines(&self) -> EngineLimits {
        self.config.now().engines
    }

    fn journal(&self) -> &Journal {
        &self.participant.register.journal
    }

    fn events(&self) -> &Events {
        &self.participant.register.events
    }
}

/// One operation, admitted: every fact it needs is resolved, and nothing has been asked yet.
pub trait Job: Clone + Send + Sync + Sized + 'static {
    /// The parties, ascending by id.
    fn parties(&self) -> &[NodeId];

    /// The question for the plugins.
    fn question(&self) -> countersign_host::Operation;

    /// Facts that this node established and that have no field in the question.
    fn facts(&self) -> Vec<countersign_host::Statement> {
        Vec::new()
    }

    /// The digest of what this node holds, for the other parties;
    /// see [`countersign_protocol::frame::Ready::holds`].
    fn holds(&self) -> Option<Hash>;

    /// The committee for which this node may have to make auxiliary information. Such
    /// tasks queue for it.
    fn makes_aux_for(&self, me: &NodeId) -> Option<&Committee>;

    /// The most that a party may send another in each phase of the session.
    fn rooms(&self) -> Rooms;

    /// Holders of the key in use that take no part. They are told of the use, so that their
    /// limits count it; empty if limits do not apply.
    fn bystanders(&self) -> Vec<NodeId>;

    /// The key that the result is verified against; `None` if the task itself says enough.
    fn wallet(&self) -> Option<&KeyDescriptor>;

    /// The inputs to sign, in order; empty if nothing is signed.
    fn inputs(&self) -> Vec<Input>;

    /// The end of a session whose result is not what was ordered. `counterpart`: the other party,
    /// if there is exactly one.
    fn unbelieved(wrong: &WrongResult, _counterpart: Option<NodeId>) -> Stopped {
        let text = format!("this node's own result does not verify: {wrong}; report this");
        Stopped::Unsettled(Failure {
            cause: Cause::Bug,
            ..Failure::new(FailureCode::Protocol, text)
        })
    }

    /// Runs the steps of the session.
    fn run(
        node: Arc<JobContext>,
        approved: Arc<Approved<Self>>,
        run: &mut Run,
    ) -> impl Future<Output = Result<Outcome, Stopped>> + Send;
}

/// Why a session did not complete.
#[derive(Debug, Clone)]
pub enum Stopped {
    /// The task is over at this node.
    Failed(Failure),
    /// The task is over at this node, and no share was used for it.
    Unused(Failure),
    /// The new share is stored and acknowledged, so the others may yet have a key, or its next
    /// generation. The task stays open here until it is settled ([`settle`], [`participant`]).
    Unsettled(Failure),
}

impl Stopped {
    /// Returns the failure, which every variant has.
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
