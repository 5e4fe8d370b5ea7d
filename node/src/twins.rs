//! Twins: another process with this node's identity, such as a backup that was started beside it.
//! Once a twin is proven, the node takes part in nothing until its operator has decided which of
//! the two is the original: a share that only one of them holds would be lost with it, and one
//! could sign what the other refuses.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use countersign_protocol::NodeId;
use countersign_protocol::control::FromNode;
use countersign_protocol::twin::{Instance, TwinMark, proves_twins};
use countersign_store::{Journal, ReadJournalError};

use crate::node_key::NodeKey;
use crate::off_thread::{record_alarm, with_journal};
use crate::world::World;

/// The random identity of this process, and the knowledge of a twin.
pub struct Twins {
    own: NodeKey,
    journal: Journal,
    world: World,
    roster: BTreeMap<NodeId, String>,
    instance: Instance,
    known: AtomicBool,
}

impl Twins {
    /// Creates the state of a new process. The journal remembers a twin that was proven before.
    pub fn new(
        own: NodeKey,
        journal: Journal,
        world: World,
        roster: BTreeMap<NodeId, String>,
    ) -> Result<Self, ReadJournalError> {
        Ok(Self {
            known: AtomicBool::new(journal.twin_since()?.is_some()),
            instance: world.random(),
            own,
            journal,
            world,
            roster,
        })
    }

    /// Returns the random number that distinguishes this process from others of the same node.
    pub fn instance(&self) -> Instance {
        self.instance
    }

    /// True from the proof of a twin until the operator has decided.
    pub fn is_known(&self) -> bool {
        self.known.load(SeqCst)
    }

    /// Lifts the stop once the operator has decided.
    pub fn lift(&self) {
        self.known.store(false, SeqCst);
    }

    /// Signs a statement to the process `other` that this process is alive.
    pub fn alive(&self, other: Instance) -> FromNode {
        FromNode::Alive {
            mark: TwinMark::sign(&self.own.id(), self.instance, other, &self.own),
        }
    }

    /// Handles an alleged twin of this node; returns true if `mark` proves it. Anything else is
    /// only logged, or else a coordinator could stop a node with it.
    pub async fn learn(&self, mark: &TwinMark) -> bool {
        if !mark.convinces(&self.own.id(), self.instance) {
            tracing::error!(
                "the coordinator claims without proof that another process has the identity of this node; ask its operator"
            );
            return false;
        }
        self.known.store(true, SeqCst);
        tracing::error!(
            "ALARM: another process runs with the identity of this node, which takes part in nothing until you have decided: end the one that is not the original, then run `countersign-node quarantine lift-twin`"
        );
        let now = self.world.now();
        if let Err(error) = with_journal(&self.journal, move |journal| journal.twin(now)).await {
            tracing::error!(%error, "the alarm was not recorded");
        }
        true
    }

    /// Handles an alleged twin of a peer.
    pub async fn hear_of(&self, peer: NodeId, marks: &[TwinMark; 2]) {
        let name = self.roster.get(&peer).map_or("", String::as_str);
        if name.is_empty() || !proves_twins(&peer, marks) {
            return tracing::warn!(%peer, "the coordinator's report of two processes of a node was ignored: the node is not a peer, or the proof is not valid");
        }
        let text = format!(
            "two processes run with the identity of {peer} ({name}), as both have signed; ask its operator which one is the original"
        );
        tracing::error!("ALARM: {text}");
        record_alarm(&self.journal, self.world.now(), text).await;
    }
}
