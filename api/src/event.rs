//! Events: what changed, in the order in which it became durable.

use countersign_protocol::{KeyId, TaskId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::{State, TaskSummary};

/// A change, durable together with what it tells of. The same event always has the same id, in the
/// feed and in every webhook delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// `evt_` and 32 hexadecimal digits.
    pub id: String,
    /// The cursor just behind this event, for `after`.
    pub cursor: String,
    /// The kind of change.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// Time of the change.
    pub at: UnixMillis,
    /// What changed.
    pub data: EventData,
}

/// The kind of a change. Kinds may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventKind {
    /// A task was accepted, and waits for people's approval.
    #[serde(rename = "task.pending")]
    TaskPending,
    /// A person voted on a task.
    #[serde(rename = "task.voted")]
    TaskVoted,
    /// A task was accepted, or was approved by people, and waits for its nodes.
    #[serde(rename = "task.accepted")]
    TaskAccepted,
    /// The parties of a task are asked for their approval.
    #[serde(rename = "task.offered")]
    TaskOffered,
    /// All parties approved; the protocol runs.
    #[serde(rename = "task.started")]
    TaskStarted,
    /// A task ended with a verified result.
    #[serde(rename = "task.completed")]
    TaskCompleted,
    /// A party refused a task.
    #[serde(rename = "task.rejected")]
    TaskRejected,
    /// A task ended without a result after it was offered.
    #[serde(rename = "task.failed")]
    TaskFailed,
    /// A task ended because its nodes did not come online, or people did not approve, in time.
    #[serde(rename = "task.expired")]
    TaskExpired,
    /// A caller cancelled a task.
    #[serde(rename = "task.cancelled")]
    TaskCancelled,
    /// A new wallet.
    #[serde(rename = "wallet.created")]
    WalletCreated,
    /// A wallet has a new generation.
    #[serde(rename = "wallet.reshared")]
    WalletReshared,
    /// A wallet was imported, or more of its generations were.
    #[serde(rename = "wallet.imported")]
    WalletImported,
    /// A test of a webhook, sent to that webhook alone.
    #[serde(rename = "webhook.test")]
    WebhookTest,
}

impl From<State> for EventKind {
    /// The event of entering a state.
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::TaskPending,
            State::Waiting => Self::TaskAccepted,
            State::Approving => Self::TaskOffered,
            State::Running => Self::TaskStarted,
            State::Completed => Self::TaskCompleted,
            State::Rejected => Self::TaskRejected,
            State::Failed => Self::TaskFailed,
            State::Expired => Self::TaskExpired,
            State::Cancelled => Self::TaskCancelled,
        }
    }
}

/// What an event tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EventData {
    /// The task as it was right after the change.
    Task(Box<TaskSummary>),
    /// The wallet.
    Wallet(WalletChange),
    /// The webhook that is tested, by its name.
    Webhook(String),
}

/// A change of a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WalletChange {
    /// The wallet's id.
    pub id: KeyId,
    /// The name given by its creator.
    pub name: String,
    /// The newest generation.
    pub generation: u32,
    /// The task that made it.
    pub task: TaskId,
}

/// A part of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventPage {
    /// Oldest first.
    pub events: Vec<Event>,
    /// `after` of the next request, whether or not there are more events already.
    pub next: String,
}

impl EventData {
    /// The wallet that the event concerns.
    pub fn wallet(&self) -> Option<KeyId> {
        match self {
            Self::Task(task) => Some(task.wallet),
            Self::Wallet(wallet) => Some(wallet.id),
            Self::Webhook(_) => None,
        }
    }
}
