//! The vocabulary of the coordinator's HTTP API, `/v1`: every request, answer and error, once, for
//! servers and clients.
//!
//! Plain data: nothing here is checked or believed. Readers of answers accept fields, codes and
//! enumerated words that they do not know, because later versions of `/v1` add some; requests with
//! unknown fields are refused.

mod api_key;
mod bounded;
mod drain;
mod event;
mod explain;
mod node;
mod open;
mod preflight;
mod problem;
mod task;
mod vote;
mod wallet;
mod webhook;

pub use api_key::{
    ApiKeyList, ApiKeySettings, ApiKeySpec, ApiKeyView, AuditEnd, AuditEntry, AuditLink, AuditPage,
    ExpireApiKey, KeyOrigin, PreviousCredential, RequesterList, RotateApiKey, Scope, ScopeError,
    Submitter,
};
pub use drain::{DrainView, SetDrain};
pub use event::{Event, EventData, EventKind, EventPage, WalletChange};
pub use explain::{Explanation, NodeExplanation};
pub use node::{NodeList, NodeView, Reported};
pub use open::Open;
pub use preflight::{Answer, NodeForecast, Preflight, SubmitAnswer, Verdict};
pub use problem::Problem;
pub use task::{
    Decision, HistoryEntry, OutcomeView, PartyView, Progress, Reason, State, Submission, TaskPage,
    TaskResult, TaskSummary, TaskView,
};
pub use vote::{Collecting, VoteList, VoteView};
pub use wallet::{
    ChildView, WalletAddresses, WalletGenerations, WalletImport, WalletPage, WalletView,
};
pub use webhook::{
    Attempt, Delivery, DeliveryPage, DeliveryState, Resend, Resent, RotateWebhookKey,
    WebhookFormat, WebhookKey, WebhookKeys, WebhookList, WebhookSettings, WebhookSpec, WebhookView,
};
