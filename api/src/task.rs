//! Tasks: what is submitted, and what is told about them.

use countersign_protocol::control::{Pace, Stage};
use countersign_protocol::{
    FailureCode, Intact, KeyDescriptor, KeyId, NodeId, OperationKind, OrderProof, Outcome,
    PluginVerdict, Refusal, RequesterId, Signed, SignedTask, TaskId, UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::{Collecting, Open, Submitter};

/// A signed task, as submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The exact JSON text of the task.
    pub task: String,
    /// The requester's signature over the text, with the label of docs/task-api.md.
    pub signature: OrderProof,
}

impl From<&SignedTask> for Submission {
    fn from(task: &SignedTask) -> Self {
        Self {
            // A task that is not UTF-8 is refused wherever it is parsed.
            task: String::from_utf8_lossy(&task.bytes).into_owned(),
            signature: task.signature.clone(),
        }
    }
}

impl From<Submission> for SignedTask {
    fn from(submission: Submission) -> Self {
        Self {
            bytes: submission.task.into_bytes(),
            signature: submission.signature,
        }
    }
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Waiting for nodes that are not online.
    Waiting,
    /// Waiting for the parties' decisions.
    Approving,
    /// All approved; the protocol runs.
    Running,
    /// Ended with a verified result.
    Completed,
    /// Ended because a party refused.
    Rejected,
    /// Ended without a result after it was offered.
    Failed,
    /// Ended because nodes did not come online, or people did not approve, in time.
    Expired,
    /// Ended by a caller before the protocol began.
    Cancelled,
    /// Waiting for people's approval; no node was asked yet.
    Pending,
}

impl State {
    /// True if nothing more is expected.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Rejected | Self::Failed | Self::Expired | Self::Cancelled => {
                true
            }
            Self::Pending | Self::Waiting | Self::Approving | Self::Running => false,
        }
    }
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskSummary {
    /// The id that the requester chose.
    pub id: TaskId,
    /// Position in the order of all tasks.
    pub sequence: u64,
    /// Number of changes so far.
    pub revision: u64,
    /// The phase, or the end.
    #[cfg_attr(feature = "openapi", schema(value_type = State))]
    pub state: Open<State>,
    /// What the task does.
    #[cfg_attr(feature = "openapi", schema(value_type = OperationKind))]
    pub operation: Open<OperationKind>,
    /// The signer of the task.
    pub requester: RequesterId,
    /// The wallet that the task creates, uses, reshares or checks.
    pub wallet: KeyId,
    /// Time of acceptance.
    pub submitted: UnixMillis,
    /// Time at which the parties were asked.
    pub offered: Option<UnixMillis>,
    /// Time of the last approval.
    pub started: Option<UnixMillis>,
    /// Time at which the state became final.
    pub ended: Option<UnixMillis>,
    /// Nothing starts after this.
    pub not_after: UnixMillis,
    /// Set if it ended without a result.
    pub reason: Option<Reason>,
    /// The count of votes, if the task collects them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collecting: Option<Collecting>,
}

/// A task in full. Its order and its result prove themselves; everything else is the word of the
/// coordinator and the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskView {
    /// The entry shown in lists.
    #[serde(flatten)]
    pub summary: TaskSummary,
    /// The exact text that the requester signed.
    pub task: String,
    /// The requester's signature over it.
    pub signature: OrderProof,
    /// The sender of the task. Absent if it was imported, or handed in to an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<Submitter>,
    /// The parties; empty until they are chosen.
    pub nodes: Vec<PartyView>,
    /// The result, for the caller to verify.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TaskResult>))]
    pub result: Option<Open<TaskResult>>,
    /// The history, oldest first.
    #[serde(rename = "events")]
    pub history: Vec<HistoryEntry>,
}

impl TaskView {
    /// The order behind the task.
    pub fn order(&self) -> SignedTask {
        SignedTask {
            bytes: self.task.clone().into_bytes(),
            signature: self.signature.clone(),
        }
    }
}

/// A page of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskPage {
    /// Newest first.
    pub tasks: Vec<TaskSummary>,
    /// `cursor` of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A party of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartyView {
    /// The party's id.
    pub node: NodeId,
    /// Its name in the coordinator's configuration, if it is admitted there.
    pub name: Option<String>,
    /// True while it is connected.
    pub online: bool,
    /// Absent until it has decided.
    pub decision: Option<Decision>,
    /// The last reported progress.
    pub progress: Option<Progress>,
    /// True if its acknowledgement of the key that the task creates or reshares is here.
    #[serde(default)]
    pub stored: bool,
    /// True if it declared that it never stored anything for a reshare.
    #[serde(rename = "void", default)]
    pub abort_vote: bool,
    /// The outcome that it reported.
    pub outcome: Option<OutcomeView>,
}

/// A node's decision on a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Decision {
    /// Time of arrival, not of the decision.
    pub at: UnixMillis,
    /// Absent: approved.
    pub refusal: Option<Refusal>,
    /// The verdict of each plugin.
    pub verdicts: Vec<PluginVerdict>,
}

/// The progress of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progress {
    /// Time of the report's arrival.
    pub at: UnixMillis,
    /// The stage of the protocol.
    #[cfg_attr(feature = "openapi", schema(value_type = Stage))]
    pub stage: Open<Stage>,
    /// The nodes whose messages it lacks.
    pub waiting_for: Vec<NodeId>,
    /// Progress within a long stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
}

/// The outcome that a node reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutcomeView {
    /// Time of the report's arrival.
    pub at: UnixMillis,
    /// The outcome.
    #[cfg_attr(feature = "openapi", schema(value_type = Outcome))]
    #[serde(flatten)]
    pub outcome: Open<Outcome>,
}

/// Why a task ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reason {
    /// Stable code, for programs.
    pub code: String,
    /// One sentence, for people.
    pub message: String,
    /// The nodes concerned, as far as the coordinator knows it itself: those that refused, are
    /// silent, or are proven to have cheated or reported a wrong result. Nodes that others merely
    /// name appear in the message, with their accusers.
    pub nodes: Vec<NodeId>,
    /// The plugin that refused, if any.
    pub plugin: Option<String>,
}

impl Reason {
    /// Creates the reason of a failure.
    pub fn failed(code: FailureCode, message: impl Into<String>, nodes: Vec<NodeId>) -> Self {
        Self {
            code: code.to_string(),
            message: message.into(),
            nodes,
            plugin: None,
        }
    }
}

/// The result of a task, for the caller to verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TaskResult {
    /// A key with the acknowledgements of all its holders.
    Created(Box<KeyDescriptor>),
    /// All signatures that were ordered.
    Signed(Signed),
    /// The next generation of a key, with the acknowledgements of all parties.
    Reshared(Box<KeyDescriptor>),
    /// One proof of each node that was to check its share, in the order of the parties.
    Intact(Vec<Intact>),
}

impl TaskResult {
    /// The new generation of a key, if there is one.
    pub fn wallet(&self) -> Option<&KeyDescriptor> {
        match self {
            Self::Created(descriptor) | Self::Reshared(descriptor) => Some(descriptor),
            Self::Signed(_) | Self::Intact(_) => None,
        }
    }
}

/// An entry of a task's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryEntry {
    /// Time of the entry.
    pub at: UnixMillis,
    /// One sentence, for people.
    pub text: String,
}
