//! Preflights: what would come of a task.

use countersign_protocol::{
    Forecast, NodeId, NotAsked, OperationKind, PluginVerdict, Refusal, RefusalCode, TaskId,
    UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::{Open, TaskView};

/// The answer to a submission that is known already, or to a preflight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum SubmitAnswer {
    /// The task.
    Task(Box<TaskView>),
    /// With `dry_run`: what would come of it.
    Preflight(Preflight),
}

/// The forecast for a task: what would come of it if it were submitted now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Preflight {
    /// The task's id, which remains unused.
    pub task: TaskId,
    /// What the task would do.
    #[cfg_attr(feature = "openapi", schema(value_type = OperationKind))]
    pub operation: Open<OperationKind>,
    /// The time at which the nodes were asked, by this coordinator's clock.
    pub at: UnixMillis,
    /// The number of nodes that would take part.
    pub needed: usize,
    /// What would come of the task.
    #[cfg_attr(feature = "openapi", schema(value_type = Verdict))]
    pub verdict: Open<Verdict>,
    /// Every node that could take part, in the order of their ids.
    pub nodes: Vec<NodeForecast>,
}

/// What would come of a task. As JSON, `kind` names the case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Verdict {
    /// Every node that would be chosen now would approve, and all of their plugins were asked.
    Approved {
        /// The nodes that would take part.
        by: Vec<NodeId>,
    },
    /// No node that would be chosen now objects, but plugins of some were not asked, so that the
    /// answer is open.
    Open {
        /// The nodes that would take part.
        by: Vec<NodeId>,
        /// Those of them with plugins that were not asked.
        undecided: Vec<NodeId>,
    },
    /// A node that would be chosen now would refuse, and with it the task would be refused.
    Refused {
        /// The nodes that would refuse.
        by: Vec<NodeId>,
        /// Only of a KeySign that names no signers: members that do not object and suffice, if the
        /// task names them as its `signers`. Empty if there are too few. A node that refuses guards
        /// the wallet: ask its operator before you go around it.
        instead: Vec<NodeId>,
    },
    /// Nodes that would be chosen said nothing: they have switched preflights off, are busy, or did
    /// not answer in time.
    Unknown {
        /// The nodes without an answer.
        of: Vec<NodeId>,
    },
    /// Too few nodes are online or have room. The task would wait for them until its `not_after`.
    Waiting {
        /// Those that are offline; empty if enough are online and have no room.
        missing: Vec<NodeId>,
    },
}

/// The forecast of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeForecast {
    /// The node.
    pub node: NodeId,
    /// True if it would take part in the task, were it submitted now. False of all nodes while the
    /// task would wait.
    pub chosen: bool,
    /// Its answer.
    #[cfg_attr(feature = "openapi", schema(value_type = Answer))]
    #[serde(flatten)]
    pub answer: Open<Answer>,
}

/// The answer of one node. As JSON, `answer` names the case. Texts are the node's, bounded and
/// printable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// Nobody that was asked objects. A plugin that was not asked still may.
    WouldApprove {
        /// One of each plugin that was asked.
        verdicts: Vec<PluginVerdict>,
        /// Plugins that guard the task and were not asked.
        not_asked: Vec<NotAsked>,
    },
    /// It would refuse.
    WouldRefuse {
        /// The first objection.
        refusal: Refusal,
        /// One of each plugin that was asked.
        verdicts: Vec<PluginVerdict>,
        /// Plugins that guard the task and were not asked.
        not_asked: Vec<NotAsked>,
    },
    /// It does not answer preflights of this requester.
    SwitchedOff,
    /// It was asked for too many preflights, or is busy with tasks.
    Busy,
    /// It is not connected to this coordinator.
    Offline,
    /// It did not answer in time. Nodes of earlier versions never do.
    NoAnswer,
}

impl From<Forecast> for Answer {
    fn from(forecast: Forecast) -> Self {
        let Forecast {
            refusal,
            verdicts,
            not_asked,
        } = forecast;
        match refusal {
            None => Self::WouldApprove {
                verdicts,
                not_asked,
            },
            Some(refusal) if refusal.code == RefusalCode::PreflightOff => Self::SwitchedOff,
            Some(refusal) if refusal.code == RefusalCode::PreflightRate => Self::Busy,
            Some(refusal) => Self::WouldRefuse {
                refusal,
                verdicts,
                not_asked,
            },
        }
    }
}

impl Answer {
    /// True if it would refuse.
    pub fn refuses(&self) -> bool {
        match self {
            Self::WouldRefuse { .. } => true,
            Self::WouldApprove { .. }
            | Self::SwitchedOff
            | Self::Busy
            | Self::Offline
            | Self::NoAnswer => false,
        }
    }

    /// True if it is not known what it would do.
    pub fn says_nothing(&self) -> bool {
        match self {
            Self::SwitchedOff | Self::Busy | Self::Offline | Self::NoAnswer => true,
            Self::WouldApprove { .. } | Self::WouldRefuse { .. } => false,
        }
    }

    /// No objection so far, and not everybody was asked.
    pub fn is_open(&self) -> bool {
        match self {
            Self::WouldApprove { not_asked, .. } => !not_asked.is_empty(),
            Self::WouldRefuse { .. }
            | Self::SwitchedOff
            | Self::Busy
            | Self::Offline
            | Self::NoAnswer => false,
        }
    }
}
