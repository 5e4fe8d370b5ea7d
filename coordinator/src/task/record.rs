//! The record of a task, as kept in the store and shown by the API. Plain data;
//! it makes no decisions.

use countersign_protocol::control::{Pace, Stage};
use countersign_protocol::{
    Evidence, FailureCode, Intact, KeyDescriptor, NodeId, Outcome, PluginVerdict, Refusal, Signed,
    SignedAck, UnixMillis,
};
use serde::{Deserialize, Serialize};

/// All that the coordinator remembers of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Counts accepted tasks from 1; the order of lists.
    pub sequence: u64,
    /// Counts the changes of this record from 1; long polls wait for it.
    pub revision: u64,
    /// The exact JSON text that the requester signed.
    pub task: String,
    /// Ed25519 of the requester over the text.
    #[serde(with = "hex::serde")]
    pub signature: [u8; 64],
    /// The phase, or the end.
    pub state: State,
    /// Time of acceptance.
    pub submitted: UnixMillis,
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
    /// The result, verified here.
    pub result: Option<Proof>,
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
    /// History, oldest first; at most [`TaskRecord::MAX_EVENTS`].
    pub events: Vec<Event>,
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Ended because nodes did not come online in time.
    Expired,
}

impl State {
    /// True if nothing more is expected.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Rejected | Self::Failed | Self::Expired => true,
            Self::Waiting | Self::Approving | Self::Running => false,
        }
    }
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

/// A node's decision on a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct Progress {
    /// Time of the report's arrival.
    pub at: UnixMillis,
    /// The stage of the protocol.
    pub stage: Stage,
    /// The nodes whose messages it lacks.
    pub waiting_for: Vec<NodeId>,
    /// Progress within a long stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
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

/// Why a task ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// A result that was verified here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// A key with the acknowledgements of all its holders.
    Created(Box<KeyDescriptor>),
    /// All signatures that were ordered.
    Signed(Signed),
    /// The next generation of a key, with the acknowledgements of all parties.
    Reshared(Box<KeyDescriptor>),
    /// One proof of each node that was to check its share, in the order of the parties.
    Intact(Vec<Intact>),
}

impl Proof {
    /// The new generation of a key, if that was proven.
    pub fn wallet(&self) -> Option<&KeyDescriptor> {
        match self {
            Self::Created(descriptor) | Self::Reshared(descriptor) => Some(descriptor),
            Self::Signed(_) | Self::Intact(_) => None,
        }
    }
}

/// An entry of a task's history.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub at: UnixMillis,
    pub text: String,
}

impl TaskRecord {
    /// Limit on the events kept per task.
    pub const MAX_EVENTS: usize = 100;

    /// Finds the record of a party.
    pub fn party_mut(&mut self, node: &NodeId) -> Option<&mut Party> {
        self.parties.iter_mut().find(|party| party.node == *node)
    }

    /// True if this party's acknowledgement of the new generation is here.
    pub fn has_stored(&self, node: &NodeId) -> bool {
        let made = self
            .stored
            .iter()
            .chain(self.result.as_ref().and_then(Proof::wallet));
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
        if self.events.len() < Self::MAX_EVENTS {
            self.events.push(Event {
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
