//! Votes of people on a task that collects them.

use countersign_protocol::{Hash, TaskId, UnixMillis, Vote};
use serde::{Deserialize, Serialize};

/// How far a task has come in collecting approvals, by the coordinator's list of approvers. Each
/// node counts for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Collecting {
    /// The number of people who have to approve before the nodes are asked.
    pub needed: u16,
    /// The number of people who have approved.
    pub approved: u16,
    /// The number of people who have rejected.
    pub rejected: u16,
    /// The task expires if too few have approved by then.
    pub until: UnixMillis,
}

/// The votes on a task. Each proves itself; who has which name is the coordinator's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VoteList {
    /// The task.
    pub task: TaskId,
    /// The hash of its exact bytes, which every vote on it names.
    pub hash: Hash,
    /// The state of the count. Absent if the task collects no votes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collecting: Option<Collecting>,
    /// In the order of arrival; at most one approval and one rejection of each key.
    pub votes: Vec<VoteView>,
    /// Names of the listed approvers who have not voted, in alphabetical order.
    pub missing: Vec<String>,
}

/// A vote as it was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VoteView {
    /// The name of the approver in the coordinator's configuration.
    pub name: String,
    /// Time of arrival.
    pub received: UnixMillis,
    /// The vote itself, for the reader to verify.
    pub vote: Vote,
}
