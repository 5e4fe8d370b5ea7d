//! What the API shows of a task. Field names are part of the contract with clients.

use countersign_protocol::{
    KeyId, NodeId, Operation, RequesterId, SignedTask, Task, TaskId, UnixMillis,
};
use serde::Serialize;

use super::error::ApiError;
use crate::desk::Desk;
use crate::store::StoreError;
use crate::task::record::{
    Decision, Event, Party, Progress, Proof, Reason, Report, State, TaskRecord,
};

/// A task in a list.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Its id.
    pub id: TaskId,
    /// Its place in the order of all tasks.
    pub sequence: u64,
    /// Counts its changes.
    pub revision: u64,
    /// Where it stands.
    pub state: State,
    /// `KeyGen`, `KeySign`, `KeyReshare` or `KeyShareSign`.
    pub operation: &'static str,
    /// Who ordered it.
    pub requester: RequesterId,
    /// The wallet that it makes, uses, hands on or checks.
    pub wallet: KeyId,
    /// When it came in.
    pub submitted: UnixMillis,
    /// When its parties were asked.
    pub offered: Option<UnixMillis>,
    /// When all had approved.
    pub started: Option<UnixMillis>,
    /// When it ended.
    pub ended: Option<UnixMillis>,
    /// Nothing starts after this.
    pub not_after: UnixMillis,
    /// Why it ended without a result.
    pub reason: Option<Reason>,
}

/// A task in full.
#[derive(Debug, Serialize)]
pub struct TaskView {
    #[serde(flatten)]
    summary: Summary,
    /// The exact text that the requester signed.
    task: String,
    /// Ed25519 of the requester.
    signature: String,
    /// The parties; empty until they are chosen.
    nodes: Vec<NodeView>,
    /// What it made.
    result: Option<Proof>,
    /// Its history.
    events: Vec<Event>,
}

/// One party of a task.
#[derive(Debug, Serialize)]
pub struct NodeView {
    node: NodeId,
    name: Option<String>,
    online: bool,
    decision: Option<Decision>,
    progress: Option<Progress>,
    /// True if its mark over the key that the task makes, or hands on, is here.
    stored: bool,
    /// True if it said that it never stored anything for a reshare.
    void: bool,
    outcome: Option<OutcomeView>,
}

/// How the task ended at a node.
#[derive(Debug, Serialize)]
pub struct OutcomeView {
    at: UnixMillis,
    #[serde(flatten)]
    outcome: countersign_protocol::Outcome,
}

impl Summary {
    /// Reads what is shown out of the task's own text.
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
    /// A task with the names of its nodes, and whether they are on line.
    pub fn new(desk: &Desk, record: TaskRecord) -> Result<Self, ApiError> {
        let summary = Summary::of(&record, &parse(&record)?);
        let online = desk.online();
        let names = &desk.rules().nodes;
        let view = |party: &Party| NodeView {
            node: party.node,
            name: names.get(&party.node).cloned(),
            online: online.contains_key(&party.node),
            decision: party.decision.clone(),
            progress: party.progress.clone(),
            stored: record.has_stored(&party.node),
            void: record.has_voided(&party.node),
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
