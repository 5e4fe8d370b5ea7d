//! What is known of a task: kept in the store, shown by the API. Plain data; it decides nothing.

use countersign_protocol::control::{Pace, Stage};
use countersign_protocol::{
    Announcement, Evidence, FailureCode, Intact, NodeId, Outcome, PluginVerdict, Refusal, Signed,
    StoredMark, UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Everything the coordinator remembers of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Counts accepted tasks from 1: the order of lists.
    pub sequence: u64,
    /// Counts the changes of this record from 1: what a long poll waits for.
    pub revision: u64,
    /// The exact JSON text that the requester signed.
    pub task: String,
    /// Ed25519 of the requester over the text.
    #[serde(with = "hex::serde")]
    pub signature: [u8; 64],
    /// Where it stands.
    pub state: State,
    /// When it came in.
    pub submitted: UnixMillis,
    /// When the parties were asked.
    pub offered: Option<UnixMillis>,
    /// When all had approved.
    pub started: Option<UnixMillis>,
    /// When its state became final.
    pub ended: Option<UnixMillis>,
    /// Who takes part, in the order of their ids; empty until chosen.
    pub parties: Vec<Party>,
    /// Why it ended without a result.
    pub reason: Option<Reason>,
    /// What it made, verified here.
    pub result: Option<Proof>,
    /// KeyReshare: the next generation with the marks of the parties that have stored for it so
    /// far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Announcement>,
    /// KeyReshare: who never stored anything and never will, each by its own word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub void: Vec<StoredMark>,
    /// Who cheated in the task, each by its own signatures, which were verified here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proven: Vec<Evidence>,
    /// KeyReshare: when the parties that are silent were last asked what they stored, after the
    /// task had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<UnixMillis>,
    /// What happened, oldest first; at most [`TaskRecord::MAX_EVENTS`].
    pub events: Vec<Event>,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nodes that are needed are not on line.
    Waiting,
    /// The parties decide.
    Approving,
    /// All approved; the protocol runs.
    Running,
    /// There is a verified result.
    Completed,
    /// A party refused.
    Rejected,
    /// It came to nothing after it was offered.
    Failed,
    /// The nodes did not come on line in time.
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

/// One party of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Who.
    pub node: NodeId,
    /// What it decided.
    pub decision: Option<Decision>,
    /// What it does, as last reported.
    pub progress: Option<Progress>,
    /// How the task ended there.
    pub report: Option<Report>,
}

/// A node's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When it came in.
    pub at: UnixMillis,
    /// Absent: approved.
    pub refusal: Option<Refusal>,
    /// What each plugin said.
    pub verdicts: Vec<PluginVerdict>,
}

/// What a node is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// When it came in.
    pub at: UnixMillis,
    /// What is being done.
    pub stage: Stage,
    /// Whom it waits for.
    pub waiting_for: Vec<NodeId>,
    /// How far it has come, in a stage that takes long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
}

/// A node's outcome, as the node reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When it came in.
    pub at: UnixMillis,
    /// The outcome. A result that does not stand up to verification is kept as a failure with code
    /// `wrong-result`.
    pub outcome: Outcome,
    /// The failure is the coordinator's own finding: the node reported a result, and it is wrong.
    /// What a node says in a failure is its word alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wrong: bool,
}

/// Why a task ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable, for programs.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// The nodes it is about, as far as the coordinator knows it itself: who refused, who is
    /// silent, who is proven to have cheated or to have reported a wrong result. Whom others merely
    /// name stands in the message, with who says so.
    pub nodes: Vec<NodeId>,
    /// The plugin that refused.
    pub plugin: Option<String>,
}

impl Reason {
    /// Why a task failed.
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
    /// A key with the marks of all its holders.
    Created(Box<Announcement>),
    /// All signatures that were ordered.
    Signed(Signed),
    /// The next generation of a key, with the marks of all parties.
    Reshared(Box<Announcement>),
    /// One proof of each node that was to check its share, in the order of the parties.
    Intact(Vec<Intact>),
}

impl Proof {
    /// The generation of a key that came to be, if that is what was proven.
    pub fn wallet(&self) -> Option<&Announcement> {
        match self {
            Self::Created(announcement) | Self::Reshared(announcement) => Some(announcement),
            Self::Signed(_) | Self::Intact(_) => None,
        }
    }
}

/// One line of a task's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: UnixMillis,
    /// What, for people.
    pub text: String,
}

impl TaskRecord {
    /// How many events are kept.
    pub const MAX_EVENTS: usize = 100;

    /// The party that this node is.
    pub fn party_mut(&mut self, node: &NodeId) -> Option<&mut Party> {
        self.parties.iter_mut().find(|party| party.node == *node)
    }

    /// True if this party's mark over what the task makes is here.
    pub fn has_stored(&self, node: &NodeId) -> bool {
        let made = self
            .stored
            .iter()
            .chain(self.result.as_ref().and_then(Proof::wallet));
        made.flat_map(|made| &made.stored)
            .any(|mark| mark.node == *node)
    }

    /// True if this party said that it never stored.
    pub fn has_voided(&self, node: &NodeId) -> bool {
        self.void.iter().any(|mark| mark.node == *node)
    }

    /// True if more is expected: it has not ended, or parties still wait to learn whether a reshare
    /// came to be.
    pub fn is_open(&self) -> bool {
        !self.state.is_final() || self.is_unsettled()
    }

    /// True if a party has stored for a reshare of which nobody can say yet whether all have. The
    /// key must not be handed on by another task meanwhile: both could come to be. Once the
    /// operators of all that have stored gave it up, it is over.
    pub fn is_unsettled(&self) -> bool {
        let mut waiting = self.stored.iter().flat_map(|made| &made.stored);
        self.result.is_none()
            && self.void().is_none()
            && waiting.any(|mark| !self.has_abandoned(&mark.node))
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

    /// The word of a party that its mark will never be there; not that of one whose mark is.
    pub fn void(&self) -> Option<&StoredMark> {
        self.void.iter().find(|mark| !self.has_stored(&mark.node))
    }

    /// Adds a line of history.
    pub fn note(&mut self, at: UnixMillis, text: impl Into<String>) {
        if self.events.len() < Self::MAX_EVENTS {
            self.events.push(Event {
                at,
                text: text.into(),
            });
        }
    }
}

/// True of what a node reports whose operator gave the task up.
pub fn is_abandonment(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if failure.code == FailureCode::ReshareAbandoned)
}

impl Party {
    /// A party of which nothing is known yet.
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            decision: None,
            progress: None,
            report: None,
        }
    }

    /// True if it approved.
    pub fn approved(&self) -> bool {
        self.decision
            .as_ref()
            .is_some_and(|decision| decision.refusal.is_none())
    }
}
