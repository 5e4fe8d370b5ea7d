//! A task in plain words.

use countersign_protocol::{NodeId, TaskId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::{Open, State};

/// What happened to a task, in plain words. The coordinator's word and the nodes'; the texts may
/// change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Explanation {
    /// The task's id.
    pub task: TaskId,
    /// Its state.
    #[cfg_attr(feature = "openapi", schema(value_type = State))]
    pub state: Open<State>,
    /// What happened, in a few sentences.
    pub summary: String,
    /// The nodes that the task waits for.
    pub waiting_for: Vec<NodeId>,
    /// Time at which the wait ends in any case, if it waits.
    pub until: Option<UnixMillis>,
    /// What happened at each party.
    pub nodes: Vec<NodeExplanation>,
    /// What to do, if anything.
    pub advice: Option<String>,
}

/// What happened at one party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeExplanation {
    /// The party's id.
    pub node: NodeId,
    /// Its name in the coordinator's configuration, if it is admitted there.
    pub name: Option<String>,
    /// In one or two sentences.
    pub text: String,
}
