//! The record of a task, as kept in the store and shown by the API. Plain data;
//! it makes no decisions.

use countersign_api::{
    Decision, HistoryEntry, Progress, Reason, State, Submitter, TaskResult, TaskSummary,
};
use countersign_protocol::{
    Evidence, FailureCode, Hash, KeyDescriptor, KeyId, NodeId, Operation, OperationKind,
    OrderProof, Outcome, RequesterId, SignedAck, SignedTask, Task, TaskError, TaskId, UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::votes::Votes;

/// All that the coordinator remembers of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Counts accepted tasks from 1; the order of lists.
    pub sequence: u64,
    /// Counts the changes of this record from 1; long polls wait for it.
    pub revision: u64,
    /// The exact JSON text that the requester signed.
    pub task: String,
    /// The requester's signature of the text.
    pub signature: OrderProof,
    /// The phase, or the end.
    pub state: State,
    /// Time of acceptance.
    pub submitted: UnixMillis,
    /// The sender. Absent if it was imported, or stored by an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<Submitter>,
    /// Time at which the parties were asked.
    pub offered: Option<UnixMillis>,
    /// Time of the last approval.
    pub started: Option<UnixMillis>,
    /// Time at which the state became final.
    pub ended: Option<UnixMillis>,
    /// The parties in the order of their ids; empty until chosen.
    pub parties: Vec<Party>,
    /// Set if it ended without a result.
    pub reason: Option<Reason>,
    /// The votes, if the task collects them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<Votes>,
    /// The result, verified here.
    pub result: Option<TaskResult>,
    /// KeyReshare: the next generation, with the acknowledgements received so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<KeyDescriptor>,
    /// KeyReshare: the abort votes, each signed by a party that never stored
    /// anything and never will.
    #[serde(rename = "void", default, skip_serializing_if = "Vec::is_empty")]
    pub abort_vote: Vec<SignedAck>,
    /// The parties that cheated, each proven by its own signatures, which were verified here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proven: Vec<Evidence>,
    /// KeyReshare: time at which the silent parties were last asked what they stored, after
    /// the task had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<UnixMillis>,
    /// The history, oldest first; at most [`TaskRecord::MAX_HISTORY`] entries.
    #[serde(rename = "events")]
    pub history: Vec<HistoryEntry>,
}

/// The state of one party of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The party's node id.
    pub node: NodeId,
    /// Absent until it has decided.
    pub decision: Option<Decision>,
    /// The last reported progress, if any.
    pub progress: Option<Progress>,
    /// The reported outcome, if any.
    pub report: Option<Report>,
}

/// An outcome as reported by a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Time of the report's arrival.
    pub at: UnixMillis,
    /// The outcome. A result that fails verification is kept as a failure with code `wrong-result`.
    pub outcome: Outcome,
    /// True if the failure is the coordinator's own finding: the node reported a wrong result. Any
    /// other failure is the node's word alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wrong: bool,
}

/// What a task is about, from its own text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The wallet that it creates, uses, reshares or checks.
    pub wallet: KeyId,
    /// Its signer.
    pub requester: RequesterId,
    /// What it does.
    pub operation: OperationKind,
    /// Nothing starts after this.
    pub not_after: UnixMillis,
}

impl Subject {
    /// Reads it off a task whose exact bytes have this hash.
    pub fn of(task: &Task, hash: &Hash) -> Self {
        Self {
            wallet: match &task.operation {
                Operation::KeyGen(_) => KeyId::of_task(hash),
                Operation::KeySign(keysign) => keysign.key,
                Operation::KeyReshare(reshare) => reshare.from.key,
                Operation::KeyShareSign(check_up) => check_up.key,
            },
            requester: task.requester,
            operation: OperationKind::from(&task.operation),
            not_after: task.not_after,
        }
    }
}

impl TaskRecord {
    /// Limit on the entries of a task's history.
    pub const MAX_HISTORY: usize = 100;

    /// The task as its requester signed it.
    pub fn signed(&self) -> SignedTask {
        SignedTask {
            bytes: self.task.clone().into_bytes(),
            signature: self.signature.clone(),
        }
    }

    /// Parses the text for what the task is about.
    pub fn subject(&self) -> Result<Subject, TaskError> {
        let signed = self.signed();
        Ok(Subject::of(&signed.parse()?, &signed.hash()))
    }

    /// The task as lists show it.
    pub fn summary(&self, id: TaskId, subject: &Subject) -> TaskSummary {
        TaskSummary {
            id,
            sequence: self.sequence,
            revision: self.revision,
            state: self.state.into(),
            operation: subject.operation.into(),
            requester: subject.requester,
            wallet: subject.wallet,
            submitted: self.submitted,
            offered: self.offered,
            started: self.started,
            ended: self.ended,
            not_after: subject.not_after,
            reason: self.reason.clone(),
            collecting: self.votes.as_ref().map(Votes::collecting),
        }
    }

    /// Finds the record of a party.
    pub fn party_mut(&mut self, node: &NodeId) -> Option<&mut Party> {
        self.parties.iter_mut().find(|party| party.node == *node)
    }

    /// True if this party's acknowledgement of the new generation is here.
    pub fn has_stored(&self, node: &NodeId) -> bool {
        let made = self
            .stored
            .iter()
            .chain(self.result.as_ref().and_then(TaskResult::wallet));
        made.flat_map(|made| &made.acks)
            .any(|ack| ack.node == *node)
    }

    /// True if this party voted to abort.
    pub fn has_voted_abort(&self, node: &NodeId) -> bool {
        self.abort_vote.iter().any(|ack| ack.node == *node)
    }

    /// True if more is expected: it has not ended, or parties are in doubt about a reshare.
    pub fn is_open(&self) -> bool {
        !self.state.is_final() || self.is_unsettled()
    }

    /// True if a party has stored for a reshare of which nobody can say yet whether all have. The
    /// key must not be reshared by another task in the meantime: both could be committed. It is
    /// settled once the operators of all that have stored abandoned it.
    pub fn is_unsettled(&self) -> bool {
        let mut waiting = self.stored.iter().flat_map(|made| &made.acks);
        self.result.is_none()
            && self.abort_vote().is_none()
            && waiting.any(|ack| !self.has_abandoned(&ack.node))
    }

    fn has_abandoned(&self, node: &NodeId) -> bool {
        let reports = self
            .parties
            .iter()
            .filter(|party| party.node == *node)
            .filter_map(|p| p.report.as_ref());
        reports
            .into_iter()
            .any(|report| is_abandonment(&report.outcome))
    }

    /// The abort vote of a party; not of one whose acknowledgement is here.
    pub fn abort_vote(&self) -> Option<&SignedAck> {
        self.abort_vote
            .iter()
            .find(|ack| !self.has_stored(&ack.node))
    }

    /// Adds an entry to the history.
    pub fn note(&mut self, at: UnixMillis, text: impl Into<String>) {
        if self.history.len() < Self::MAX_HISTORY {
            self.history.push(HistoryEntry {
                at,
                text: text.into(),
            });
        }
    }
}

/// True for the outcome of a node whose operator abandoned the task.
pub fn is_abandonment(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if failure.code == FailureCode::ReshareAbandoned)
}

impl Party {
    /// Creates a party that has not reported anything yet.
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            decision: None,
            progress: None,
            report: None,
        }
    }

    /// True if it approved the task.
    pub fn approved(&self) -> bool {
        self.decision
            .as_ref()
            .is_some_and(|decision| decision.refusal.is_none())
    }
}
