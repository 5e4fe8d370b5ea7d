//! Failures of sessions: stable codes, and texts that end with what to do.
//!
//! `culprits` are the nodes that this node itself saw cheating, or that it waited for. One party's
//! accusation does not make another a culprit: the text says who accuses whom of what.

use crate::code::FailureCode;
use crate::control::Stage;
use crate::evidence::Evidence;
use crate::frame::{Abort, Ready};
use crate::hash::Hash;
use crate::id::NodeId;
use crate::outcome::Failure;
use crate::text::printable;

/// Maximum number of nodes named in a text; no task has more parties.
const MAX_NAMES: usize = 18;

/// The reason a session ends, with proof if there is any.
pub(super) struct Fault {
    pub failure: Failure,
    pub evidence: Option<Box<Evidence>>,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            evidence: None,
        }
    }
}

impl From<Evidence> for Fault {
    fn from(evidence: Evidence) -> Self {
        Self {
            failure: evidence.failure(),
            evidence: Some(Box::new(evidence)),
        }
    }
}

pub(super) fn misbehaved(node: NodeId, what: &str) -> Failure {
    let text = format!(
        "{node} {what}; ask its operator which program and version it runs before trying again"
    );
    Failure::new(FailureCode::PeerMisbehaved, text).naming(vec![node])
}

pub(super) fn overlong(node: NodeId) -> Failure {
    misbehaved(node, "sent more than the protocol has room for")
}

/// Names nobody: the requester may have signed two tasks, or the coordinator may
/// have named different parties.
pub(super) fn split_view(node: NodeId, mine: &Ready, theirs: &Ready) -> Failure {
    let text = format!(
        "{node} is ready for task {} among parties {}, and this node for task {} among parties {}; compare what the coordinator offered to both before trying again",
        theirs.task, theirs.parties, mine.task, mine.parties
    );
    Failure::new(FailureCode::SplitView, text)
}

/// Everything that a result is made of was broadcast, so honest parties of one run have the same.
pub(super) fn wrong_result(node: NodeId, mine: Hash, theirs: Hash) -> Failure {
    let text = format!(
        "{node} confirms {theirs} as the result of the run, and this node has {mine}; compare both nodes' programs and journals before trying again"
    );
    Failure::new(FailureCode::ResultMismatch, text).naming(vec![node])
}

/// A statement under this node's own signature that it did not send.
pub(super) fn twin() -> Failure {
    let text = "another process signs with this node's identity: find it (perhaps a restored backup) and stop it before trying again";
    Failure::new(FailureCode::IdentityTwin, text)
}

pub(super) fn frames_lost(node: NodeId) -> Failure {
    let text = format!("frames of {node} were lost on the way; try again");
    Failure::new(FailureCode::FramesLost, text).naming(vec![node])
}

pub(super) fn peer_lost(node: NodeId) -> Failure {
    let text =
        format!("the connection to {node} broke; check that it runs and is online, then try again");
    Failure::new(FailureCode::PeerLost, text).naming(vec![node])
}

/// `silent`: those of `waiting_for` whose silence cannot be caused by a third party.
pub(super) fn timed_out(stage: Stage, waiting_for: &[NodeId], silent: Vec<NodeId>) -> Failure {
    let text = if silent.len() == waiting_for.len() {
        format!(
            "time ran out while {stage}, waiting for {}; check that it runs and is online, then try again",
            names(waiting_for)
        )
    } else {
        format!(
            "time ran out while {stage}: this node waited for {}, who may have waited for another; compare what each party says, then try again",
            names(waiting_for)
        )
    };
    Failure::new(FailureCode::SessionTimeout, text).naming(silent)
}

/// Another party gave up. Its message is shown, truncated and without control
/// characters; it convicts nobody.
pub(super) fn aborted(node: NodeId, abort: &Abort) -> Failure {
    let said = printable(&abort.text, 300);
    let code: String = abort
        .code
        .as_str()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(40)
        .collect();
    let accused = match &abort.accused[..] {
        [] => String::new(),
        accused => format!(
            " It accuses {}, which this node could not verify.",
            names(&accused[..accused.len().min(MAX_NAMES)])
        ),
    };
    let text = format!("{node} gave up ({code}): {said}{accused}");
    Failure::new(FailureCode::PeerAborted, text)
}

fn names(nodes: &[NodeId]) -> String {
    nodes
        .iter()
        .map(NodeId::to_string)
        .collect::<Vec<_>>()
        .join(" and ")
}
