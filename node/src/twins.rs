//! Another process with this node's identity, such as a backup that was started beside it. A node
//! that was proven one takes part in nothing until its operator has decided which of the two is the
//! original: a share that only one of them holds would be lost with it, and what the one refuses
//! the other might sign.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use countersign_protocol::NodeId;
use countersign_protocol::control::FromNode;
use countersign_protocol::twin::{Instance, TwinMark, proves_twins};
use rand::RngCore;

use crate::core::Core;

/// Which process this is, and whether it has a twin.
#[derive(Debug)]
pub struct Twins {
    instance: Instance,
    known: AtomicBool,
}

impl Twins {
    /// A new process of a node, which knows of a twin or does not.
    pub fn new(known: bool) -> Self {
        let mut instance = [0; 16];
        rand::rngs::OsRng.fill_bytes(&mut instance);
        Self {
            instance,
            known: AtomicBool::new(known),
        }
    }

    /// Number of this process.
    pub fn instance(&self) -> Instance {
        self.instance
    }

    /// True until the operator has decided.
    pub fn is_known(&self) -> bool {
        self.known.load(SeqCst)
    }

    /// The operator has decided.
    pub fn lift(&self) {
        self.known.store(false, SeqCst);
    }
}

/// This process's word that it lives, for the process `other`.
pub fn alive(core: &Core, other: Instance) -> FromNode {
    FromNode::Alive {
        mark: TwinMark::sign(&core.me, core.twins.instance, other, &*core.signer),
    }
}

/// Takes in what is said to prove a twin of this node; true if it does. What proves nothing is only
/// logged: a coordinator could stop a node with it.
pub async fn learn(core: &Arc<Core>, mark: &TwinMark) -> bool {
    if !mark.convinces(&core.me, core.twins.instance) {
        tracing::error!(
            "the coordinator says that another process has the identity of this node, and does not prove it; ask its operator"
        );
        return false;
    }
    core.twins.known.store(true, SeqCst);
    tracing::error!(
        "ALARM: another process runs with the identity of this node, which takes part in nothing until you have decided: end the one that is not the original, then run `countersign-node quarantine lift-twin`"
    );
    let now = core.now();
    if let Err(error) = core.journal(move |journal| journal.twin(now)).await {
        tracing::error!(%error, "the alarm was not recorded");
    }
    true
}

/// Two processes of a peer.
pub async fn hear_of(core: &Arc<Core>, peer: NodeId, marks: &[TwinMark; 2]) {
    let name = core.config.roster.get(&peer).map_or("", String::as_str);
    if name.is_empty() || !proves_twins(&peer, marks) {
        return tracing::warn!(%peer, "what the coordinator says of two processes of a node was ignored: it is no peer, or nothing proves it");
    }
    let text = format!(
        "two processes run with the identity of {peer} ({name}), as both have signed; ask its operator which one is the original"
    );
    tracing::error!("ALARM: {text}");
    let now = core.now();
    if let Err(error) = core
        .journal(move |journal| journal.alarm(now, None, &text))
        .await
    {
        tracing::error!(%error, "the alarm was not recorded");
    }
}
