//! Checks on new tasks: known wallets, admitted nodes, members.

use countersign_api::State;
use countersign_protocol::{
    KeyDescriptor, KeyGen, KeyId, KeyReshare, KeyShareSign, KeySign, NodeId, Operation, Task,
    TaskError, TaskId,
};

use super::{Inner, TaskRegistry};
use crate::store::StoreError;
use crate::task::flow::Flow;

/// Why a task is not accepted. Each has a stable [code](SubmitError::code).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The task is malformed, expired, or badly signed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The id belongs to a different task.
    #[error("task {0} exists with other bytes; choose a new random id for a new task")]
    Conflict(TaskId),
    /// The wallet was not created or imported here.
    #[error(
        "wallet {0} is not known to this coordinator; list the wallets and use one of their ids"
    )]
    UnknownWallet(KeyId),
    /// A named node is not admitted here.
    #[error(
        "node {0} is not admitted at this coordinator; add it under `nodes` in its configuration"
    )]
    UnknownNode(NodeId),
    /// The requested signers do not fit the wallet.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "the signers must be exactly {needed} different members of the wallet's committee; correct the list"
    )]
    Signers { needed: u16 },
    /// The node to be checked does not hold a share.
    #[error("{0} is not a member of the wallet's present committee; correct the list of nodes")]
    Holders(NodeId),
    /// The reshare starts from an old generation.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "wallet {wallet} is at generation {generation} by now, or other facts of it differ; take it from this coordinator and order again"
    )]
    StaleWallet { wallet: KeyId, generation: u32 },
    /// The task collects votes of more people than are listed.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "the task collects votes of {needed} people, and {listed} approvers are listed here; ask for fewer, or list more under `approvers` in the coordinator's configuration"
    )]
    Approvers { needed: u16, listed: usize },
    /// Another reshare of the wallet is unfinished.
    #[error(
        "task {task} is resharing wallet {wallet}, or nodes wait to learn whether it did; connect all its nodes, and order again once it has ended"
    )]
    Moving {
        /// The wallet that both tasks would reshare.
        wallet: KeyId,
        /// The reshare that is in progress, or failed and is not settled at all its parties.
        task: TaskId,
    },
    /// The limit on open tasks is reached.
    #[error("{0} tasks are under way, which is the limit; wait until some have ended")]
    Busy(usize),
    /// The requester, or the API key, has too many open tasks.
    #[error(
        "{0} of your tasks are under way, and the places left are reserved for other requesters; wait until some have ended"
    )]
    Share(usize),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SubmitError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Task(error) => error.code().as_str(),
            Self::Conflict(_) => "task-conflict",
            Self::UnknownWallet(_) => "wallet-unknown",
            Self::UnknownNode(_) => "node-unknown",
            Self::Signers { .. } => "task-signers",
            Self::Holders(_) => "wallet-holders",
            Self::Approvers { .. } => "too-few-approvers",
            Self::StaleWallet { .. } => "wallet-stale",
            Self::Moving { .. } => "wallet-moving",
            Self::Busy(_) | Self::Share(_) => "too-many-tasks",
            Self::Store(_) => "store",
        }
    }
}

impl TaskRegistry {
    /// Checks the references of a task, and returns the wallet that it uses.
    pub(super) fn wallet_for(
        &self,
        inner: &Inner,
        task: &Task,
    ) -> Result<Option<KeyDescriptor>, SubmitError> {
        self.check_collect(task)?;
        match &task.operation {
            Operation::KeyGen(KeyGen { committee, .. }) => {
                self.check_admitted(committee.members()).map(|()| None)
            }
            Operation::KeySign(keysign) => {
                let wallet = self.newest(keysign.key)?;
                check_signers(keysign, &wallet)?;
                Ok(Some(wallet))
            }
            Operation::KeyReshare(reshare) => {
                self.check_reshare(inner, reshare)?;
                Ok(None)
            }
            Operation::KeyShareSign(KeyShareSign { key, nodes }) => {
                let wallet = self.newest(*key)?;
                match nodes
                    .iter()
                    .find(|node| wallet.committee.index_of(node).is_none())
                {
                    Some(stranger) => Err(SubmitError::Holders(*stranger)),
                    None => Ok(Some(wallet)),
                }
            }
        }
    }

    fn check_collect(&self, task: &Task) -> Result<(), SubmitError> {
        let listed = self.rules.load().approvers.names().len();
        match task.collect {
            Some(collect) if usize::from(collect.votes) > listed => Err(SubmitError::Approvers {
                needed: collect.votes,
                listed,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn check_reshare(&self, inner: &Inner, reshare: &KeyReshare) -> Result<(), SubmitError> {
        let wallet = reshare.from.key;
        let newest = self.newest(wallet)?;
        if newest.digest() != reshare.from.digest() {
            return Err(SubmitError::StaleWallet {
                wallet,
                generation: newest.generation,
            });
        }
        self.check_admitted(reshare.committee.members())?;
        self.check_admitted(reshare.dealers.as_deref().unwrap_or_default())?;
        match inner.moving(wallet) {
            Some(task) => Err(SubmitError::Moving { wallet, task }),
            None => Ok(()),
        }
    }

    fn newest(&self, key: KeyId) -> Result<KeyDescriptor, SubmitError> {
        self.store
            .wallet(key)?
            .ok_or(SubmitError::UnknownWallet(key))
    }

    fn check_admitted(&self, nodes: &[NodeId]) -> Result<(), SubmitError> {
        let unknown = nodes
            .iter()
            .find(|node| !self.rules.load().nodes.contains_key(node));
        unknown.map_or(Ok(()), |node| Err(SubmitError::UnknownNode(*node)))
    }
}

impl Inner {
    /// A task that is resharing the wallet. One that waits for votes does not count: it looks again
    /// before nodes are asked.
    pub(super) fn moving(&self, wallet: KeyId) -> Option<TaskId> {
        let moves = |flow: &Flow| {
            flow.record.state != State::Pending
                && flow.moves().is_some_and(|other| other.from.key == wallet)
        };
        let found = self.tasks.iter().find(|(_, active)| moves(&active.flow));
        found.map(|(task, _)| *task)
    }
}

fn check_signers(keysign: &KeySign, wallet: &KeyDescriptor) -> Result<(), SubmitError> {
    let Some(signers) = &keysign.signers else {
        return Ok(());
    };
    let needed = wallet.threshold.get();
    let members = signers
        .iter()
        .all(|node| wallet.committee.index_of(node).is_some());
    if members && signers.len() == usize::from(needed) {
        Ok(())
    } else {
        Err(SubmitError::Signers { needed })
    }
}
