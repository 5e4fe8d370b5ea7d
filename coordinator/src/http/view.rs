//! The JSON form of tasks. Field names are part of the contract with clients.

use countersign_protocol::{
    KeyId, NodeId, Operation, RequesterId, SignedTask, Task, TaskId, UnixMillis,
};
use serde::Serialize;

use super::error::ApiError;
use crate::registry::TaskRegistry;
use crate::store::StoreError;
use crate::task::record::{
    Decision, Event, Party, Progress, Proof, Reason, Report, State, TaskRecord,
};

/// A task in a list.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub id: TaskId,
    /// Position in the order of all tasks.
    pub sequence: u64,
    /// Number of changes so far.
    pub revision: u64,
    pub state: State,
    /// `KeyGen`, `KeySign`, `KeyReshare` or `KeyShareSign`.
    pub operation: &'static str,
    pub requester: RequesterId,
    /// The wallet that the task creates, uses, reshares or checks.
    pub wallet: KeyId,
    /// Time of acceptance.
    pub submitted: UnixMillis,
    /// Time at which the parties were asked.
    pub offered: Option<UnixMillis>,
    /// Time of the last approval.
    pub started: Option<UnixMillis>,
    pub ended: Option<UnixMillis>,
    /// Nothing starts after this.
    pub not_after: UnixMillis,
    /// Set if it ended without a result.
    pub reason: Option<Reason>,
}

/// A task in full.
#[derive(Debug, Serialize)]
pub struct TaskView {
    #[serde(flatten)]
    summary: Summary,
    /// The exact text that the requester signed.
    task: String,
    signature: String,
    /// The parties; empty until they are chosen.
    nodes: Vec<NodeView>,
    result: Option<Proof>,
    events: Vec<Event>,
}

/// A party of a task.
#[derive(Debug, Serialize)]
pub struct NodeView {
    node: NodeId,
    name: Option<String>,
    online: bool,
    decision: Option<Decision>,
    progress: Option<Progress>,
    /// True if its acknowledgement of the key that the task creates or reshares is here.
    stored: bool,
    /// True if it declared that it never stored anything for a reshare.
    #[serde(rename = "void")]
    abort_vote: bool,
    outcome: Option<OutcomeView>,
}

/// The outcome reported by a node.
#[derive(Debug, Serialize)]
pub struct OutcomeView {
    at: UnixMillis,
    #[serde(flatten)]
    outcome: countersign_protocol::Outcome,
}

impl Summary {
    /// Extracts the summary from the task's own text.
    pub fn new(record: TaskRecord) -> Result<Self, ApiError> {
        Ok(Self::of(&record, &parse(&record)?))
    }

    fn of(record: &TaskRecord, task: &Task) -> Self {
        Self {
            id: task.id,
            sequence: record.sequence,
            revision: record.revision,
            state: record.state,
            operation: task.operation.name(),
            requester: task.requester,
            wallet: wallet(record, task),
            submitted: record.submitted,
            offered: record.offered,
            started: record.started,
            ended: record.ended,
            not_after: task.not_after,
            reason: record.reason.clone(),
        }
    }
}

impl TaskView {
    /// Builds the full view, with the names of the nodes and their connection state.
    pub fn new(registry: &TaskRegistry, record: TaskRecord) -> Result<Self, ApiError> {
        let summary = Summary::of(&record, &parse(&record)?);
        let online = registry.online();
        let names = &registry.rules().nodes;
        let view = |party: &Party| NodeView {
            node: party.node,
            name: names.get(&party.node).cloned(),
            online: online.contains_key(&party.node),
            decision: party.decision.clone(),
            progress: party.progress.clone(),
            stored: record.has_stored(&party.node),
            abort_vote: record.has_voted_abort(&party.node),
            outcome: party
                .report
                .clone()
                .map(|Report { at, outcome, .. }| OutcomeView { at, outcome }),
        };
        let nodes = record.parties.iter().map(view).collect();
        Ok(Self {
            summary,
            task: record.task,
            signature: hex::encode(record.signature),
            nodes,
            result: record.result,
            events: record.events,
        })
    }
}

fn wallet(record: &TaskRecord, task: &Task) -> KeyId {
    match &task.operation {
        Operation::KeyGen(_) => KeyId::of_task(&signed(record).hash()),
        Operation::KeySign(keysign) => keysign.key,
        Operation::KeyReshare(reshare) => reshare.from.key,
        Operation::KeyShareSign(check_up) => check_up.key,
    }
}

fn parse(record: &TaskRecord) -> Result<Task, StoreError> {
    let unreadable = |error: countersign_protocol::TaskError| StoreError::Row {
        table: "tasks",
        reason: error.to_string(),
    };
    signed(record).parse().map_err(unreadable)
}

fn signed(record: &TaskRecord) -> SignedTask {
    SignedTask {
        bytes: record.task.clone().into_bytes(),
        signature: record.signature,
    }
}
