//! How sessions end badly: stable codes, and texts that end with what to do.

use crate::control::Stage;
use crate::id::NodeId;
use crate::outcome::{Cause, Failure};
use crate::text::is_hidden;

pub(super) fn failure(cause: Cause, code: &str, culprits: Vec<NodeId>, text: String) -> Failure {
    Failure { cause, code: code.into(), text, culprits }
}

pub(super) fn misbehaved(node: NodeId, what: &str) -> Failure {
    failure(
        Cause::Peer,
        "peer-misbehaved",
        vec![node],
        format!("{node} {what}; ask its operator which program and version it runs before trying again"),
    )
}

pub(super) fn split_view(node: NodeId) -> Failure {
    let text = format!(
        "{node} sees another task, committee or result than this node; compare both journals before trying again"
    );
    failure(Cause::Peer, "split-view", vec![node], text)
}

pub(super) fn frames_lost(node: NodeId) -> Failure {
    failure(
        Cause::Environment,
        "frames-lost",
        vec![node],
        format!("frames of {node} were lost on the way; try again"),
    )
}

pub(super) fn peer_lost(node: NodeId) -> Failure {
    let text = format!("the connection to {node} broke; see that it runs and is on line, then try again");
    failure(Cause::Environment, "peer-lost", vec![node], text)
}

pub(super) fn timed_out(stage: Stage, waiting_for: Vec<NodeId>) -> Failure {
    let names: Vec<String> = waiting_for.iter().map(NodeId::to_string).collect();
    let text = format!(
        "time ran out while {stage}, waiting for {}; see that it runs and is on line, then try again",
        names.join(" and ")
    );
    failure(Cause::Environment, "session-timeout", waiting_for, text)
}

/// Another party gave up. Its words are shown, cut and without control characters.
pub(super) fn aborted(node: NodeId, code: String, text: &str) -> Failure {
    let said: String = text.chars().filter(|c| !is_hidden(*c)).take(300).collect();
    let code: String = code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    failure(Cause::Peer, "peer-aborted", vec![node], format!("{node} gave up ({code}): {said}"))
}
